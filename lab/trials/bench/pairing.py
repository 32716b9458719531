"""Paired ratios: how two things compare that were measured in turn, on a machine whose speed wanders.

A sample of A is divided by the sample of B from the same round, a moment apart, and the median of the
ratios is what counts: what slows the whole machine for a while slows both, and drops out. Sans I/O.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

_Thing = TypeVar("_Thing")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some samples, and how far they lie apart."""

    median: float
    least: float
    greatest: float
    count: int


def spread(samples: Sequence[float]) -> Spread:
    """Return the median, the least and the greatest. ValueError without any sample."""
    if not samples:
        raise ValueError("no samples")
    return Spread(statistics.median(samples), min(samples), max(samples), len(samples))


def paired(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Spread | None:
    """Return the ratios ours ÷ theirs of the rounds in which both have a sample; None when none has."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True) if a is not None and b]
    return spread(ratios) if ratios else None


@dataclass(frozen=True, slots=True)
class Rotation(Generic[_Thing]):
    """Who comes when: each round begins with the next one, so that nobody always follows the same."""

    things: tuple[_Thing, ...]

    def round(self, number: int) -> tuple[_Thing, ...]:
        """Return the order of round ``number``, counted from 0; every other turn runs backwards."""
        shift = number % len(self.things)
        turned = self.things[shift:] + self.things[:shift]
        return turned if number // len(self.things) % 2 == 0 else turned[::-1]
