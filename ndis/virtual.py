"""An executive on one thread with a virtual clock: deterministic, steppable.

Queued routines run when ``step`` is called, in the order that ``choose`` picks (the oldest by
default). It knows nothing of what the routines do. For preemption inside a driver see
``lab.host.interleave``.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ndis.executive import StuckError
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from collections.abc import Callable


class FlagLock:
    """A spin lock for one thread: taking it twice is the deadlock it would be on one CPU."""

    def __init__(self, name: str) -> None:
        """Make a free lock."""
        self.name = name
        self.held = False

    def acquire(self) -> None:
        """Take the lock; raises BugCheckError when this thread would wait for itself."""
        if self.held:
            raise BugCheckError(f"spin lock {self.name} taken twice", self)
        self.held = True

    def release(self) -> None:
        """Give the lock back."""
        if not self.held:
            raise BugCheckError(f"spin lock {self.name} released while free", self)
        self.held = False


@dataclass(order=True, slots=True)
class VirtualTimer:
    """One entry of the timer heap."""

    due_us: int
    order: int
    name: str = field(compare=False)
    routine: Callable[[], None] = field(compare=False)
    done: bool = field(default=False, compare=False)

    def cancel(self) -> bool:
        """Take it back; False when it has already begun."""
        pending = not self.done
        self.done = True
        return pending


def oldest(_ready: int) -> int:
    """Choose the routine that was queued first."""
    return 0


class VirtualExecutive:
    """Runs DPCs, work items and timers one at a time, when told to."""

    def __init__(self, choose: Callable[[int], int] = oldest) -> None:
        """Start at time 0. ``choose(n)`` returns which of n ready routines runs next."""
        self._now_us = 0
        self._choose = choose
        self._ready: list[tuple[str, Callable[[], None]]] = []
        self._timers: list[VirtualTimer] = []
        self._order = itertools.count()

    def now_us(self) -> int:
        """Return the virtual time in microseconds."""
        return self._now_us

    def context(self) -> int:
        """Return 0: there is one CPU."""
        return 0

    def spin_lock(self, name: str) -> FlagLock:
        """Make a lock that finds self-deadlock."""
        return FlagLock(name)

    def queue_dpc(self, name: str, routine: Callable[[], None]) -> None:
        """Queue a DPC for ``step``."""
        self._ready.append((name, routine))

    def queue_work_item(self, name: str, routine: Callable[[], None]) -> None:
        """Queue a work item for ``step``."""
        self._ready.append((name, routine))

    def call_at(self, due_us: int, name: str, routine: Callable[[], None]) -> VirtualTimer:
        """Set a timer; it fires when ``advance`` passes ``due_us``."""
        timer = VirtualTimer(due_us, next(self._order), name, routine)
        heapq.heappush(self._timers, timer)
        return timer

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Run queued routines, then timers, until the condition holds."""
        while not until():
            if not self.step() and not self._to_next_timer():
                raise StuckError(f"nothing left to run while waiting for {what}")

    def step(self) -> bool:
        """Run one queued routine; False when none is queued."""
        if not self._ready:
            return False
        _name, routine = self._ready.pop(self._choose(len(self._ready)))
        routine()
        return True

    def run(self) -> int:
        """Run queued routines until none is left; return how many ran."""
        ran = 0
        while self.step():
            ran += 1
        return ran

    def advance(self, delta_us: int) -> None:
        """Let time pass: run what is queued, then each timer that falls due, in order."""
        end_us = self._now_us + delta_us
        self.run()
        while self._timers and self._timers[0].due_us <= end_us:
            self._fire()
            self.run()
        self._now_us = end_us

    @property
    def pending(self) -> list[str]:
        """Names of the routines that are queued, oldest first."""
        return [name for name, _ in self._ready]

    def _to_next_timer(self) -> bool:
        while self._timers and self._timers[0].done:
            heapq.heappop(self._timers)
        if not self._timers:
            return False
        self._fire()
        return True

    def _fire(self) -> None:
        timer = heapq.heappop(self._timers)
        self._now_us = max(self._now_us, timer.due_us)
        if not timer.done:
            timer.done = True
            timer.routine()
