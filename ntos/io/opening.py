"""One create on its way: looked up, asked of a driver, perhaps sent on to another name, perhaps pending.

A create ends once, with a status; a file that was opened for somebody who has given up is closed again.
Source: IoCreateFile, IRP_MJ_CREATE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ntos.io.create import Create, CreateMailslot, CreateNamedPipe
from ntos.io.device import DEVICE, FileObject
from ntos.io.irp import Irp
from ntos.io.major import Major
from ntos.io.reparse import REPARSES_LIMIT, new_name
from ntos.io.status import NtError, NtStatus
from ntos.object.access import FILE_MAPPING, Access
from ntos.object.access_check import access_check

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import DeviceObject

MAJORS: dict[type[Create], Major] = {
    Create: Major.CREATE,
    CreateNamedPipe: Major.CREATE_NAMED_PIPE,
    CreateMailslot: Major.CREATE_MAILSLOT,
}


class Requests(Protocol):
    """What a create asks of the I/O system."""

    def lookup(self, name: str) -> tuple[DeviceObject, str]:
        """Return the device that a name leads to, and the rest of the name. NtError."""

    def call(self, irp: Irp) -> NtStatus:
        """Send a request to the device that it was made for."""

    def cancel(self, irp: Irp) -> bool:
        """Cancel a request."""

    def close(self, file: FileObject) -> None:
        """Close a file's only handle."""


class Opening:
    """A create. ``status`` is PENDING until it ends, ``file`` is there when it ended well."""

    def __init__(
        self,
        io: Requests,
        name: str,
        create: Create,
        related: FileObject | None = None,
        done: Callable[[Opening], None] | None = None,
    ) -> None:
        self.status = NtStatus.PENDING
        self.information = 0
        self.file: FileObject | None = None
        self.granted = 0
        """The access that the handle gives."""
        self.irp: Irp | None = None
        """The driver's request, while the create is pending."""
        self._io = io
        self._name = name
        self._create = create
        self._related = related
        self._done = done
        self._reparses = 0
        self._is_issuing = False
        self._is_abandoned = False
        self._run()

    @property
    def completed(self) -> bool:
        """Whether it has ended."""
        return self.status is not NtStatus.PENDING

    def result(self) -> FileObject:
        """Return the file. NtError with the status of a create that failed, or is pending."""
        if self.file is None or not self.status.ok:
            raise NtError(self.status, self._name)
        return self.file

    def abandon(self) -> None:
        """Give up: the driver's request is cancelled, and a file that is opened all the same is closed."""
        self._is_abandoned = True
        if self.irp is not None:
            self._io.cancel(self.irp)

    def _run(self) -> None:
        """Ask drivers until one has an answer, or pends."""
        try:
            self._create.validate()
            while self._ask():
                pass
        except NtError as error:
            self._end(error.status)

    def _ask(self) -> bool:
        """Ask one driver; return whether another name has to be asked for. NtError."""
        device, rest = self._target()
        self.granted = self._granted(device)
        file = FileObject(device=device, rest=rest, related=self._related, options=self._create.options)
        irp = self.irp = Irp(device, MAJORS[type(self._create)], file, parameters=self._create)
        irp.done = self._completed
        self._is_issuing = True
        self._io.call(irp)
        self._is_issuing = False
        return self._judge(irp) if irp.completed else False

    def _target(self) -> tuple[DeviceObject, str]:
        if self._related is None:
            return self._io.lookup(self._name)
        if self._name.startswith("\\"):
            raise NtError(NtStatus.OBJECT_PATH_SYNTAX_BAD, self._name)
        return self._related.device, self._name

    def _granted(self, device: DeviceObject) -> int:
        """Check the device's own descriptor; what is below its name is the driver's to check."""
        token, desired = self._create.token, self._create.access
        if token is None or device.descriptor is None:
            asked = FILE_MAPPING.map(desired)
            return FILE_MAPPING.all if asked & Access.MAXIMUM_ALLOWED else asked
        return access_check(device.descriptor, token, desired, DEVICE.mapping)

    def _completed(self, irp: Irp) -> None:
        """Go on after a driver that pended."""
        if self._is_issuing:
            return
        try:
            if self._judge(irp):
                self._run()
        except NtError as error:
            self._end(error.status)

    def _judge(self, irp: Irp) -> bool:
        """Take a driver's answer; return whether it is another name. NtError for one that leads nowhere."""
        self.irp = None
        if irp.status is not NtStatus.REPARSE or self._is_abandoned:
            self._end(irp.status, irp)
            return False
        self._reparses += 1
        if self._reparses > REPARSES_LIMIT:
            raise NtError(NtStatus.REPARSE_POINT_NOT_RESOLVED, f"{self._name[:80]}: {REPARSES_LIMIT} times")
        whole = self._name
        if self._related is not None:
            whole = f"{self._related.device.name}{self._related.rest}\\{self._name}"
        self._name, self._related = new_name(whole, irp.information, irp.result), None
        return True

    def _end(self, status: NtStatus, irp: Irp | None = None) -> None:
        file = irp.locations[-1].file if irp is not None else None
        if file is not None and status.ok and self._is_abandoned:
            self._io.close(file)
            file, status = None, NtStatus.CANCELLED
        self.status = status
        self.file = file if status.ok else None
        self.information = irp.information if irp is not None else 0
        if self._done is not None:
            self._done(self)
