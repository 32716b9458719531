"""Receive segment coalescing: which TCP segments of one look at the ring become one unit, and its headers.

Pure functions on frames; ``csrc/coalesce.c`` is the same in C, over a ring. The rules are those of NDIS
6.30's RSC ("Rules for Coalescing TCP/IP Segments", "Exception Conditions that Terminate Coalescing"), taken
narrowly where they leave a choice: a unit has one acknowledgment number and one set of options, so no
duplicate ACK and no timestamp can be lost in it. Nothing is kept from one call to the next: no segment waits
for another.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from formats import ethernet, ipv4, ipv6
from formats.checksum import ones_sum
from formats.transport import ACK, ICMP, ICMPV6, PSH, TCP, TCP_FLAGS_AT, UDP

if TYPE_CHECKING:
    from collections.abc import Sequence

OPEN_UNITS = 8
"""Flows that are followed at a time; beyond them the oldest is closed."""
LARGEST_IP_BYTES = 0xFFFF

_ETHERNET = ethernet.HEADER_BYTES
_IPV4, _IPV6, _ARP = (kind.to_bytes(2) for kind in (ethernet.IPV4, ethernet.IPV6, ethernet.ARP))
_TCP_V4 = _ETHERNET + ipv4.HEADER_BYTES
"""Where a TCP header is behind an IPv4 header without options."""
_TCP_V6 = _ETHERNET + ipv6.HEADER_BYTES
_ADDRESSES_V4 = slice(_ETHERNET + 12, _TCP_V4)
_ADDRESSES_V6 = slice(_ETHERNET + 8, _TCP_V6)
_PLAIN = (UDP, ICMP, ICMPV6)  # no business of any TCP connection
_TIMESTAMP = b"\x01\x01\x08\x0a"  # NOP, NOP, kind 8, length 10: as every stack lays it out


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment that is found in a frame. Offsets are from the frame's first byte."""

    frame: bytes
    tcp: int
    payload: int
    end: int
    is_plain: bool
    """It may be coalesced: data, no flag but ACK and PSH, no option but a timestamp."""

    @property
    def flow(self) -> bytes:
        """Addresses and ports: what names the connection."""
        addresses = self.frame[_ADDRESSES_V4 if self.tcp == _TCP_V4 else _ADDRESSES_V6]
        return addresses + self.frame[self.tcp : self.tcp + 4]

    @property
    def kin(self) -> bytes:
        """Everything that segments of one unit have in common, beside the flow."""
        frame, tcp = self.frame, self.tcp
        # Ethernet, version, header length, DS field, DF and hop limit; or flow label and hop limit
        network = frame[:16] + frame[20:23] if tcp == _TCP_V4 else frame[:18] + frame[21:22]
        return network + frame[tcp + 8 : tcp + TCP_FLAGS_AT] + frame[tcp + 20 : self.payload]

    @property
    def sequence(self) -> int:
        """SEG.SEQ."""
        return int.from_bytes(self.frame[self.tcp + 4 : self.tcp + 8], "big")

    @property
    def length(self) -> int:
        """SEG.LEN."""
        return self.end - self.payload


@dataclass(slots=True)
class Unit:
    """A frame as it goes up, made of one frame (``segments`` 0) or of several (how many)."""

    frames: list[bytes]
    first: Segment | None = None
    parts: list[Segment] | None = None
    next_sequence: int = 0
    size: int = 0
    """Bytes of payload."""

    @property
    def segments(self) -> int:
        """CoalescedSegCount: 0 for a frame by itself."""
        return len(self.frames) if len(self.frames) > 1 else 0

    def data(self) -> bytes:
        """Return the frame, its headers made new when it has several segments."""
        if self.first is None or not self.parts or len(self.parts) == 1:
            return self.frames[0]
        return joined(self.parts)


