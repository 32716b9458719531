"""A clock that stands while its user thinks: the card's time under the stepper."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event


class StandingClock:
    """Monotonic time in nanoseconds, less all the time for which it stood.

    One thread at a time stops it and lets it go: the one that holds the card's lock. Any thread may read it.
    """

    def __init__(self, source: Callable[[], int] = time.monotonic_ns) -> None:
        """Run, with the time of ``source``."""
        self._source = source
        self._lost_ns = 0
        self._stands_at_ns: int | None = None

    def __call__(self) -> int:
        """Return the card's time."""
        stands_at = self._stands_at_ns
        return self._source() - self._lost_ns if stands_at is None else stands_at

    def hold(self, _event: Event | None = None) -> None:
        """Stand at the present time. A clock that stands already stays where it is."""
        if self._stands_at_ns is None:
            self._stands_at_ns = self()

    def release(self) -> None:
        """Go on from where it stands."""
        if self._stands_at_ns is not None:
            self._lost_ns = self._source() - self._stands_at_ns
            self._stands_at_ns = None
