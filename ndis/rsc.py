"""Receive segment coalescing (NDIS 6.30): how a transport asks for it, and what is told of a coalesced unit.

The same words serve NDIS 5 drivers here, whose packets carry the information as lists do. Source:
NDIS_OFFLOAD_PARAMETERS, NDIS_RSC_STATISTICS_INFO and the OIDs' numbers in ``ntddndis.h``; NDIS_RSC_NBL_INFO
in ``ndis/nblrsc.h``.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from ndis.errors import NdisError
from ndis.status import Status

# Header: type, revision, size; eleven other offloads; Flags; IPsecV2 (2); RscIPv4, RscIPv6; encapsulation (2)
PARAMETERS = struct.Struct("<BBH11sxI2sBB2s")
STATISTICS = struct.Struct("<BBH4x4Q")
_TYPE_DEFAULT, _PARAMETERS_REVISION, _STATISTICS_REVISION = 0x80, 3, 1


class RscState(enum.IntEnum):
    """NDIS_OFFLOAD_PARAMETERS_RSC_*."""

    NO_CHANGE = 0
    DISABLED = 1
    ENABLED = 2


@dataclass(frozen=True, slots=True)
class Coalescing:
    """What OID_TCP_OFFLOAD_PARAMETERS says of RSC; everything else in it is NO_CHANGE."""

    v4: RscState = RscState.NO_CHANGE
    v6: RscState = RscState.NO_CHANGE

    @property
    def states(self) -> tuple[RscState, RscState]:
        """Both, IPv4 first."""
        return self.v4, self.v6

    @staticmethod
    def of(before: bool, asked: RscState) -> bool:  # noqa: FBT001 - a state and what becomes of it
        """Return whether it is on after ``asked``."""
        return before if asked is RscState.NO_CHANGE else asked is RscState.ENABLED

    def emit(self) -> bytes:
        """Return NDIS_OFFLOAD_PARAMETERS."""
        return PARAMETERS.pack(
            *(_TYPE_DEFAULT, _PARAMETERS_REVISION, PARAMETERS.size),
            *(bytes(11), 0, bytes(2), self.v4, self.v6, bytes(2)),
        )

    @classmethod
    def parse(cls, raw: bytes, *, alone: bool = True) -> Coalescing:
        """Read it. NdisError: INVALID_LENGTH; INVALID_DATA.

        NOT_SUPPORTED for a change of anything else, unless not ``alone``: somebody else looks at that.
        """
        if len(raw) < PARAMETERS.size:
            raise NdisError(Status.INVALID_LENGTH, f"offload parameters of {len(raw)} bytes")
        kind, revision, _size, others, _flags, ipsec, v4, v6, encapsulation = PARAMETERS.unpack_from(raw)
        if kind != _TYPE_DEFAULT or revision < _PARAMETERS_REVISION:
            raise NdisError(Status.INVALID_DATA, f"offload parameters of revision {revision}")
        if max(v4, v6) > RscState.ENABLED:
            raise NdisError(Status.INVALID_DATA, f"RSC states {v4} and {v6}")
        if alone and (any(others) or any(ipsec) or any(encapsulation)):
            raise NdisError(Status.NOT_SUPPORTED, "the other offloads are set by OID_TCP_TASK_OFFLOAD")
        return cls(RscState(v4), RscState(v6))


@dataclass(frozen=True, slots=True)
class CoalescedSegments:
    """NDIS_RSC_NBL_INFO of a unit. No duplicate ACK is ever counted here: each comes by itself."""

    count: int
    duplicate_acks: int = 0


@dataclass(frozen=True, slots=True)
class CoalescingStatistics:
    """NDIS_RSC_STATISTICS_INFO: segments and octets coalesced, units made, exceptions that ended one."""

    packets: int = 0
    octets: int = 0
    events: int = 0
    aborts: int = 0

    def emit(self) -> bytes:
        """Return it as OID_TCP_RSC_STATISTICS carries it."""
        return STATISTICS.pack(
            *(_TYPE_DEFAULT, _STATISTICS_REVISION, STATISTICS.size),
            *(self.packets, self.octets, self.events, self.aborts),
        )

    @classmethod
    def parse(cls, raw: bytes) -> CoalescingStatistics:
        """Read it. NdisError(INVALID_LENGTH)."""
        if len(raw) < STATISTICS.size:
            raise NdisError(Status.INVALID_LENGTH, f"RSC statistics of {len(raw)} bytes")
        _kind, _revision, _size, *counts = STATISTICS.unpack_from(raw)
        return cls(*counts)
