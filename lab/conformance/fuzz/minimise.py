"""Delta debugging: the smallest part of a list that still fails (Zeller and Hildebrandt, 2002, ddmin).

It knows no program and no card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def minimise(items: Sequence[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """Return a part of ``items``, in order, that fails and of which no single item can be left out."""
    current, pieces = list(items), 2
    while len(current) >= 2:
        size = max(1, len(current) // pieces)
        for start in range(0, len(current), size):
            rest = current[:start] + current[start + size :]
            if rest and fails(rest):
                current, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(len(current), pieces * 2)
    return current
