"""IPv6 headers and extension headers (RFC 8200). A codec: it keeps nothing.

::

    +-------+---------------+------------------------------------+
    |version| traffic class |            flow label              |
    +-------+---------------+-----+---------------+--------------+
    |        payload length       |  next header  |  hop limit   |
    +-----------------------------+---------------+--------------+
    |              source (16), destination (16)                 |
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from formats.checksum import Buffer

HEADER = Struct("!IHBB16s16s")
HEADER_BYTES = 40
FRAGMENT = Struct("!BBHI")
MINIMUM_MTU = 1280
MAX_EXTENSIONS = 8  # a chain longer than any host needs is an attack

HOP_BY_HOP = 0
ROUTING = 43
FRAGMENT_HEADER = 44
NO_NEXT = 59
DESTINATION_OPTIONS = 60

PARAMETER_ERRONEOUS_FIELD = 0
PARAMETER_UNKNOWN_NEXT = 1
PARAMETER_UNKNOWN_OPTION = 2


class Ipv6Error(Exception):
    """A packet that must be dropped without an answer. The message is the counter's name."""


class ParameterProblemError(Exception):
    """A packet that RFC 8200 answers with an ICMPv6 Parameter Problem."""

    def __init__(self, code: int, pointer: int, *, even_multicast: bool = False) -> None:
        """Keep the ICMPv6 code and the offset of the trouble in the packet."""
        super().__init__(f"parameter problem {code} at {pointer:#x}")
        self.code = code
        self.pointer = pointer
        self.even_multicast = even_multicast


class Ipv6Header(NamedTuple):
    """A parsed fixed header."""

    traffic_class: int
    payload_bytes: int
    next_header: int
    hop_limit: int
    source: bytes
    destination: bytes


class FragmentInfo(NamedTuple):
    """A parsed fragment header. ``offset`` in bytes."""

    identification: int
    offset: int
    more: bool


class Chain(NamedTuple):
    """Where the extension headers end: the upper protocol and its offset in the packet."""

    protocol: int
    offset: int
    fragment: FragmentInfo | None
    next_field: int  # offset of the byte that names ``protocol``


def parse(data: Buffer, offset: int) -> Ipv6Header:
    """Read and check the fixed header at ``offset``; Ipv6Error tells why to drop it."""
    available = len(data) - offset
    if available < HEADER_BYTES:
        raise Ipv6Error("ipv6.in_truncated")
    first, payload, next_header, hops, source, destination = HEADER.unpack_from(data, offset)
    if first >> 28 != 6:
        raise Ipv6Error("ipv6.in_header_errors")
    if payload + HEADER_BYTES > available:
        raise Ipv6Error("ipv6.in_truncated")
    return Ipv6Header((first >> 20) & 0xFF, payload, next_header, hops, source, destination)


def build(
    source: bytes,
    destination: bytes,
    next_header: int,
    payload_bytes: int,
    *,
    hop_limit: int,
    traffic_class: int = 0,
) -> bytes:
    """Return a fixed header."""
    first = 0x60000000 | traffic_class << 20
    return HEADER.pack(first, payload_bytes, next_header, hop_limit, source, destination)


def walk(packet: memoryview, next_header: int, start: int = HEADER_BYTES) -> Chain:
    """Follow extension headers to a fragment header or to the upper protocol.

    Ipv6Error: drop. ParameterProblemError: drop, and say so to the sender.
    """
    at = start
    field = 6 if start == HEADER_BYTES else start
    for _ in range(MAX_EXTENSIONS):
        if next_header == FRAGMENT_HEADER:
            return _fragment(packet, at)
        if next_header not in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS):
            return Chain(next_header, at, None, field)
        if next_header == HOP_BY_HOP and at != HEADER_BYTES:
            raise ParameterProblemError(PARAMETER_UNKNOWN_NEXT, field)
        if at + 8 > len(packet) or at + (packet[at + 1] + 1) * 8 > len(packet):
            raise Ipv6Error("ipv6.in_truncated")
        size = (packet[at + 1] + 1) * 8
        if next_header == ROUTING:
            _check_routing(packet, at)
        else:
            _check_options(packet, at + 2, at + size)
        next_header = packet[at]
        field = at
        at += size
    raise Ipv6Error("ipv6.in_too_many_extensions")


def _fragment(packet: memoryview, at: int) -> Chain:
    if at + 8 > len(packet):
        raise Ipv6Error("ipv6.in_truncated")
    next_header, _, word, identification = FRAGMENT.unpack_from(packet, at)
    info = FragmentInfo(identification, word & 0xFFF8, word & 1 != 0)
    return Chain(next_header, at + 8, info, at)


def _check_routing(packet: memoryview, at: int) -> None:
    # RFC 5095: type 0 is dead; RFC 8200 4.4: an unknown type with segments left is an error.
    if packet[at + 3]:
        raise ParameterProblemError(PARAMETER_ERRONEOUS_FIELD, at + 2)


def _check_options(packet: memoryview, at: int, end: int) -> None:
    known = (1, 5)  # PadN, Router Alert (RFC 2711)
    while at < end:
        kind = packet[at]
        if kind == 0:  # Pad1
            at += 1
            continue
        if at + 2 > end or at + 2 + packet[at + 1] > end:
            raise ParameterProblemError(PARAMETER_ERRONEOUS_FIELD, at)
        if kind not in known and kind >> 6:
            if kind >> 6 == 1:
                raise Ipv6Error("ipv6.in_unknown_options")
            raise ParameterProblemError(PARAMETER_UNKNOWN_OPTION, at, even_multicast=kind >> 6 == 2)
        at += 2 + packet[at + 1]
