"""TCP segments on the wire (RFC 9293 3.1) and their options (RFC 9293 3.2, 2018, 7323).

::

     0                             16                            31
    +-----------------------------+------------------------------+
    |         source port         |       destination port       |
    +-----------------------------+------------------------------+
    |                      sequence number                       |
    +------------------------------------------------------------+
    |                   acknowledgment number                    |
    +-------+-----+---------------+------------------------------+
    |offset | res |CEUAPRSF flags |           window             |
    +-------+-----+---------------+------------------------------+
    |          checksum           |        urgent pointer        |
    +-----------------------------+------------------------------+
"""

from __future__ import annotations

from struct import Struct

from formats.transport import FIN, SYN

HEADER = Struct("!HHIIHHHH")
TIMESTAMP = Struct("!III")
HEADER_BYTES = 20
CHECKSUM_OFFSET = 16
MASK = 0xFFFFFFFF
HALF = 0x80000000

OPTION_END = 0
OPTION_NOP = 1
OPTION_MSS = 2
OPTION_WINDOW_SCALE = 3
OPTION_SACK_PERMITTED = 4
OPTION_SACK = 5
OPTION_TIMESTAMPS = 8
ALIGNED_TIMESTAMPS = 0x0101080A  # NOP, NOP, kind 8, length 10 (RFC 7323 appendix A)
MAX_WINDOW_SCALE = 14


def unwrap(reference: int, sequence: int) -> int:
    """Return the unwrapped number that is ``sequence`` on the wire and nearest ``reference``."""
    delta = (sequence - reference) & MASK
    return reference + (delta - 0x100000000 if delta >= HALF else delta)


class Segment:
    """One segment that came in. ``payload`` may be several views (joined segments)."""

    __slots__ = (
        "acknowledgment",
        "destination_port",
        "flags",
        "length",
        "mss",
        "payload",
        "sack",
        "sack_permitted",
        "sequence",
        "source_port",
        "ts_echo",
        "ts_value",
        "urgent",
        "window",
        "window_scale",
    )

    def __init__(
        self,
        source_port: int,
        destination_port: int,
        sequence: int,
        acknowledgment: int,
        *,
        flags: int,
        window: int,
        urgent: int = 0,
    ) -> None:
        """Start without options and payload; None in an option means that it was not there."""
        self.source_port = source_port
        self.destination_port = destination_port
        self.sequence = sequence
        self.acknowledgment = acknowledgment
        self.flags = flags
        self.window = window
        self.urgent = urgent
        self.mss: int | None = None
        self.window_scale: int | None = None
        self.sack_permitted = False
        self.sack: list[tuple[int, int]] = []
        self.ts_value: int | None = None
        self.ts_echo = 0
        self.payload: list[memoryview] = []
        self.length = 0

    @property
    def sequence_length(self) -> int:
        """SEG.LEN: payload bytes, plus one for SYN and one for FIN."""
        return self.length + (self.flags & SYN) // SYN + (self.flags & FIN)


def parse(data: memoryview, extra: list[memoryview]) -> Segment | None:
    """Read a segment; None when the header does not fit. Bad options end the options."""
    if len(data) < HEADER_BYTES:
        return None
    source, destination, sequence, acknowledgment, word, window, _, urgent = HEADER.unpack_from(data)
    header_bytes = word >> 12 << 2
    if header_bytes < HEADER_BYTES or header_bytes > len(data):
        return None
    segment = Segment(
        source, destination, sequence, acknowledgment, flags=word & 0xFF, window=window, urgent=urgent
    )
    if header_bytes > HEADER_BYTES:
        if header_bytes == 32:
            lead, value, echo = TIMESTAMP.unpack_from(data, HEADER_BYTES)
            if lead == ALIGNED_TIMESTAMPS:
                segment.ts_value = value
                segment.ts_echo = echo
            else:
                _options(segment, bytes(data[HEADER_BYTES:header_bytes]))
        else:
            _options(segment, bytes(data[HEADER_BYTES:header_bytes]))
    length = len(data) - header_bytes
    if length:
        segment.payload.append(data[header_bytes:])
    for view in extra:
        segment.payload.append(view)
        length += len(view)
    segment.length = length
    return segment


def _options(segment: Segment, raw: bytes) -> None:
    at = 0
    while at < len(raw):
        kind = raw[at]
        if kind == OPTION_END:
            return
        if kind == OPTION_NOP:
            at += 1
            continue
        if at + 1 >= len(raw) or raw[at + 1] < 2 or at + raw[at + 1] > len(raw):
            return  # RFC 9293 MUST-7: an illegal length must do no harm
        _option(segment, kind, raw[at + 2 : at + raw[at + 1]])
        at += raw[at + 1]


def _option(segment: Segment, kind: int, data: bytes) -> None:
    syn = segment.flags & SYN
    if kind == OPTION_TIMESTAMPS and len(data) == 8:
        segment.ts_value = int.from_bytes(data[:4])
        segment.ts_echo = int.from_bytes(data[4:])
    elif kind == OPTION_SACK and len(data) % 8 == 0:
        segment.sack = [
            (int.from_bytes(data[i : i + 4]), int.from_bytes(data[i + 4 : i + 8]))
            for i in range(0, len(data), 8)
        ]
    elif kind == OPTION_MSS and len(data) == 2 and syn:
        segment.mss = int.from_bytes(data)
    elif kind == OPTION_WINDOW_SCALE and len(data) == 1 and syn:
        # RFC 7323 2.3: a larger shift is taken as 14.
        segment.window_scale = min(data[0], MAX_WINDOW_SCALE)
    elif kind == OPTION_SACK_PERMITTED and not data and syn:
        segment.sack_permitted = True


def timestamps(value: int, echo: int) -> bytes:
    """Return the aligned timestamps option, 12 bytes."""
    return TIMESTAMP.pack(ALIGNED_TIMESTAMPS, value & MASK, echo & MASK)


def sack_blocks(blocks: list[tuple[int, int]]) -> bytes:
    """Return an aligned SACK option."""
    raw = bytes((OPTION_NOP, OPTION_NOP, OPTION_SACK, 2 + 8 * len(blocks)))
    for start, end in blocks:
        raw += (start & MASK).to_bytes(4) + (end & MASK).to_bytes(4)
    return raw


def syn_options(mss: int, window_scale: int | None, ts: tuple[int, int] | None, *, sack: bool) -> bytes:
    """Return the options of a SYN, padded to words."""
    raw = bytes((OPTION_MSS, 4)) + mss.to_bytes(2)
    if sack:
        raw += bytes((OPTION_NOP, OPTION_NOP, OPTION_SACK_PERMITTED, 2))
    if ts is not None:
        raw += timestamps(*ts)
    if window_scale is not None:
        raw += bytes((OPTION_NOP, OPTION_WINDOW_SCALE, 3, window_scale))
    return raw


def build(
    ports: tuple[int, int],
    sequence: int,
    acknowledgment: int,
    flags: int,
    window: int,
    *,
    options: bytes = b"",
    urgent: int = 0,
    checksum: int = 0,
) -> bytes:
    """Return a header; the options' length is a multiple of 4."""
    word = (HEADER_BYTES + len(options)) << 10 | flags
    return (
        HEADER.pack(
            *ports,
            sequence & MASK,
            acknowledgment & MASK,
            word,
            window,
            checksum,
            urgent,
        )
        + options
    )
