"""The I/O system: names, opens, and the ways down and up that requests take.

It runs on the caller's thread and holds no lock: whoever has threads guards it from outside.
Sources: IoCreateDevice, IoCreateSymbolicLink, IoAttachDevice, IoCallDriver, IoCompleteRequest, IoCancelIrp.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from ntos.io.device import DeviceObject, FileObject
from ntos.io.irp import Invoke, Irp, Major, StackLocation
from ntos.io.status import NtError, NtStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import Driver
    from ntos.io.verifier import IrpVerifier

LINKS_LIMIT = 32
"""Symbolic links followed for one name."""


class IoSystem:
    """Devices by name, and everything that is done with requests.

    ``trace``, when set, is called with the name of each driver that a request enters.
    """

    def __init__(self, verifier: IrpVerifier | None = None) -> None:
        """Start with an empty namespace."""
        self.verifier = verifier
        self.devices: dict[str, DeviceObject] = {}
        self.links: dict[str, str] = {}
        self.trace: Callable[[str, Irp], None] | None = None
        self._numbers = itertools.count(1)

    # Names. They are compared without regard to case, as the object namespace does.

    def create_device(self, driver: Driver, name: str, extension: object = None) -> DeviceObject:
        """IoCreateDevice. NtError(OBJECT_NAME_COLLISION)."""
        key = name.lower()
        if key in self.devices or key in self.links:
            raise NtError(NtStatus.OBJECT_NAME_COLLISION, name)
        device = self.devices[key] = DeviceObject(driver, name, extension=extension)
        return device

    def delete_device(self, device: DeviceObject) -> None:
        """IoDeleteDevice: the name is free; open files stay usable until they are closed."""
        self.devices.pop(device.name.lower(), None)
        if device.below is not None:
            device.below.above = device.above

    def attach_device(self, upper: DeviceObject, lower: DeviceObject) -> DeviceObject:
        """IoAttachDeviceToDeviceStack: requests for ``lower`` pass ``upper`` first; return what is below."""
        target = lower.top
        target.above, upper.below = upper, target
        return target

    def create_symbolic_link(self, name: str, target: str) -> None:
        """IoCreateSymbolicLink. NtError(OBJECT_NAME_COLLISION)."""
        key = name.lower()
        if key in self.devices or key in self.links:
            raise NtError(NtStatus.OBJECT_NAME_COLLISION, name)
        self.links[key] = target

    def delete_symbolic_link(self, name: str) -> None:
        """IoDeleteSymbolicLink. NtError(OBJECT_NAME_NOT_FOUND)."""
        if self.links.pop(name.lower(), None) is None:
            raise NtError(NtStatus.OBJECT_NAME_NOT_FOUND, name)

    def lookup(self, name: str) -> tuple[DeviceObject, str]:
        """Return the device that a name leads to, and the rest of the name.

        NtError(OBJECT_NAME_NOT_FOUND): no such device, or links that lead in a circle.
        """
        for _ in range(LINKS_LIMIT):
            prefixes = _prefixes(name)
            for prefix in prefixes:
                if prefix.lower() in self.devices:
                    return self.devices[prefix.lower()], name[len(prefix) :]
            for prefix in prefixes:
                if prefix.lower() in self.links:
                    name = self.links[prefix.lower()] + name[len(prefix) :]
                    break
            else:
                break
        raise NtError(NtStatus.OBJECT_NAME_NOT_FOUND, name)

    # Files

    def open(self, name: str, parameters: object = None) -> FileObject:
        """ZwCreateFile; ``parameters`` are the extended attributes. NtError with the driver's status."""
        device, rest = self.lookup(name)
        file = FileObject(device, rest)
        irp = Irp(device, Major.CREATE, file, parameters=parameters)
        status = self.call(irp)
        if status is NtStatus.PENDING or not irp.status.ok:
            raise NtError(irp.status, name)
        return file

    def reference(self, file: FileObject) -> FileObject:
        """ObReferenceObject."""
        file.references += 1
        return file

    def dereference(self, file: FileObject) -> None:
        """ObDereferenceObject: with the last reference, IRP_MJ_CLOSE."""
        file.references -= 1
        if file.references:
            return
        irp, outstanding = Irp(file.device, Major.CLOSE, file), len(file.outstanding)
        self.call(irp)
        if outstanding:
            self._broken("I08", irp, f"{outstanding} requests outstanding")

    def close(self, file: FileObject) -> None:
        """ZwClose: with the last handle IRP_MJ_CLEANUP. NtError(INVALID_HANDLE) when it was closed."""
        if not file.is_open:
            raise NtError(NtStatus.INVALID_HANDLE)
        file.handles -= 1
        if not file.handles:
            self.call(Irp(file.device, Major.CLEANUP, file))
        self.dereference(file)

    def duplicate(self, file: FileObject) -> None:
        """ZwDuplicateObject: one handle more. NtError(INVALID_HANDLE) when it was closed."""
        if not file.is_open:
            raise NtError(NtStatus.INVALID_HANDLE)
        file.handles += 1
        file.references += 1

    # Requests

    def call(self, irp: Irp, device: DeviceObject | None = None) -> NtStatus:
        """IoCallDriver: hand a request to ``device`` with the next stack location.

        None: it was just built, and goes to the top of what it was built for.
        """
        if irp.completed:
            whom = device.name if device is not None else "a driver"
            self._broken("I06", irp, f"handed to {whom} after its completion")
            return irp.status
        if device is None:
            device, file = irp.location.device, irp.location.file
            if device is None:
                raise NtError(NtStatus.INVALID_DEVICE_REQUEST, "a request without a device")
            irp.number = next(self._numbers)
            if self.verifier is not None:
                self.verifier.began(irp)
            if file is not None:
                file.outstanding.add(irp)
        irp.current -= 1
        location = irp.location = irp.locations[irp.current]
        location.device = device
        if self.trace is not None:
            self.trace(device.driver.name, irp)
        status = device.driver.dispatch(device, irp)
        if self.verifier is not None:
            self._check_return(irp, location, status)
        return status

    def forward(self, device: DeviceObject, irp: Irp) -> NtStatus:
        """IoCallDriver, as a driver hands a request on to the device below."""
        return self.call(irp, device)

    def mark_pending(self, irp: Irp) -> NtStatus:
        """IoMarkIrpPending; return the status that the dispatch routine is to return."""
        irp.location.pending = True
        return NtStatus.PENDING

    def complete(self, irp: Irp, status: NtStatus, information: int = 0, result: Any = None) -> NtStatus:  # noqa: ANN401 - each request has its own
        """IoCompleteRequest; return ``status``."""
        if irp.completed:
            self._broken("I01", irp, "completed twice")
            return status
        if status is NtStatus.PENDING or irp.cancel_routine is not None:
            self._check_completion(irp, status)
        irp.status, irp.information = status, information
        if result is not None:
            irp.result = result
        irp.completed = True
        locations = irp.locations
        while irp.current < len(locations):
            location = locations[irp.current]
            irp.current += 1
            if irp.current < len(locations):
                irp.location = locations[irp.current]
            if location.routine is not None and _is_kept(location, irp):
                irp.completed = False
                return status
        if self.verifier is not None:
            self.verifier.ended(irp)
        file = locations[-1].file
        if file is not None:
            file.outstanding.discard(irp)
        if irp.done is not None:
            irp.done(irp)
        return status

    def resume_completion(self, irp: Irp) -> None:
        """IoCompleteRequest after a completion routine has said MORE_PROCESSING_REQUIRED."""
        self.complete(irp, irp.status, irp.information)

    def pend_cancellable(self, irp: Irp, routine: Callable[[Irp], None]) -> NtStatus:
        """IoSetCancelRoutine and IoMarkIrpPending.

        A request that was cancelled before is completed at once; PENDING is right in either case.
        """
        irp.location.pending = True
        if irp.cancelled:
            self.complete(irp, NtStatus.CANCELLED)
        else:
            irp.cancel_routine = routine
        return NtStatus.PENDING

    def claim(self, irp: Irp) -> bool:
        """IoSetCancelRoutine(NULL) before completing: False when a cancel was faster."""
        claimed = irp.cancel_routine is not None
        irp.cancel_routine = None
        return claimed

    def cancel(self, irp: Irp) -> bool:
        """IoCancelIrp: True when a cancel routine was called."""
        irp.cancelled = True
        routine, irp.cancel_routine = irp.cancel_routine, None
        if routine is None:
            return False
        routine(irp)
        return True

    def cancel_file(self, file: FileObject) -> int:
        """CancelIo: cancel what a file has outstanding; return how many were cancelled."""
        return sum(self.cancel(irp) for irp in list(file.outstanding))

    def _check_completion(self, irp: Irp, status: NtStatus) -> None:
        if status is NtStatus.PENDING:
            self._broken("I02", irp, "completed with PENDING")
        if irp.cancel_routine is not None:
            self._broken("I03", irp, "completed while its cancel routine is set")
            irp.cancel_routine = None

    def _check_return(self, irp: Irp, location: StackLocation, status: NtStatus) -> None:
        if location.pending and status is not NtStatus.PENDING:
            self._broken("I04", irp, f"marked pending, but {status.name} returned")
        elif status is NtStatus.PENDING and not location.pending:
            # A driver may pass on the PENDING of the driver below, when its routine marks it later.
            below = irp.locations[: irp.locations.index(location)]
            if not any(lower.pending for lower in below):
                self._broken("I05", irp, "PENDING returned, but not marked")
        elif status is not NtStatus.PENDING and not irp.completed:
            self._broken("I07", irp, f"{status.name} returned, but not completed")

    def _broken(self, rule: str, irp: Irp, what: str) -> None:
        if self.verifier is not None:
            self.verifier.report(rule, irp, what)


def _is_kept(location: StackLocation, irp: Irp) -> bool:
    """Call a completion routine, once, if it wants to be; return whether it keeps the request."""
    routine, location.routine = location.routine, None
    if routine is None or not _wanted(location.invoke, irp):
        return False
    return routine(irp) is NtStatus.MORE_PROCESSING_REQUIRED


def _wanted(invoke: Invoke, irp: Irp) -> bool:
    if irp.cancelled and irp.status is NtStatus.CANCELLED:
        return bool(invoke & (Invoke.CANCEL | Invoke.ERROR))
    return bool(invoke & (Invoke.SUCCESS if irp.status.ok else Invoke.ERROR))


def _prefixes(name: str) -> list[str]:
    """Return the leading parts of a name, longest first."""
    parts = name.split("\\")
    return ["\\".join(parts[:n]) for n in range(len(parts), 1, -1)]
