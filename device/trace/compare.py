"""Where two recordings part: the first input that differs, or the first input with another outcome.

Times are not compared: no two runs agree in them. Nor are DMA reads, which an engine may do in any pieces. Of
recordings by two engines what both keep is compared: digests, and messages as they leave the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from device.trace.records import INPUTS, Kind, Record, frame_sum, write_sum

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from device.trace.recording import Recording

_IGNORED = frozenset({Kind.ADVANCE, Kind.NOTE, Kind.END, Kind.DMA_READ, Kind.DMA_READ_FAULT})
_SHOWN = 32
_REGISTERS = 0
_ACCESSES = frozenset({Kind.READ, Kind.WRITE})
_WHOLE_WRITE = 64  # bytes: csrc/record.c keeps longer writes as digests


@dataclass(frozen=True, slots=True)
class Parting:
    """The first records that differ; ``number`` counts inputs from 0."""

    number: int
    input: Record | None
    left: Record | None
    right: Record | None

    def __str__(self) -> str:
        """Say it in a few lines."""
        after = f" (after {told(self.input)})" if self.input is not None else ""
        return f"they part at input {self.number}{after}:\n  A: {told(self.left)}\n  B: {told(self.right)}"


def told(record: Record | None) -> str:
    """Return a record in words."""
    if record is None:
        return "nothing: it ends here"
    if record.kind in _ACCESSES and record.which == _REGISTERS:
        value = f" <- {int.from_bytes(record.data, 'little'):#x}" if record.kind == Kind.WRITE else ""
        return f"{Kind(record.kind).name.lower()} {NIC.name_of(record.value)}{value}"
    data = record.data[:_SHOWN].hex() + ("..." if len(record.data) > _SHOWN else "")
    name = Kind(record.kind).name.lower().replace("_", " ")
    return f"{name} {record.which}/{record.amount} {record.value:#x} {data}".rstrip()


def unknown(patterns: Collection[str]) -> list[str]:
    """Return the patterns that fit no register, counter or kind of record."""
    names = [NIC.name_of(register.at(index)) for register in NIC for index in range(register.count)]
    words = [*names, *(f"{way} {name}" for way in ("read", "write") for name in names), *map(_kind, Kind)]
    return [one for one in patterns if not any(fnmatchcase(word, one) for word in words)]


def _kind(kind: int) -> str:
    return Kind(kind).name.lower().replace("_", " ")


def _said(recording: Recording, ignore: Collection[str], *, digested: bool) -> Iterator[Record]:
    passed = False
    for _, record in recording.records():
        if record.kind in _IGNORED or (record.kind == Kind.ANSWER and passed):
            continue
        if record.kind in INPUTS:
            passed = _passed_over(record, ignore)
            if passed:
                continue
        elif any(fnmatchcase(_kind(record.kind), one) for one in ignore):
            continue
        yield _digested(record) if digested else record


def _passed_over(record: Record, ignore: Collection[str]) -> bool:
    """Tell whether an input is not to be compared: by its kind, or by the register accessed."""
    words = [_kind(record.kind)]
    if record.kind in _ACCESSES and record.which == _REGISTERS:
        name = NIC.name_of(record.value)
        words += [name, f"{words[0]} {name}"]
    return any(fnmatchcase(word, one) for word in words for one in ignore)


def _digested(record: Record) -> Record:
    """Return a record as the native engine's recorder would have kept it."""
    if record.kind == Kind.FRAME:
        return frame_sum(record.which, record.data)
    if record.kind == Kind.DMA_WRITE and len(record.data) > _WHOLE_WRITE:
        return write_sum(record.value, record.data)
    if record.kind == Kind.MESSAGE:
        return Record(Kind.SIGNAL, record.which)
    return record


def compare(left: Recording, right: Recording, ignore: Collection[str] = ()) -> Parting | None:
    """Return where two recordings part; None: they do not.

    ``ignore``: patterns of registers and counters (``SYSTIML``, ``read ICR``, ``G*``) or kinds of records
    (``frame``): accesses of those are passed over with their answers; what else comes of them is not.
    """
    digested = left.about.engine != right.about.engine
    first, second = (_said(one, ignore, digested=digested) for one in (left, right))
    number, last = -1, None
    while True:
        one, other = next(first, None), next(second, None)
        if one is not None and one.kind in INPUTS:
            number += 1
        if one != other:
            return Parting(max(number, 0), last, one, other)
        if one is None:
            return None
        if one.kind in INPUTS:
            last = one
