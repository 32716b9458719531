"""User APCs: calls that wait until their thread waits alertably. Sources: QueueUserAPC, SleepEx."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ApcQueue:
    """One thread's."""

    def __init__(self) -> None:
        self._queue: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._queue)

    def queue(self, routine: Callable[[], None]) -> None:
        """QueueUserAPC."""
        self._queue.append(routine)

    def deliver(self) -> int:
        """Run those that wait, and those that they queue; return how many ran."""
        ran = 0
        while self._queue:
            self._queue.popleft()()
            ran += 1
        return ran
