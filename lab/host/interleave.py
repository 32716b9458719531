"""An executive that preempts: seeded interleavings of CPUs, each of them repeatable.

Every logical CPU is a greenlet, so that one schedule costs switches of stacks and not of threads. At each
crossing of a driver's border (``observe`` is an NDIS observer), each lock and each wait, a seeded
choice says who goes on. So a race that a seed has found is found by it again.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

from ndis.executive import StuckError
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from ndis.events import Event


class _Abandoned(BaseException):
    """The schedule is over; unwind."""


class _Cpu:
    """One logical CPU while it runs a routine."""

    __slots__ = ("number", "stack", "until", "what")

    def __init__(self, number: int, what: str, stack: greenlet) -> None:
        self.number = number
        self.what = what
        self.stack = stack
        self.until: Callable[[], bool] | None = None


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
    __slots__ = ("done", "name", "routine")

    def __init__(self, name: str, routine: Callable[[], None]) -> None:
        self.name = name
        self.routine = routine
        self.done = False

    def cancel(self) -> bool:
        """Take it back; False when it has already begun."""
        pending, self.done = not self.done, True
        return pending


class Interleaver:
    """The executive. One object serves many schedules, one after another.

    Invariant: at most one CPU runs at any time; a CPU's number is the smallest that was free.
    """

    def __init__(self, choice: random.Random, switch_one_in: int = 3) -> None:
        """Choose by ``choice``; at a preemption point switch with probability 1/``switch_one_in``."""
        self.choice = choice
        self.running: _Cpu | None = None
        self._switches = 1 / switch_one_in
        self._ready: list[_Cpu] = []
        self._blocked: list[_Cpu] = []
        self._timers: list[tuple[int, int, _Timer]] = []
        self._order = itertools.count()
        self._free_numbers: list[int] = []
        self._numbers = itertools.count(1)
        self._now_us = 0
        self._hub = getcurrent()
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
        number = heapq.heappop(self._free_numbers) if self._free_numbers else next(self._numbers)
        self._ready.append(_Cpu(number, name, greenlet(routine, self._hub)))

    def run(self, timers_until_us: int = 0) -> None:
        """Run until no CPU is left; fire timers due up to ``timers_until_us``.

        Raises what a CPU raised; the others are then unwound.
        """
        while True:
            while (cpu := self._pick()) is not None:
                self._go(cpu)
            if self._blocked:
                waits = ", ".join(c.what for c in self._blocked)
                self._abandon()
                raise StuckError(f"every CPU waits: {waits}")
            if not self._fire(timers_until_us):
                self._now_us = max(self._now_us, timers_until_us)
                return

    def forget_timers(self) -> None:
        """Drop every timer that is set: the next schedule is another machine's."""
        self._timers.clear()

    def preempt(self) -> None:
        """Perhaps let another CPU go on."""
        me = self.running
        if me is None or not (self._ready or self._blocked):
            return
        if self._over:
            raise _Abandoned
        if self.choice.random() < self._switches:
            self._ready.append(me)
            self._hub.switch()

    def block(self, until: Callable[[], bool], what: str) -> None:
        """Let others go on until ``until()``."""
        me = self.running
        if me is None:
            raise StuckError(f"waiting for {what} outside a schedule")
        me.until, me.what = until, what
        self._blocked.append(me)
        self._hub.switch()

    def _go(self, cpu: _Cpu) -> None:
        """Let a CPU run until it switches back, ends, or fails: then its error is raised here."""
        self.running = cpu
        try:
            cpu.stack.switch()
        except BaseException:
            self._abandon()
            raise
        self.running = None
        if cpu.stack.dead:
            heapq.heappush(self._free_numbers, cpu.number)

    def _pick(self) -> _Cpu | None:
        ready = self._ready
        free = [c for c in self._blocked if c.until is None or c.until()] if self._blocked else self._blocked
        total = len(ready) + len(free)
        if not total:
            return None
        at = int(self.choice.random() * total) if total > 1 else 0
        if at < len(ready):
            return ready.pop(at)
        cpu = free[at - len(ready)]
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

    def _abandon(self) -> None:
        """Unwind every CPU that has begun; what it raises on its way out is the first fault's doing."""
        self._over = True
        left, self._ready, self._blocked, self._timers = [*self._ready, *self._blocked], [], [], []
        for cpu in left:
            self.running = cpu
            try:
                cpu.stack.throw(_Abandoned)
            except (_Abandoned, BugCheckError):
                continue
        self.running = None
        self._free_numbers, self._numbers = [], itertools.count(1)
        self._over = False
