"""What the card does to a frame before it leaves: checksums, TCP segmentation, the VLAN tag.

Pure functions on bytes; nothing in a context is believed before it is checked against the frame.
Datasheet, Transmit, VLAN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.effects import GsoType, Offload
from device.rings.transmit import IP, TCP, TSE, TxOptions
from formats.checksum import insert, ones_sum

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_SEGMENTS: Final = 4096
"""One frame becomes no more than this. MSS is to be above 16 (datasheet, Transmit): 64 KiB stay below it."""

LARGEST_PACKET: Final = 0xFFFF
"""What fits the total length of IPv4: a frame with more is cut here and not by the wire."""

_IPV4_HEADER, _IPV6_HEADER, _TCP_HEADER, _UDP_HEADER = 20, 40, 20, 8
_TCP_FLAGS, _FIN_PSH = 13, 0x09
IXSM, TXSM = int(TxOptions.IXSM), int(TxOptions.TXSM)


@dataclass(frozen=True, slots=True)
class Context:
    """A context descriptor's numbers, as the queue remembers them. Offsets in bytes from the frame's start.

    ``ipcse`` and ``tucse`` are the last byte that is summed; 0 is the end of the frame.
    """

    ipcss: int = 0
    ipcso: int = 0
    ipcse: int = 0
    tucss: int = 0
    tucso: int = 0
    tucse: int = 0
    command: int = 0
    hdrlen: int = 0
    mss: int = 0

    @classmethod
    def parse(cls, first: int, low: int, high: int) -> Context:
        """Take the descriptor's quadword and its two following doublewords apart."""
        return cls(
            first & 0xFF,
            first >> 8 & 0xFF,
            first >> 16 & 0xFFFF,
            first >> 32 & 0xFF,
            first >> 40 & 0xFF,
            first >> 48,
            low >> 24,
            high >> 8 & 0xFF,
            high >> 16,
        )

    @property
    def segments(self) -> bool:
        """Whether this is a segmentation context (TUCMD.TSE)."""
        return bool(self.command & TSE)


def end(last: int, size: int) -> int:
    """Return where a sum ends (not included) for a CSE field: 0 is the frame's end."""
    return last + 1 if last else size


def put_checksums(frame: bytearray, context: Context, options: int, length: int = 0) -> None:
    """Insert what POPTS asks for, the IP header's first; ``length`` is added to TCP's or UDP's sum.

    Numbers that do not fit the frame insert nothing: hardware would write beyond its header buffer.
    """
    size = len(frame)
    if options & IXSM:
        insert(frame, context.ipcss, end(context.ipcse, size), context.ipcso)
    if options & TXSM:
        insert(frame, context.tucss, end(context.tucse, size), context.tucso, length)


def left_to_wire(frame: bytes | bytearray, context: Context) -> Offload | None:
    """Return the TCP or UDP checksum as work for the wire, where virtio-net can say it, else None.

    It can when the sum goes to the frame's end and the field lies behind the start.
    """
    start, where = context.tucss, context.tucso
    if context.tucse or where < start or where + 2 > len(frame):
        return None
    return Offload(csum_start=start, csum_offset=where - start, needs_csum=True)


