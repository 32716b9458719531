"""A recording as a file: header, blocks of records with a checksum each, an end. It knows no card.

::

    magic 8 | version 2 | 0 2 | header length 4 | header CRC-32 4 | header: JSON
    then blocks:  "RWB2" | payload length 4 | records 4 | 0 4 | payload XXH64 8 | payload: records

The last record is ``END``. Version 2. Little-endian. Documented for readers of other makes in
docs/recordings.md; a reader refuses a version it does not know. The native engine writes blocks itself
(device/engine/csrc/tape.c).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from struct import Struct
from typing import TYPE_CHECKING, Final
from zlib import crc32

from device.trace.digest import digest_of
from device.trace.records import HEADER, Kind, Record, parse, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MAGIC: Final = b"RWREC\r\n\x1a"
VERSION: Final = 2
BLOCK_RECORDS: Final = 512
"""How many records a block has at least, the last one aside."""

_HEAD: Final = Struct("<8sHHII")
_BLOCK: Final = Struct("<4sIIIQ")
_MARK: Final = b"RWB2"
_LARGEST_BLOCK: Final = 1 << 26


Entry = tuple[int, int, int, int, bytes]
"""A record that waits to be written: kind, which, amount, value, data."""


class RecordingError(Exception):
    """A file is no recording, or is damaged. ``offset`` is where, in bytes from the file's start."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"{message} (at byte {offset:#x})")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class About:
    """What the file's header says: all that a card needs to be built again."""

    mac: str
    offload: bool = False
    engine: str = "reference"
    comment: str = ""
    epoch_ns: int = 0
    """Wall-clock time (ns since 1970, UTC) at card time 0, so that an export has dates; 0: unknown."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record begins: the block's number, and bytes into its payload."""

    block: int = 0
    offset: int = 0


def header_bytes(about: About) -> bytes:
    """Return what a file begins with."""
    header = json.dumps(asdict(about)).encode()
    return _HEAD.pack(MAGIC, VERSION, 0, len(header), crc32(header)) + header


class Writer:
    """Makes a recording's bytes and gives them to ``write``, a block at a time."""

    def __init__(self, write: Callable[[bytes], object], about: About, *, limit: int | None = None) -> None:
        """Write the header. After ``limit`` bytes of records the recording ends by itself."""
        self._write = write
        self._records: list[Entry] = []
        self.append = self._records.append
        """Append a record: the list's own method, because it is called a dozen times a frame."""
        self._left = limit
        self.closed = False
        write(header_bytes(about))

    def add(self, kind: int, which: int, amount: int, value: int, data: bytes) -> None:
        """Append a record, and write the block when it is full."""
        self.append((kind, which, amount, value, data))
        self.settle()

    def settle(self) -> None:
        """Write the block if it is full; a recorder calls it once an input."""
        if len(self._records) >= BLOCK_RECORDS:
            self._flush()

    @property
    def full(self) -> bool:
        """Whether the limit was reached: the caller ends the recording between two inputs."""
        return self._left is not None and self._left <= 0

    def _flush(self) -> None:
        """Make the block's bytes in one go: half as much work as record by record."""
        records = self._records
        if not records or self.closed:
            return
        pack = HEADER.pack
        parts: list[bytes] = []
        for kind, index, count, value, data in records:
            parts.append(pack(kind, index, count, len(data), value))
            parts.append(data)
        payload = b"".join(parts)
        self._write(_BLOCK.pack(_MARK, len(payload), len(records), 0, digest_of(payload)) + payload)
        if self._left is not None:
            self._left -= len(payload)
        records.clear()

    def close(self, reason: str = "closed") -> None:
        """Write the end. A second time does nothing."""
        if not self.closed:
            self.add(Kind.END, 0, 0, 0, reason.encode())
            self._flush()
            self.closed = True


class Recording:
    """A recording that was read: its header, and its records from any place on."""

    def __init__(self, data: bytes | memoryview, *, partial: bool = False) -> None:
        """Check the whole file. RecordingError where it is damaged.

        ``partial``: take what is whole before the damage, as after a crash.
        """
        self._data = data
        self.damage: RecordingError | None = None
        self.about, at = _header(data)
        self._blocks: list[tuple[int, int]] = []
        try:
            self._index(at)
        except RecordingError as error:
            if not partial:
                raise
            self.damage = error

    def _index(self, at: int) -> None:
        data, end = memoryview(self._data), None
        while at < len(data):
            if at + _BLOCK.size > len(data):
                raise RecordingError("the recording is cut short in a block's header", at)
            mark, length, count, zero, digest = _BLOCK.unpack_from(data, at)
            if mark != _MARK or zero or not 0 < length <= _LARGEST_BLOCK:
                raise RecordingError("here a block should begin, and does not", at)
            start = at + _BLOCK.size
            if start + length > len(data):
                raise RecordingError("the recording is cut short in a block", at)
            if digest_of(data[start : start + length]) != digest:
                raise RecordingError("a block's checksum is wrong: the file is damaged", at)
            try:
                found, end = survey(data[start : start + length])
            except ValueError as error:
                raise RecordingError(str(error), at) from error
            if found != count:
                raise RecordingError(f"a block holds {found} records and says {count}", at)
            self._blocks.append((start, length))
            at = start + length
        if end != Kind.END:
            raise RecordingError("the recording has no end: it is cut short, or still being written", at)

    @property
    def blocks(self) -> Sequence[tuple[int, int]]:
        """Where the records of each block begin in the file, and their length in bytes."""
        return self._blocks

    @property
    def data(self) -> bytes | memoryview:
        """The whole file."""
        return self._data

    def records(self, start: Place = Place()) -> Iterator[tuple[Place, Record]]:
        """Yield the records from a place on, each with the place after it."""
        at = start.offset
        for number in range(start.block, len(self._blocks)):
            where, length = self._blocks[number]
            for after, record in parse(bytes(self._data[where : where + length]), at):
                yield Place(number, after), record
            at = 0


def _header(data: bytes | memoryview) -> tuple[About, int]:
    if len(data) < _HEAD.size or bytes(data[:8]) != MAGIC:
        raise RecordingError("this is no Ringwalk recording", 0)
    _, version, _, length, checksum = _HEAD.unpack_from(data)
    if version != VERSION:
        raise RecordingError(f"the recording has version {version}, this program reads {VERSION}", 8)
    header = bytes(data[_HEAD.size : _HEAD.size + length])
    if len(header) != length or crc32(header) != checksum:
        raise RecordingError("the recording's header is damaged", _HEAD.size)
    try:
        given = json.loads(header)
        names = {field.name for field in fields(About)}
        about = About(**{name: value for name, value in given.items() if name in names})
    except (ValueError, TypeError, AttributeError) as error:
        raise RecordingError(f"the recording's header says nothing useful: {error}", _HEAD.size) from error
    return about, _HEAD.size + length
