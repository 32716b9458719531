"""What a part of ``ringwalk interop`` is, and what it hands back. Values only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import argparse

Progress = Callable[[str], None]
"""Told a few words whenever the part goes on to something else."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was asked of both sides: what came of it, and whether it is as it must be."""

    what: str
    result: str
    good: bool = True
    note: str = ""


class Part(Protocol):
    """What a module of ``lab.interop`` provides to be a part."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the part's own arguments."""

    def run(self, args: argparse.Namespace, progress: Progress) -> Sequence[Seen]:
        """Do it; seconds to minutes. Raises ``UsageError`` when something is missing."""


def text(seen: Sequence[Seen]) -> str:
    """Return what was seen for a terminal: a line each, and a second where there is more to say."""
    width = max((len(one.what) for one in seen), default=0)
    lines: list[str] = []
    for one in seen:
        lines.append(f"  {'ok ' if one.good else 'BAD'}  {one.what:<{width}}  {one.result}")
        if one.note:
            lines.append(f"       {'':<{width}}    {one.note}")
    return "\n".join(lines)