def valid(size: int, context: Context) -> bool:
    """Tell whether a frame of ``size`` bytes can be cut: MSS, header and the fields that are rewritten."""
    header = context.hdrlen
    network = _IPV4_HEADER if context.command & IP else _IPV6_HEADER
    transport = _TCP_HEADER if context.command & TCP else _UDP_HEADER
    return (
        0 < header <= size
        and context.mss > 0
        and context.ipcss + network <= header
        and context.tucss + transport <= header
        and -(-(size - header) // context.mss) <= MOST_SEGMENTS
    )


def passes_whole(size: int, context: Context, options: int) -> bool:
    """Tell whether a valid frame may go to the wire uncut: TCP, all checksums wanted, within 64 KiB.

    The field must be TCP's own, for that is where Linux puts the sum of each segment.
    """
    wanted = TXSM | (IXSM if context.command & IP else 0)
    return (
        bool(context.command & TCP)
        and options & wanted == wanted
        and not context.tucse
        and context.tucso - context.tucss == 16
        and context.ipcss < context.tucss
        and size - context.ipcss <= LARGEST_PACKET
        and context.hdrlen < size
    )


def _set_lengths(frame: bytearray, context: Context, size: int) -> None:
    at = context.ipcss
    if context.command & IP:
        frame[at + 2 : at + 4] = ((size - at) & 0xFFFF).to_bytes(2, "big")
    else:
        frame[at + 4 : at + 6] = ((size - at - _IPV6_HEADER) & 0xFFFF).to_bytes(2, "big")
    if not context.command & TCP:
        at = context.tucss
        frame[at + 4 : at + 6] = ((size - at) & 0xFFFF).to_bytes(2, "big")


def whole(frame: bytes, context: Context, options: int) -> tuple[bytearray, Offload]:
    """Return a segmentation frame as virtio-net carries it: lengths of the whole, pseudo header summed."""
    out = bytearray(frame)
    size = len(out)
    _set_lengths(out, context, size)
    if options & IXSM:
        insert(out, context.ipcss, end(context.ipcse, size), context.ipcso)
    where = context.tucso
    pseudo = int.from_bytes(out[where : where + 2], "big")
    total = ones_sum(b"", pseudo + size - context.tucss)
    out[where : where + 2] = total.to_bytes(2, "big")
    return out, Offload(
        csum_start=context.tucss,
        csum_offset=where - context.tucss,
        needs_csum=True,
        gso=GsoType.TCPV4 if context.command & IP else GsoType.TCPV6,
        hdr_len=context.hdrlen,
        gso_size=context.mss,
    )


def cut(frame: bytes, context: Context, options: int) -> Iterator[bytearray]:
    """Yield the frames a segmentation frame becomes; ``valid`` was asked before.

    The prototype header is repeated with lengths, IPv4 identification, TCP sequence number and flags of
    each segment (FIN and PSH only on the last; datasheet, Transmit).
    """
    header, mss = context.hdrlen, context.mss
    ip, tcp = context.ipcss, context.tucss
    identification = int.from_bytes(frame[ip + 4 : ip + 6], "big")
    sequence = int.from_bytes(frame[tcp + 4 : tcp + 8], "big")
    size = len(frame)
    for index, start in enumerate(range(header, size, mss) or (header,)):
        body = frame[start : start + mss]
        out = bytearray(frame[:header])
        out += body
        _set_lengths(out, context, len(out))
        if context.command & IP:
            out[ip + 4 : ip + 6] = ((identification + index) & 0xFFFF).to_bytes(2, "big")
        if context.command & TCP:
            out[tcp + 4 : tcp + 8] = ((sequence + start - header) & 0xFFFF_FFFF).to_bytes(4, "big")
            if start + mss < size:
                out[tcp + _TCP_FLAGS] &= ~_FIN_PSH
        put_checksums(out, context, options, len(out) - tcp)
        yield out


def tag(frame: bytes | bytearray, ethertype: int, tci: int) -> bytes:
    """Return the frame with a VLAN tag behind its addresses."""
    return bytes(frame[:12]) + (ethertype << 16 | tci).to_bytes(4, "big") + bytes(frame[12:])


def shifted(offload: Offload, by: int) -> Offload:
    """Return the offload for a frame with ``by`` bytes more before its network header."""
    return Offload(
        csum_start=offload.csum_start + by,
        csum_offset=offload.csum_offset,
        needs_csum=offload.needs_csum,
        gso=offload.gso,
        hdr_len=offload.hdr_len + by if offload.gso else 0,
        gso_size=offload.gso_size,
        ecn=offload.ecn,
    )
