"""Rows as columns of text that fit a width: wide cells become lines, broken at blanks, commas and bars."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

WIDTH: Final = 100
"""Of a terminal, where nobody knows better."""
GAP: Final = "  "
NARROWEST: Final = 8
"""No column is made narrower than this, or than its cells."""
_PIECE: Final = re.compile(r"[^\s|,]*[|,]?\s*|[|,]\s*")


def broken(text: str, width: int) -> list[str]:
    """Return a text as lines of at most ``width``; a word is cut only where it alone is longer."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for piece in _PIECE.findall(paragraph):
            if line and len(line) + len(piece.rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
            while len(line.rstrip()) > width:
                lines.append(line[:width])
                line = line[width:]
        lines.append(line.rstrip())
    return lines


def columns(rows: Sequence[Sequence[str]], width: int = WIDTH, right: Collection[int] = ()) -> list[str]:
    """Return rows of the same number of cells as lines; the columns of ``right`` lean to the right."""
    if not rows:
        return []
    cells = list(zip(*rows, strict=True))
    wanted = [max(max(map(len, cell.split("\n"))) for cell in column) for column in cells]
    floors = [
        max(len(piece.rstrip()) for cell in column for piece in _PIECE.findall(cell)) for column in cells
    ]
    widths = _fitting(wanted, floors, width)
    return [line for row in rows for line in _row(row, widths, right)]


def hanging(head: str, text: str, width: int = WIDTH) -> list[str]:
    """Return ``head`` and a text beside it, whose further lines stand below its first."""
    first, *more = broken(text, max(NARROWEST, width - len(head)))
    return [(head + first).rstrip(), *((" " * len(head) + line).rstrip() for line in more)]


def _fitting(wanted: list[int], floors: list[int], width: int) -> list[int]:
    """Take from the widest, one by one: down to the longest words first, and then through them."""
    widths = list(wanted)
    over = sum(widths) + len(GAP) * (len(widths) - 1) - width
    for least in (floors, [NARROWEST] * len(widths)):
        while over > 0:
            givers = [place for place, one in enumerate(widths) if one > least[place]]
            if not givers:
                break
            widths[max(givers, key=lambda place: widths[place])] -= 1
            over -= 1
    return widths


def _row(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> Iterator[str]:
    cells = [broken(cell, width) for cell, width in zip(row, widths, strict=True)]
    for at in range(max(map(len, cells))):
        parts = (cell[at] if at < len(cell) else "" for cell in cells)
        aligned = (
            part.rjust(width) if number in right else part.ljust(width)
            for number, (part, width) in enumerate(zip(parts, widths, strict=True))
        )
        yield GAP.join(aligned).rstrip()
