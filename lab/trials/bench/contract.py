"""What a part of ``ringwalk bench`` hands back. Values only: nothing here measures or prints."""

from __future__ import annotations

from dataclasses import dataclass


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
