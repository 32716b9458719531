"""The layers of the filter engine, and the values that each has for its filters. Data only.

A layer is a classify point of TCP/IP, an IP version, and for most a discard layer beside it, where what was
blocked is shown. Sources: "Filtering Layer Identifiers", "Filtering Conditions Available at Each Filtering
Layer" and "Filtering Condition Identifiers" (WFP).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from protocols.transports.tcpip.classify import Point


class Field(enum.Enum):
    """FWPM_CONDITION_*: what a filter can compare. Addresses are bytes, all else is a number."""

    FLAGS = enum.auto()
    DIRECTION = enum.auto()
    INTERFACE_INDEX = enum.auto()
    IP_LOCAL_ADDRESS = enum.auto()
    IP_LOCAL_ADDRESS_TYPE = enum.auto()
    IP_LOCAL_PORT = enum.auto()
    IP_PROTOCOL = enum.auto()
    IP_REMOTE_ADDRESS = enum.auto()
    IP_REMOTE_PORT = enum.auto()
    ICMP_TYPE = enum.auto()
    ICMP_CODE = enum.auto()
    EMBEDDED_PROTOCOL = enum.auto()
    EMBEDDED_LOCAL_PORT = enum.auto()
    EMBEDDED_REMOTE_ADDRESS = enum.auto()
    EMBEDDED_REMOTE_PORT = enum.auto()
    MAC_SOURCE_ADDRESS = enum.auto()
    MAC_DESTINATION_ADDRESS = enum.auto()
    ETHER_TYPE = enum.auto()


class Flags(enum.IntFlag):
    """FWP_CONDITION_FLAG_*."""

    NONE = 0
    IS_LOOPBACK = 0x0000_0001
    IS_WILDCARD_BIND = 0x0000_0010
    IS_RAW_ENDPOINT = 0x0000_0020
    IS_FRAGMENT = 0x0000_0040
    IS_REAUTHORIZE = 0x0000_0200
    IS_CONNECTION_REDIRECTED = 0x0010_0000


OUTBOUND, INBOUND = 0, 1
"""FWP_DIRECTION_*."""
UNICAST, MULTICAST, BROADCAST = 1, 2, 3
"""NL_ADDRESS_TYPE: NlatUnicast and its kin."""

_ADDRESSES = (Field.IP_LOCAL_ADDRESS, Field.IP_LOCAL_ADDRESS_TYPE, Field.IP_REMOTE_ADDRESS)
_PORTS = (Field.IP_LOCAL_PORT, Field.IP_REMOTE_PORT)
_PACKET = frozenset((Field.FLAGS, Field.INTERFACE_INDEX, *_ADDRESSES))
_TRANSPORT = _PACKET | {Field.IP_PROTOCOL, Field.ICMP_TYPE, Field.ICMP_CODE, *_PORTS}
_LOCAL = frozenset((Field.FLAGS, Field.IP_LOCAL_ADDRESS, Field.IP_LOCAL_ADDRESS_TYPE, Field.IP_LOCAL_PORT))
_BIND = _LOCAL | {Field.IP_PROTOCOL}
_AUTHORIZE = _TRANSPORT - {Field.ICMP_TYPE, Field.ICMP_CODE, Field.INTERFACE_INDEX}
_MAC = frozenset(
    (Field.MAC_SOURCE_ADDRESS, Field.MAC_DESTINATION_ADDRESS, Field.ETHER_TYPE, Field.INTERFACE_INDEX)
)
_OUTBOUND_ERROR = _PACKET | {Field.ICMP_TYPE, Field.ICMP_CODE}
_INBOUND_ERROR = _OUTBOUND_ERROR | {
    *(Field.EMBEDDED_PROTOCOL, Field.EMBEDDED_LOCAL_PORT),
    *(Field.EMBEDDED_REMOTE_ADDRESS, Field.EMBEDDED_REMOTE_PORT),
}

FIELDS: dict[Point, frozenset[Field]] = {
    Point.INBOUND_MAC_FRAME: _MAC,
    Point.OUTBOUND_MAC_FRAME: _MAC,
    Point.INBOUND_IPPACKET: _PACKET,
    Point.OUTBOUND_IPPACKET: _PACKET,
    Point.INBOUND_TRANSPORT: _TRANSPORT,
    Point.OUTBOUND_TRANSPORT: _TRANSPORT,
    Point.STREAM: frozenset((Field.DIRECTION, Field.FLAGS, *_ADDRESSES, *_PORTS)),
    Point.DATAGRAM_DATA: _AUTHORIZE | {Field.DIRECTION, Field.INTERFACE_INDEX},
    Point.INBOUND_ICMP_ERROR: _INBOUND_ERROR,
    Point.OUTBOUND_ICMP_ERROR: _OUTBOUND_ERROR,
    Point.ALE_BIND: _BIND,
    Point.ALE_LISTEN: _LOCAL,
    Point.ALE_CONNECT: _AUTHORIZE,
    Point.ALE_ACCEPT: _AUTHORIZE,
    Point.FLOW_ESTABLISHED: _AUTHORIZE | {Field.DIRECTION},
    Point.RESOURCE_RELEASE: _BIND,
    Point.CONNECT_REDIRECT: _AUTHORIZE,
    Point.BIND_REDIRECT: _BIND,
}
"""What a filter at each point may compare."""
_NAMES: dict[Point, str] = {
    Point.ALE_BIND: "ALE_RESOURCE_ASSIGNMENT",
    Point.ALE_LISTEN: "ALE_AUTH_LISTEN",
    Point.ALE_CONNECT: "ALE_AUTH_CONNECT",
    Point.ALE_ACCEPT: "ALE_AUTH_RECV_ACCEPT",
    Point.FLOW_ESTABLISHED: "ALE_FLOW_ESTABLISHED",
    Point.RESOURCE_RELEASE: "ALE_RESOURCE_RELEASE",
    Point.CONNECT_REDIRECT: "ALE_CONNECT_REDIRECT",
    Point.BIND_REDIRECT: "ALE_BIND_REDIRECT",
}
"""Where Microsoft's name is not the point's own."""
MAC_POINTS = frozenset((Point.INBOUND_MAC_FRAME, Point.OUTBOUND_MAC_FRAME))
NO_DISCARD = MAC_POINTS | {Point.RESOURCE_RELEASE, Point.CONNECT_REDIRECT, Point.BIND_REDIRECT}
"""Points without a discard layer: nothing is discarded there."""


@dataclass(frozen=True, slots=True)
class Layer:
    """FWPM_LAYER0. ``version`` is 4 or 6, and 0 at the MAC layers."""

    point: Point
    version: int
    is_discard: bool = False

    @property
    def name(self) -> str:
        """The identifier without ``FWPM_LAYER_``."""
        stem = _NAMES.get(self.point, self.point.name)
        tail = f"_V{self.version}" if self.version else "_ETHERNET"
        return f"{stem}{tail}{'_DISCARD' if self.is_discard else ''}"

    @property
    def fields(self) -> frozenset[Field]:
        """What its filters may compare."""
        return FIELDS[self.point]


def _all() -> tuple[Layer, ...]:
    found: list[Layer] = []
    for point in FIELDS:
        for version in (0,) if point in MAC_POINTS else (4, 6):
            found.append(Layer(point, version))
            if point not in NO_DISCARD:
                found.append(Layer(point, version, is_discard=True))
    return tuple(found)


ALL = _all()
BY_NAME: dict[str, Layer] = {layer.name: layer for layer in ALL}


def layer(name: str) -> Layer:
    """Return a layer by its identifier, with or without ``FWPM_LAYER_``. LookupError when there is none."""
    return BY_NAME[name.removeprefix("FWPM_LAYER_")]
