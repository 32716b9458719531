"""Drivers, devices and files: who is called with a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ntos.io.create import Options, Share
from ntos.object.access import FILE_MAPPING
from ntos.object.types import KernelObject, ObjectType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntos.executive.contract import Thread
    from ntos.io.irp import Irp, Memory
    from ntos.io.status import NtStatus


class Files(Protocol):
    """What a device asks of the I/O system: to count the handles of its files."""

    def duplicate(self, file: FileObject) -> None:
        """There is one handle more."""

    def close(self, file: FileObject) -> None:
        """There is one handle less."""


class Driver(Protocol):
    """DRIVER_OBJECT: one dispatch routine for all major functions."""

    @property
    def name(self) -> str:
        """The service's name."""

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:
        """Do, forward or pend a request; return PENDING if and only if it was marked so."""


class PacketQueue(Protocol):
    """A completion port, as a file knows it."""

    def post(self, packet: Any) -> None:  # noqa: ANN401 - the port's own packets
        """Tell of a request's end."""


class FastAnswer(NamedTuple):
    """IO_STATUS_BLOCK of a fast call."""

    status: NtStatus
    information: int


class FastIo(Protocol):
    """FAST_IO_DISPATCH: what a driver does without an IRP when nothing has to wait.

    None: not now; the I/O manager sends an IRP instead.
    """

    def read(self, file: FileObject, buffers: Sequence[Memory], offset: int | None) -> FastAnswer | None:
        """FastIoRead."""

    def write(self, file: FileObject, buffers: Sequence[Memory], offset: int | None) -> FastAnswer | None:
        """FastIoWrite."""


def _opened(file: FileObject) -> None:
    file.device.io.duplicate(file)


def _closed(file: FileObject) -> None:
    file.device.io.close(file)


FILE = ObjectType("File", FILE_MAPPING, opened=_opened, closed=_closed)
DEVICE = ObjectType("Device", FILE_MAPPING, parses=True)


@dataclass(eq=False, slots=True, kw_only=True)
class DeviceObject(KernelObject):
    """DEVICE_OBJECT. ``below`` is the device that it is attached to. ``name`` is its whole path, or empty."""

    object_type: ObjectType = DEVICE
    driver: Driver
    io: Files
    name: str = ""
    below: DeviceObject | None = None
    above: DeviceObject | None = None
    extension: Any = None
    fast_io: FastIo | None = None

    @property
    def depth(self) -> int:
        """StackSize: how many drivers a request may visit from here."""
        return 1 + (self.below.depth if self.below else 0)

    @property
    def top(self) -> DeviceObject:
        """The device that requests for this one are sent to."""
        return self.above.top if self.above else self


@dataclass(eq=False, slots=True, kw_only=True)
class FileObject(KernelObject):
    """FILE_OBJECT: one open. ``rest`` is the name behind the device's; contexts belong to the driver."""

    object_type: ObjectType = FILE
    device: DeviceObject
    rest: str = ""
    related: FileObject | None = None
    """The directory that ``rest`` begins at, for a name that does not begin at the device."""
    options: Options = Options.NONE
    fs_context: Any = None
    fs_context2: Any = None
    references: int = 1
    handles: int = 1
    outstanding: set[Irp] = field(default_factory=set)
    completion_port: PacketQueue | None = None
    completion_key: object = None
    skip_port_on_success: bool = False
    """FILE_SKIP_COMPLETION_PORT_ON_SUCCESS: a request that ends well at once sends no packet."""
    skip_event: bool = False
    """FILE_SKIP_SET_EVENT_ON_HANDLE: a request's end does not signal the file."""
    is_signalled: bool = False
    """What a wait for the file waits for: an overlapped request without an event of its own has ended."""
    position: int = 0
    """Of a synchronous file: the byte that the next read or write is at."""
    in_use: Share = Share.NONE
    """What share access counts of this open: reading, writing, deleting."""
    shares: Share = Share.NONE

    @property
    def is_open(self) -> bool:
        """Whether it has a handle."""
        return self.handles > 0

    @property
    def dispatcher(self) -> FileObject:
        """A file can be waited for."""
        return self

    def is_signalled_for(self, thread: Thread) -> bool:
        """Tell whether the last request has ended."""
        del thread
        return self.is_signalled

    def consume(self, thread: Thread) -> bool:
        """End a wait: the file stays signalled until the next request."""
        del thread
        return False
