"""Drivers, devices and files: who is called with a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ntos.io.irp import Irp
    from ntos.io.status import NtStatus


class Driver(Protocol):
    """DRIVER_OBJECT: one dispatch routine for all major functions."""

    @property
    def name(self) -> str:
        """The service's name."""

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:
        """Do, forward or pend a request; return PENDING if and only if it was marked so."""


@dataclass(eq=False, slots=True)
class DeviceObject:
    """DEVICE_OBJECT. ``below`` is the device that it is attached to."""

    driver: Driver
    name: str
    below: DeviceObject | None = None
    above: DeviceObject | None = None
    extension: Any = None

    @property
    def depth(self) -> int:
        """StackSize: how many drivers a request may visit from here."""
        return 1 + (self.below.depth if self.below else 0)

    @property
    def top(self) -> DeviceObject:
        """The device that requests for this one are sent to."""
        return self.above.top if self.above else self


@dataclass(eq=False, slots=True)
class FileObject:
    """FILE_OBJECT: one open. ``rest`` is the name behind the device's; contexts belong to the driver."""

    device: DeviceObject
    rest: str = ""
    fs_context: Any = None
    fs_context2: Any = None
    references: int = 1
    handles: int = 1
    outstanding: set[Irp] = field(default_factory=set)
    completion_port: Any = None
    completion_key: object = None

    @property
    def is_open(self) -> bool:
        """Whether it has a handle."""
        return self.handles > 0
