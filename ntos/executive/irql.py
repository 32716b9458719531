"""Interrupt request levels, per CPU. It knows nothing of who runs at them.

Source: Windows Internals, "Interrupt Dispatching"; values of ``wdm.h`` on x86.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from collections.abc import Callable


class Irql(enum.IntEnum):
    """KIRQL."""

    PASSIVE = 0
    APC = 1
    DISPATCH = 2
    DEVICE = 11
    HIGH = 31


class IrqlModel:
    """The current level of every context. A context that was never raised is at PASSIVE."""

    def __init__(self, context: Callable[[], int]) -> None:
        """Track levels by ``context()``, the number of the CPU that calls."""
        self._context = context
        self.levels: dict[int, Irql] = {}
        """By context; one that is not there was never raised."""

    @property
    def current(self) -> Irql:
        """KeGetCurrentIrql."""
        return self.levels.get(self._context(), Irql.PASSIVE)

    def of(self, context: int) -> Irql:
        """Return the level of one context."""
        return self.levels.get(context, Irql.PASSIVE)

    def swap(self, level: Irql) -> Irql:
        """Set the level of this context and return the one before."""
        context = self._context()
        before = self.levels.get(context, Irql.PASSIVE)
        self.levels[context] = level
        return before

    def raise_to(self, level: Irql) -> Irql:
        """KeRaiseIrql: return the level before, for ``lower_to``. A level already higher stays."""
        context = self._context()
        before = self.levels.get(context, Irql.PASSIVE)
        if before < level:
            self.levels[context] = level
        return before

    def lower_to(self, before: Irql) -> None:
        """KeLowerIrql: back to what ``raise_to`` returned."""
        self.levels[self._context()] = before

    def require(self, level: Irql, what: str) -> None:
        """Stop when this context is above ``level``: IRQL_NOT_LESS_OR_EQUAL."""
        if self.current > level:
            raise BugCheckError(f"{what} at {self.current.name}, allowed up to {level.name}")
