"""OVERLAPPED: a request that goes on by itself, and how its end is told.

Its end sets the event, or signals the file when there is none; it queues the completion routine as an APC of
the thread that asked, or else posts a packet to the file's port. A request that fails at once is told by the
call alone. Sources: OVERLAPPED, "Synchronous and Asynchronous I/O", SetFileCompletionNotificationModes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.port import CompletionPacket
from ntos.io.status import NtStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.dispatcher import Event
    from ntos.io.irp import Irp
    from ntos.object.process import Thread

FIRST_ERROR = 0xC000_0000


class Overlapped:
    """One overlapped call. ``offset`` is the place in the file; None for what has no places."""

    def __init__(
        self,
        event: Event | None = None,
        routine: Callable[[NtStatus, int, Overlapped], None] | None = None,
        *,
        offset: int | None = None,
    ) -> None:
        self.event = event
        self.routine = routine
        self.offset = offset
        self.irp: Irp | None = None
        self.status = NtStatus.PENDING
        self.information = 0
        self.result: Any = None
        self._has_returned = False
        """Whether the call that began it has returned: what ends before ends "at once"."""

    @property
    def done(self) -> bool:
        """HasOverlappedIoCompleted."""
        return self.status is not NtStatus.PENDING

    def begin(self, irp: Irp, thread: Thread) -> None:
        """Belong to a request of ``thread`` that is about to be sent."""
        self.irp = irp
        self.status, self.information, self.result = NtStatus.PENDING, 0, None
        self._has_returned = False
        irp.thread, irp.done = thread, self._finish
        if self.event is not None:
            self.event.reset()
        file = irp.location.file
        if file is not None:
            file.is_signalled = False

    def sent(self) -> None:
        """Take note that the call returns: the request is pending, or has ended."""
        self._has_returned = True

    def _finish(self, irp: Irp) -> None:
        self.status, self.information, self.result = irp.status, irp.information, irp.result
        at_once = not self._has_returned
        if at_once and irp.status >= FIRST_ERROR:
            return
        file = irp.locations[-1].file
        if self.event is not None:
            self.event.set()
        elif file is not None and not file.skip_event:
            file.is_signalled = True
        if self.routine is not None and irp.thread is not None:
            routine, status, information = self.routine, self.status, self.information
            irp.thread.apcs.queue(lambda: routine(status, information, self))
        elif file is not None and file.completion_port is not None:
            if at_once and irp.status.ok and file.skip_port_on_success:
                return
            packet = CompletionPacket(file.completion_key, self, self.status, self.information)
            file.completion_port.post(packet)
