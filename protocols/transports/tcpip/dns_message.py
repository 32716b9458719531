"""DNS messages (RFC 1035 4, RFC 3596): a codec that no message can make loop or overrun."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from formats.checksum import Buffer

HEADER = Struct("!HHHHHH")
RECORD = Struct("!HHIH")
QUESTION = Struct("!HH")
A = 1
CNAME = 5
SOA = 6
PTR = 12
AAAA = 28
IN = 1
RESPONSE = 0x8000
TRUNCATED = 0x0200
RECURSE = 0x0100
RCODE_MASK = 0x000F
NAME_ERROR = 3
MAX_POINTERS = 32
MAX_NAME = 255
MAX_RECORDS = 256


class DnsError(Exception):
    """A message that is not well formed."""


class Record(NamedTuple):
    """A resource record. ``target`` is the name in a CNAME or PTR, else empty."""

    name: str
    kind: int
    ttl: int
    data: bytes
    target: str


class DnsMessage(NamedTuple):
    """A message with one question."""

    ident: int
    flags: int
    name: str
    kind: int
    answers: list[Record]
    authorities: list[Record]

    @property
    def rcode(self) -> int:
        """0, or why there is no answer."""
        return self.flags & RCODE_MASK


def encode_name(name: str) -> bytes:
    """Return a name as labels; DnsError when a label or the whole is too long or empty."""
    raw = b""
    for label in name.rstrip(".").split("."):
        try:
            data = label.encode("ascii")
        except UnicodeEncodeError:
            try:
                data = label.encode("idna")
            except UnicodeError as error:
                raise DnsError(f"{label!r} is not a host name") from error
        if not 1 <= len(data) <= 63:
            raise DnsError(f"a label of {len(data)} bytes")
        raw += bytes((len(data),)) + data
    if len(raw) + 1 > MAX_NAME:
        raise DnsError(f"a name of {len(raw)} bytes")
    return raw + b"\0"


def query(ident: int, name: str, kind: int, *, recurse: bool = True) -> bytes:
    """Return a query with one question."""
    flags = RECURSE if recurse else 0
    return HEADER.pack(ident, flags, 1, 0, 0, 0) + encode_name(name) + QUESTION.pack(kind, IN)


def response(asked: DnsMessage, records: list[tuple[int, bytes]], ttl: int) -> bytes:
    """Return an answer to a question: records of (type, data), all of the asked name."""
    raw = HEADER.pack(asked.ident, RESPONSE, 1, len(records), 0, 0)
    raw += encode_name(asked.name) + QUESTION.pack(asked.kind, IN)
    for kind, data in records:
        # 0xc00c points at the question's name (RFC 1035 4.1.4).
        raw += b"\xc0\x0c" + RECORD.pack(kind, IN, ttl, len(data)) + data
    return raw


def parse(data: Buffer) -> DnsMessage:
    """Read a message; DnsError when it is malformed."""
    raw = bytes(data)
    if len(raw) < HEADER.size:
        raise DnsError("shorter than a header")
    ident, flags, questions, answers, authorities, _ = HEADER.unpack_from(raw)
    if questions != 1 or answers + authorities > MAX_RECORDS:
        raise DnsError(f"{questions} questions, {answers} answers")
    name, at = _name(raw, HEADER.size)
    if at + QUESTION.size > len(raw):
        raise DnsError("the question is cut off")
    kind, _ = QUESTION.unpack_from(raw, at)
    at += QUESTION.size
    first, at = _records(raw, at, answers)
    second, _ = _records(raw, at, authorities)
    return DnsMessage(ident, flags, name, kind, first, second)


def _records(raw: bytes, at: int, count: int) -> tuple[list[Record], int]:
    out = []
    for _ in range(count):
        name, at = _name(raw, at)
        if at + RECORD.size > len(raw):
            raise DnsError("a record is cut off")
        kind, class_, ttl, size = RECORD.unpack_from(raw, at)
        at += RECORD.size
        if at + size > len(raw):
            raise DnsError("a record's data is cut off")
        target = _name(raw, at)[0] if kind in (CNAME, PTR) else ""
        if class_ & 0x7FFF == IN:
            # RFC 2181 8: a TTL with the top bit set counts as zero.
            out.append(Record(name, kind, 0 if ttl >> 31 else ttl, raw[at : at + size], target))
        at += size
    return out, at


def _name(raw: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    after = None
    size = 0
    for _ in range(MAX_NAME + MAX_POINTERS):
        if at >= len(raw):
            raise DnsError("a name is cut off")
        length = raw[at]
        if length >= 0xC0:
            if at + 2 > len(raw):
                raise DnsError("a pointer is cut off")
            target = (length & 0x3F) << 8 | raw[at + 1]
            if target >= at:
                raise DnsError("a pointer does not point back")
            after = at + 2 if after is None else after
            at = target
            continue
        if length > 63:
            raise DnsError("a label of an unknown kind")
        at += 1
        if not length:
            return ".".join(labels), at if after is None else after
        size += length + 1
        if size > MAX_NAME or at + length > len(raw):
            raise DnsError("a name is too long")
        labels.append(raw[at : at + length].decode("latin-1").lower())
        at += length
    raise DnsError("a name without an end")


def soa_minimum(record: Record) -> int:
    """Return how long a SOA lets a negative answer live (RFC 2308 5), in seconds."""
    if record.kind != SOA or len(record.data) < 20:
        return 0
    return min(record.ttl, int.from_bytes(record.data[-4:]))
