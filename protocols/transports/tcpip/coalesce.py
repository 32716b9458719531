"""Receive coalescing in software: following segments of one flow become one (as NIC RSC, Linux GRO).

Only what cannot change TCP's answers is joined: same flow, in sequence, data, no flag but ACK and
PSH, same acknowledgment number, same options, checksum right. A batch is all that one ``receive``
call brings, so nothing waits.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from formats import ethernet, ipv4, ipv6
from formats.checksum import pseudo_sum, verifies
from formats.transport import ACK, PSH, TCP, TCP_HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocols.transports.tcpip.link import RxFrame

# Ethernet type, version/IHL, total length, flags/offset, protocol, addresses, ports, seq, ack, word
V4 = Struct("!12xHBxHxxHxB2x8s4sIIH")
V6 = Struct("!12xHIHBx32s4sIIH")
ACK_PSH = ACK | PSH
TCP_V4 = ethernet.HEADER_BYTES + ipv4.HEADER_BYTES
V4_HEADER = slice(ethernet.HEADER_BYTES, TCP_V4)
TCP_V6 = ethernet.HEADER_BYTES + ipv6.HEADER_BYTES
FLAGS = 0x1FF
MAX_JOINED = 1 << 16


class _Run:
    """A frame to which others may be joined."""

    __slots__ = ("ack", "first", "next_sequence", "options", "size", "step")

    def __init__(self, first: RxFrame, ack: int, next_sequence: int, options: bytes, step: int) -> None:
        self.first = first
        self.ack = ack
        self.next_sequence = next_sequence
        self.options = options
        self.step = step
        self.size = step


def coalesce(frames: Sequence[RxFrame]) -> list[RxFrame]:
    """Return the frames in order, with joinable ones joined to the first of their run."""
    out: list[RxFrame] = []
    runs: dict[bytes, _Run] = {}
    for frame in frames:
        parsed = _parse(frame)
        if parsed is None:
            # Whatever it is, it may belong to any flow: nothing overtakes it.
            runs.clear()
            out.append(frame)
            continue
        key, sequence, ack, flags, at, end, options = parsed
        run = runs.get(key)
        if (
            run is not None
            and run.next_sequence == sequence
            and run.ack == ack
            and run.options == options
            and end - at <= run.step
            and run.size + end - at < MAX_JOINED
        ):
            run.first.extra.append(memoryview(frame.data)[at:end])
            run.next_sequence = (sequence + end - at) & 0xFFFFFFFF
            run.size += end - at
            if flags == ACK_PSH or end - at < run.step:
                del runs[key]
            continue
        out.append(frame)
        if flags == ACK:
            runs[key] = _Run(frame, ack, (sequence + end - at) & 0xFFFFFFFF, options, end - at)
        else:
            runs.pop(key, None)
    return out


def _parse(frame: RxFrame) -> tuple[bytes, int, int, int, int, int, bytes] | None:
    data = frame.data
    if len(data) < 74:
        return None
    kind = (data[12] << 8) | data[13]
    if kind == ethernet.IPV4:
        _, first, total, fragment, protocol, pair, ports, sequence, ack, word = V4.unpack_from(data)
        if first != 0x45 or protocol != TCP or fragment & 0x3FFF:
            return None
        header = TCP_V4
        end = ethernet.HEADER_BYTES + total
    elif kind == ethernet.IPV6:
        _, _, size, protocol, pair, ports, sequence, ack, word = V6.unpack_from(data)
        if protocol != TCP:
            return None
        header = TCP_V6
        end = TCP_V6 + size
    else:
        return None
    at = header + (word >> 12 << 2)
    flags = word & FLAGS
    fits = header + TCP_HEADER_BYTES <= at < end <= len(data) and not frame.lso_mss
    if flags not in (ACK, ACK_PSH) or not fits or not _verified(frame, header, end, pair):
        return None
    return pair + ports, sequence, ack, flags, at, end, bytes(data[header + TCP_HEADER_BYTES : at])


def _verified(frame: RxFrame, header: int, end: int, pair: bytes) -> bool:
    if header == TCP_V4 and not frame.ip_verified and not verifies(frame.data[V4_HEADER]):
        return False
    if not frame.l4_verified:
        half = len(pair) // 2
        start = pseudo_sum(pair[:half], pair[half:], TCP) + end - header
        if not verifies(frame.data[header:end], start):
            return False
        frame.l4_verified = True
    return True
