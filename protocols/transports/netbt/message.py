"""Packets of NetBIOS' name service (RFC 1002 4.2). Pure: bytes in, values out; what is no packet is refused.

::

    transaction id | R opcode(4) AA TC RD RA 0 0 B rcode(4) | qdcount | ancount | nscount | arcount
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

HEADER: Final = struct.Struct(">6H")
QUESTION: Final = struct.Struct(">2H")
RECORD: Final = struct.Struct(">2HIH")
ENTRY: Final = struct.Struct(">H4s")
NODE_NAME: Final = struct.Struct(">15sBH")
LABEL_BYTES: Final = 32
"""A first-level encoded name: two letters a byte (RFC 1001 14.1)."""
IN: Final = 1
POINTER: Final = 0xC0
STATISTICS_BYTES: Final = 46
GROUP: Final = 0x8000
"""G of NB_FLAGS and NAME_FLAGS."""
ACTIVE: Final = 0x0400
"""ACT of NAME_FLAGS."""
MOST_SCOPE_BYTES: Final = 221


class Kind(enum.IntEnum):
    """RR_TYPE."""

    NB = 0x20
    NBSTAT = 0x21


class Opcode(enum.IntEnum):
    """OPCODE."""

    QUERY = 0
    REGISTRATION = 5
    RELEASE = 6
    WACK = 7
    REFRESH = 8


class Rcode(enum.IntEnum):
    """RCODE of responses."""

    OK = 0
    NAM_ERR = 3
    ACT_ERR = 6
    CFT_ERR = 7


class Flags(enum.IntFlag):
    """The header's second word, less opcode and rcode."""

    NONE = 0
    RESPONSE = 0x8000
    AA = 0x0400
    TC = 0x0200
    RD = 0x0100
    RA = 0x0080
    BROADCAST = 0x0010


class MessageError(ValueError):
    """Bytes that are no packet of the name service, or a name that has no place in one."""


@dataclass(frozen=True, slots=True)
class NetbiosName:
    """A name of at most 15 bytes, in capitals, and the suffix that says what it is a name of."""

    text: str
    suffix: int = 0

    @classmethod
    def of(cls, text: str, suffix: int = 0) -> NetbiosName:
        """Return a host's or group's name as NetBIOS has it. MessageError when it has none."""
        name = text.upper()
        if not 0 < len(name) <= 15 or not name.isascii() or not name.isprintable() or name != name.strip():
            raise MessageError(f"no NetBIOS name: {text!r}")
        return cls(name, suffix)

    @classmethod
    def parse(cls, raw: bytes) -> NetbiosName:
        """Read the 16 bytes, the last the suffix."""
        return cls(raw[:15].rstrip(b" \0").decode("latin-1"), raw[15])

    @property
    def raw(self) -> bytes:
        """The 16 bytes: padded with spaces, but for ``*``, which is padded with zeros."""
        fill = b"\0" if self.text == "*" else b" "
        return self.text.encode("latin-1").ljust(15, fill) + bytes((self.suffix,))

    def __str__(self) -> str:
        """Write it as ``nbtstat`` does."""
        return f"{self.text}<{self.suffix:02X}>"


