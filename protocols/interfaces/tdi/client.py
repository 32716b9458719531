"""Asking a transport: the requests of a TDI client, one call each (TdiBuildXxx and IoCallDriver)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from ntos.io.irp import Irp, Major
from ntos.io.status import NtError
from protocols.interfaces.tdi import requests as ask
from protocols.interfaces.tdi.requests import Event, Flags, Tdi

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ntos.io.device import FileObject
    from ntos.io.irp import Memory
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.interfaces.tdi.events import (
        ChainedReceiveHandler,
        ConnectHandler,
        DatagramHandler,
        DisconnectHandler,
        ErrorHandler,
        Handler,
        ReceiveHandler,
    )


class TdiClient:
    """Builds requests and sends them. Each returns its IRP; ``done`` is called when it is completed."""

    def __init__(self, io: IoSystem) -> None:
        """Send through an I/O system."""
        self.io = io

    def open_address(self, device: str, address: ask.TransportAddress) -> FileObject:
        """Open an address object. NtError."""
        return self.io.open(device, address)

    def open_connection(self, device: str, context: object) -> FileObject:
        """Open a connection object. NtError."""
        return self.io.open(device, ask.ConnectionContext(context))

    def request(
        self,
        file: FileObject,
        minor: Tdi,
        parameters: object = None,
        buffers: Sequence[Memory] = (),
        done: Callable[[Irp], None] | None = None,
    ) -> Irp:
        """Send one request."""
        irp = Irp(
            file.device,
            Major.INTERNAL_DEVICE_CONTROL,
            file,
            minor=minor,
            parameters=parameters,
            buffers=buffers,
            done=done,
        )
        self.io.call(irp)
        return irp

    def must(self, irp: Irp) -> Any:  # noqa: ANN401 - each request has its own result
        """Return the result of a request that completes at once. NtError when it failed."""
        if not irp.completed or not irp.status.ok:
            raise NtError(irp.status)
        return irp.result

    def associate(self, connection: FileObject, address: FileObject) -> None:
        """TDI_ASSOCIATE_ADDRESS. NtError."""
        self.must(self.request(connection, Tdi.ASSOCIATE_ADDRESS, ask.Associate(address)))

    def disassociate(self, connection: FileObject) -> None:
        """TDI_DISASSOCIATE_ADDRESS. NtError."""
        self.must(self.request(connection, Tdi.DISASSOCIATE_ADDRESS))

    @overload
    def set_event_handler(
        self, address: FileObject, event: Literal[Event.CONNECT], handler: ConnectHandler | None
    ) -> None: ...

    @overload
    def set_event_handler(
        self, address: FileObject, event: Literal[Event.DISCONNECT], handler: DisconnectHandler | None
    ) -> None: ...

    @overload
    def set_event_handler(
        self, address: FileObject, event: Literal[Event.ERROR_EX], handler: ErrorHandler | None
    ) -> None: ...

    @overload
    def set_event_handler(
        self,
        address: FileObject,
        event: Literal[Event.RECEIVE, Event.RECEIVE_EXPEDITED],
        handler: ReceiveHandler | None,
    ) -> None: ...

    @overload
    def set_event_handler(
        self,
        address: FileObject,
        event: Literal[Event.CHAINED_RECEIVE],
        handler: ChainedReceiveHandler | None,
    ) -> None: ...

    @overload
    def set_event_handler(
        self, address: FileObject, event: Literal[Event.RECEIVE_DATAGRAM], handler: DatagramHandler | None
    ) -> None: ...

    def set_event_handler(self, address: FileObject, event: Event, handler: Handler | None) -> None:
        """TDI_SET_EVENT_HANDLER. NtError."""
        self.must(self.request(address, Tdi.SET_EVENT_HANDLER, ask.SetEventHandler(event, handler)))

    def query(self, file: FileObject, what: ask.Query) -> Any:  # noqa: ANN401 - each query has its own answer
        """TDI_QUERY_INFORMATION. NtError."""
        return self.must(self.request(file, Tdi.QUERY_INFORMATION, ask.QueryInformation(what)))

    def set_information(self, file: FileObject, **values: Any) -> None:  # noqa: ANN401 - each option has its own type
        """TDI_SET_INFORMATION. NtError."""
        self.must(self.request(file, Tdi.SET_INFORMATION, ask.SetInformation(values)))

    def action(self, file: FileObject, name: str) -> Any:  # noqa: ANN401 - each action has its own answer
        """TDI_ACTION. NtError."""
        return self.must(self.request(file, Tdi.ACTION, ask.Action(name)))

    def connect(
        self, connection: FileObject, remote: TdiAddress, done: Callable[[Irp], None] | None = None
    ) -> Irp:
        """TDI_CONNECT."""
        return self.request(connection, Tdi.CONNECT, ask.Connect(remote), done=done)

    def send(
        self,
        connection: FileObject,
        buffers: Sequence[Memory],
        done: Callable[[Irp], None] | None = None,
        flags: Flags = Flags.NONE,
    ) -> Irp:
        """TDI_SEND."""
        asked = ask.Transfer(flags) if flags else ask.PLAIN
        return self.request(connection, Tdi.SEND, asked, buffers, done)

    def receive(
        self,
        connection: FileObject,
        buffers: Sequence[Memory],
        done: Callable[[Irp], None] | None = None,
        flags: Flags = Flags.NONE,
    ) -> Irp:
        """TDI_RECEIVE."""
        asked = ask.Transfer(flags) if flags else ask.PLAIN
        return self.request(connection, Tdi.RECEIVE, asked, buffers, done)

    def disconnect(
        self, connection: FileObject, flags: Flags, done: Callable[[Irp], None] | None = None
    ) -> Irp:
        """TDI_DISCONNECT."""
        return self.request(connection, Tdi.DISCONNECT, ask.Transfer(flags), done=done)

    def send_datagram(
        self,
        address: FileObject,
        buffers: Sequence[Memory],
        remote: TdiAddress | None,
        done: Callable[[Irp], None] | None = None,
        *,
        source: tuple[bytes, int] | None = None,
    ) -> Irp:
        """TDI_SEND_DATAGRAM."""
        return self.request(address, Tdi.SEND_DATAGRAM, ask.Datagram(remote, source), buffers, done)
