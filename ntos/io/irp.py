"""IRP: one request on its way down a stack of devices and back up.

A request belongs to whoever was called with it last. It is completed once; on the way up the completion
routines run, the lowest driver's caller first. Source: "Handling IRPs" (Windows DDK), IoCallDriver,
IoCompleteRequest, IoSetCompletionRoutine, IoCancelIrp.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from ntos.io.major import Major as Major  # noqa: PLC0414, TC001 - whoever has an IRP needs it
from ntos.io.status import NtStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ntos.io.device import DeviceObject, FileObject
    from ntos.object.process import Thread

Memory = bytes | bytearray | memoryview


class Invoke(enum.IntFlag):
    """When a completion routine wants to be called (SL_INVOKE_ON_*)."""

    SUCCESS = 1
    ERROR = 2
    CANCEL = 4
    ALWAYS = 7


class StackLocation:
    """IO_STACK_LOCATION: what one driver is asked. ``parameters`` are the request's own kind.

    All zero when it is allocated; one has no constructor, since three are made for every byte that is echoed.
    """

    major: Major
    minor: object = None
    parameters: Any = None
    device: DeviceObject | None = None
    file: FileObject | None = None
    routine: Callable[[Irp], NtStatus] | None = None
    invoke = Invoke.ALWAYS
    pending = False


class Irp:
    """A request.

    ``buffers`` are the memory (MDL chain) that is sent from or received into, of ``length`` bytes in all;
    ``status`` and ``information`` are the I/O status block; ``result`` is what a request returns besides
    bytes. ``location`` is IoGetCurrentIrpStackLocation: of the driver that holds it, ``locations[current]``;
    the topmost while no driver has it. ``thread`` is the one that asked, where a driver or CancelIo needs it.
    """

    __slots__ = (
        *("locations", "current", "location"),  # ``current`` counts down from behind the topmost, the last
        *("buffers", "length", "number"),
        *("status", "information", "result"),
        *("cancelled", "cancel_routine", "completed", "done", "context", "thread"),
    )

    def __init__(
        self,
        device: DeviceObject,
        major: Major,
        file: FileObject | None = None,
        *,
        minor: object = None,
        parameters: object = None,
        buffers: Sequence[Memory] = (),
        done: Callable[[Irp], None] | None = None,
    ) -> None:
        """IoAllocateIrp for what is above ``device``, with its first location filled in.

        ``done`` is told of the completion. It gets its ``number`` when it is issued.
        """
        top = device if device.above is None else device.top
        location = self.location = StackLocation()
        location.major, location.minor, location.parameters = major, minor, parameters
        location.device, location.file = top, file
        self.locations = [location]
        if top.below is not None:
            self.locations[:0] = [StackLocation() for _ in range(top.below.depth)]
        self.current = len(self.locations)
        self.buffers = buffers
        self.length = sum(map(len, buffers))
        self.number = 0
        self.status = NtStatus.PENDING
        self.information = 0
        self.result: Any = None
        self.cancelled = False
        self.cancel_routine: Callable[[Irp], None] | None = None
        self.completed = False
        self.done = done
        self.context: dict[str, Any] = {}
        self.thread: Thread | None = None

    @property
    def next_location(self) -> StackLocation:
        """IoGetNextIrpStackLocation; IndexError when no device is below."""
        if self.current < 1:
            raise IndexError("the IRP has no stack location left for a lower driver")
        return self.locations[self.current - 1]

    def set_completion_routine(
        self, routine: Callable[[Irp], NtStatus], invoke: Invoke = Invoke.ALWAYS
    ) -> None:
        """IoSetCompletionRoutine: for when the driver below is done with it."""
        following = self.next_location
        following.routine, following.invoke = routine, invoke

    def copy_current_to_next(self) -> None:
        """IoCopyCurrentIrpStackLocationToNext: all but the completion routine."""
        mine, following = self.location, self.next_location
        following.major, following.minor = mine.major, mine.minor
        following.parameters, following.file = mine.parameters, mine.file
        following.routine, following.pending = None, False

    def scatter(self, data: Memory, at: int = 0) -> int:
        """Copy ``data`` into the buffers from byte ``at``; return how many bytes fitted."""
        view = memoryview(data)
        copied = 0
        for buffer in self.buffers:
            if at >= len(buffer):
                at -= len(buffer)
                continue
            room = memoryview(buffer)[at:]
            piece = view[copied : copied + len(room)]
            room[: len(piece)] = piece
            copied += len(piece)
            at = 0
            if copied == len(view):
                break
        return copied
