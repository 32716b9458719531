"""What the bytes of an OID's answer say: numbers with units, flags and states by name, structures by field.

It knows the documented layouts (``ntddndis.h``) and nothing of a driver. What it does not know, or what has
another length than documented, it leaves to the reader's eyes: ``meaning`` returns nothing then.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ndis import offload6
from ndis.errors import NdisError
from ndis.filter8023 import PacketFilter
from ndis.offload import Checksum, Offload
from ndis.oids import MacOption, Oid, PowerState, oid_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAMED: Final = 3
"""So many of a list are named; the rest is counted."""


class HardwareStatus(enum.IntEnum):
    """NDIS_HARDWARE_STATUS."""

    READY = 0
    INITIALIZING = 1
    RESET = 2
    CLOSING = 3
    NOT_READY = 4


class Medium(enum.IntEnum):
    """NDIS_MEDIUM, as far as it is met here."""

    ETHERNET = 0
    TOKEN_RING = 1
    FDDI = 2
    WAN = 3


class Media(enum.IntEnum):
    """NDIS_MEDIA_STATE."""

    CONNECTED = 0
    DISCONNECTED = 1


class PhysicalMedium(enum.IntEnum):
    """NDIS_PHYSICAL_MEDIUM, as far as it is met here."""

    UNSPECIFIED = 0
    WIRELESS_LAN = 1
    ETHERNET = 14


class WakeUp(enum.IntFlag):
    """Bits of OID_PNP_ENABLE_WAKE_UP."""

    MAGIC_PACKET = 0x1
    PATTERN_MATCH = 0x2
    LINK_CHANGE = 0x4


class ConnectState(enum.IntEnum):
    """NET_IF_MEDIA_CONNECT_STATE (``ifdef.h``)."""

    UNKNOWN = 0
    CONNECTED = 1
    DISCONNECTED = 2


class DuplexState(enum.IntEnum):
    """NET_IF_MEDIA_DUPLEX_STATE (``ifdef.h``)."""

    UNKNOWN = 0
    HALF = 1
    FULL = 2


class Moderation(enum.IntEnum):
    """NDIS_INTERRUPT_MODERATION."""

    UNKNOWN = 0
    NOT_SUPPORTED = 1
    ENABLED = 2
    DISABLED = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """A structure that begins with an NDIS_OBJECT_HEADER: what follows it, and the fields' names."""

    rest: struct.Struct
    names: tuple[str, ...]
    kinds: Mapping[str, type[enum.IntEnum]]

    def __call__(self, raw: bytes) -> str:
        """Return the fields; the revision first, since the layout depends on it."""
        _kind, revision, _size = _HEADER.unpack_from(raw)
        values = zip(self.names, self.rest.unpack_from(raw, _HEADER.size), strict=True)
        fields = [f"{name} {_named(value, self.kinds.get(name))}" for name, value in values]
        return ", ".join([f"revision {revision}", *fields])


_HEADER: Final = struct.Struct("<BBH")
"""NDIS_OBJECT_HEADER: Type, Revision, Size."""


def meaning(oid: int, raw: bytes) -> str:
    """Return what an answer says; empty where that is not known."""
    decode = DECODERS.get(oid)
    if decode is None or not raw:
        return ""
    try:
        return decode(raw)
    except (struct.error, IndexError, NdisError):  # not as documented: the bytes speak for themselves
        return ""


def _named(value: int, kind: type[enum.IntEnum] | None) -> str:
    if kind is None:
        return f"{value:,}"
    return next((one.name for one in kind if one == value), str(value))


def _number(unit: str = "") -> Callable[[bytes], str]:
    def decode(raw: bytes) -> str:
        if len(raw) not in {2, 4, 8}:
            return ""
        return f"{int.from_bytes(raw, 'little'):,} {unit}".rstrip()

    return decode


def _speed(raw: bytes) -> str:
    return f"{int.from_bytes(raw[:4], 'little') / 10_000:g} Mbit/s"  # in units of 100 bit/s


