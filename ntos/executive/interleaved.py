"""An executive that preempts: seeded interleavings of CPUs, each of them repeatable.

Every logical CPU is a greenlet, so that one schedule costs switches of stacks and not of threads. DPCs, work
items, timers and system threads have a CPU each. At each preemption point (``preempt``, which an observer
of a driver's border calls), each lock and each wait, a seeded choice says who goes on. So a race that a seed
has found is found by it again.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

from ntos.errors import BugCheckError
from ntos.executive import dispatcher
from ntos.executive.contract import DAY, StuckError, WaitFor
from ntos.executive.dispatcher import SystemThread
from ntos.executive.irql import Irql, IrqlModel
from ntos.executive.timer_heap import TimerHeap

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from ntos.executive.contract import DispatcherObject, Instrument, Wait
    from ntos.executive.timer_heap import HeapTimer


class _Abandoned(BaseException):
    """The schedule is over; unwind."""


class Cpu(SystemThread):
    """One logical CPU while it runs a routine, or a system thread."""

    def __init__(self, number: int, name: str, stack: greenlet) -> None:
        super().__init__(name)
        self.number = number
        self.stack = stack
        self.until: Callable[[], bool] | None = None
        """What it waits for; None: it can go on."""
        self.what = ""


class BatonLock:
    """A spin lock whose waiters let others run."""

    def __init__(self, owner: InterleavedExecutive, name: str) -> None:
        self.name = name
        self._owner = owner
        self._holder: Cpu | None = None

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


class InterleavedExecutive:
    """Runs CPUs as a seeded choice says. One object serves many schedules, one after another.

    Invariant: at most one CPU runs at any time; a CPU's number is the smallest that was free.
    """

    patience_ns: int | None = None

    def __init__(
        self, choice: random.Random, switch_one_in: int = 3, *, instrument: Instrument | None = None
    ) -> None:
        """Choose by ``choice``; at a preemption point switch with probability 1/``switch_one_in``."""
        self.irql = IrqlModel(self.context)
        self.instrument = instrument
        self.choice = choice
        self.running: Cpu | None = None
        self._switches = 1 / switch_one_in
        self._ready: list[Cpu] = []
        self._blocked: list[Cpu] = []
        self._timers = TimerHeap()
        self._free_numbers: list[int] = []
        self._numbers = itertools.count(1)
        self._now_ns = 0
        self._hub = getcurrent()
        self._main = SystemThread("main")
        self._is_over = False

    # The contract

    def now_ns(self) -> int:
        """Return the virtual time."""
        return self._now_ns

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

    def call_at(self, due_ns: int, name: str, routine: Callable[[], None]) -> HeapTimer:
        """Set a timer; it fires when nothing else can run."""
        return self._timers.set(due_ns, name, routine)

    def create_thread(self, entry: Callable[[], None], name: str) -> Cpu:
        """Run ``entry`` on a CPU of its own, which may wait."""
        return self.spawn(name, entry)

    def current_thread(self) -> SystemThread:
        """Return the CPU that runs, or "main" outside a schedule."""
        return self.running or self._main

    def wait(self, until: Callable[[], bool], what: str, timeout_ns: int | None = None) -> bool:
        """Let others run until the condition holds, or the time is over.

        Without ``timeout_ns``, from outside a schedule: StuckError when nothing is left to run, or after a
        day of timers in vain. A CPU of a schedule that nobody will let go on ends the schedule (``run``).
        """
        self.irql.require(Irql.APC, what)
        end_ns = None if timeout_ns is None else self._now_ns + timeout_ns
        if end_ns is not None:
            self.call_at(end_ns, "timeout", _nothing)
        if self.running is None:
            return self._wait_outside(until, what, end_ns)
        while not until():
            if end_ns is None:
                self.block(until, what)
            elif self._now_ns >= end_ns:
                return False
            else:
                self.block(lambda: until() or self._now_ns >= end_ns, what)
        return True

    def wait_for_objects(
        self,
        objects: Sequence[DispatcherObject],
        wait_for: WaitFor = WaitFor.ANY,
        timeout_ns: int | None = None,
    ) -> Wait:
        """Wait for one or all of ``objects``, and consume what ended the wait."""
        return dispatcher.wait_for_objects(self, objects, wait_for, timeout_ns)

    # Schedules

    def spawn(self, name: str, routine: Callable[[], None]) -> Cpu:
        """Make a logical CPU that runs ``routine``."""
        number = heapq.heappop(self._free_numbers) if self._free_numbers else next(self._numbers)
        cpu = Cpu(number, name, greenlet(routine, self._hub))
        self._ready.append(cpu)
        return cpu

    def run(self, timers_until_ns: int = 0) -> None:
        """Run until no CPU is left; fire timers due up to ``timers_until_ns``, and those that end a wait.

        Raises what a CPU raised, or StuckError when all wait for one another; the others are then unwound.
        """
        end_ns = self._now_ns + DAY
        self._run_ready()
        while self._fire(end_ns if self._blocked else timers_until_ns):
            self._run_ready()
        if self._blocked:
            waits = ", ".join(f"{c.name} waits for {c.what}" for c in self._blocked)
            self._abandon()
            raise StuckError(f"every CPU waits: {waits}")
        self._now_ns = max(self._now_ns, timers_until_ns)

    def forget_timers(self) -> None:
        """Drop every timer that is set: the next schedule is another machine's."""
        self._timers.clear()

    def preempt(self) -> None:
        """Perhaps let another CPU go on."""
        me = self.running
        if me is None or not (self._ready or self._blocked):
            return
        if self._is_over:
            raise _Abandoned
        if self.choice.random() < self._switches:
            self._ready.append(me)
            self._hub.switch()

    def block(self, until: Callable[[], bool], what: str) -> None:
        """Let others go on until ``until()``."""
        me = self.running
        if me is None:
            raise StuckError(f"waiting for {what} outside a schedule")
        if self.instrument is not None:
            self.instrument.thread_waits(me.name, what)
        me.until, me.what = until, what
        self._blocked.append(me)
        self._hub.switch()

    # Inside

    def _wait_outside(self, until: Callable[[], bool], what: str, end_ns: int | None) -> bool:
        limit_ns = self._now_ns + DAY if end_ns is None else end_ns
        self._run_ready()
        while not until():
            if self._fire(limit_ns):
                self._run_ready()
            elif end_ns is None:
                raise StuckError(f"nothing left to run while waiting for {what}")
            else:
                return False
        return True

    def _run_ready(self) -> None:
        while (cpu := self._pick()) is not None:
            self._go(cpu)

    def _go(self, cpu: Cpu) -> None:
        """Let a CPU run until it switches back, ends, or fails: then its error is raised here."""
        self.running = cpu
        instrument = self.instrument
        if instrument is not None:
            instrument.routine_begins(cpu.name)
        try:
            cpu.stack.switch()
        except BaseException:
            self._abandon()
            raise
        if instrument is not None:
            instrument.routine_ends(cpu.name)
        self.running = None
        if cpu.stack.dead:
            cpu.end()
            heapq.heappush(self._free_numbers, cpu.number)

    def _pick(self) -> Cpu | None:
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

    def _fire(self, until_ns: int) -> bool:
        due_ns = self._timers.first_ns()
        if due_ns is None or due_ns > until_ns:
            return False
        self._now_ns = max(self._now_ns, due_ns)
        timer = self._timers.pop(self._now_ns)
        if timer is not None:
            self.spawn(timer.name, timer.routine)
        return True

    def _abandon(self) -> None:
        """Unwind every CPU that has begun; what it raises on its way out is the first fault's doing."""
        self._is_over = True
        left, self._ready, self._blocked = [*self._ready, *self._blocked], [], []
        self._timers.clear()
        for cpu in left:
            self.running = cpu
            try:
                cpu.stack.throw(_Abandoned)
            except (_Abandoned, BugCheckError):
                continue
        self.running = None
        self._free_numbers, self._numbers = [], itertools.count(1)
        self._is_over = False


def _nothing() -> None:
    """Do nothing: only the time matters."""
