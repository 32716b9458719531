"""What a part of ``ringwalk interop`` hands back. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was asked of both sides: what came of it, and whether it is as it must be."""

    what: str
    result: str
    good: bool = True
    note: str = ""


def text(seen: Sequence[Seen]) -> str:
    """Return what was seen for a terminal: a line each, and a second where there is more to say."""
    width = max((len(one.what) for one in seen), default=0)
    lines: list[str] = []
    for one in seen:
        lines.append(f"  {'ok ' if one.good else 'BAD'}  {one.what:<{width}}  {one.result}")
        if one.note:
            lines.append(f"       {'':<{width}}    {one.note}")
    return "\n".join(lines)
