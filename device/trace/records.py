"""One record of a recording: what went into a card, and what came of it. Codec only; no file, no card.

Every record has one shape; C writes it, too (csrc/record.c), and a reader can skip what it does not know::

     0      1       2        4              8                        16
     +------+-------+--------+--------------+------------------------+----------
     | kind | which | amount | data's length|         value          | data ...
     +------+-------+--------+--------------+------------------------+----------

What ``which``, ``amount`` and ``value`` mean is in ``Kind``. Little-endian.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from device.effects import GsoType, Offload
from device.engine._core import ffi, lib
from device.trace.digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER: Final = Struct("<BBHIQ")
_OFFLOAD: Final = Struct("<HHBBHHH")  # csum start and offset, flags, GSO type, header length, GSO size, 0
_NEEDS_CSUM, _ECN = 1, 2


class Kind(enum.IntEnum):
    """What a record says. Inputs are below 16; outcomes belong to the input before them."""

    ADVANCE = 1  # value: now, ns; which 1: the data path's clock alone, not the PHY's
    READ = 2  # a region is read: which, value = offset, amount
    WRITE = 3  # a region is written: which, value = offset, data
    RESET = 4  # the VMM resets the function
    CARRIER = 5  # which: 1 plugged in
    MODE = 6  # which: the interrupt mode, NO_MODE: as configuration space says
    REARM = 7  # vectors were armed or unmasked
    RECEIVE = 8  # a frame off the wire: which 1: an offload is before the data
    HOLD = 10  # which 1: the wire is full, the transmitter waits; 0: it goes on

    ANSWER = 16  # data: what READ returned
    STORED = 17  # which: whether RECEIVE stored its frame
    DMA_READ = 18  # value: address; data: what was there
    DMA_READ_FAULT = 19  # value: address; data: the length asked for, 4 bytes
    DMA_WRITE = 20  # value: address; data
    DMA_WRITE_FAULT = 21  # value: address; data: the length, 4 bytes
    FRAME = 22  # a frame to the wire: which 1: an offload is before the data
    MESSAGE = 23  # which: vector; amount: 1 when it could be sent
    LEVEL = 24  # which: the INTx line
    FRAME_SUM = 25  # a frame to the wire; value: its digest; data: length, 4 bytes; which 1: and the offload
    DMA_WRITE_SUM = 26  # value: address; data: length, 4 bytes, and digest, 8 bytes
    PENDING = 28  # value: bit n: a message of vector n waits to be armed; goes with a READ of BAR3
    SIGNAL = 27  # which: vector; a message leaves the engine, whether it can be sent or not

    NOTE = 32  # data: a text for people
    END = 33  # the recording is whole; data: why it ended


INPUTS: Final = range(1, 16)
OUTCOMES: Final = range(16, 32)
FIXED_PARTNER = "a recording is being written, in which the link partner cannot change"
"""Why ``set_partner`` is refused then: no kind of input says it."""
NO_MODE: Final = 0xFF


class Record(NamedTuple):
    """One record; see ``Kind``."""

    kind: int
    which: int = 0
    amount: int = 0
    value: int = 0
    data: bytes = b""

    def emit(self) -> bytes:
        """Return the record's bytes."""
        kind, which, amount, value, data = self
        return HEADER.pack(kind, which, amount, len(data), value) + data


def survey(block: bytes | memoryview) -> tuple[int, int]:
    """Return how many records a block holds and the kind of the last. ValueError: one is cut short."""
    view = memoryview(block)
    last = ffi.new("uint32_t *")
    count = int(lib.rw_records_survey(ffi.from_buffer(view), view.nbytes, last))
    if count < 0:
        raise ValueError("a record is cut short in a block")
    return count, int(last[0])


def parse(block: bytes, at: int = 0) -> Iterator[tuple[int, Record]]:
    """Yield the records of a block from ``at`` on, each with the place where it ends.

    ValueError when the last one is cut short.
    """
    size = HEADER.size
    length = len(block)
    while at < length:
        if at + size > length:
            raise ValueError(f"a record header is cut short at {at:#x} of a block")
        kind, index, count, data_length, value = HEADER.unpack_from(block, at)
        start = at + size
        at = start + data_length
        if at > length:
            raise ValueError(f"a record of kind {kind} is cut short at {start:#x} of a block")
        yield at, Record(kind, index, count, value, block[start:at])


_SUM: Final = Struct("<IQ")
_LENGTH: Final = Struct("<I")


def sum_of(record: Record) -> tuple[int, int]:
    """Return the length and the digest that a ``DMA_WRITE_SUM`` says. ValueError: cut short."""
    if len(record.data) != _SUM.size:
        raise ValueError("a digest is cut short")
    length, digest = _SUM.unpack(record.data)
    return length, digest


def frame_sum(which: int, data: bytes) -> Record:
    """Return the ``FRAME_SUM`` of what a ``FRAME`` holds."""
    prefix, frame = (data[: _OFFLOAD.size], data[_OFFLOAD.size :]) if which else (b"", data)
    return Record(Kind.FRAME_SUM, which, 0, digest_of(frame), _LENGTH.pack(len(frame)) + prefix)


def write_sum(address: int, data: bytes) -> Record:
    """Return the ``DMA_WRITE_SUM`` of a write."""
    return Record(Kind.DMA_WRITE_SUM, 0, 0, address, _SUM.pack(len(data), digest_of(data)))


def frame_data(frame: bytes, offload: Offload | None) -> tuple[int, bytes]:
    """Return ``which`` and ``data`` of a record that carries a frame."""
    if offload is None:
        return 0, bytes(frame)
    flags = offload.needs_csum * _NEEDS_CSUM | offload.ecn * _ECN
    gso = offload.gso.value if offload.gso else 0
    prefix = _OFFLOAD.pack(
        offload.csum_start, offload.csum_offset, flags, gso, offload.hdr_len, offload.gso_size, 0
    )
    return 1, prefix + frame


def frame_of(record: Record) -> tuple[bytes, Offload | None]:
    """Return the frame and the offload of a record that carries one. ValueError: cut short."""
    if not record.which:
        return record.data, None
    if len(record.data) < _OFFLOAD.size:
        raise ValueError("a frame's offload is cut short")
    start, offset, flags, gso, header, size, _ = _OFFLOAD.unpack_from(record.data)
    offload = Offload(
        csum_start=start,
        csum_offset=offset,
        needs_csum=bool(flags & _NEEDS_CSUM),
        gso=GsoType(gso) if gso else None,
        hdr_len=header,
        gso_size=size,
        ecn=bool(flags & _ECN),
    )
    return record.data[_OFFLOAD.size :], offload