def _state(kind: type[enum.IntEnum]) -> Callable[[bytes], str]:
    def decode(raw: bytes) -> str:
        words = (int(one[0]) for one in struct.iter_unpack("<I", raw))
        return ", ".join(_named(word, kind) for word in words)

    return decode


def _flags(kind: type[enum.IntFlag]) -> Callable[[bytes], str]:
    def decode(raw: bytes) -> str:
        value = int.from_bytes(raw[:4], "little")
        known = [one.name or "" for one in kind if one and value & one]
        left = value & ~sum(kind)
        return "|".join([*known, *([hex(left)] if left else [])]) or "none"

    return decode


def _addresses(raw: bytes) -> str:
    return " ".join(raw[at : at + 6].hex(":") for at in range(0, len(raw), 6))


def _oids(raw: bytes) -> str:
    numbers = [one[0] for one in struct.iter_unpack("<I", raw)]
    more = len(numbers) - _NAMED
    return ", ".join(map(oid_name, numbers[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def _text(raw: bytes) -> str:
    return repr(raw.rstrip(b"\0").decode("latin-1"))


def _version(raw: bytes) -> str:
    return f"NDIS {raw[1]}.{raw[0]}"


def _driver_version(raw: bytes) -> str:
    low, high = struct.unpack("<HH", raw)
    return f"{high}.{low}"


def _vendor(raw: bytes) -> str:
    return f"{raw[:3].hex('-').upper()}, card {raw[3]}"


def _offloads(read: Callable[[bytes], Offload]) -> Callable[[bytes], str]:
    def decode(raw: bytes) -> str:
        found = read(raw)
        ways = (
            ("IPv4 out", found.v4_transmit),
            ("IPv4 in", found.v4_receive),
            ("IPv6 out", found.v6_transmit),
            ("IPv6 in", found.v6_receive),
        )
        said = [
            f"{way} {'|'.join(one.name or '' for one in Checksum if sums & one)}"
            for way, sums in ways
            if sums
        ]
        if found.large_send_bytes:
            said.append(f"large sends of {found.large_send_bytes:,} bytes")
        return ", ".join(said) or "none"

    return decode


def _wake_capabilities(raw: bytes) -> str:
    flags, *states = struct.unpack_from("<IIII", raw)
    names = ("magic packet", "pattern", "link change")
    said = (f"{name} from {_named(state, PowerState)}" for name, state in zip(names, states, strict=True))
    return ", ".join([*said, *([f"flags {flags:#x}"] if flags else [])])


_COUNTED: Final = (
    Oid.GEN_XMIT_OK,
    Oid.GEN_RCV_OK,
    Oid.GEN_XMIT_ERROR,
    Oid.GEN_RCV_ERROR,
    Oid.GEN_RCV_NO_BUFFER,
    Oid.GEN_RCV_DISCARDS,
    Oid.O802_3_RCV_ERROR_ALIGNMENT,
    Oid.O802_3_XMIT_ONE_COLLISION,
    Oid.O802_3_XMIT_MORE_COLLISIONS,
    Oid.O802_3_XMIT_DEFERRED,
    Oid.O802_3_XMIT_MAX_COLLISIONS,
    Oid.O802_3_RCV_OVERRUN,
    Oid.O802_3_XMIT_UNDERRUN,
    Oid.O802_3_XMIT_HEARTBEAT_FAILURE,
    Oid.O802_3_XMIT_TIMES_CRS_LOST,
    Oid.O802_3_XMIT_LATE_COLLISIONS,
)
_SIZES: Final = (
    Oid.GEN_MAXIMUM_LOOKAHEAD,
    Oid.GEN_MAXIMUM_FRAME_SIZE,
    Oid.GEN_TRANSMIT_BUFFER_SPACE,
    Oid.GEN_RECEIVE_BUFFER_SPACE,
    Oid.GEN_TRANSMIT_BLOCK_SIZE,
    Oid.GEN_RECEIVE_BLOCK_SIZE,
    Oid.GEN_CURRENT_LOOKAHEAD,
    Oid.GEN_MAXIMUM_TOTAL_SIZE,
)
_RSS: Final = Layout(
    struct.Struct("<HHIHxxIHxxI"),
    ("flags", "base CPU", "hash", "table bytes", "table at", "key bytes", "key at"),
    {},
)
_RSS_CAPABILITIES: Final = Layout(
    struct.Struct("<IIII"), ("flags", "messages", "queues", "table entries"), {}
)
_LINK: Final = Layout(
    struct.Struct("<II4xQQII"),
    ("state", "duplex", "out bit/s", "in bit/s", "pause", "autonegotiation"),
    {"state": ConnectState, "duplex": DuplexState},
)
_MODERATION: Final = Layout(struct.Struct("<II"), ("flags", "moderation"), {"moderation": Moderation})
_WAKE: Final = Layout(struct.Struct("<III"), ("patterns", "protocol offloads", "wake-up flags"), {})
_STATISTICS: Final = Layout(
    struct.Struct("<I18Q"),
    (
        *("supported", "in discards", "in errors", "in bytes", "in unicast", "in multicast", "in broadcast"),
        *("out bytes", "out unicast", "out multicast", "out broadcast", "out errors", "out discards"),
        *("in unicast bytes", "in multicast bytes", "in broadcast bytes"),
        *("out unicast bytes", "out multicast bytes", "out broadcast bytes"),
    ),
    {},
)
"""NDIS_STATISTICS_INFO."""
_COALESCED: Final = Layout(struct.Struct("<4x4Q"), ("packets", "bytes", "events", "aborts"), {})
DECODERS: Final[dict[int, Callable[[bytes], str]]] = {
    **dict.fromkeys(_COUNTED, _number()),
    **dict.fromkeys(_SIZES, _number("bytes")),
    Oid.GEN_MAXIMUM_SEND_PACKETS: _number("packets"),
    Oid.GEN_VLAN_ID: _number(),
    Oid.O802_3_MAXIMUM_LIST_SIZE: _number("addresses"),
    Oid.GEN_SUPPORTED_LIST: _oids,
    Oid.GEN_HARDWARE_STATUS: _state(HardwareStatus),
    Oid.GEN_MEDIA_SUPPORTED: _state(Medium),
    Oid.GEN_MEDIA_IN_USE: _state(Medium),
    Oid.GEN_PHYSICAL_MEDIUM: _state(PhysicalMedium),
    Oid.GEN_MEDIA_CONNECT_STATUS: _state(Media),
    Oid.GEN_LINK_SPEED: _speed,
    Oid.GEN_VENDOR_ID: _vendor,
    Oid.GEN_VENDOR_DESCRIPTION: _text,
    Oid.GEN_DRIVER_VERSION: _version,
    Oid.GEN_VENDOR_DRIVER_VERSION: _driver_version,
    Oid.GEN_CURRENT_PACKET_FILTER: _flags(PacketFilter),
    Oid.GEN_MAC_OPTIONS: _flags(MacOption),
    Oid.GEN_RECEIVE_SCALE_PARAMETERS: _RSS,
    Oid.GEN_RECEIVE_SCALE_CAPABILITIES: _RSS_CAPABILITIES,
    Oid.GEN_LINK_STATE: _LINK,
    Oid.GEN_INTERRUPT_MODERATION: _MODERATION,
    Oid.O802_3_PERMANENT_ADDRESS: _addresses,
    Oid.O802_3_CURRENT_ADDRESS: _addresses,
    Oid.O802_3_MULTICAST_LIST: _addresses,
    Oid.PNP_CAPABILITIES: _wake_capabilities,
    Oid.PNP_QUERY_POWER: _state(PowerState),
    Oid.PNP_ENABLE_WAKE_UP: _flags(WakeUp),
    Oid.PM_PARAMETERS: _WAKE,
    Oid.GEN_STATISTICS: _STATISTICS,
    Oid.TCP_TASK_OFFLOAD: _offloads(Offload.parse),
    Oid.TCP_OFFLOAD_CURRENT_CONFIG: _offloads(offload6.parse),
    Oid.TCP_OFFLOAD_HARDWARE_CAPABILITIES: _offloads(offload6.parse),
    Oid.TCP_RSC_STATISTICS: _COALESCED,
}
