"""What a part of ``ringwalk bench`` is, and what it hands back. Values only: nothing here measures or prints.

A part is a module ``lab/bench/<part>.py`` that has the names of ``Part``; the command finds it by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import argparse

Progress = Callable[[str], None]
"""Told a few words whenever the measurement goes on to something else."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to reach: at least ``bound``, or at most when ``ceiling``."""

    bound: float
    ceiling: bool = False

    def met(self, value: float) -> bool:
        """Tell whether ``value`` reaches it."""
        return value <= self.bound if self.ceiling else value >= self.bound

    def __str__(self) -> str:
        """Return it as the tables show it."""
        return f"{'≤' if self.ceiling else '≥'} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what was measured, how, and its value (a median) in ``unit``."""

    part: str
    what: str
    value: float
    unit: str
    target: Target | None = None
    spread: tuple[float, float] | None = None
    """The least and the greatest of the samples that ``value`` is the median of."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        return None if self.target is None else self.target.met(self.value)


class Part(Protocol):
    """What a module of ``lab.bench`` provides to be a part."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the part's own arguments."""

    def run(self, args: argparse.Namespace, progress: Progress) -> Sequence[Row]:
        """Measure; a few seconds to minutes. Raises ``UsageError`` when something is missing."""
