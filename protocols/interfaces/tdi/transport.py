"""What every transport driver has: opens of three kinds, and requests handed to the object they are for.

A transport gives ``Address`` and ``Connection`` classes; a method of either is a request's name in lower
case (``Tdi.SEND`` is ``send``). What a class lacks is NOT_SUPPORTED by that transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.irp import Irp, Major
from ntos.io.status import NtError, NtStatus
from protocols.interfaces.options import OptionError, checked_all
from protocols.interfaces.tdi.events import EventHandlers
from protocols.interfaces.tdi.requests import (
    ConnectionContext,
    Query,
    SetInformation,
    Tdi,
    TransportAddress,
)

if TYPE_CHECKING:
    from ntos.io.device import DeviceObject, FileObject
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.address import TdiAddress


class TdiObject:
    """What a file of a transport stands for."""

    def __init__(self, driver: TransportDriver, file: FileObject) -> None:
        self.driver = driver
        self.io = driver.io
        self.file = file

    def cleanup(self) -> None:
        """End what the object does: its last handle is closed."""

    def query_information(self, irp: Irp) -> NtStatus:
        """TDI_QUERY_INFORMATION: from the table ``_answers``."""
        answers = self._answers()
        what = irp.location.parameters.what
        if what not in answers:
            return self.io.complete(irp, NtStatus.NOT_SUPPORTED)
        return self.io.complete(irp, NtStatus.SUCCESS, result=answers[what])

    def _answers(self) -> dict[Query, Any]:
        return {
            Query.PROVIDER_INFO: self.driver.provider_info(),
            Query.PROVIDER_STATISTICS: self.driver.statistics(),
        }


class ControlChannel(TdiObject):
    """An open without extended attributes: provider-wide queries and actions."""


class AddressObject(TdiObject):
    """TRANSPORT_ADDRESS: ``local`` and the event handlers."""

    def __init__(self, driver: TransportDriver, file: FileObject, local: TdiAddress) -> None:
        super().__init__(driver, file)
        self.local = local
        self.handlers = EventHandlers()

    def set_event_handler(self, irp: Irp) -> NtStatus:
        """TDI_SET_EVENT_HANDLER."""
        asked = irp.location.parameters
        is_known = self.handlers.set(asked.event, asked.handler)
        return self.io.complete(irp, NtStatus.SUCCESS if is_known else NtStatus.NOT_SUPPORTED)

    def _answers(self) -> dict[Query, Any]:
        return {**super()._answers(), Query.ADDRESS_INFO: self.local}


class ConnectionObject(TdiObject):
    """A connection endpoint: ``context`` is the client's, ``address`` what it is associated with."""

    def __init__(self, driver: TransportDriver, file: FileObject, context: object) -> None:
        super().__init__(driver, file)
        self.context = context
        self.address: AddressObject | None = None

    def associate_address(self, irp: Irp) -> NtStatus:
        """TDI_ASSOCIATE_ADDRESS."""
        if self.address is not None:
            return self.io.complete(irp, NtStatus.ADDRESS_ALREADY_ASSOCIATED)
        found = irp.location.parameters.address.fs_context
        if not isinstance(found, AddressObject) or found.driver is not self.driver:
            return self.io.complete(irp, NtStatus.INVALID_HANDLE)
        self.address = found
        return self.io.complete(irp, NtStatus.SUCCESS)

    def disassociate_address(self, irp: Irp) -> NtStatus:
        """TDI_DISASSOCIATE_ADDRESS."""
        if self.address is None:
            return self.io.complete(irp, NtStatus.ADDRESS_NOT_ASSOCIATED)
        if self.is_active:
            return self.io.complete(irp, NtStatus.CONNECTION_ACTIVE)
        self.address = None
        return self.io.complete(irp, NtStatus.SUCCESS)

    @property
    def is_active(self) -> bool:
        """Whether it is connected, or on its way there."""
        return False


class TransportDriver:
    """A transport: opens files and dispatches their requests."""

    name = "transport"
    address_kind: type[AddressObject] = AddressObject
    channel_kind: type[ControlChannel] = ControlChannel
    connection_kind: type[ConnectionObject] | None = None

    def __init__(self, io: IoSystem) -> None:
        """Know the I/O system; devices are created by whoever loads the driver."""
        self.io = io

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:
        """Dispatch by major function."""
        del device
        location = irp.location
        if location.major is Major.INTERNAL_DEVICE_CONTROL and isinstance(location.minor, Tdi):
            target = location.file.fs_context if location.file is not None else None
            method = getattr(target, location.minor.method, None)
            if method is None:
                return self.io.complete(irp, NtStatus.NOT_SUPPORTED)
            if location.minor is Tdi.SET_INFORMATION:
                try:
                    location.parameters = SetInformation(checked_all(location.parameters.values))
                except OptionError:
                    return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
            status: NtStatus = method(irp)
            return status
        if location.major is Major.CREATE:
            return self._create(irp)
        if location.major is Major.CLEANUP and location.file is not None:
            location.file.fs_context.cleanup()
        if location.major in (Major.CLEANUP, Major.CLOSE):
            return self.io.complete(irp, NtStatus.SUCCESS)
        return self.io.complete(irp, NtStatus.INVALID_DEVICE_REQUEST)

    def open_address(self, file: FileObject, asked: TransportAddress) -> AddressObject:
        """Make an address object. NtError when the address cannot be had."""
        return self.address_kind(self, file, asked.address)

    def provider_info(self) -> dict[str, Any]:
        """TDI_PROVIDER_INFO."""
        return {"name": self.name}

    def statistics(self) -> dict[str, int]:
        """TDI_PROVIDER_STATISTICS."""
        return {}

    def _create(self, irp: Irp) -> NtStatus:
        file, asked = irp.location.file, irp.location.parameters.ea
        if file is None:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        try:
            if isinstance(asked, TransportAddress):
                asked = asked._replace(options=checked_all(asked.options))
                file.fs_context = self.open_address(file, asked)
            elif isinstance(asked, ConnectionContext):
                if self.connection_kind is None:
                    raise NtError(NtStatus.NOT_SUPPORTED, f"{self.name} has no connections")  # noqa: TRY301 - all refusals leave by the one handler
                file.fs_context = self.connection_kind(self, file, asked.context)
            else:
                file.fs_context = self.channel_kind(self, file)
        except NtError as error:
            return self.io.complete(irp, error.status)
        except OptionError:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        return self.io.complete(irp, NtStatus.SUCCESS)
