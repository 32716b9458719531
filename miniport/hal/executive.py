"""An executive on the real clock and one thread: DPCs, timers and file descriptors that became readable.

It is what buses with real interrupts (``vfio_user``, ``vfio``) need: an interrupt is an eventfd. Everything
runs in ``run``, ``step`` or ``wait``, on the caller's thread, so locks find deadlocks instead of making them.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ndis.executive import StuckError
from ndis.virtual import FlagLock

if TYPE_CHECKING:
    from collections.abc import Callable

US_PER_S = 1_000_000


@dataclass(slots=True)
class LoopTimer:
    """A call that has been set for later."""

    routine: Callable[[], None]
    done: bool = False

    def cancel(self) -> bool:
        """Take it back; False when it has already begun."""
        pending = not self.done
        self.done = True
        return pending


class LoopExecutive:
    """``ndis.executive.Executive`` and ``miniport.hal.contract.Reactor`` over epoll."""

    def __init__(self, patience_s: float = 30.0) -> None:
        """Wait at most ``patience_s`` for anything."""
        self._patience_s = patience_s
        self._ready: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[int, int, LoopTimer]] = []  # when in µs, and in which order of those
        self._order = itertools.count()
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], None]] = {}

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._epoll.close()

    # -- what NDIS uses -----------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Return the monotonic clock."""
        return time.monotonic_ns() // 1000

    context = staticmethod(int)
    """0: one thread. What ``int()`` returns, without a function of ours: every raised IRQL asks."""

    def spin_lock(self, name: str) -> FlagLock:
        """Make a lock that finds self-deadlock."""
        return FlagLock(name)

    def queue_dpc(self, name: str, routine: Callable[[], None]) -> None:  # noqa: ARG002 - the contract's name
        """Queue a DPC."""
        self._ready.append(routine)

    def queue_work_item(self, name: str, routine: Callable[[], None]) -> None:  # noqa: ARG002 - the same
        """Queue a work item."""
        self._ready.append(routine)

    def call_at(self, due_us: int, name: str, routine: Callable[[], None]) -> LoopTimer:  # noqa: ARG002 - the same
        """Set a timer."""
        timer = LoopTimer(routine)
        heapq.heappush(self._timers, (due_us, next(self._order), timer))
        return timer

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Run until the condition holds. StuckError when patience ends."""
        if not self.run_until(until, self._patience_s):
            raise StuckError(f"{self._patience_s} s went by while waiting for {what}")

    # -- interrupts -----------------------------------------------------------------------------------------

    def watch(self, fd: int, ready: Callable[[], None], *, edge: bool = False) -> None:
        """Call ``ready`` whenever ``fd`` is readable.

        ``edge``: whenever it has become so. ``ready`` takes all there is; of several threads one is woken.
        """
        self._watched[fd] = ready
        self._epoll.register(fd, select.EPOLLIN | (select.EPOLLET if edge else 0))

    def unwatch(self, fd: int) -> None:
        """Call it no more."""
        del self._watched[fd]
        self._epoll.unregister(fd)

    # -- running ------------------------------------------------------------------------------------------

    def run_until(self, until: Callable[[], bool], most_s: float) -> bool:
        """Run until the condition holds or ``most_s`` have gone by; return whether it holds."""
        end_us = self.now_us() + int(most_s * US_PER_S)
        while not until():
            if self.now_us() >= end_us:
                return False
            self.step((end_us - self.now_us()) / US_PER_S)
        return True

    def run(self, for_s: float = 0.0) -> None:
        """Run what is ready, and what becomes ready within ``for_s``."""
        self.run_until(lambda: False, for_s)
        while self.step(0.0):
            pass

    def step(self, most_s: float) -> bool:
        """Run what is ready now; wait for something for at most ``most_s``. False: there was nothing."""
        ran = self._run_ready()
        wait_s = 0.0 if ran else self._wait_s(most_s)
        for fd, _ in self._epoll.poll(wait_s):
            ready = self._watched.get(fd)
            if ready is not None:
                ready()
                ran = True
        return self._fire() or self._run_ready() or ran

    def _run_ready(self) -> bool:
        ready = self._ready
        if not ready:
            return False
        for _ in range(len(ready)):  # what these queue comes after the next look at interrupts
            ready.popleft()()
        return True

    def _wait_s(self, most_s: float) -> float:
        timers = self._timers
        while timers and timers[0][2].done:
            heapq.heappop(timers)
        if timers and most_s > 0.0:
            most_s = min(most_s, (timers[0][0] - time.monotonic_ns() // 1000) / US_PER_S)
        return max(most_s, 0.0)

    def _fire(self) -> bool:
        timers = self._timers
        if not timers:
            return False
        fired = False
        now_us = time.monotonic_ns() // 1000
        while timers and (timers[0][2].done or timers[0][0] <= now_us):
            timer = heapq.heappop(timers)[2]
            if not timer.done:
                timer.done = True
                timer.routine()
                fired = True
        return fired
