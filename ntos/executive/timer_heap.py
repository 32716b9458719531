"""The timers of an executive, the first due first. It knows no clock."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class HeapTimer:
    """A call that has been set for later."""

    __slots__ = ("is_done", "name", "routine")

    def __init__(self, name: str, routine: Callable[[], None]) -> None:
        self.name = name
        self.routine = routine
        self.is_done = False
        """Whether it has begun or was cancelled: whichever came first."""

    def cancel(self) -> bool:
        """Take it back; False when it has already begun."""
        was_pending, self.is_done = not self.is_done, True
        return was_pending

    begin = cancel
    """Whoever comes first, firing or cancelling, has it: False for the other."""


class TimerHeap:
    """Timers by time, and among those of one time by the order in which they were set."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, HeapTimer]] = []
        """A heap of time, order and timer; cancelled ones are in it until they surface."""
        self._order = 0

    def set(self, due_ns: int, name: str, routine: Callable[[], None]) -> HeapTimer:
        """Add a timer."""
        timer = HeapTimer(name, routine)
        self._order += 1
        heapq.heappush(self.entries, (due_ns, self._order, timer))
        return timer

    def first_ns(self) -> int | None:
        """Return when the first is due; None when none is set."""
        heap = self.entries
        while heap and heap[0][2].is_done:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop(self, until_ns: int) -> HeapTimer | None:
        """Remove the first that is due by ``until_ns`` and return it: it has begun. None when none is."""
        heap = self.entries
        while heap and (heap[0][2].is_done or heap[0][0] <= until_ns):
            timer = heapq.heappop(heap)[2]
            if timer.begin():
                return timer
        return None

    def take_due(self, until_ns: int) -> list[HeapTimer]:
        """Remove all that are due by ``until_ns``; each may yet be cancelled until it begins."""
        due, heap = [], self.entries
        while heap and heap[0][0] <= until_ns:
            due.append(heapq.heappop(heap)[2])
        return due

    def clear(self) -> None:
        """Drop every timer."""
        self.entries.clear()
