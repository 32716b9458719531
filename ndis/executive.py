"""What NDIS needs of the system below it: time, locks, contexts and places to run later.

Protocols only. ``ndis.virtual`` implements them on one thread and a virtual clock; threads and
interleaving schedulers live outside ``ndis``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class StuckError(Exception):
    """A wait whose condition nothing left in the system can make true."""


class Clock(Protocol):
    """A monotonic clock."""

    def now_us(self) -> int:
        """Return the time in microseconds."""


class SpinLock(Protocol):
    """KSPIN_LOCK: not recursive."""

    def acquire(self) -> object:
        """Take the lock; wait for it if need be."""

    def release(self) -> None:
        """Give the lock back."""


class Timer(Protocol):
    """A call that has been set for later."""

    def cancel(self) -> bool:
        """Take it back; False when it has already begun."""


class Executive(Clock, Protocol):
    """The part of the NT executive that NDIS uses."""

    def context(self) -> int:
        """Return the number of the CPU (or thread) that calls."""

    def spin_lock(self, name: str) -> SpinLock:
        """Make a free lock; ``name`` is for traces."""

    def queue_dpc(self, name: str, routine: Callable[[], None]) -> None:
        """Run ``routine`` soon at DISPATCH_LEVEL, on any CPU."""

    def queue_work_item(self, name: str, routine: Callable[[], None]) -> None:
        """Run ``routine`` soon at PASSIVE_LEVEL, on any thread."""

    def call_at(self, due_us: int, name: str, routine: Callable[[], None]) -> Timer:
        """Run ``routine`` at DISPATCH_LEVEL once, when the clock has reached ``due_us``."""

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Return when ``until()`` is true.

        Only at PASSIVE_LEVEL. Raises StuckError when it never can be.
        """
