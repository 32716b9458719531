"""An executive of real threads and the real clock: what a running stack uses.

Each CPU is a thread that takes DPCs and due timers; work items have a thread of their own, since
they may wait. For repeatable tests use ``ndis.virtual`` or ``lab.host.interleave``.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from typing import TYPE_CHECKING

from ndis.executive import StuckError

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_LIMIT_S = 30.0
_POLL_S = 0.001


class ThreadTimer:
    """A call that is set for later."""

    def __init__(self, name: str, routine: Callable[[], None]) -> None:
        """Wait to fire."""
        self.name = name
        self.routine = routine
        self._lock = threading.Lock()
        self._done = False

    def take(self) -> bool:
        """Fire or cancel, whoever comes first; False for the other."""
        with self._lock:
            first, self._done = not self._done, True
        return first

    def cancel(self) -> bool:
        """Take it back; False when it has already begun."""
        return self.take()


class ThreadedExecutive:
    """The executive.

    ``close`` ends its threads; an exception in a routine is kept and raised there.
    """

    def __init__(self, cpus: int = 2) -> None:
        """Start ``cpus`` threads for DPCs, one for timers, one for work items."""
        self._dpcs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._timers: list[tuple[int, int, ThreadTimer]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closing = False
        self.failure: BaseException | None = None
        self._cpus = cpus
        self._threads = [
            threading.Thread(target=self._serve, args=(self._dpcs,), name=f"cpu{n}", daemon=True)
            for n in range(cpus)
        ]
        self._threads += [
            threading.Thread(target=self._serve, args=(self._work,), name="work", daemon=True),
            threading.Thread(target=self._fire, name="timers", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def now_us(self) -> int:
        """Return a monotonic time in microseconds."""
        return time.monotonic_ns() // 1000

    def context(self) -> int:
        """Return the thread's identifier."""
        return threading.get_ident()

    def spin_lock(self, name: str) -> threading.Lock:
        """Make a lock.

        A thread that waits sleeps: in Python spinning only steals from the holder.
        """
        del name
        return threading.Lock()

    def queue_dpc(self, name: str, routine: Callable[[], None]) -> None:
        """Run ``routine`` on any CPU's thread."""
        del name
        self._dpcs.put(routine)

    def queue_work_item(self, name: str, routine: Callable[[], None]) -> None:
        """Run ``routine`` on the work thread."""
        del name
        self._work.put(routine)

    def call_at(self, due_us: int, name: str, routine: Callable[[], None]) -> ThreadTimer:
        """Run ``routine`` on a CPU's thread when the clock has reached ``due_us``."""
        timer = ThreadTimer(name, routine)
        with self._changed:
            heapq.heappush(self._timers, (due_us, next(self._order), timer))
            self._changed.notify()
        return timer

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Sleep until the condition holds.

        Raises StuckError after half a minute, or at a failure.
        """
        end = time.monotonic() + WAIT_LIMIT_S
        while not until():
            if self.failure is not None or time.monotonic() > end:
                raise StuckError(f"waiting for {what}") from self.failure
            time.sleep(_POLL_S)

    def close(self) -> None:
        """End the threads; raise what a routine raised."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        for _ in range(self._cpus):
            self._dpcs.put(None)
        self._work.put(None)
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def _serve(self, source: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        while (routine := source.get()) is not None:
            try:
                routine()
            except BaseException as error:  # noqa: BLE001 - kept, and raised again by close()
                self.failure = self.failure or error

    def _fire(self) -> None:
        with self._changed:
            while not self._closing:
                now_us = self.now_us()
                while self._timers and self._timers[0][0] <= now_us:
                    _due, _order, timer = heapq.heappop(self._timers)
                    if timer.take():
                        self._dpcs.put(timer.routine)
                left = (self._timers[0][0] - now_us) / 1e6 if self._timers else None
                self._changed.wait(left)
