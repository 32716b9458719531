"""The executive of a host that runs: real threads, the machine's clock, descriptors that become readable.

One lock guards everything above the cards, so at most one thread is inside: the executive has one CPU. The
lock is given up while a thread waits. Three kinds of threads turn the loop:

- *its own thread* (``start``) serves descriptors and timers while no other does;
- *a thread that waits leads*: it sleeps on the descriptors itself, so that no other has to wake it, and does
  the work it wakes up for. The others that wait follow: whoever has worked wakes those whose conditions hold;
- *a thread that has entered* (``with executive.entry``) carries out what it has asked for before it leaves or
  waits: to hand it to the loop's thread would cost two wake-ups and a change of Python's own lock.

Without ``start`` nothing runs by itself: whoever waits, or calls ``step`` or ``run``, turns the loop.

A routine that fails while the host runs is one packet's or one request's failure: it is logged, counted in
``failures``, and the host goes on. BugCheckError stops the system, as it does in Windows. Where nothing was
started an error goes to whoever turns the loop.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from ntos.errors import BugCheckError
from ntos.executive import dispatcher
from ntos.executive.busy_poll import BusyPoll
from ntos.executive.contract import MILLISECOND, SECOND, StuckError, WaitFor
from ntos.executive.dispatcher import SystemThread
from ntos.executive.irql import Irql, IrqlModel
from ntos.executive.live_states import Duty, Lead, Life
from ntos.executive.locks import FlagLock
from ntos.executive.timer_heap import TimerHeap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from ntos.executive.contract import DispatcherObject, Instrument, Wait
    from ntos.executive.timer_heap import HeapTimer

LOG = structlog.get_logger("ntos.executive")
IDLE_NS = 250 * MILLISECOND
"""How long a thread sleeps at most before it looks again."""
PATIENCE_NS = 30 * SECOND
MOST_WORKERS = 16
"""Work items that wait at the same time; more stay queued."""
JOIN_S = 5.0
"""How long ``stop`` waits for a system thread that does not wait, and so cannot be told."""
_NEW, _RUNNING, _STOPPING, _STOPPED, _FAILED = Life
_IDLE, _ENTERED, _WORKING = Duty  # a global is found faster than an enumeration's member
_NOBODY, _WAITING, _CALLED = Lead
_PASSIVE, _APC = Irql.PASSIVE, Irql.APC


class StoppedError(StuckError):
    """A wait that ended because the executive was stopped."""


class Follower(NamedTuple):
    """A thread that waits while another leads."""

    until: Callable[[], bool]
    condition: threading.Condition


class LiveExecutive:
    """``ntos.executive.contract.Executive`` and ``miniport.hal.contract.Reactor`` over threads and epoll."""

    def __init__(self, patience_ns: int = PATIENCE_NS, *, instrument: Instrument | None = None) -> None:
        """Start nothing. ``expect`` waits for a driver at most ``patience_ns``."""
        self.patience_ns: int | None = patience_ns
        self.irql = IrqlModel(self.context)
        self.instrument = instrument
        self.lock = threading.RLock()
        """What ``entry`` takes. It is held while anything above the cards is looked at."""
        self.entry = Entry(self)
        self.life = Life.NEW
        self.duty = Duty.IDLE
        self.lead = Lead.NOBODY
        self.nested = 0
        """How often the thread inside has entered beyond the first time."""
        self.waiting = 0
        """Threads that wait. Who leaves sees whether any of their conditions holds now."""
        self.queued: deque[tuple[str, Callable[[], None]]] = deque()
        """What was asked for and not carried out yet."""
        self.turns = 0
        """How often the loop's own thread was awake."""
        self.failures: Counter[str] = Counter()
        """How many routines of each name have failed while the host ran."""
        self.failure: BaseException | None = None
        """What has stopped the system; ``stop`` raises it."""
        self._timers = TimerHeap()
        self._followers: list[Follower] = []
        self._leader_until: Callable[[], bool] = bool
        self._has_asked = False
        """Whether anything was carried out for a program since a thread last led: the answer comes soon."""
        self._sleeps_until_ns: int | None = None
        """None: the loop's thread is awake, and looks before it sleeps."""
        self._loop: threading.Thread | None = None
        self._threads: list[threading.Thread] = []
        self._workers: list[threading.Thread] = []
        self._work: deque[tuple[str, Callable[[], None]]] = deque()
        self._work_to_do = threading.Semaphore(0)
        self._unfinished_work = 0
        self._local = threading.local()
        self._epoll = select.epoll()
        self._led = select.epoll()
        """Where the thread that leads sleeps. ``watch`` has it woken before ``_epoll``."""
        self._busy_poll = BusyPoll(self._led)
        self._wake_loop, self._wake_leader = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
        self._watched: dict[int, Callable[[], None]] = {
            fd: partial(_read_event, fd) for fd in (self._wake_loop, self._wake_leader)
        }
        self._epoll.register(self._wake_loop, select.EPOLLIN)
        self._led.register(self._wake_leader, select.EPOLLIN)

    def close(self) -> None:
        """Give the descriptors back. Not while it runs."""
        for fd in (self._wake_loop, self._wake_leader):
            os.close(fd)
        self._epoll.close()
        self._led.close()

    # The contract

    now_ns = staticmethod(time.monotonic_ns)
    """The machine's monotonic clock."""

    context = staticmethod(int)
    """0: one CPU. What ``int()`` returns, without a function of ours: every raised IRQL asks."""

    def spin_lock(self, name: str) -> FlagLock:
        """Make a lock that finds self-deadlock: whoever takes it is alone inside already."""
        return FlagLock(name)

    def queue_dpc(self, name: str, routine: Callable[[], None]) -> None:
        """Queue a DPC, from any thread; wake the loop's thread unless the thread inside carries it out."""
        if self.instrument is not None:
            routine = self._observed(name, routine)
        with self.lock:
            self.queued.append((name, routine))
            if self.duty is _IDLE and self.life is _RUNNING:
                os.eventfd_write(self._wake_loop, 1)

    def queue_work_item(self, name: str, routine: Callable[[], None]) -> None:
        """Queue a work item: it runs on a worker thread, before ``start`` on whoever turns the loop.

        They begin in the order in which they were queued.
        """
        if self.instrument is not None:
            routine = self._observed(name, routine)
        with self.lock:
            if self.life is not _RUNNING:
                self.queued.append((name, routine))
                return
            self._unfinished_work += 1
            self._work.append((name, routine))
            self._work_to_do.release()
            if len(self._workers) < min(self._unfinished_work, MOST_WORKERS):
                worker = threading.Thread(target=self._serve_work, name="nt work", daemon=True)
                self._workers.append(worker)
                worker.start()

    def call_at(self, due_ns: int, name: str, routine: Callable[[], None]) -> HeapTimer:
        """Set a timer; the loop's thread sleeps no longer than to the first."""
        if self.instrument is not None:
            routine = self._observed(name, routine)
        with self.lock:
            timer = self._timers.set(due_ns, name, routine)
            if self._sleeps_until_ns is not None and due_ns < self._sleeps_until_ns:
                self.wake()
        return timer

    def create_thread(self, entry: Callable[[], None], name: str) -> SystemThread:
        """Run ``entry`` on a thread of its own, entered, from ``start`` on; ``stop`` ends its waits."""
        thread = SystemThread(name)
        machine = threading.Thread(target=self._serve_thread, args=(thread, entry), name=name, daemon=True)
        with self.lock:
            self._threads = [one for one in self._threads if one.is_alive() or one.ident is None]
            self._threads.append(machine)
            if self.life is _RUNNING:
                machine.start()
        return thread

    def current_thread(self) -> SystemThread:
        """Return the system thread, or what stands for a thread of the program."""
        found: SystemThread | None = getattr(self._local, "thread", None)
        if found is None:
            found = self._local.thread = SystemThread(threading.current_thread().name)
        return found

    def wait(self, until: Callable[[], bool], what: str, timeout_ns: int | None = None) -> bool:
        """Give the lock up until the condition holds; False when the time is over before.

        Called entered. StoppedError when the executive is stopped meanwhile. Before ``start``, and after
        ``stop``, the calling thread turns the loop.
        """
        if self.irql.levels.get(0, _PASSIVE) > _APC:  # ``require``, without its calls
            self.irql.require(_APC, what)
        end_ns = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        if self.life is not _RUNNING:
            return self._turn_until(until, end_ns)
        before, self.duty = self.duty, _IDLE  # while another thread has the lock
        if self.queued or self.waiting:
            self.settle()
        nested, self.nested = self.nested, 0
        if self.instrument is not None:
            self.instrument.thread_waits(self.current_thread().name, what)
        self.waiting += 1
        left_ns = IDLE_NS
        try:
            while not until():
                if self.life is not _RUNNING:
                    raise self.failure or StoppedError(f"stopped while waiting for {what}")
                if end_ns is not None:
                    left_ns = end_ns - time.monotonic_ns()
                    if left_ns <= 0:
                        return False
                if self.lead is _NOBODY and not nested:
                    self._lead(until, left_ns)
                else:
                    self._follow(until, None if end_ns is None else left_ns)
        finally:
            self.waiting -= 1
            self.nested = nested
            self.duty = before
        return True

    def wait_for_objects(
        self,
        objects: Sequence[DispatcherObject],
        wait_for: WaitFor = WaitFor.ANY,
        timeout_ns: int | None = None,
    ) -> Wait:
        """Wait for one or all of ``objects``, and consume what ended the wait."""
        return dispatcher.wait_for_objects(self, objects, wait_for, timeout_ns)

    # Interrupts

    def watch(self, fd: int, ready: Callable[[], None], *, edge: bool = False) -> None:
        """Call ``ready`` whenever ``fd`` is readable.

        ``edge``: whenever it has become so, in the thread that leads if one does. ``ready`` takes all that
        there is.
        """
        self._watched[fd] = ready
        if not edge:
            self._epoll.register(fd, select.EPOLLIN)
            return
        for epoll in (self._led, self._epoll):  # the first that has a sleeper is woken, and no other
            epoll.register(fd, select.EPOLLIN | select.EPOLLET | select.EPOLLEXCLUSIVE)

    def unwatch(self, fd: int) -> None:
        """Call it no more."""
        del self._watched[fd]
        self._epoll.unregister(fd)
        with contextlib.suppress(FileNotFoundError):  # not with ``edge``
            self._led.unregister(fd)

    # Running

    def start(self) -> None:
        """Run in a thread of its own, and start the system threads."""
        with self.lock:
            self.life = _RUNNING
            self._loop = threading.Thread(target=self._serve, name="nt", daemon=True)
            self._loop.start()
            for thread in self._threads:
                thread.start()

    def stop(self) -> None:
        """End its threads; raise what has stopped the system. Waits end with StoppedError."""
        with self.lock:
            self.wake()
            if self.life is _RUNNING:
                self.life = _STOPPING
            self._call_everybody()
        self._work_to_do.release(max(len(self._workers), 1))
        if self._loop is not None:
            self._loop.join()
        for thread in [*self._workers, *self._threads]:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(JOIN_S)
        with self.lock:
            self.life = _STOPPED
        if self.failure is not None:
            raise self.failure

    @property
    def is_running(self) -> bool:
        """Whether its own thread turns it."""
        return self.life is _RUNNING

    def wake(self) -> None:
        """Have the loop's thread look at its queues, if it runs."""
        with self.lock:
            if self.life is _RUNNING:
                os.eventfd_write(self._wake_loop, 1)

    def settle(self) -> None:
        """Run what is queued, with the lock held and nothing entered; look at no descriptor."""
        if self.queued:
            self._has_asked = True
            self.duty = _WORKING
            try:
                while self.queued:
                    self._run_ready()
            finally:
                self.duty = _IDLE
        if self.waiting:
            self._call_those_who_wait()

    def drain(self) -> None:
        """Do now what is ready, with the lock held."""
        while self.step(0):
            pass

    def run_until(self, until: Callable[[], bool], most_ns: int) -> bool:
        """Turn the loop here until the condition holds, at most so long; return whether it holds."""
        return self._turn_until(until, time.monotonic_ns() + most_ns)

    def run(self, for_ns: int = 0) -> None:
        """Run here what is ready, and what becomes ready within ``for_ns``."""
        self.run_until(lambda: False, for_ns)
        self.drain()

    def step(self, most_ns: int) -> bool:
        """Run here what is ready now; wait for at most ``most_ns`` if nothing is. False: nothing came."""
        before, self.duty = self.duty, _WORKING
        try:
            ran = self._run_ready()
            pause_s = 0.0 if ran else self._pause_ns(most_ns) / SECOND
            for fd, _ in self._epoll.poll(pause_s):
                self._serve_descriptor(fd)
                ran = True
            return self._fire() or self._run_ready() or ran
        finally:
            self.duty = before

    # Inside: turning the loop

    def _turn_until(self, until: Callable[[], bool], end_ns: int | None) -> bool:
        while not until():
            left_ns = IDLE_NS if end_ns is None else end_ns - time.monotonic_ns()
            if left_ns <= 0:
                return False
            self.step(left_ns)
        return True

    def _work_on(self, readable: list[tuple[int, int]]) -> None:
        """Serve descriptors, run what is queued, fire timers; then call those whose conditions hold."""
        self.duty = _WORKING
        try:
            for fd, _ in readable:
                ready = self._watched.get(fd)
                if ready is not None:
                    try:
                        ready()
                    except Exception as error:  # noqa: BLE001 - as below
                        self._contain(f"descriptor {fd}", error)
            while (self.queued and self._run_ready()) or self._fire():
                pass
        finally:
            self.duty = _IDLE
        if self.waiting:
            self._call_those_who_wait()

    def _serve_descriptor(self, fd: int) -> None:
        ready = self._watched.get(fd)
        if ready is not None:
            self._call(f"descriptor {fd}", ready)

    def _run_ready(self) -> bool:
        queued = self.queued
        if not queued:
            return False
        for _ in range(len(queued)):  # what these queue comes after the next look at interrupts
            name, routine = queued.popleft()
            try:
                routine()
            except Exception as error:  # noqa: BLE001 - one packet's failure; a bug check is raised again
                self._contain(name, error)
        return True

    def _fire(self) -> bool:
        due = self._timers.take_due(time.monotonic_ns()) if self._timers.entries else ()
        for timer in due:
            if timer.begin():
                self._call(timer.name, timer.routine)
        return bool(due)

    def _pause_ns(self, most_ns: int) -> int:
        first_ns = self._timers.first_ns() if self._timers.entries else None
        if first_ns is not None and most_ns > 0:
            most_ns = min(most_ns, first_ns - time.monotonic_ns())
        return max(most_ns, 0)

    def _call(self, name: str, routine: Callable[[], None]) -> None:
        """Run a routine; contain its failure while the host runs. The fast paths have this inline."""
        try:
            routine()
        except Exception as error:  # noqa: BLE001 - one packet's failure; a bug check is raised again
            self._contain(name, error)

    def _observed(self, name: str, routine: Callable[[], None]) -> Callable[[], None]:
        """Return a routine that tells the instrument of its beginning and end."""
        instrument = self.instrument

        def run() -> None:
            if instrument is not None:
                instrument.routine_begins(name)
            routine()
            if instrument is not None:
                instrument.routine_ends(name)

        return run

    def _contain(self, name: str, error: Exception) -> None:
        if isinstance(error, BugCheckError):
            self._halt(error)
        if self.life is not _RUNNING or isinstance(error, StoppedError):
            raise error
        self.failures[name] += 1
        LOG.error("executive.routine.failed", routine=name, failures=self.failures[name], exc_info=error)

    def _halt(self, error: BaseException) -> None:
        """Stop the system: KeBugCheckEx."""
        if self.life in (_RUNNING, _STOPPING):
            self.failure = self.failure or error
            self.wake()
            self.life = _FAILED
            self._call_everybody()

    # Inside: threads that wait

    def _lead(self, until: Callable[[], bool], most_ns: int) -> None:
        """Turn the loop once from a thread that waits, which has the lock once.

        The loop's own thread goes on sleeping, for what comes while nobody leads, and for the timers.
        """
        self.lead, self._leader_until = _WAITING, until
        has_asked, self._has_asked = self._has_asked, False
        pause_s = self._pause_ns(min(most_ns, IDLE_NS)) / SECOND
        self.lock.release()
        try:
            readable = self._busy_poll.wait(pause_s, answer=has_asked)
        finally:
            self.lock.acquire()
            self.lead = _NOBODY
        self._work_on(readable)

    def _follow(self, until: Callable[[], bool], most_ns: int | None) -> None:
        """Sleep until a thread that has worked finds the condition true; the lock is given up entirely."""
        follower = Follower(until, threading.Condition(self.lock))
        self._followers.append(follower)
        try:
            follower.condition.wait(None if most_ns is None else most_ns / SECOND)
        finally:
            self._followers.remove(follower)

    def _call_those_who_wait(self) -> None:
        """Wake each waiting thread whose condition holds."""
        for follower in self._followers:
            if follower.until():
                follower.condition.notify()
        if self.lead is _WAITING and self._leader_until():
            self.lead = _CALLED
            os.eventfd_write(self._wake_leader, 1)

    def _call_everybody(self) -> None:
        """Wake each waiting thread: the executive stops."""
        for follower in self._followers:
            follower.condition.notify()
        os.eventfd_write(self._wake_leader, 1)

    # Inside: its threads

    def _serve(self) -> None:
        """Be the loop's own thread."""
        pause_ns = 0
        try:
            while True:
                readable = self._epoll.poll(pause_ns / SECOND)
                with self.lock:
                    if self.life is not _RUNNING:
                        return
                    self._sleeps_until_ns = None
                    self.turns += 1
                    self._work_on(readable)
                    pause_ns = self._pause_ns(IDLE_NS)
                    self._sleeps_until_ns = time.monotonic_ns() + pause_ns
        except StoppedError:
            return  # a routine waited while the executive was stopped
        except BaseException as error:  # noqa: BLE001 - kept, and raised again by stop()
            with self.lock:
                self._halt(error)

    def _serve_work(self) -> None:
        """Be a worker thread."""
        self._local.thread = SystemThread("work")
        while True:
            self._work_to_do.acquire()  # outside of the lock: it waits for work only
            with contextlib.suppress(StoppedError, BugCheckError), self.entry:
                if self.life is not _RUNNING:
                    return
                try:
                    self._call(*self._work.popleft())
                finally:
                    self._unfinished_work -= 1

    def _serve_thread(self, thread: SystemThread, entry: Callable[[], None]) -> None:
        """Be a system thread."""
        self._local.thread = thread
        with contextlib.suppress(StoppedError, BugCheckError), self.entry:
            try:
                self._call(thread.name, entry)
            finally:
                thread.end()


def _read_event(fd: int) -> None:
    """Read an eventfd that only wakes."""
    with contextlib.suppress(BlockingIOError):
        os.eventfd_read(fd)


class Entry:
    """``with executive.entry:`` is how a thread calls what the executive guards.

    What it asks for is carried out before it leaves.
    """

    def __init__(self, executive: LiveExecutive) -> None:
        self._executive = executive

    def __enter__(self) -> None:
        """Take the lock."""
        executive = self._executive
        executive.lock.acquire()
        if executive.duty is _IDLE:
            executive.duty = _ENTERED
        else:
            executive.nested += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Carry out what was asked, and give the lock back."""
        executive = self._executive
        try:
            if executive.nested:
                executive.nested -= 1
                return
            executive.duty = _IDLE
            if executive.queued or executive.waiting:
                executive.settle()
        finally:
            executive.lock.release()
