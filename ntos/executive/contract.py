"""What NT's components ask of the executive: time, contexts, places to run later, threads, and waiting.

Protocols only. ``virtual`` runs all of it on one thread and a clock that jumps, ``interleaved`` preempts by a
seeded choice, ``live`` has real threads and the machine's clock. Times are monotonic nanoseconds; levels are
those of ``irql``. A driver, a server or a file system that is written against this contract runs in each.

Source: "Kernel-Mode Driver Architecture", Windows Driver Kit.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ntos.executive.irql import IrqlModel

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


class StuckError(Exception):
    """A wait whose condition nothing left in the system can make true."""


class Clock(Protocol):
    """A monotonic clock."""

    def now_ns(self) -> int:
        """Return the time in nanoseconds."""


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


class Owned(Protocol):
    """What a thread can own, and abandons when it ends without giving it back."""

    def abandon(self) -> None:
        """Take note that the owner has ended."""


class DispatcherObject(Protocol):
    """What can be waited for: an event, a mutex, a semaphore, a timer, a thread."""

    def is_signalled_for(self, thread: Thread) -> bool:
        """Tell whether a wait of ``thread`` would end now. It changes nothing."""

    def consume(self, thread: Thread) -> bool:
        """End one wait of ``thread``; True: the object was abandoned. Only while it is signalled."""


class Thread(DispatcherObject, Protocol):
    """A thread as the dispatcher knows it; it is signalled when it has ended."""

    name: str
    owned: set[Owned]
    """The mutexes that it holds."""


class WaitFor(enum.Enum):
    """WAIT_TYPE."""

    ANY = enum.auto()
    ALL = enum.auto()


@dataclass(frozen=True, slots=True)
class Wait:
    """How a wait for objects ended.

    ``index``: which object ended it, the lowest of those signalled; 0 for all of them, None when the time was
    over (STATUS_TIMEOUT). ``is_abandoned``: a mutex came from a thread that ended (STATUS_ABANDONED_WAIT_0).
    """

    index: int | None
    is_abandoned: bool = False


class Instrument(Protocol):
    """An observer of an executive: each method is called where it says, and may look but not touch."""

    def routine_begins(self, name: str) -> None:
        """See a DPC, work item or timer start."""

    def routine_ends(self, name: str) -> None:
        """See it return."""

    def thread_waits(self, thread: str, what: str) -> None:
        """See a system thread begin to wait."""


class Executive(Clock, Protocol):
    """The executive and the kernel below it, as far as the network needs them."""

    irql: IrqlModel
    """The level of each CPU."""
    patience_ns: int | None
    """How long ``expect`` waits for a driver. None: until the executive knows that nothing will come."""

    def context(self) -> int:
        """Return the number of the CPU that calls."""

    def spin_lock(self, name: str) -> SpinLock:
        """KeInitializeSpinLock: make a free lock; ``name`` is for traces."""

    def queue_dpc(self, name: str, routine: Callable[[], None]) -> None:
        """KeInsertQueueDpc: run ``routine`` soon at DISPATCH_LEVEL, on any CPU. It may not wait."""

    def queue_work_item(self, name: str, routine: Callable[[], None]) -> None:
        """ExQueueWorkItem: run ``routine`` soon at PASSIVE_LEVEL, on a thread of the executive."""

    def call_at(self, due_ns: int, name: str, routine: Callable[[], None]) -> Timer:
        """Run ``routine`` at DISPATCH_LEVEL once, when the clock has reached ``due_ns``."""

    def create_thread(self, entry: Callable[[], None], name: str) -> Thread:
        """PsCreateSystemThread: run ``entry`` at PASSIVE_LEVEL on a thread of its own, which may wait."""

    def current_thread(self) -> Thread:
        """KeGetCurrentThread."""

    def wait(self, until: Callable[[], bool], what: str, timeout_ns: int | None = None) -> bool:
        """Let others run until ``until()`` is true; False when ``timeout_ns`` have gone by before.

        Only below DISPATCH_LEVEL. ``until`` changes nothing: it is called often, on any thread, after
        whatever may have made it true. Without ``timeout_ns`` StuckError where nothing is left that could.
        """

    def wait_for_objects(
        self,
        objects: Sequence[DispatcherObject],
        wait_for: WaitFor = WaitFor.ANY,
        timeout_ns: int | None = None,
    ) -> Wait:
        """KeWaitForMultipleObjects: wait for one or all of ``objects``, and consume what ended the wait."""


def expect(executive: Executive, until: Callable[[], bool], what: str) -> None:
    """Wait for what a driver or the hardware has to bring about. StuckError when it does not."""
    if not executive.wait(until, what, executive.patience_ns):
        raise StuckError(f"waited in vain for {what}")
