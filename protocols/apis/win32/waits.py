r"""Events, mutexes, semaphores, timers, and the waits for them and for any other handle.

Named ones are in ``\BaseNamedObjects``; creating one that is there opens it, and the last error says so.
Sources: "Synchronization Functions", "Wait Functions", "Object Names".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.executive.dispatcher import (
    MAXIMUM_WAIT_OBJECTS,
    Event,
    MutantNotOwnedError,
    Mutex,
    Semaphore,
    SemaphoreLimitExceededError,
    WaitableTimer,
)
from ntos.io.status import NtError, NtStatus
from ntos.object.access import Access
from ntos.object.dispatched import EVENT, MODIFY_STATE, MUTANT, SEMAPHORE, TIMER, Dispatched
from ntos.object.process import THREAD
from protocols.apis.win32.errors import ErrorCode
from protocols.apis.win32.library import CURRENT_THREAD, Library, require, win32

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ntos.executive.contract import DispatcherObject
    from ntos.object.types import ObjectType

WAIT_OBJECT_0 = 0x00
WAIT_ABANDONED_0 = 0x80
WAIT_IO_COMPLETION = 0xC0
WAIT_TIMEOUT = 0x102
SET_CONTEXT = 0x0010
"""THREAD_SET_CONTEXT."""
NAMED = "\\BaseNamedObjects\\"
KINDS: dict[ObjectType, type] = {EVENT: Event, MUTANT: Mutex, SEMAPHORE: Semaphore, TIMER: WaitableTimer}


class WaitCalls(Library):
    """The functions. Times to wait are nanoseconds; None: for ever."""

    @win32
    def create_event(self, name: str = "", *, manual: bool = False, signalled: bool = False) -> int:
        """CreateEvent."""
        return self._create(EVENT, name, lambda: Event(manual=manual, signalled=signalled))

    @win32
    def create_mutex(self, name: str = "", *, owned: bool = False) -> int:
        """CreateMutex; ``owned``: by the calling thread, unless it was there."""
        handle = self._create(MUTANT, name, Mutex)
        if owned and self.get_last_error() != ErrorCode.ALREADY_EXISTS:
            mutex: Mutex = self.entry(handle, MUTANT).target.body
            mutex.consume(self.executive.current_thread())
        return handle

    @win32
    def create_semaphore(self, count: int, limit: int, name: str = "") -> int:
        """CreateSemaphore. ERROR_INVALID_PARAMETER unless 0 <= count <= limit and limit > 0."""
        require(0 <= count <= limit and limit, NtStatus.INVALID_PARAMETER, f"{count} of {limit}")
        return self._create(SEMAPHORE, name, lambda: Semaphore(count, limit))

    @win32
    def create_waitable_timer(self, name: str = "", *, manual: bool = False) -> int:
        """CreateWaitableTimer."""
        return self._create(TIMER, name, lambda: WaitableTimer(self.executive, manual=manual))

    @win32
    def open_object(self, kind: ObjectType, name: str, access: int = int(Access.MAXIMUM_ALLOWED)) -> int:
        """OpenEvent, OpenMutex, OpenSemaphore, OpenWaitableTimer, by the object's type."""
        found = self.io.names.lookup(NAMED + name).target
        require(found.object_type is kind, NtStatus.OBJECT_TYPE_MISMATCH, name)
        return self.handles.insert(found, self.allowed(found, access))

    @win32
    def set_event(self, handle: int) -> None:
        """SetEvent."""
        self._body(handle, EVENT).set()

    @win32
    def reset_event(self, handle: int) -> None:
        """ResetEvent."""
        self._body(handle, EVENT).reset()

    @win32
    def release_mutex(self, handle: int) -> None:
        """ReleaseMutex. ERROR_NOT_OWNER."""
        try:
            self.entry(handle, MUTANT).target.body.release(self.executive.current_thread())
        except MutantNotOwnedError as error:
            raise NtError(NtStatus.MUTANT_NOT_OWNED, str(error)) from error

    @win32
    def release_semaphore(self, handle: int, count: int = 1) -> int:
        """ReleaseSemaphore: return the count before. ERROR_TOO_MANY_POSTS."""
        try:
            before: int = self._body(handle, SEMAPHORE).release(count)
        except SemaphoreLimitExceededError as error:
            raise NtError(NtStatus.SEMAPHORE_LIMIT_EXCEEDED, str(error)) from error
        return before

    @win32
    def set_waitable_timer(self, handle: int, delay_ns: int, period_ns: int = 0) -> None:
        """SetWaitableTimer: in ``delay_ns`` from now, then every ``period_ns``."""
        self._body(handle, TIMER).set(self.executive.now_ns() + delay_ns, period_ns)

    @win32
    def cancel_waitable_timer(self, handle: int) -> None:
        """CancelWaitableTimer."""
        self._body(handle, TIMER).cancel()

    def event_of(self, handle: int) -> Event:
        """Return the event of a handle, for an ``Overlapped``. Win32Error(ERROR_INVALID_HANDLE)."""
        found: Event = self._event_of(handle)
        return found

    @win32
    def wait_for_single_object(
        self, handle: int, timeout_ns: int | None = None, *, alertable: bool = False
    ) -> int:
        """WaitForSingleObject(Ex): WAIT_OBJECT_0, WAIT_ABANDONED_0, WAIT_TIMEOUT or WAIT_IO_COMPLETION."""
        return self.wait([self._waitable(handle)], timeout_ns, alertable=alertable)

    @win32
    def wait_for_multiple_objects(
        self,
        handles: Sequence[int],
        timeout_ns: int | None = None,
        *,
        wait_all: bool = False,
        alertable: bool = False,
    ) -> int:
        """WaitForMultipleObjects(Ex): as for one, plus the index of the first that is signalled.

        ERROR_INVALID_PARAMETER: none, more than 64, or one of them twice.
        """
        count = len(handles)
        require(0 < count <= MAXIMUM_WAIT_OBJECTS, NtStatus.INVALID_PARAMETER, f"{count} handles")
        require(len(set(handles)) == count, NtStatus.INVALID_PARAMETER, "a handle twice")
        objects = [self._waitable(handle) for handle in handles]
        return self.wait(objects, timeout_ns, wait_all=wait_all, alertable=alertable)

    def wait(
        self,
        objects: Sequence[DispatcherObject],
        timeout_ns: int | None = None,
        *,
        wait_all: bool = False,
        alertable: bool = False,
    ) -> int:
        """Wait for dispatcher objects: what the functions with handles are made of.

        What is signalled ends the wait before an APC does (KeWaitForMultipleObjects).
        """
        executive, apcs = self.executive, self.process.thread.apcs
        thread, decide = executive.current_thread(), all if wait_all else any

        def is_over() -> bool:
            return decide(one.is_signalled_for(thread) for one in objects) or (alertable and len(apcs) > 0)

        if not executive.wait(is_over, "objects", timeout_ns):
            return WAIT_TIMEOUT
        if not decide(one.is_signalled_for(thread) for one in objects):
            apcs.deliver()
            return WAIT_IO_COMPLETION
        if wait_all:
            abandoned = [one.consume(thread) for one in objects]
            return WAIT_ABANDONED_0 if any(abandoned) else WAIT_OBJECT_0
        first = next(at for at, one in enumerate(objects) if one.is_signalled_for(thread))
        return (WAIT_ABANDONED_0 if objects[first].consume(thread) else WAIT_OBJECT_0) + first

    def sleep_ex(self, timeout_ns: int | None) -> bool:
        """SleepEx, alertable: True when APCs ran."""
        apcs = self.process.thread.apcs
        self.executive.wait(lambda: len(apcs) > 0, "an APC", timeout_ns)
        return bool(apcs.deliver())

    @win32
    def queue_user_apc(self, routine: Callable[[], None], thread: int = CURRENT_THREAD) -> None:
        """QueueUserAPC."""
        self.entry(thread, THREAD, SET_CONTEXT).target.apcs.queue(routine)

    @win32
    def _event_of(self, handle: int) -> Any:  # noqa: ANN401 - an event, which the decorator loses
        return self._body(handle, EVENT)

    def _body(self, handle: int, kind: ObjectType) -> Any:  # noqa: ANN401 - each type has its own
        return self.entry(handle, kind, MODIFY_STATE).target.body

    def _waitable(self, handle: int) -> DispatcherObject:
        """Return what a wait for a handle waits for. NtError: it gives no SYNCHRONIZE, or has no state."""
        target = self.entry(handle, None, int(Access.SYNCHRONIZE)).target
        found: DispatcherObject | None = target.dispatcher
        if found is None:
            raise NtError(NtStatus.OBJECT_TYPE_MISMATCH, target.object_type.name)
        return found

    def _create(self, kind: ObjectType, name: str, make: Callable[[], DispatcherObject]) -> int:
        """Make an object, or open the one of that name. NtError."""
        self.set_last_error(ErrorCode.SUCCESS)
        if name:
            present = self._present(name)
            if present is not None:
                require(present.object_type is kind, NtStatus.INVALID_HANDLE, name)
                handle = self.handles.insert(present, self.allowed(present, int(Access.MAXIMUM_ALLOWED)))
                self.set_last_error(ErrorCode.ALREADY_EXISTS)
                return handle
        descriptor = self.process.thread.token.default_descriptor() if name else None
        made = Dispatched(object_type=kind, body=make(), descriptor=descriptor)
        handle = self.handles.insert(made, kind.mapping.all)
        if name:
            self.io.names.insert(NAMED + name, made, permanent=False)
        return handle

    def _present(self, name: str) -> Any:  # noqa: ANN401 - an object of any type
        require("\\" not in name, NtStatus.OBJECT_PATH_NOT_FOUND, name)
        try:
            return self.io.names.lookup(NAMED + name).target
        except NtError as error:
            if error.status is not NtStatus.OBJECT_NAME_NOT_FOUND:
                raise
        return None