ANY: Final = NetbiosName("*")
"""Whoever is asked (RFC 1002 4.2.17)."""


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record."""

    name: NetbiosName
    kind: int
    ttl_s: int
    data: bytes

    @property
    def entries(self) -> list[tuple[int, bytes]]:
        """Flags and address of each ADDR_ENTRY of an NB record; what is cut off is left out."""
        whole = len(self.data) - len(self.data) % ENTRY.size
        return list(ENTRY.iter_unpack(self.data[:whole]))


@dataclass(frozen=True, slots=True)
class Message:
    """A packet with at most one question and one record, as all of the name service have."""

    ident: int
    opcode: int
    flags: Flags = Flags.NONE
    rcode: int = Rcode.OK
    question: NetbiosName | None = None
    question_kind: int = Kind.NB
    record: Record | None = None

    def emit(self) -> bytes:
        """Return its bytes; a record of a request stands in the additional section (RFC 1002 4.2.2)."""
        word = self.flags | self.opcode << 11 | self.rcode
        asks = self.question is not None
        answer, additional = (1, 0) if self.flags & Flags.RESPONSE else (0, 1)
        if self.record is None:
            answer = additional = 0
        raw = HEADER.pack(self.ident, word, int(asks), answer, 0, additional)
        if self.question is not None:
            raw += encoded(self.question) + QUESTION.pack(self.question_kind, IN)
        if self.record is not None:
            name = struct.pack(">H", POINTER << 8 | HEADER.size) if asks else encoded(self.record.name)
            raw += name + RECORD.pack(self.record.kind, IN, self.record.ttl_s, len(self.record.data))
            raw += self.record.data
        return raw


def encoded(name: NetbiosName) -> bytes:
    """Return a name in first- and second-level encoding (RFC 1001 14.1, RFC 1002 4.1), of no scope."""
    letters = bytes(65 + half for byte in name.raw for half in (byte >> 4, byte & 15))
    return bytes((LABEL_BYTES,)) + letters + b"\0"


def parse(raw: bytes) -> Message:
    """Read a packet. MessageError."""
    if len(raw) < HEADER.size:
        raise MessageError(f"{len(raw)} bytes are no name service packet")
    ident, word, questions, *counts = HEADER.unpack_from(raw)
    if questions > 1 or sum(counts) > 1:
        raise MessageError("more than one question or record")
    at, question, question_kind, record = HEADER.size, None, int(Kind.NB), None
    if questions:
        question, at = _name(raw, at)
        question_kind = _fields(QUESTION, raw, at)[0]
        at += QUESTION.size
    if sum(counts):
        name, at = _name(raw, at)
        kind, _, ttl_s, length = _fields(RECORD, raw, at)
        at += RECORD.size
        if at + length > len(raw):
            raise MessageError("a record is cut off")
        record = Record(name, kind, ttl_s, raw[at : at + length])
    flags = Flags(word & 0x8790)
    return Message(ident, word >> 11 & 15, flags, word & 15, question, question_kind, record)


def node_status(names: list[tuple[NetbiosName, int]], mac: bytes) -> bytes:
    """Return the data of a node status response (RFC 1002 4.2.18): names with NAME_FLAGS, then statistics."""
    rows = b"".join(NODE_NAME.pack(name.raw[:15], name.suffix, flags) for name, flags in names)
    return bytes((len(names),)) + rows + mac.ljust(STATISTICS_BYTES, b"\0")


def status_of(data: bytes) -> tuple[list[tuple[NetbiosName, int]], bytes]:
    """Read a node status: names with their flags, and the unit's address. MessageError."""
    count = data[0] if data else 0
    end = 1 + count * NODE_NAME.size
    if not data or end + 6 > len(data):
        raise MessageError("a node status is cut off")
    names = [
        (NetbiosName(raw.decode("latin-1").rstrip(" \0"), suffix), flags)
        for raw, suffix, flags in NODE_NAME.iter_unpack(data[1:end])
    ]
    return names, data[end : end + 6]


def _fields(form: struct.Struct, raw: bytes, at: int) -> tuple[int, ...]:
    if at + form.size > len(raw):
        raise MessageError("it is cut off")
    return form.unpack_from(raw, at)


def _name(raw: bytes, at: int) -> tuple[NetbiosName, int]:
    """Read a name, or a pointer to the question's; return where what follows begins."""
    if raw[at : at + 2] == bytes((POINTER, HEADER.size)) and at > HEADER.size:
        return _name(raw, HEADER.size)[0], at + 2
    label = raw[at + 1 : at + 1 + LABEL_BYTES]
    if raw[at : at + 1] != bytes((LABEL_BYTES,)) or len(label) < LABEL_BYTES:
        raise MessageError("no first-level encoded name")
    if not all(65 <= letter < 81 for letter in label):
        raise MessageError("letters beyond P in a name")
    name = bytes((high - 65) << 4 | low - 65 for high, low in zip(label[::2], label[1::2], strict=True))
    at += 1 + LABEL_BYTES
    last = at + MOST_SCOPE_BYTES
    while at < min(len(raw), last) and raw[at] and raw[at] < POINTER:  # the scope, which we have none of
        at += 1 + raw[at]
    if at >= len(raw) or raw[at]:
        raise MessageError("a name without an end")
    return NetbiosName(name[:15].decode("latin-1").rstrip(" \0"), name[15]), at + 1
