"""From a classify point's subject to the values that filters compare. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats import ethernet, ipv4, ipv6
from formats.transport import ICMP, ICMPV6
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.classify import Point
from protocols.wfp.layers import (
    BROADCAST,
    INBOUND,
    MAC_POINTS,
    MULTICAST,
    OUTBOUND,
    UNICAST,
    Field,
    Flags,
    Layer,
)

if TYPE_CHECKING:
    from protocols.transports.tcpip.classify import Subject
    from protocols.wfp.conditions import Value

ERRORS = frozenset((Point.INBOUND_ICMP_ERROR, Point.OUTBOUND_ICMP_ERROR))
PACKETS = frozenset((Point.INBOUND_IPPACKET, Point.OUTBOUND_IPPACKET))


def layer_of(subject: Subject) -> Layer:
    """Return the layer that a subject is classified at."""
    if subject.point in MAC_POINTS:
        return Layer(subject.point, 0)
    address = subject.remote if subject.remote is not None else subject.local
    return Layer(subject.point, 6 if address is not None and len(address) == 16 else 4)


def values_of(subject: Subject, layer: Layer, flags: Flags = Flags.NONE) -> dict[Field, Value]:
    """Return the values of the layer's fields; what is not known is left out."""
    if layer.point in MAC_POINTS:
        return _mac(subject)
    found: dict[Field, Value] = {
        Field.FLAGS: int(flags | _flags(subject)),
        Field.DIRECTION: INBOUND if subject.is_inbound else OUTBOUND,
        Field.INTERFACE_INDEX: subject.interface,
        Field.IP_PROTOCOL: subject.protocol,
    }
    if subject.local is not None:
        found[Field.IP_LOCAL_ADDRESS] = subject.local
        found[Field.IP_LOCAL_ADDRESS_TYPE] = _kind(subject.local)
    if subject.remote is not None:
        found[Field.IP_REMOTE_ADDRESS] = subject.remote
    if subject.protocol in {ICMP, ICMPV6} or subject.point in ERRORS:
        sender = (subject.remote_port, subject.local_port)
        kind, code = sender if subject.is_inbound else sender[::-1]
        if subject.point in ERRORS:
            kind, code = subject.data[0], subject.data[1]
        found[Field.ICMP_TYPE], found[Field.ICMP_CODE] = kind, code
    elif subject.point not in PACKETS:
        found[Field.IP_LOCAL_PORT] = subject.local_port
        if subject.remote is not None:
            found[Field.IP_REMOTE_PORT] = subject.remote_port
    if subject.point is Point.INBOUND_ICMP_ERROR:
        found |= _embedded(bytes(subject.data[8:]))
    return {one: value for one, value in found.items() if one in layer.fields}


def _kind(address: bytes) -> int:
    if address == addresses.IPV4_BROADCAST:
        return BROADCAST
    return MULTICAST if addresses.is_multicast(address) else UNICAST


def _flags(subject: Subject) -> Flags:
    flags = Flags.NONE
    if subject.remote is not None and addresses.is_loopback(subject.remote):
        flags |= Flags.IS_LOOPBACK
    if subject.local is None or addresses.is_unspecified(subject.local):
        flags |= Flags.IS_WILDCARD_BIND
    raw = subject.data
    if subject.point in PACKETS and len(raw) >= ipv4.HEADER_BYTES and raw[0] >> 4 == 4:
        flags |= Flags.IS_FRAGMENT if (raw[6] << 8 | raw[7]) & 0x3FFF else Flags.NONE
    return flags


def _mac(subject: Subject) -> dict[Field, Value]:
    frame = bytes(subject.data[: ethernet.HEADER_BYTES])
    found: dict[Field, Value] = {Field.INTERFACE_INDEX: subject.interface}
    if len(frame) == ethernet.HEADER_BYTES:
        found[Field.MAC_DESTINATION_ADDRESS], found[Field.MAC_SOURCE_ADDRESS] = frame[:6], frame[6:12]
        found[Field.ETHER_TYPE] = int.from_bytes(frame[12:14])
    return found


def _embedded(raw: bytes) -> dict[Field, Value]:
    """Return what an ICMP error quotes: the packet of ours that met trouble."""
    if len(raw) < ipv4.HEADER_BYTES:
        return {}
    if raw[0] >> 4 == 4:
        protocol, remote, header = raw[9], raw[16:20], (raw[0] & 15) * 4
    elif len(raw) >= ipv6.HEADER_BYTES:
        protocol, remote, header = raw[6], raw[24:40], ipv6.HEADER_BYTES
    else:
        return {}
    found: dict[Field, Value] = {Field.EMBEDDED_PROTOCOL: protocol, Field.EMBEDDED_REMOTE_ADDRESS: remote}
    if len(raw) >= header + 4:
        found[Field.EMBEDDED_LOCAL_PORT] = int.from_bytes(raw[header : header + 2])
        found[Field.EMBEDDED_REMOTE_PORT] = int.from_bytes(raw[header + 2 : header + 4])
    return found
