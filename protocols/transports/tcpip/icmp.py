"""ICMP and ICMPv6 messages: a codec, and which error may answer which packet.

Sources: RFC 792, RFC 1122 3.2.2, RFC 4443.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import NamedTuple

from formats.checksum import Buffer, checksum, ones_sum_of, pseudo_sum, verifies
from formats.transport import ICMP, ICMPV6
from protocols.transports.tcpip import addresses, packet

HEADER = Struct("!BBHI")

ECHO_REPLY = 0
UNREACHABLE = 3
ECHO_REQUEST = 8
TIME_EXCEEDED = 11
PARAMETER_PROBLEM = 12

ECHO_REQUEST_6 = 128
ECHO_REPLY_6 = 129
UNREACHABLE_6 = 1
PACKET_TOO_BIG_6 = 2
TIME_EXCEEDED_6 = 3
PARAMETER_PROBLEM_6 = 4

QUOTE_4 = 548  # RFC 1812 4.3.2.3: as much as fits 576 bytes
QUOTE_6 = 1232  # RFC 4443 2.4: as much as fits 1280 bytes


class ErrorKind(enum.Enum):
    """What an error message means, whichever version said it."""

    NET_UNREACHABLE = enum.auto()
    HOST_UNREACHABLE = enum.auto()
    PROTOCOL_UNREACHABLE = enum.auto()
    PORT_UNREACHABLE = enum.auto()
    PROHIBITED = enum.auto()
    TOO_BIG = enum.auto()
    HOPS_EXCEEDED = enum.auto()
    REASSEMBLY_EXCEEDED = enum.auto()
    PARAMETER = enum.auto()
    UNKNOWN_OPTION = enum.auto()


class Wire(NamedTuple):
    """The type and code of an error in each version."""

    v4: tuple[int, int]
    v6: tuple[int, int]


ON_WIRE: dict[ErrorKind, Wire] = {
    ErrorKind.NET_UNREACHABLE: Wire((UNREACHABLE, 0), (UNREACHABLE_6, 0)),
    ErrorKind.HOST_UNREACHABLE: Wire((UNREACHABLE, 1), (UNREACHABLE_6, 3)),
    ErrorKind.PROTOCOL_UNREACHABLE: Wire((UNREACHABLE, 2), (PARAMETER_PROBLEM_6, 1)),
    ErrorKind.PORT_UNREACHABLE: Wire((UNREACHABLE, 3), (UNREACHABLE_6, 4)),
    ErrorKind.PROHIBITED: Wire((UNREACHABLE, 13), (UNREACHABLE_6, 1)),
    ErrorKind.TOO_BIG: Wire((UNREACHABLE, 4), (PACKET_TOO_BIG_6, 0)),
    ErrorKind.HOPS_EXCEEDED: Wire((TIME_EXCEEDED, 0), (TIME_EXCEEDED_6, 0)),
    ErrorKind.REASSEMBLY_EXCEEDED: Wire((TIME_EXCEEDED, 1), (TIME_EXCEEDED_6, 1)),
    ErrorKind.PARAMETER: Wire((PARAMETER_PROBLEM, 0), (PARAMETER_PROBLEM_6, 0)),
    ErrorKind.UNKNOWN_OPTION: Wire((PARAMETER_PROBLEM, 0), (PARAMETER_PROBLEM_6, 2)),  # IPv6 alone has it
}
KIND_4 = {wire.v4: kind for kind, wire in ON_WIRE.items() if kind is not ErrorKind.UNKNOWN_OPTION} | {
    (UNREACHABLE, 6): ErrorKind.NET_UNREACHABLE,
    (UNREACHABLE, 7): ErrorKind.HOST_UNREACHABLE,
    (UNREACHABLE, 9): ErrorKind.PROHIBITED,
    (UNREACHABLE, 10): ErrorKind.PROHIBITED,
    (UNREACHABLE, 11): ErrorKind.NET_UNREACHABLE,
    (UNREACHABLE, 12): ErrorKind.HOST_UNREACHABLE,
}
KIND_6 = {wire.v6: kind for kind, wire in ON_WIRE.items()}


class Message(NamedTuple):
    """A message: ``rest`` is the second word (identifier and sequence, MTU, pointer)."""

    kind: int
    code: int
    rest: int
    body: memoryview


class ErrorReport(NamedTuple):
    """An error about a packet of ours, for the transport that sent it.

    ``source`` and ``destination`` are those of our packet; ``quoted`` begins at its transport
    header; ``reporter`` is who complains; ``mtu`` is set for TOO_BIG.
    """

    kind: ErrorKind
    reporter: bytes
    source: bytes
    destination: bytes
    protocol: int
    quoted: memoryview
    mtu: int
    packet_bytes: int


def parse(data: memoryview, source: bytes, destination: bytes, *, verified: bool) -> Message | None:
    """Read a message and check its checksum; None when it is short or wrong."""
    if len(data) < HEADER.size:
        return None
    if not verified:
        start = 0
        if len(source) == 16:
            start = pseudo_sum(source, destination, ICMPV6) + len(data)
        if not verifies(data, start):
            return None
    kind, code, _, rest = HEADER.unpack_from(data)
    return Message(kind, code, rest, data[HEADER.size :])


def build4(kind: int, code: int, rest: int, body: Buffer) -> bytes:
    """Return an ICMP message."""
    raw = HEADER.pack(kind, code, 0, rest) + bytes(body)
    return raw[:2] + checksum(raw).to_bytes(2) + raw[4:]


def build6(kind: int, code: int, rest: int, body: Buffer, ends: tuple[bytes, bytes]) -> bytes:
    """Return an ICMPv6 message; its checksum covers ``ends``, source and destination."""
    raw = HEADER.pack(kind, code, 0, rest) + bytes(body)
    total = ones_sum_of((raw,), pseudo_sum(*ends, ICMPV6) + len(raw))
    value = 0xFFFF - total
    return raw[:2] + value.to_bytes(2) + raw[4:]


def may_answer(about: packet.Packet) -> bool:
    """Tell whether an error may be sent about a packet (RFC 1122 3.2.2, RFC 4443 2.4 e).

    ``answer_groups`` is RFC 4443's exception, 2.4 (e.3): an option whose type says so is answered even when
    it came to a group.
    """
    if not about.answer_groups and (about.link_cast or addresses.is_multicast(about.destination)):
        return False
    if addresses.is_unspecified(about.source) or not addresses.is_valid_source(about.source):
        return False
    if about.interface.is_broadcast(about.destination):
        return False
    if about.version == 4:
        fragment_offset = ((about.raw[6] << 8) | about.raw[7]) & 0x1FFF
        if fragment_offset:
            return False
        is_query = about.payload[:1] in (bytes((ECHO_REPLY,)), bytes((ECHO_REQUEST,)))
        return about.protocol != ICMP or is_query
    return about.protocol != ICMPV6 or bool(about.payload[:1] and about.payload[0] & 0x80)
