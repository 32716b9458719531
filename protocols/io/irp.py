"""IRP: one request on its way down a stack of devices and back up.

A request belongs to whoever was called with it last. It is completed once; on the way up the completion
routines run, the lowest driver's caller first. Source: "Handling IRPs" (Windows DDK), IoCallDriver,
IoCompleteRequest, IoSetCompletionRoutine, IoCancelIrp.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protocols.io.status import NtStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocols.io.device import DeviceObject, FileObject

Memory = bytes | bytearray | memoryview


class Major(enum.Enum):
    """IRP_MJ_*."""

    CREATE = 0x00
    CLOSE = 0x02
    READ = 0x03
    WRITE = 0x04
    FLUSH_BUFFERS = 0x09
    DEVICE_CONTROL = 0x0E
    INTERNAL_DEVICE_CONTROL = 0x0F
    CLEANUP = 0x12


class Invoke(enum.IntFlag):
    """When a completion routine wants to be called (SL_INVOKE_ON_*)."""

    SUCCESS = 1
    ERROR = 2
    CANCEL = 4
    ALWAYS = 7


@dataclass(slots=True)
class StackLocation:
    """IO_STACK_LOCATION: what one driver is asked. ``parameters`` are the request's own kind."""

    major: Major
    minor: object = None
    parameters: Any = None
    device: DeviceObject | None = None
    file: FileObject | None = None
    routine: Callable[[Irp], NtStatus] | None = None
    invoke: Invoke = Invoke.ALWAYS
    pending: bool = False


class Irp:
    """A request.

    ``buffers`` are the memory (MDL chain) that is sent from or received into, of ``length`` bytes in all;
    ``status`` and ``information`` are the I/O status block; ``result`` is what a request returns besides
    bytes. ``location`` is IoGetCurrentIrpStackLocation: of the driver that holds it, ``locations[current]``;
    the topmost while no driver has it.
    """

    __slots__ = (
        *("locations", "current", "location"),  # ``current`` counts down from behind the topmost, the last
        *("buffers", "length", "number"),
        *("status", "information", "result"),
        *("cancelled", "cancel_routine", "completed", "done", "context"),
    )

    def __init__(
        self,
        locations: list[StackLocation],
        buffers: Sequence[Memory] = (),
        number: int = 0,
        done: Callable[[Irp], None] | None = None,
    ) -> None:
        """Be on the way to nobody yet; ``locations`` are one at least, ``done`` is told of the completion."""
        self.locations = locations
        self.current = len(locations)
        self.location = locations[-1]
        self.buffers = buffers
        self.length = sum(map(len, buffers))
        self.number = number
        self.status = NtStatus.PENDING
        self.information = 0
        self.result: Any = None
        self.cancelled = False
        self.cancel_routine: Callable[[Irp], None] | None = None
        self.completed = False
        self.done = done
        self.context: dict[str, Any] = {}

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
