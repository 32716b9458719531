"""NDIS 6's offload structures: what a card can do or does (NDIS_OFFLOAD), and what shall change in it.

::

    NDIS_OFFLOAD, revision 1: header (4), Checksum (4 × {encapsulation, bits}), LsoV1 (16), IPsecV1 (28),
    LsoV2 (28), Flags (4). Two bits in ``bits`` for each: IP options, TCP options, TCP, UDP, IP.

Source: NDIS_OFFLOAD, NDIS_TCP_IP_CHECKSUM_OFFLOAD, NDIS_TCP_LARGE_SEND_OFFLOAD_V1, NDIS_OFFLOAD_PARAMETERS in
the documentation of ``ntddndis.h``.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, replace

from ndis.errors import NdisError
from ndis.offload import Checksum, Offload
from ndis.status import Status

OBJECT_TYPE_DEFAULT, OBJECT_TYPE_OFFLOAD = 0x80, 0xA7
HEADER = struct.Struct("<BBH")
SUMS = struct.Struct("<IIIIIIII")
LARGE_SEND = struct.Struct("<IIII")
_REST = struct.Struct("<28s28sI")  # IPsecV1, LsoV2, Flags: none of them is offered
SIZE = HEADER.size + SUMS.size + LARGE_SEND.size + _REST.size
ENCAPSULATION_IEEE_802_3 = 0x2
_LSO_OPTIONS = 0x5  # TcpOptions and IpOptions supported
PARAMETERS = struct.Struct("<BBH11BxI")
NO_CHANGE = 0


def _spread(sums: Checksum) -> int:
    """Give each bit two places: 0 not supported or off, 1 supported or on."""
    return sum(1 << 2 * at for at in range(5) if sums >> at & 1)


def _gather(bits: int) -> Checksum:
    return Checksum(sum(1 << at for at in range(5) if bits >> 2 * at & 3 == 1))


def emit(offload: Offload) -> bytes:
    """Return NDIS_OFFLOAD."""
    directions = (offload.v4_transmit, offload.v4_receive, offload.v6_transmit, offload.v6_receive)
    pairs = [part for sums in directions for part in (ENCAPSULATION_IEEE_802_3 if sums else 0, _spread(sums))]
    size = offload.large_send_bytes
    large = (ENCAPSULATION_IEEE_802_3, size, offload.large_send_segments, _LSO_OPTIONS) if size else (0,) * 4
    head = HEADER.pack(OBJECT_TYPE_OFFLOAD, 1, SIZE)
    return head + SUMS.pack(*pairs) + LARGE_SEND.pack(*large) + _REST.pack(b"", b"", 0)


def parse(raw: bytes) -> Offload:
    """Read NDIS_OFFLOAD, of any revision. Raises NdisError(INVALID_LENGTH)."""
    if len(raw) < SIZE:
        raise NdisError(Status.INVALID_LENGTH, f"NDIS_OFFLOAD of {len(raw)} bytes")
    sums = [_gather(bits) for bits in SUMS.unpack_from(raw, HEADER.size)[1::2]]
    _kind, size, segments, _options = LARGE_SEND.unpack_from(raw, HEADER.size + SUMS.size)
    return Offload(sums[0], sums[1], sums[2], sums[3], size, segments)


class Direction(enum.IntEnum):
    """Values of the checksum members of NDIS_OFFLOAD_PARAMETERS."""

    NO_CHANGE = 0
    TX_RX_DISABLED = 1
    TX_ENABLED_RX_DISABLED = 2
    RX_ENABLED_TX_DISABLED = 3
    TX_RX_ENABLED = 4

    @property
    def transmit(self) -> bool:
        """Whether sending is on."""
        return self in {Direction.TX_ENABLED_RX_DISABLED, Direction.TX_RX_ENABLED}

    @property
    def receive(self) -> bool:
        """Whether receiving is on."""
        return self in {Direction.RX_ENABLED_TX_DISABLED, Direction.TX_RX_ENABLED}


class LargeSend(enum.IntEnum):
    """Values of LsoV1."""

    NO_CHANGE = 0
    DISABLED = 1
    ENABLED = 2


@dataclass(frozen=True, slots=True)
class OffloadParameters:
    """NDIS_OFFLOAD_PARAMETERS: a change for each kind, or none."""

    ip_v4: Direction = Direction.NO_CHANGE
    tcp_v4: Direction = Direction.NO_CHANGE
    udp_v4: Direction = Direction.NO_CHANGE
    tcp_v6: Direction = Direction.NO_CHANGE
    udp_v6: Direction = Direction.NO_CHANGE
    large_send: LargeSend = LargeSend.NO_CHANGE

    def emit(self) -> bytes:
        """Return revision 1."""
        sums = (self.ip_v4, self.tcp_v4, self.udp_v4, self.tcp_v6, self.udp_v6)
        head = (OBJECT_TYPE_DEFAULT, 1, PARAMETERS.size)
        return PARAMETERS.pack(*head, *sums, self.large_send, 0, 0, 0, 0, 0, 0)

    @classmethod
    def parse(cls, raw: bytes) -> OffloadParameters:
        """Read revision 1 and what later ones begin with.

        Raises NdisError(INVALID_LENGTH, INVALID_PARAMETER); NOT_SUPPORTED for IPsec, LsoV2, TCP chimney on.
        """
        if len(raw) < PARAMETERS.size:
            raise NdisError(Status.INVALID_LENGTH, f"NDIS_OFFLOAD_PARAMETERS of {len(raw)} bytes")
        kind, revision, _size, *members, _flags = PARAMETERS.unpack_from(raw)
        if kind != OBJECT_TYPE_DEFAULT or not revision:
            raise NdisError(Status.INVALID_PARAMETER, f"object type {kind:#x}, revision {revision}")
        if any(value > 1 for value in members[6:]):  # 0 no change, 1 disabled: what it is
            raise NdisError(Status.NOT_SUPPORTED, "IPsec, LsoV2 and connections are not offloaded")
        try:
            ip_v4, tcp_v4, udp_v4, tcp_v6, udp_v6 = map(Direction, members[:5])
            return cls(ip_v4, tcp_v4, udp_v4, tcp_v6, udp_v6, LargeSend(members[5]))
        except ValueError as error:
            raise NdisError(Status.INVALID_PARAMETER, str(error)) from error

    def applied(self, now: Offload, can: Offload) -> Offload:
        """Return ``now`` with the changes; what is switched on is what the card ``can`` do of it."""
        v4 = ((self.ip_v4, Checksum.IP), (self.tcp_v4, Checksum.TCP), (self.udp_v4, Checksum.UDP))
        v6 = ((self.tcp_v6, Checksum.TCP), (self.udp_v6, Checksum.UDP))
        size, segments = {
            LargeSend.NO_CHANGE: (now.large_send_bytes, now.large_send_segments),
            LargeSend.DISABLED: (0, 0),
            LargeSend.ENABLED: (can.large_send_bytes, can.large_send_segments),
        }[self.large_send]
        return replace(
            now,
            v4_transmit=_changed(now.v4_transmit, can.v4_transmit, [(b, d.transmit) for d, b in v4 if d]),
            v4_receive=_changed(now.v4_receive, can.v4_receive, [(b, d.receive) for d, b in v4 if d]),
            v6_transmit=_changed(now.v6_transmit, can.v6_transmit, [(b, d.transmit) for d, b in v6 if d]),
            v6_receive=_changed(now.v6_receive, can.v6_receive, [(b, d.receive) for d, b in v6 if d]),
            large_send_bytes=size,
            large_send_segments=segments,
        )


OPTIONS = Checksum.IP_OPTIONS | Checksum.TCP_OPTIONS


def _changed(now: Checksum, can: Checksum, changes: list[tuple[Checksum, bool]]) -> Checksum:
    """Switch kinds on and off; the options that the card can skip come along with the first kind."""
    for kind, on in changes:
        now = now | kind if on else now & ~kind
    now &= can
    return now | can & OPTIONS if now & ~OPTIONS else Checksum.NONE
