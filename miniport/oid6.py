"""What an NDIS 6 miniport answers besides NDIS 5's OIDs: offload in NDIS 6's structures, wake-up, link state.

Source: OID_TCP_OFFLOAD_*, OID_PM_PARAMETERS, OID_GEN_LINK_STATE in the documentation of ``ntddndis.h``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from miniport import wake
from ndis import offload6
from ndis.oids import Oid
from ndis.rsc import PARAMETERS, Coalescing
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniport.nic import Nic
    from ndis.requests import InformationBuffer

PM_PARAMETERS: Final = struct.Struct("<BBHIII")  # header, patterns, protocol offloads, wake-up flags
PM_BITMAP_PATTERN, PM_MAGIC_PACKET = 0x1, 0x2
PM_LINK_CHANGE: Final = 0x1
LINK_STATE: Final = struct.Struct("<BBHII4xQQII")
"""Header, MediaConnectState, MediaDuplexState, both speeds in bit/s, pause functions, autonegotiation."""
CONNECTED, DISCONNECTED = 1, 2
FULL_DUPLEX, PAUSE_UNSUPPORTED = 2, 0
NO_SPEED: Final = (1 << 64) - 1
_WAYS: Final = (
    (wake.ENABLE_PATTERN_MATCH, PM_BITMAP_PATTERN, 0),
    (wake.ENABLE_MAGIC_PACKET, PM_MAGIC_PACKET, 0),
    (wake.ENABLE_LINK_CHANGE, 0, PM_LINK_CHANGE),
)
"""NDIS 5's flag, and the bit that it is in EnabledWoLPacketPatterns and in WakeUpFlags."""


def answers(nic: Nic) -> dict[int, Callable[[], bytes]]:
    """Return what can be asked."""
    return {
        Oid.TCP_OFFLOAD_CURRENT_CONFIG: lambda: offload6.emit(nic.offload),
        Oid.TCP_OFFLOAD_HARDWARE_CAPABILITIES: lambda: offload6.emit(nic.capabilities),
        Oid.PM_PARAMETERS: lambda: _wake_up(nic),
        Oid.GEN_LINK_STATE: lambda: _link_state(nic),
    }


def settings(
    nic: Nic, tell: Callable[[Status, bytes], None]
) -> dict[int, Callable[[InformationBuffer], Status]]:
    """Return what can be set; ``tell`` indicates a status to NDIS and the transports."""

    def set_offload(buffer: InformationBuffer) -> Status:
        parameters = offload6.OffloadParameters.parse(buffer.data)
        coalescing = None
        if nic.may_coalesce and buffer.length >= PARAMETERS.size:  # revision 3 has RSC, too
            coalescing = Coalescing.parse(buffer.data, alone=False)
        nic.set_offload(parameters.applied(nic.offload, nic.capabilities))
        if coalescing is not None:
            nic.set_coalescing(coalescing)
        buffer.bytes_read = buffer.length
        tell(Status.TASK_OFFLOAD_CURRENT_CONFIG, offload6.emit(nic.offload))
        return Status.SUCCESS

    return {
        Oid.TCP_OFFLOAD_PARAMETERS: set_offload,
        Oid.PM_PARAMETERS: lambda buffer: _set_wake_up(nic, buffer),
    }


def _wake_up(nic: Nic) -> bytes:
    on = [way for way in _WAYS if nic.wake.enabled & way[0]]
    patterns, flags = sum(way[1] for way in on), sum(way[2] for way in on)
    return PM_PARAMETERS.pack(offload6.OBJECT_TYPE_DEFAULT, 1, PM_PARAMETERS.size, patterns, 0, flags)


def _set_wake_up(nic: Nic, buffer: InformationBuffer) -> Status:
    raw = buffer.read(PM_PARAMETERS.size)
    if raw is None:
        return Status.INVALID_LENGTH
    kind, revision, _size, patterns, protocols, flags = PM_PARAMETERS.unpack(raw)
    if kind != offload6.OBJECT_TYPE_DEFAULT or not revision:
        return Status.INVALID_PARAMETER
    known = sum(way[1] for way in _WAYS), sum(way[2] for way in _WAYS)
    if patterns & ~known[0] or flags & ~known[1] or protocols:
        return Status.NOT_SUPPORTED
    nic.wake.enabled = sum(enable for enable, pattern, flag in _WAYS if patterns & pattern or flags & flag)
    return Status.SUCCESS


def _link_state(nic: Nic) -> bytes:
    speed = nic.speed_mbps * 1_000_000 if nic.link_up else NO_SPEED
    state = CONNECTED if nic.link_up else DISCONNECTED
    duplex = FULL_DUPLEX if nic.link_up else 0
    head = (offload6.OBJECT_TYPE_DEFAULT, 1, LINK_STATE.size)
    return LINK_STATE.pack(*head, state, duplex, speed, speed, PAUSE_UNSUPPORTED, 0)
