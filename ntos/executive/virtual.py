"""An executive on one thread with a clock that jumps: deterministic and steppable.

What is queued runs when somebody waits, or calls ``step``, ``run`` or ``advance``, in the order that
``choose`` picks (the oldest by default). When nothing is left to run the clock jumps to the next timer.
System threads and work items are greenlets, so a server that blocks needs no real thread. For preemption
inside of a routine see ``interleaved``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from greenlet import getcurrent, greenlet

from ntos.errors import BugCheckError
from ntos.executive import dispatcher
from ntos.executive.contract import DAY, StuckError, WaitFor
from ntos.executive.dispatcher import SystemThread
from ntos.executive.irql import Irql, IrqlModel
from ntos.executive.locks import FlagLock
from ntos.executive.timer_heap import TimerHeap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ntos.executive.contract import DispatcherObject, Instrument, Wait
    from ntos.executive.timer_heap import HeapTimer


class TimeSource(Protocol):
    """Something with timers of its own, which the clock has to stop at: a protocol stack, a wire."""

    def next_deadline(self) -> int | None:
        """Return when ``advance`` has something to do, in ns; None when never."""

    def advance(self, now: int) -> None:
        """Do what is due by ``now``; the next deadline is later then."""


class VirtualThread(SystemThread):
    """A system thread that is a greenlet."""

    def __init__(self, name: str, entry: Callable[[], None]) -> None:
        super().__init__(name)
        self.stack = greenlet(self._run)
        self.until: Callable[[], bool] = _always
        """What it waits for."""
        self.what = "its start"
        self._entry = entry

    def _run(self) -> None:
        try:
            self._entry()
        finally:
            self.end()


def _always() -> bool:
    return True


def oldest(_ready: int) -> int:
    """Choose the routine that was queued first."""
    return 0


class VirtualExecutive:
    """Runs DPCs, work items, timers and threads one at a time, when told to."""

    patience_ns: int | None = None

    def __init__(
        self,
        choose: Callable[[int], int] = oldest,
        *,
        now_ns: int = 0,
        instrument: Instrument | None = None,
    ) -> None:
        """Start at ``now_ns``. ``choose(n)`` returns which of n ready routines and threads runs next."""
        self.irql = IrqlModel(self.context)
        self.instrument = instrument
        self._now_ns = now_ns
        self._choose = choose
        self._ready: list[tuple[str, Callable[[], None]]] = []
        self._waiting: list[VirtualThread] = []
        """Threads that are not running, the one that waits longest first."""
        self._timers = TimerHeap()
        self._sources: list[TimeSource] = []
        self._main = SystemThread("main")
        self._running: VirtualThread | None = None

    def now_ns(self) -> int:
        """Return the virtual time."""
        return self._now_ns

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
        """Queue a work item for ``step``; it may wait without keeping others from running."""
        self._ready.append((name, lambda: self._resume(VirtualThread(name, routine))))

    def call_at(self, due_ns: int, name: str, routine: Callable[[], None]) -> HeapTimer:
        """Set a timer; it fires when the clock passes ``due_ns``."""
        return self._timers.set(due_ns, name, routine)

    def create_thread(self, entry: Callable[[], None], name: str) -> VirtualThread:
        """Make a thread, ready to run."""
        thread = VirtualThread(name, entry)
        self._waiting.append(thread)
        return thread

    def current_thread(self) -> SystemThread:
        """Return the thread that runs; what is no system thread is one thread, "main"."""
        return self._running or self._main

    def wait(self, until: Callable[[], bool], what: str, timeout_ns: int | None = None) -> bool:
        """Run what is queued, threads, then timers, until the condition holds.

        Without ``timeout_ns`` StuckError when nothing is left to run, or after a day of timers in vain.
        """
        self.irql.require(Irql.APC, what)
        running = self._running
        if running is not None and getcurrent() is running.stack:
            return self._block(running, until, what, timeout_ns)
        if timeout_ns is not None:
            return self._turn(until, self._stop_at(timeout_ns))
        if not self._turn(until, self._now_ns + DAY):
            threads = "".join(f"; {name} waits for {its}" for name, its in self.waiting.items())
            why = "nothing is left to run" if self._next_ns() is None else "a day went by"
            raise StuckError(f"{why} while waiting for {what}{threads}")
        return True

    def wait_for_objects(
        self,
        objects: Sequence[DispatcherObject],
        wait_for: WaitFor = WaitFor.ANY,
        timeout_ns: int | None = None,
    ) -> Wait:
        """Wait for one or all of ``objects``, and consume what ended the wait."""
        return dispatcher.wait_for_objects(self, objects, wait_for, timeout_ns)

    def add_source(self, source: TimeSource) -> None:
        """Let the clock drive something that has timers of its own."""
        self._sources.append(source)

    def move_clock(self, now_ns: int) -> None:
        """Set the clock later; what has become due fires when it is turned next."""
        self._now_ns = max(self._now_ns, now_ns)

    # Running

    def step(self) -> bool:
        """Run one routine that is queued, or a thread whose wait is over; False when there is none."""
        free = [thread for thread in self._waiting if thread.until()] if self._waiting else self._waiting
        ready = len(self._ready)
        if not ready and not free:
            return False
        at = self._choose(ready + len(free))
        if at >= ready:
            thread = free[at - ready]
            self._waiting.remove(thread)
            self._resume(thread)
            return True
        name, routine = self._ready.pop(at)
        self._call(name, routine)
        return True

    def run(self) -> int:
        """Run until nothing is ready; return how much ran."""
        ran = 0
        while self.step():
            ran += 1
        return ran

    def advance(self, delta_ns: int) -> None:
        """Let time pass: run what is ready, then each timer that falls due, in order."""
        end_ns = self._now_ns + delta_ns
        self.run()
        while self._jump(end_ns):
            self.run()
        self._now_ns = max(self._now_ns, end_ns)

    @property
    def pending(self) -> list[str]:
        """Names of the routines that are queued, oldest first."""
        return [name for name, _ in self._ready]

    @property
    def waiting(self) -> dict[str, str]:
        """What each thread waits for, by its name."""
        return {thread.name: thread.what for thread in self._waiting}

    # Inside

    def _turn(self, until: Callable[[], bool], end_ns: int) -> bool:
        """Run until the condition holds; False when nothing is left to run by ``end_ns``."""
        while not until():
            if not self.step() and not self._jump(end_ns):
                return until()
        return True

    def _stop_at(self, timeout_ns: int) -> int:
        """Have the clock stop when a time is over, whatever else is set; return when that is."""
        end_ns = self._now_ns + timeout_ns
        self.call_at(end_ns, "timeout", _nothing)
        return end_ns

    def _block(self, me: VirtualThread, until: Callable[[], bool], what: str, timeout_ns: int | None) -> bool:
        """Let whoever resumed this thread go on until it may run again."""
        if until():
            return True
        if self.instrument is not None:
            self.instrument.thread_waits(me.name, what)
        me.until, me.what = until, what
        if timeout_ns is not None:
            end_ns = self._stop_at(timeout_ns)
            me.until = lambda: until() or self._now_ns >= end_ns
        self._waiting.append(me)
        parent = me.stack.parent
        if parent is None:
            raise BugCheckError(f"{me.name} waits, and nobody has resumed it", me)
        parent.switch()
        return until()

    def _resume(self, thread: VirtualThread) -> None:
        """Let a thread run until it waits or ends; what it raises is raised here."""
        before, self._running = self._running, thread
        thread.stack.parent = getcurrent()
        try:
            self._call(thread.name, thread.stack.switch)
        finally:
            self._running = before

    def _call(self, name: str, routine: Callable[[], object]) -> None:
        if self.instrument is None:
            routine()
            return
        self.instrument.routine_begins(name)
        routine()
        self.instrument.routine_ends(name)

    def _next_ns(self) -> int | None:
        """Return when the clock has to stop next; None when nothing is set."""
        times = [due for source in self._sources if (due := source.next_deadline()) is not None]
        first_ns = self._timers.first_ns()
        if first_ns is not None:
            times.append(first_ns)
        return min(times, default=None)

    def _jump(self, end_ns: int) -> bool:
        """Let the clock jump to what is due next and do it; False when that is after ``end_ns``."""
        next_ns = self._next_ns()
        if next_ns is None or next_ns > end_ns:
            return False
        self._now_ns = max(self._now_ns, next_ns)
        timer = self._timers.pop(self._now_ns)
        if timer is not None:
            self._call(timer.name, timer.routine)
            return True
        for source in self._sources:
            due = source.next_deadline()
            if due is not None and due <= self._now_ns:
                source.advance(self._now_ns)
        return True


def _nothing() -> None:
    """Do nothing: only the time matters."""
