"""The kernel's dispatcher objects: what a thread can wait for, and the rules by which a wait ends.

State only. Nobody is woken here: an executive asks ``is_signalled_for`` after whatever may have changed it,
and calls ``consume`` for the wait that ends. So one rule serves all clocks.

Source: "Introduction to Kernel Dispatcher Objects", Windows Driver Kit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.executive.contract import Wait, WaitFor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ntos.executive.contract import DispatcherObject, Executive, Owned, Thread, Timer


class SemaphoreLimitExceededError(Exception):
    """STATUS_SEMAPHORE_LIMIT_EXCEEDED."""


class MutantNotOwnedError(Exception):
    """STATUS_MUTANT_NOT_OWNED: released by a thread that does not hold it."""


class Event:
    """KEVENT: a notification event (``manual``) releases all who wait, a synchronization event one."""

    def __init__(self, *, manual: bool = True, signalled: bool = False) -> None:
        self.manual = manual
        self.signalled = signalled

    def set(self) -> None:
        """KeSetEvent."""
        self.signalled = True

    def reset(self) -> None:
        """KeResetEvent."""
        self.signalled = False

    def is_signalled_for(self, thread: Thread) -> bool:
        """Tell whether it is set."""
        del thread
        return self.signalled

    def consume(self, thread: Thread) -> bool:
        """End a wait: a synchronization event is reset."""
        del thread
        if not self.manual:
            self.signalled = False
        return False


class Semaphore:
    """KSEMAPHORE: signalled while its count is above 0; each wait takes one."""

    def __init__(self, count: int, limit: int) -> None:
        """KeInitializeSemaphore. ValueError unless 0 <= count <= limit and limit > 0."""
        if not 0 <= count <= limit or not limit:
            raise ValueError(f"a semaphore of {count}, at most {limit}")
        self.count = count
        self.limit = limit

    def release(self, adjustment: int = 1) -> int:
        """KeReleaseSemaphore: return the count before. SemaphoreLimitExceededError leaves it as it was."""
        before = self.count
        if adjustment < 1 or before + adjustment > self.limit:
            raise SemaphoreLimitExceededError(f"{before} and {adjustment} of {self.limit}")
        self.count += adjustment
        return before

    def is_signalled_for(self, thread: Thread) -> bool:
        """Tell whether one is left."""
        del thread
        return self.count > 0

    def consume(self, thread: Thread) -> bool:
        """Take one."""
        del thread
        self.count -= 1
        return False


class Mutex:
    """KMUTEX: one thread owns it, as often as it has waited for it.

    A thread that ends with it abandons it: the next owner is told so, since what it guards may be half done.
    """

    def __init__(self) -> None:
        self.owner: Thread | None = None
        self.depth = 0
        """How often the owner holds it."""
        self._is_abandoned = False

    def release(self, thread: Thread) -> bool:
        """KeReleaseMutex: return whether it is free now. MutantNotOwnedError."""
        if self.owner is not thread:
            owner = self.owner.name if self.owner is not None else "nobody"
            raise MutantNotOwnedError(f"{thread.name} releases a mutex that {owner} owns")
        self.depth -= 1
        if self.depth:
            return False
        self._let_go(thread)
        return True

    def abandon(self) -> None:
        """Free it: the owner has ended."""
        if self.owner is not None:
            self.depth, self._is_abandoned = 0, True
            self._let_go(self.owner)

    def is_signalled_for(self, thread: Thread) -> bool:
        """Tell whether it is free, or the thread's own."""
        return self.owner is None or self.owner is thread

    def consume(self, thread: Thread) -> bool:
        """Own it once more; True the first time after it was abandoned."""
        self.owner = thread
        self.depth += 1
        thread.owned.add(self)
        abandoned, self._is_abandoned = self._is_abandoned, False
        return abandoned

    def _let_go(self, thread: Thread) -> None:
        self.owner = None
        thread.owned.discard(self)


