"""WSAOVERLAPPED: a request that goes on by itself, and how its end is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.completion import CompletionPacket, Event
from ntos.io.status import NtStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.completion import ApcQueue
    from ntos.io.irp import Irp


class Overlapped:
    """One overlapped call. ``event`` is set, ``routine`` queued as an APC, or a port gets a packet."""

    def __init__(
        self,
        event: Event | None = None,
        routine: Callable[[NtStatus, int, Overlapped], None] | None = None,
    ) -> None:
        """Prepare a call."""
        self.event = event
        self.routine = routine
        self.irp: Irp | None = None
        self.status = NtStatus.PENDING
        self.information = 0
        self.result: Any = None

    @property
    def done(self) -> bool:
        """HasOverlappedIoCompleted."""
        return self.status is not NtStatus.PENDING

    def begin(self) -> None:
        """Start a call with it."""
        self.status, self.information, self.result = NtStatus.PENDING, 0, None
        if self.event is not None:
            self.event.reset()

    def finish(self, irp: Irp, apcs: ApcQueue) -> None:
        """Take the outcome, and tell."""
        self.status, self.information, self.result = irp.status, irp.information, irp.result
        if self.event is not None:
            self.event.set()
        if self.routine is not None:
            routine, status, information = self.routine, self.status, self.information
            apcs.queue(lambda: routine(status, information, self))
            return
        file = irp.locations[-1].file
        if file is not None and file.completion_port is not None:
            packet = CompletionPacket(file.completion_key, self, self.status, self.information)
            file.completion_port.post(packet)
