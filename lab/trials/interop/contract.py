"""What a part of ``ringwalk interop`` hands back. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from formats.columns import WIDTH, broken, hanging

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was asked of both sides: what came of it, and whether it is as it must be."""

    what: str
    result: str
    good: bool = True
    note: str = ""


def text(seen: Sequence[Seen], most: int = WIDTH) -> str:
    """Return what was seen for a terminal of ``most`` columns: a line each, or more."""
    width = min(max((len(one.what) for one in seen), default=0), most // 2)
    lines: list[str] = []
    for one in seen:
        what, *rest = broken(one.what, width)
        lines += hanging(f"  {'ok ' if one.good else 'BAD'}  {what:<{width}}  ", one.result, most)
        lines += [f"       {line}" for line in rest]
        if one.note:
            lines += hanging(f"       {'':<{width}}    ", one.note, most)
    return "\n".join(lines)