def parse(frame: bytes, *, v4: bool = True, v6: bool = True) -> Segment | None:
    """Find a TCP segment; None for anything else, for a fragment, and for headers with extensions."""
    kind = frame[12:14]
    if kind == _IPV4 and v4:
        network_ok = len(frame) >= 54 and frame[14] == 0x45 and not frame[20] & 0x3F and not frame[21]
        if not network_ok or frame[23] != TCP:
            return None
        tcp, end = _TCP_V4, _ETHERNET + int.from_bytes(frame[16:18], "big")
    elif kind == _IPV6 and v6:
        if len(frame) < 74 or frame[14] >> 4 != 6 or frame[20] != TCP:
            return None
        tcp, end = _TCP_V6, _TCP_V6 + int.from_bytes(frame[18:20], "big")
    else:
        return None
    size = (frame[tcp + 12] >> 4) * 4
    if not tcp + 20 <= tcp + size <= end <= len(frame):
        return None
    options = frame[tcp + 20 : tcp + size]
    flags = (frame[tcp + 12] & 1) << 8 | frame[tcp + TCP_FLAGS_AT]
    plain = flags & ~PSH == ACK and end > tcp + size
    plain = plain and (not options or (size == 32 and options[:4] == _TIMESTAMP))
    return Segment(frame, tcp, tcp + size, end, plain)


def is_neutral(frame: bytes) -> bool:
    """Tell whether a frame cannot belong to a TCP connection, so that segments may be joined across it."""
    kind = frame[12:14]
    if kind == _IPV4:
        return len(frame) >= 34 and frame[14] == 0x45 and frame[23] in _PLAIN
    if kind == _IPV6:
        return len(frame) >= 54 and frame[20] in _PLAIN
    return kind == _ARP


def coalesce(frames: Sequence[tuple[bytes, bool]], *, v4: bool = True, v6: bool = True) -> list[Unit]:
    """Return units in the order of their first frames.

    Each frame comes with whether the card has found all its checksums right; if not, it stays by itself.
    """
    units: list[Unit] = []
    following: dict[bytes, Unit] = {}
    for frame, verified in frames:
        unit = Unit([frame])
        segment = parse(frame, v4=v4, v6=v6) if verified else None
        if segment is None:
            if not (verified and is_neutral(frame)):
                following.clear()  # it may belong to any flow: nothing overtakes it
            units.append(unit)
            continue
        before = following.get(segment.flow)
        if before is not None and _continues(before, segment):
            _append(before, segment)
            if before.first is None or segment.length < before.first.length:
                del following[segment.flow]
            continue
        following.pop(segment.flow, None)
        units.append(unit)
        if segment.is_plain:
            unit.first, unit.parts = segment, [segment]
            unit.size = segment.length
            unit.next_sequence = (segment.sequence + segment.length) & 0xFFFF_FFFF
            if len(following) == OPEN_UNITS:
                del following[next(iter(following))]
            following[segment.flow] = unit
    return units


def _continues(unit: Unit, segment: Segment) -> bool:
    first = unit.first
    return (
        first is not None
        and segment.is_plain
        and segment.sequence == unit.next_sequence
        and segment.length <= first.length
        and segment.kin == first.kin
        and first.payload - _ETHERNET + unit.size + segment.length <= LARGEST_IP_BYTES
    )


def _append(unit: Unit, segment: Segment) -> None:
    unit.frames.append(segment.frame)
    if unit.parts is not None:
        unit.parts.append(segment)
    unit.size += segment.length
    unit.next_sequence = (segment.sequence + segment.length) & 0xFFFF_FFFF


def joined(parts: Sequence[Segment]) -> bytes:
    """Return several segments as one frame: lengths, window, PSH and both checksums are the unit's."""
    first, last = parts[0], parts[-1]
    header = bytearray(first.frame[: first.payload])
    payload = b"".join(part.frame[part.payload : part.end] for part in parts)
    tcp = first.tcp
    size = first.payload - tcp + len(payload)
    if tcp == _TCP_V4:
        struct.pack_into(">H", header, 16, 20 + size)
        struct.pack_into(">H", header, 24, 0)
        struct.pack_into(">H", header, 24, 0xFFFF - ones_sum(bytes(header[_ETHERNET:_TCP_V4])))
        addresses = bytes(header[_ADDRESSES_V4])
    else:
        struct.pack_into(">H", header, 18, size)
        addresses = bytes(header[_ADDRESSES_V6])
    header[tcp + TCP_FLAGS_AT] |= any(part.frame[tcp + TCP_FLAGS_AT] & PSH for part in parts) * PSH
    header[tcp + 14 : tcp + 16] = last.frame[tcp + 14 : tcp + 16]
    struct.pack_into(">H", header, tcp + 16, 0)
    pseudo = addresses + struct.pack(">HH", TCP, size)
    struct.pack_into(">H", header, tcp + 16, 0xFFFF - ones_sum(pseudo + bytes(header[tcp:]) + payload))
    return bytes(header) + payload
