"""Object identifiers as data.

Number, name, who may do what, size, and whether a miniport must answer.

Source: ``ntddndis.h``; the list is that of the NDIS 5.1 and 6.0 documentation for Ethernet
miniports.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Need(enum.Enum):
    """Who must answer an OID."""

    MANDATORY = enum.auto()
    OPTIONAL = enum.auto()
    POWER = enum.auto()  # mandatory for a miniport that supports power management
    OFFLOAD = enum.auto()  # for a miniport that offloads
    NDIS6 = enum.auto()  # mandatory for an NDIS 6 miniport


@dataclass(frozen=True, slots=True)
class OidInfo:
    """One OID.

    ``size`` is in bytes, 0 when it varies; ``query`` and ``set`` say what is allowed.
    """

    number: int
    name: str
    size: int
    need: Need
    query: bool = True
    set: bool = False


class Oid(enum.IntEnum):
    """The numbers, by name."""

    GEN_SUPPORTED_LIST = 0x0001_0101
    GEN_HARDWARE_STATUS = 0x0001_0102
    GEN_MEDIA_SUPPORTED = 0x0001_0103
    GEN_MEDIA_IN_USE = 0x0001_0104
    GEN_MAXIMUM_LOOKAHEAD = 0x0001_0105
    GEN_MAXIMUM_FRAME_SIZE = 0x0001_0106
    GEN_LINK_SPEED = 0x0001_0107
    GEN_TRANSMIT_BUFFER_SPACE = 0x0001_0108
    GEN_RECEIVE_BUFFER_SPACE = 0x0001_0109
    GEN_TRANSMIT_BLOCK_SIZE = 0x0001_010A
    GEN_RECEIVE_BLOCK_SIZE = 0x0001_010B
    GEN_VENDOR_ID = 0x0001_010C
    GEN_VENDOR_DESCRIPTION = 0x0001_010D
    GEN_CURRENT_PACKET_FILTER = 0x0001_010E
    GEN_CURRENT_LOOKAHEAD = 0x0001_010F
    GEN_DRIVER_VERSION = 0x0001_0110
    GEN_MAXIMUM_TOTAL_SIZE = 0x0001_0111
    GEN_PROTOCOL_OPTIONS = 0x0001_0112
    GEN_MAC_OPTIONS = 0x0001_0113
    GEN_MEDIA_CONNECT_STATUS = 0x0001_0114
    GEN_MAXIMUM_SEND_PACKETS = 0x0001_0115
    GEN_VENDOR_DRIVER_VERSION = 0x0001_0116
    GEN_NETWORK_LAYER_ADDRESSES = 0x0001_0118
    GEN_PHYSICAL_MEDIUM = 0x0001_0202
    GEN_RECEIVE_SCALE_CAPABILITIES = 0x0001_0203
    GEN_RECEIVE_SCALE_PARAMETERS = 0x0001_0204
    GEN_LINK_STATE = 0x0001_0207
    GEN_LINK_PARAMETERS = 0x0001_0208
    GEN_INTERRUPT_MODERATION = 0x0001_0209
    GEN_VLAN_ID = 0x0001_021C
    GEN_XMIT_OK = 0x0002_0101
    GEN_RCV_OK = 0x0002_0102
    GEN_XMIT_ERROR = 0x0002_0103
    GEN_RCV_ERROR = 0x0002_0104
    GEN_RCV_NO_BUFFER = 0x0002_0105
    GEN_STATISTICS = 0x0002_0106
    GEN_RCV_DISCARDS = 0x0002_021B
    TCP_RSC_STATISTICS = 0x0002_021D
    O802_3_PERMANENT_ADDRESS = 0x0101_0101
    O802_3_CURRENT_ADDRESS = 0x0101_0102
    O802_3_MULTICAST_LIST = 0x0101_0103
    O802_3_MAXIMUM_LIST_SIZE = 0x0101_0104
    O802_3_RCV_ERROR_ALIGNMENT = 0x0102_0101
    O802_3_XMIT_ONE_COLLISION = 0x0102_0102
    O802_3_XMIT_MORE_COLLISIONS = 0x0102_0103
    O802_3_XMIT_DEFERRED = 0x0102_0201
    O802_3_XMIT_MAX_COLLISIONS = 0x0102_0202
    O802_3_RCV_OVERRUN = 0x0102_0203
    O802_3_XMIT_UNDERRUN = 0x0102_0204
    O802_3_XMIT_HEARTBEAT_FAILURE = 0x0102_0205
    O802_3_XMIT_TIMES_CRS_LOST = 0x0102_0206
    O802_3_XMIT_LATE_COLLISIONS = 0x0102_0207
    PNP_CAPABILITIES = 0xFD01_0100
    PNP_SET_POWER = 0xFD01_0101
    PNP_QUERY_POWER = 0xFD01_0102
    PNP_ADD_WAKE_UP_PATTERN = 0xFD01_0103
    PNP_REMOVE_WAKE_UP_PATTERN = 0xFD01_0104
    PNP_WAKE_UP_PATTERN_LIST = 0xFD01_0105
    PNP_ENABLE_WAKE_UP = 0xFD01_0106
    PM_PARAMETERS = 0xFD01_0109
    TCP_TASK_OFFLOAD = 0xFC01_0201
    TCP_OFFLOAD_CURRENT_CONFIG = 0xFC01_020B
    TCP_OFFLOAD_PARAMETERS = 0xFC01_020C
    TCP_OFFLOAD_HARDWARE_CAPABILITIES = 0xFC01_020D


def _ask(oid: Oid, size: int, need: Need = Need.MANDATORY) -> OidInfo:
    return OidInfo(oid, f"OID_{oid.name.removeprefix('O')}", size, need)


def _both(oid: Oid, size: int, need: Need = Need.MANDATORY) -> OidInfo:
    return OidInfo(oid, f"OID_{oid.name.removeprefix('O')}", size, need, set=True)


def _tell(oid: Oid, size: int, need: Need = Need.MANDATORY) -> OidInfo:
    return OidInfo(oid, f"OID_{oid.name.removeprefix('O')}", size, need, query=False, set=True)


_O, _P, _T, _6 = Need.OPTIONAL, Need.POWER, Need.OFFLOAD, Need.NDIS6

TABLE = (
    _ask(Oid.GEN_SUPPORTED_LIST, 0),
    _ask(Oid.GEN_HARDWARE_STATUS, 4),
    _ask(Oid.GEN_MEDIA_SUPPORTED, 0),
    _ask(Oid.GEN_MEDIA_IN_USE, 0),
    _ask(Oid.GEN_MAXIMUM_LOOKAHEAD, 4),
    _ask(Oid.GEN_MAXIMUM_FRAME_SIZE, 4),
    _ask(Oid.GEN_LINK_SPEED, 4),
    _ask(Oid.GEN_TRANSMIT_BUFFER_SPACE, 4),
    _ask(Oid.GEN_RECEIVE_BUFFER_SPACE, 4),
    _ask(Oid.GEN_TRANSMIT_BLOCK_SIZE, 4),
    _ask(Oid.GEN_RECEIVE_BLOCK_SIZE, 4),
    _ask(Oid.GEN_VENDOR_ID, 4),
    _ask(Oid.GEN_VENDOR_DESCRIPTION, 0),
    _both(Oid.GEN_CURRENT_PACKET_FILTER, 4),
    _both(Oid.GEN_CURRENT_LOOKAHEAD, 4),
    _ask(Oid.GEN_DRIVER_VERSION, 2),
    _ask(Oid.GEN_MAXIMUM_TOTAL_SIZE, 4),
    _tell(Oid.GEN_PROTOCOL_OPTIONS, 4, _O),
    _ask(Oid.GEN_MAC_OPTIONS, 4),
    _ask(Oid.GEN_MEDIA_CONNECT_STATUS, 4),
    _ask(Oid.GEN_MAXIMUM_SEND_PACKETS, 4),
    _ask(Oid.GEN_VENDOR_DRIVER_VERSION, 4),
    _tell(Oid.GEN_NETWORK_LAYER_ADDRESSES, 0, _O),
    _ask(Oid.GEN_PHYSICAL_MEDIUM, 4, _O),
    _ask(Oid.GEN_RECEIVE_SCALE_CAPABILITIES, 0, _T),
    _both(Oid.GEN_RECEIVE_SCALE_PARAMETERS, 0, _T),
    _ask(Oid.GEN_LINK_STATE, 0, _O),
    _tell(Oid.GEN_LINK_PARAMETERS, 0, _6),
    _both(Oid.GEN_INTERRUPT_MODERATION, 0, _6),
    _both(Oid.GEN_VLAN_ID, 4, _O),
    _ask(Oid.GEN_XMIT_OK, 4),
    _ask(Oid.GEN_RCV_OK, 4),
    _ask(Oid.GEN_XMIT_ERROR, 4),
    _ask(Oid.GEN_RCV_ERROR, 4),
    _ask(Oid.GEN_RCV_NO_BUFFER, 4),
    _ask(Oid.GEN_STATISTICS, 0, _6),
    _ask(Oid.GEN_RCV_DISCARDS, 8, _6),
    _ask(Oid.O802_3_PERMANENT_ADDRESS, 6),
    _ask(Oid.O802_3_CURRENT_ADDRESS, 6),
    _both(Oid.O802_3_MULTICAST_LIST, 0),
    _ask(Oid.O802_3_MAXIMUM_LIST_SIZE, 4),
    _ask(Oid.O802_3_RCV_ERROR_ALIGNMENT, 4),
    _ask(Oid.O802_3_XMIT_ONE_COLLISION, 4),
    _ask(Oid.O802_3_XMIT_MORE_COLLISIONS, 4),
    _ask(Oid.O802_3_XMIT_DEFERRED, 4, _O),
    _ask(Oid.O802_3_XMIT_MAX_COLLISIONS, 4, _O),
    _ask(Oid.O802_3_RCV_OVERRUN, 4, _O),
    _ask(Oid.O802_3_XMIT_UNDERRUN, 4, _O),
    _ask(Oid.O802_3_XMIT_HEARTBEAT_FAILURE, 4, _O),
    _ask(Oid.O802_3_XMIT_TIMES_CRS_LOST, 4, _O),
    _ask(Oid.O802_3_XMIT_LATE_COLLISIONS, 4, _O),
    _ask(Oid.PNP_CAPABILITIES, 16, _P),
    _tell(Oid.PNP_SET_POWER, 4, _P),
    _ask(Oid.PNP_QUERY_POWER, 4, _P),
    _tell(Oid.PNP_ADD_WAKE_UP_PATTERN, 0, _P),
    _tell(Oid.PNP_REMOVE_WAKE_UP_PATTERN, 0, _P),
    _ask(Oid.PNP_WAKE_UP_PATTERN_LIST, 0, _O),
    _both(Oid.PNP_ENABLE_WAKE_UP, 4, _P),
    _both(Oid.PM_PARAMETERS, 0, _O),
    _both(Oid.TCP_TASK_OFFLOAD, 0, _T),
    _ask(Oid.TCP_OFFLOAD_CURRENT_CONFIG, 0, _T),
    _tell(Oid.TCP_OFFLOAD_PARAMETERS, 0, _T),
    _ask(Oid.TCP_OFFLOAD_HARDWARE_CAPABILITIES, 0, _T),
    _ask(Oid.TCP_RSC_STATISTICS, 0, _T),
)

BY_NUMBER: dict[int, OidInfo] = {row.number: row for row in TABLE}
MANDATORY: frozenset[int] = frozenset(r.number for r in TABLE if r.need is Need.MANDATORY)


def oid_name(number: int) -> str:
    """Return the name in ``ntddndis.h``, or the number in hex for a private OID."""
    row = BY_NUMBER.get(number)
    return row.name if row else f"OID {number:#010x}"


class MacOption(enum.IntFlag):
    """Bits of OID_GEN_MAC_OPTIONS."""

    COPY_LOOKAHEAD_DATA = 0x01
    RECEIVE_SERIALIZED = 0x02
    TRANSFERS_NOT_PEND = 0x04
    NO_LOOPBACK = 0x08
    FULL_DUPLEX = 0x10
    EOTX_INDICATION = 0x20
    P8021P_PRIORITY = 0x40
    SUPPORTS_MAC_ADDRESS_OVERWRITE = 0x80
    RECEIVE_AT_DPC = 0x100
    P8021Q_VLAN = 0x200


class ProtocolOption(enum.IntFlag):
    """Bits of OID_GEN_PROTOCOL_OPTIONS."""

    ESTIMATED_LENGTH = 0x01
    NO_LOOPBACK = 0x02
    NO_RESERVED_ON_RECEIVE = 0x04


class PowerState(enum.IntEnum):
    """NDIS_DEVICE_POWER_STATE."""

    UNSPECIFIED = 0
    D0 = 1
    D1 = 2
    D2 = 3
    D3 = 4


MEDIA_CONNECTED = 0
MEDIA_DISCONNECTED = 1
