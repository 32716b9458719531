"""IPv4 headers and options (RFC 791, RFC 1122 3.2.1). A codec: it keeps nothing.

::

     0       4       8              16     19                    31
    +-------+-------+--------------+-----------------------------+
    |version|  IHL  |     TOS      |        total length         |
    +-------+-------+--------------+------+----------------------+
    |        identification        |flags |   fragment offset    |
    +---------------+--------------+------+----------------------+
    |      TTL      |   protocol   |      header checksum        |
    +---------------+--------------+-----------------------------+
    |                     source, destination, options           |
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from formats.checksum import Buffer, checksum, verifies

HEADER = Struct("!BBHHHBBH4s4s")
HEADER_BYTES = 20
DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
OFFSET_MASK = 0x1FFF
MINIMUM_MTU = 68  # RFC 791
OPTION_END = 0
OPTION_NOP = 1
OPTION_LSRR = 131
OPTION_SSRR = 137


class Ipv4Error(Exception):
    """A header that must be dropped without an answer. The message is the counter's name."""


class Ipv4Header(NamedTuple):
    """A parsed header. Lengths and ``fragment_offset`` in bytes."""

    header_bytes: int
    tos: int
    total_bytes: int
    identification: int
    dont_fragment: bool
    more_fragments: bool
    fragment_offset: int
    ttl: int
    protocol: int
    source: bytes
    destination: bytes


def parse(data: Buffer, offset: int, *, verified: bool) -> Ipv4Header:
    """Read and check the header at ``offset`` of ``data``; Ipv4Error tells why to drop it."""
    available = len(data) - offset
    if available < HEADER_BYTES:
        raise Ipv4Error("ipv4.in_truncated")
    first, tos, total, ident, fragment, ttl, protocol, _, source, destination = HEADER.unpack_from(
        data, offset
    )
    header_bytes = (first & 15) * 4
    if first >> 4 != 4 or header_bytes < HEADER_BYTES:
        raise Ipv4Error("ipv4.in_header_errors")
    if total < header_bytes or total > available:
        raise Ipv4Error("ipv4.in_truncated")
    if not verified and not verifies(data[offset : offset + header_bytes]):
        raise Ipv4Error("ipv4.in_checksum_errors")
    fields = (
        header_bytes,
        tos,
        total,
        ident,
        fragment & DONT_FRAGMENT != 0,
        fragment & MORE_FRAGMENTS != 0,
        (fragment & OFFSET_MASK) * 8,
        ttl,
        protocol,
        source,
        destination,
    )
    return tuple.__new__(Ipv4Header, fields)  # as Ipv4Header's own, which is a Python function


def build(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload_bytes: int,
    *,
    ttl: int,
    tos: int = 0,
    identification: int = 0,
    fragment: int = 0,
    options: bytes = b"",
    with_checksum: bool = True,
) -> bytes:
    """Return a header; ``fragment`` is the flags-and-offset word, ``options`` a multiple of 4."""
    header_bytes = HEADER_BYTES + len(options)
    first = 0x40 | header_bytes // 4
    total = header_bytes + payload_bytes
    raw = HEADER.pack(first, tos, total, identification, fragment, ttl, protocol, 0, source, destination)
    if options:
        raw += options
    if not with_checksum:
        return raw
    return raw[:10] + checksum(raw).to_bytes(2) + raw[12:]


def options(raw: Buffer) -> list[tuple[int, bytes]]:
    """Return (type, data) of each option; Ipv4Error when one does not fit (RFC 1122 3.2.1.8)."""
    found = []
    at = 0
    while at < len(raw):
        kind = raw[at]
        if kind == OPTION_END:
            break
        if kind == OPTION_NOP:
            at += 1
            continue
        if at + 1 >= len(raw) or raw[at + 1] < 2 or at + raw[at + 1] > len(raw):
            raise Ipv4Error("ipv4.in_bad_options")
        found.append((kind, bytes(raw[at + 2 : at + raw[at + 1]])))
        at += raw[at + 1]
    return found


def copied_options(raw: bytes) -> bytes:
    """Return those options that every fragment must carry (the copied flag, RFC 791 3.1)."""
    kept = b"".join(bytes((kind, len(data) + 2)) + data for kind, data in options(raw) if kind & 0x80)
    return kept + bytes(-len(kept) % 4)


def decrement_ttl(packet: bytearray) -> None:
    """Take one hop off a packet to be forwarded and mend its checksum (RFC 1624)."""
    packet[8] -= 1
    packet[10:12] = bytes(2)
    packet[10:12] = checksum(packet[: (packet[0] & 15) * 4]).to_bytes(2)