class WaitableTimer:
    """KTIMER: signalled when its time has come, once or every period; with a DPC to run then."""

    def __init__(self, executive: Executive, *, manual: bool = True) -> None:
        """KeInitializeTimerEx: a notification timer (``manual``), or a synchronization timer."""
        self.event = Event(manual=manual)
        self._executive = executive
        self._dpc: Callable[[], None] | None = None
        self._period_ns = 0
        self._below: Timer | None = None

    def set(self, due_ns: int, period_ns: int = 0, dpc: Callable[[], None] | None = None) -> bool:
        """KeSetTimerEx: return whether it was set already. ``due_ns`` is a time, not a delay."""
        was_set = self.cancel()
        self.event.reset()
        self._period_ns, self._dpc = period_ns, dpc
        self._below = self._executive.call_at(due_ns, "timer", lambda: self._fire(due_ns))
        return was_set

    def cancel(self) -> bool:
        """KeCancelTimer: return whether it was set. A signalled timer stays signalled."""
        below, self._below = self._below, None
        return below is not None and below.cancel()

    def is_signalled_for(self, thread: Thread) -> bool:
        """Tell whether its time has come."""
        return self.event.is_signalled_for(thread)

    def consume(self, thread: Thread) -> bool:
        """End a wait: a synchronization timer is no longer signalled."""
        return self.event.consume(thread)

    def _fire(self, due_ns: int) -> None:
        self._below = None
        self.event.set()
        if self._period_ns:
            after_ns = due_ns + self._period_ns
            self._below = self._executive.call_at(after_ns, "timer", lambda: self._fire(after_ns))
        if self._dpc is not None:
            self._dpc()


class Dpc:
    """KDPC: a routine that is queued once at a time, however often it is asked for."""

    __slots__ = ("_executive", "_name", "_routine", "is_queued")

    def __init__(self, executive: Executive, name: str, routine: Callable[[], None]) -> None:
        self._executive = executive
        self._name = name
        self._routine = routine
        self.is_queued = False

    def queue(self) -> None:
        """KeInsertQueueDpc: run the routine soon; nothing when it waits to be run already."""
        if not self.is_queued:
            self.is_queued = True
            self._executive.queue_dpc(self._name, self._run)

    def _run(self) -> None:
        self.is_queued = False  # before: what the routine asks for comes after it
        self._routine()


class SystemThread:
    """KTHREAD: it can be waited for, and abandons its mutexes when it ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.owned: set[Owned] = set()
        self.has_ended = False

    def end(self) -> None:
        """PsTerminateSystemThread, or the return of its entry."""
        self.has_ended = True
        for one in list(self.owned):
            one.abandon()

    def is_signalled_for(self, thread: Thread) -> bool:
        """Tell whether it has ended."""
        del thread
        return self.has_ended

    def consume(self, thread: Thread) -> bool:
        """End a wait: an ended thread stays signalled."""
        del thread
        return False


MAXIMUM_WAIT_OBJECTS = 64


def wait_for_objects(
    executive: Executive,
    objects: Sequence[DispatcherObject],
    wait_for: WaitFor,
    timeout_ns: int | None,
) -> Wait:
    """KeWaitForMultipleObjects over ``executive.wait``.

    For all of them nothing is consumed until all are signalled at once. ValueError: there is none, there are
    more than MAXIMUM_WAIT_OBJECTS, or one is twice among all of them (STATUS_INVALID_PARAMETER_MIX).
    """
    if not 0 < len(objects) <= MAXIMUM_WAIT_OBJECTS:
        raise ValueError(f"a wait for {len(objects)} objects")
    if wait_for is WaitFor.ALL and len(set(map(id, objects))) != len(objects):
        raise ValueError("a wait for all of some objects has one of them twice")
    thread = executive.current_thread()
    decide = all if wait_for is WaitFor.ALL else any
    if not executive.wait(
        lambda: decide(one.is_signalled_for(thread) for one in objects), "dispatcher objects", timeout_ns
    ):
        return Wait(None)
    if wait_for is WaitFor.ALL:
        abandoned = [one.consume(thread) for one in objects]
        return Wait(0, any(abandoned))
    first = next(at for at, one in enumerate(objects) if one.is_signalled_for(thread))
    return Wait(first, objects[first].consume(thread))
