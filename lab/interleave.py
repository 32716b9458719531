"""An executive that preempts: seeded interleavings of CPUs, each of them repeatable.

Every logical CPU is a thread, but only the one that holds the baton runs. At each crossing of a
driver's border (``observe`` is an NDIS observer), each lock and each wait, a seeded choice says
who goes on. So a race that a seed has found is found by it again.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import TYPE_CHECKING

from ndis.errors import BugCheckError
from ndis.executive import StuckError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from ndis.events import Event

STACK_BYTES = 256 * 1024


class _Abandoned(BaseException):
    """The schedule is over; unwind."""


class _Cpu:
    """One logical CPU, or the thread that waits to become one."""

    def __init__(self, owner: Interleaver, number: int) -> None:
        self.number = number
        self.baton = threading.Lock()
        self.baton.acquire()
        self.routine: Callable[[], None] | None = None
        self.until: Callable[[], bool] | None = None
        self.what = ""
        self._owner = owner
        self.thread = threading.Thread(target=self._loop, daemon=True, name=f"cpu{number}")
        self.thread.start()

    def _loop(self) -> None:
        while True:
            self.baton.acquire()
            if self.routine is None:
                return
            try:
                self._owner.entered(self)
                self.routine()
            except _Abandoned:
                self._owner.idle.append(self)
                self._owner.abandoned.release()
                continue
            except BaseException as error:  # noqa: BLE001 - kept, and raised again by run()
                self._owner.failure = self._owner.failure or error
            self._owner.left(self)


class BatonLock:
    """A spin lock whose waiters let others run."""

    def __init__(self, owner: Interleaver, name: str) -> None:
        """Make a free lock."""
        self.name = name
        self._owner = owner
        self._holder: _Cpu | None = None

    def acquire(self) -> None:
        """Take the lock; another CPU may run before and while it is taken."""
        owner = self._owner
        me = owner.running
        if me is None:
            return
        owner.preempt()
        if self._holder is me:
            raise BugCheckError(f"spin lock {self.name} taken twice", self)
        while self._holder is not None:
            owner.block(lambda: self._holder is None, f"lock {self.name}")
        self._holder = me

    def release(self) -> None:
        """Give the lock back."""
        self._holder = None


class _Timer:
    def __init__(self, name: str, routine: Callable[[], None]) -> None:
        self.name = name
        self.routine = routine
        self.done = False

    def cancel(self) -> bool:
        """Take it back; False when it has already begun."""
        pending, self.done = not self.done, True
        return pending


class Interleaver:
    """The executive. Use one object for many schedules: its threads are kept.

    Invariant: at most one of its threads runs at any time.
    """

    def __init__(self, choice: random.Random, switch_one_in: int = 3) -> None:
        """Choose by ``choice``; at a preemption point switch with probability 1/``switch_one_in``."""
        self.choice = choice
        self.running: _Cpu | None = None
        self.failure: BaseException | None = None
        self.idle: list[_Cpu] = []
        self.abandoned = threading.Semaphore(0)
        self._one_in = switch_one_in
        self._ready: list[_Cpu] = []
        self._blocked: list[_Cpu] = []
        self._timers: list[tuple[int, int, _Timer]] = []
        self._order = itertools.count()
        self._numbers = itertools.count(1)
        self._now_us = 0
        self._main = threading.Lock()
        self._main.acquire()
        self._over = False

    # The executive that NDIS sees.

    def now_us(self) -> int:
        """Return the virtual time in microseconds."""
        return self._now_us

    def context(self) -> int:
        """Return the number of the logical CPU; 0 outside a schedule."""
        return self.running.number if self.running else 0

    def spin_lock(self, name: str) -> BatonLock:
        """Make a lock whose waiters let others run."""
        return BatonLock(self, name)

    def queue_dpc(self, name: str, routine: Callable[[], None]) -> None:
        """Run ``routine`` on a CPU of its own."""
        self.spawn(name, routine)

    def queue_work_item(self, name: str, routine: Callable[[], None]) -> None:
        """Run ``routine`` on a CPU of its own."""
        self.spawn(name, routine)

    def call_at(self, due_us: int, name: str, routine: Callable[[], None]) -> _Timer:
        """Set a timer; it fires when nothing else can run, or earlier if it is due."""
        timer = _Timer(name, routine)
        heapq.heappush(self._timers, (due_us, next(self._order), timer))
        return timer

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Let others run until the condition holds."""
        if self.running is None:
            self.run()
            if not until():
                raise StuckError(f"nothing left to run while waiting for {what}")
            return
        while not until():
            self.block(until, what)

    # Schedules.

    def observe(self, _event: Event) -> None:
        """Take every event of NDIS as a place where another CPU may go on."""
        self.preempt()

    def spawn(self, name: str, routine: Callable[[], None]) -> None:
        """Make a logical CPU that runs ``routine``."""
        cpu = self.idle.pop() if self.idle else _Cpu(self, next(self._numbers))
        cpu.routine, cpu.until, cpu.what = routine, None, name
        self._ready.append(cpu)

    def run(self, timers_until_us: int = 0) -> None:
        """Run until no CPU is left; fire timers due up to ``timers_until_us``.

        Raises what a CPU raised.
        """
        while True:
            first = self._pick()
            if first is not None:
                first.baton.release()
                self._main.acquire()
                self.running = None
                if self.failure is not None:
                    self._abandon()
            if self._blocked:
                waits = ", ".join(c.what for c in self._blocked)
                self._abandon(StuckError(f"every CPU waits: {waits}"))
            if not self._fire(timers_until_us):
                self._now_us = max(self._now_us, timers_until_us)
                return

    def close(self) -> None:
        """End the threads."""
        for cpu in self.idle:
            cpu.routine = None
            cpu.baton.release()
        for cpu in self.idle:
            cpu.thread.join()
        self.idle.clear()

    def preempt(self) -> None:
        """Perhaps let another CPU go on."""
        me = self.running
        if me is None or not (self._ready or self._blocked):
            return
        if self._over:
            raise _Abandoned
        if self.choice.randrange(self._one_in):
            return
        self._ready.append(me)
        self._switch(me)

    def block(self, until: Callable[[], bool], what: str) -> None:
        """Let others go on until ``until()``."""
        me = self.running
        if me is None:
            raise StuckError(f"waiting for {what} outside a schedule")
        me.until, me.what = until, what
        self._blocked.append(me)
        self._switch(me)

    def entered(self, cpu: _Cpu) -> None:
        """Note who has the baton."""
        if self._over:
            raise _Abandoned
        self.running = cpu

    def left(self, cpu: _Cpu) -> None:
        """Pass the baton on at the end of a routine."""
        self.idle.append(cpu)
        after = None if self.failure is not None else self._pick()
        self.running = after
        (after.baton if after is not None else self._main).release()

    def _switch(self, me: _Cpu) -> None:
        after = self._pick()
        if after is me:
            return
        self.running = after
        (after.baton if after is not None else self._main).release()
        me.baton.acquire()
        if self._over:
            raise _Abandoned
        self.running = me

    def _pick(self) -> _Cpu | None:
        free = [c for c in self._blocked if c.until is None or c.until()]
        total = len(self._ready) + len(free)
        if not total:
            return None
        at = self.choice.randrange(total) if total > 1 else 0
        if at < len(self._ready):
            return self._ready.pop(at)
        cpu = free[at - len(self._ready)]
        self._blocked.remove(cpu)
        cpu.until = None
        return cpu

    def _fire(self, until_us: int) -> bool:
        while self._timers and self._timers[0][0] <= until_us:
            due_us, _order, timer = heapq.heappop(self._timers)
            self._now_us = max(self._now_us, due_us)
            if not timer.done:
                timer.done = True
                self.spawn(timer.name, timer.routine)
                return True
        return False

    def _abandon(self, error: BaseException | None = None) -> None:
        self._over = True
        for cpu in [*self._ready, *self._blocked]:
            self.running = cpu
            cpu.baton.release()
            self.abandoned.acquire()
        self.running = None
        self._ready, self._blocked, self._timers = [], [], []
        self._over = False
        failure, self.failure = error or self.failure, None
        if failure is not None:
            raise failure
