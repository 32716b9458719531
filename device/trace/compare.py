"""Where two recordings part: the first input that differs, or the first input with another outcome.

Times are not compared: no two runs agree in them. Nor are DMA reads, which an engine may do in any pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.trace.records import INPUTS, Kind, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from device.trace.recording import Recording

_IGNORED = frozenset({Kind.ADVANCE, Kind.NOTE, Kind.END, Kind.DMA_READ, Kind.DMA_READ_FAULT})
_SHOWN = 32


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
    data = record.data[:_SHOWN].hex() + ("..." if len(record.data) > _SHOWN else "")
    name = Kind(record.kind).name.lower().replace("_", " ")
    return f"{name} {record.which}/{record.amount} {record.value:#x} {data}".rstrip()


def _said(recording: Recording) -> Iterator[Record]:
    return (record for _, record in recording.records() if record.kind not in _IGNORED)


def compare(left: Recording, right: Recording) -> Parting | None:
    """Return where two recordings part; None: they do not."""
    first, second = _said(left), _said(right)
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
