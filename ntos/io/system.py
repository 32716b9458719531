"""The I/O system: names, opens, and the ways down and up that requests take.

It runs on the thread of the caller and holds no lock: whoever has threads guards it from outside.
Sources: IoCreateDevice, IoCreateSymbolicLink, IoAttachDevice, IoCallDriver, IoCompleteRequest, IoCancelIrp.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from ntos.io.create import Create
from ntos.io.device import DeviceObject
from ntos.io.irp import Invoke, Irp, Major, StackLocation
from ntos.io.opening import Opening
from ntos.io.parameters import NOTHING
from ntos.io.status import NtError, NtStatus
from ntos.io.unc import UncProviders
from ntos.object.process import ObjectManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import Driver, FileObject
    from ntos.io.verifier import IrpVerifier
    from ntos.object.descriptor import SecurityDescriptor
    from ntos.object.process import Thread


class IoSystem:
    """Devices by name, and everything that is done with requests.

    ``trace``, when set, is called with the name of each driver that a request enters. ``wait`` lets time pass
    until a condition holds: who opens a file waits by it for a driver that pends the create.
    """

    def __init__(self, verifier: IrpVerifier | None = None, objects: ObjectManager | None = None) -> None:
        self.verifier = verifier
        self.objects = objects or ObjectManager()
        self.names = self.objects.namespace
        self.unc = UncProviders()
        self.trace: Callable[[str, Irp], None] | None = None
        self.wait: Callable[[Callable[[], bool]], object] | None = None
        self._numbers = itertools.count(1)

    # Names: the object namespace's

    def create_device(
        self,
        driver: Driver,
        name: str = "",
        extension: object = None,
        descriptor: SecurityDescriptor | None = None,
    ) -> DeviceObject:
        """IoCreateDevice, IoCreateDeviceSecure. NtError(OBJECT_NAME_COLLISION, OBJECT_PATH_NOT_FOUND)."""
        device = DeviceObject(driver=driver, io=self, name=name, extension=extension, descriptor=descriptor)
        if name:
            self.names.insert(name, device)
        return device

    def delete_device(self, device: DeviceObject) -> None:
        """IoDeleteDevice: the name is free; open files stay usable until they are closed."""
        self.names.remove(device)
        if device.below is not None:
            device.below.above = device.above

    def attach_device(self, upper: DeviceObject, lower: DeviceObject) -> DeviceObject:
        """IoAttachDeviceToDeviceStack: requests for ``lower`` pass ``upper`` first; return what is below."""
        target = lower.top
        target.above, upper.below = upper, target
        return target

    def create_symbolic_link(self, name: str, target: str) -> None:
        """IoCreateSymbolicLink. NtError(OBJECT_NAME_COLLISION, OBJECT_PATH_NOT_FOUND)."""
        self.names.create_symbolic_link(name, target)

    def delete_symbolic_link(self, name: str) -> None:
        """IoDeleteSymbolicLink. NtError(OBJECT_NAME_NOT_FOUND)."""
        self.names.delete_symbolic_link(name)

    def lookup(self, name: str) -> tuple[DeviceObject, str]:
        """Return the device that a name leads to, and the rest of the name.

        NtError: as the namespace's ``lookup``; OBJECT_TYPE_MISMATCH for what is no device.
        """
        found = self.names.lookup(name)
        if not isinstance(found.target, DeviceObject):
            raise NtError(NtStatus.OBJECT_TYPE_MISMATCH, name)
        return found.target, found.rest

    # Files

    def open(self, name: str, ea: object = None) -> FileObject:
        """ZwCreateFile from the kernel, for all access; ``ea`` are the extended attributes.

        NtError with the driver's status, and PENDING when it does not end and nobody can wait.
        """
        return self.create_file(name, Create(ea=ea)).result()

    def create_file(self, name: str, create: Create, related: FileObject | None = None) -> Opening:
        """IoCreateFile: ask, and wait for the end."""
        opening = Opening(self, name, create, related)
        if not opening.completed:
            if self.wait is not None:
                self.wait(lambda: opening.completed)
            if not opening.completed:
                opening.abandon()
        return opening

    def begin_create(
        self,
        name: str,
        create: Create,
        related: FileObject | None = None,
        done: Callable[[Opening], None] | None = None,
    ) -> Opening:
        """IoCreateFile that waits for nothing: ``done`` hears of the end, perhaps at once."""
        return Opening(self, name, create, related, done)

    def reference(self, file: FileObject) -> FileObject:
        """ObReferenceObject."""
        file.references += 1
        return file

    def dereference(self, file: FileObject) -> None:
        """ObDereferenceObject: with the last reference, IRP_MJ_CLOSE."""
        file.references -= 1
        if file.references:
            return
        irp, outstanding = Irp(file.device, Major.CLOSE, file, parameters=NOTHING), len(file.outstanding)
        self.call(irp)
        if outstanding:
            self._broken("I08", irp, f"{outstanding} requests outstanding")

    def close(self, file: FileObject) -> None:
        """ZwClose: with the last handle IRP_MJ_CLEANUP. NtError(INVALID_HANDLE) when it was closed."""
        if not file.is_open:
            raise NtError(NtStatus.INVALID_HANDLE)
        file.handles -= 1
        if not file.handles:
            self.call(Irp(file.device, Major.CLEANUP, file, parameters=NOTHING))
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

    def cancel_file(self, file: FileObject, thread: Thread | None = None) -> int:
        """Cancel what a file has outstanding, of one thread or of all; return how many were cancelled."""
        chosen = [irp for irp in file.outstanding if thread is None or irp.thread is thread]
        return sum(self.cancel(irp) for irp in chosen)

    def make_associated(self, master: Irp, count: int) -> Callable[[Irp], None]:
        """IoMakeAssociatedIrp: return the ``done`` of the ``count`` requests that ``master`` is divided into.

        The master, marked pending before, is completed with the last of them: with the first error that there
        was, and the sum of what they moved. ValueError for less than one.
        """
        if count < 1:
            raise ValueError(f"{count} associated requests")
        left, status, moved = count, NtStatus.SUCCESS, 0

        def over(irp: Irp) -> None:
            nonlocal left, status, moved
            left, moved = left - 1, moved + irp.information
            if status.ok and not irp.status.ok:
                status = irp.status
            if not left:
                self.complete(master, status, moved)

        return over

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
