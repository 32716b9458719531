"""WSK_CLIENT and WSK_PROVIDER_DISPATCH: what an application that has captured the NPI may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.executive.irql import Irql
from ntos.io.irp import Irp, Major
from ntos.io.status import NtError, NtStatus
from ntos.object.descriptor import SecurityDescriptor
from protocols.apis.winsock.constants import Sock
from protocols.apis.wsk.connection import ConnectionSocket
from protocols.apis.wsk.constants import NPI_WSK_INTERFACE_ID, Category, ClientControl, Event, Wsk
from protocols.apis.wsk.datagram import DatagramSocket
from protocols.apis.wsk.listening import ListenSocket
from protocols.apis.wsk.names import Question, name_info, resolve
from protocols.apis.wsk.npi import EventCallbackControl, Output
from protocols.apis.wsk.socket import Opened, Socket
from protocols.apis.wsk.stream import StreamSocket
from protocols.interfaces.tlnpi.npi import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.object.token import Token
    from protocols.apis.winsock.namespace import AddressInfo, Hints
    from protocols.apis.wsk.npi import ConnectionDispatch
    from protocols.apis.wsk.subsystem import WskSubsystem
    from protocols.interfaces.tdi.address import InternetAddress
    from protocols.interfaces.tlnpi.npi import TlProvider

CATEGORIES: dict[Category, tuple[type[Socket], frozenset[int]]] = {
    Category.BASIC: (Socket, frozenset((Sock.STREAM, Sock.DGRAM))),
    Category.LISTEN: (ListenSocket, frozenset((Sock.STREAM,))),
    Category.CONNECTION: (ConnectionSocket, frozenset((Sock.STREAM,))),
    Category.DATAGRAM: (DatagramSocket, frozenset((Sock.DGRAM,))),
    Category.STREAM: (StreamSocket, frozenset((Sock.STREAM,))),
}
"""The class of each category, and the socket types that it goes with."""
TCP = 6


class WskClient:
    """One attached application. ``sockets`` are those it has to close."""

    def __init__(self, subsystem: WskSubsystem) -> None:
        """Have no socket; be known to the subsystem."""
        self.subsystem = subsystem
        self.sockets: set[Socket] = set()
        self.static_events = Event.NONE
        self.descriptors: set[SecurityDescriptor] = set()
        self._changes: list[Irp] = []
        self._closed: Callable[[], None] | None = None
        self._has_made_sockets = False
        subsystem.clients.add(self)

    # What the I/O manager does in Windows

    def allocate_irp(self, done: Callable[[Irp], None] | None = None) -> Irp:
        """IoAllocateIrp, for one WSK call; ``done`` hears of its completion, at DISPATCH_LEVEL."""
        return Irp(self.subsystem.device, Major.INTERNAL_DEVICE_CONTROL, done=done)

    # WSK_PROVIDER_DISPATCH

    def socket(
        self,
        family: int,
        socket_type: int,
        protocol: int,
        flags: Category,
        irp: Irp,
        *,
        context: object = None,
        dispatch: object = None,
        owner: Token = SYSTEM,
        security: SecurityDescriptor | None = None,
    ) -> NtStatus:
        """WskSocket: the IRP's result is the socket. ``owner`` is OwningThread's or OwningProcess's."""
        opened = Opened(family, socket_type, protocol, context, dispatch, owner, security)
        return self.subsystem.submit(irp, Wsk.SOCKET, None, self._socket, Category(flags), opened)

    def socket_connect(
        self,
        socket_type: int,
        protocol: int,
        local: InternetAddress,
        remote: InternetAddress,
        irp: Irp,
        *,
        context: object = None,
        dispatch: ConnectionDispatch | None = None,
        owner: Token = SYSTEM,
        security: SecurityDescriptor | None = None,
    ) -> NtStatus:
        """WskSocketConnect: make, bind and connect; the IRP's result is the socket."""
        family = 2 if len(remote.address) == 4 else 23
        opened = Opened(family, socket_type, protocol, context, dispatch, owner, security)
        return self.subsystem.submit(
            irp, Wsk.SOCKET_CONNECT, None, self._socket_connect, opened, local, remote
        )

    def control_client(
        self,
        code: ClientControl,
        value: Any = None,  # noqa: ANN401 - InputBuffer: each code has its own
        irp: Irp | None = None,
        *,
        output: Output | None = None,
    ) -> NtStatus:
        """WskControlClient. The output is written to ``output`` and is the IRP's result."""
        self.subsystem.irql.require(Irql.DISPATCH, Wsk.CONTROL_CLIENT.value)
        if irp is not None:
            return self.subsystem.submit(irp, Wsk.CONTROL_CLIENT, None, self._control, code, value, output)
        if code is ClientControl.TRANSPORT_LIST_CHANGE:
            return NtStatus.INVALID_PARAMETER
        try:
            found = self._controlled(code, value, with_irp=False)
        except NtError as error:
            return error.status
        if output is not None:
            output.value = found
        return NtStatus.SUCCESS

    def get_address_info(
        self,
        node: str | None,
        service: str | int | None,
        hints: Hints | None,
        irp: Irp,
        *,
        namespace: int = 0,
    ) -> NtStatus:
        """WskGetAddressInfo: the IRP's result is a list of ADDRINFOEXW. NO_MATCH."""
        self.subsystem.irql.require(Irql.PASSIVE, Wsk.GET_ADDRESS_INFO.value)
        question = Question(node, service, hints, namespace)
        return self.subsystem.submit(irp, Wsk.GET_ADDRESS_INFO, None, self._resolve, question)

    @staticmethod
    def free_address_info(found: list[AddressInfo]) -> None:
        """WskFreeAddressInfo."""
        found.clear()

    def get_name_info(self, address: InternetAddress, irp: Irp, *, numeric: bool = True) -> NtStatus:
        """WskGetNameInfo: the IRP's result is (node name, service name). NO_MATCH: it is unknown."""
        self.subsystem.irql.require(Irql.PASSIVE, Wsk.GET_NAME_INFO.value)
        return self.subsystem.submit(irp, Wsk.GET_NAME_INFO, None, self._name, address, numeric)

    # For the subsystem and its sockets

    def closed(self, socket: Socket) -> None:
        """Forget a socket; with the last one, an application that is leaving has left."""
        self.sockets.discard(socket)
        if not self.sockets and self._closed is not None:
            done, self._closed = self._closed, None
            done()

    def when_closed(self, done: Callable[[], None]) -> bool:
        """Return whether all sockets are closed; ``done`` is called when they are."""
        if not self.sockets:
            return True
        self._closed = done
        return False

    def release(self) -> None:
        """Be no client any more."""
        self.subsystem.clients.discard(self)
        for irp in list(self._changes):
            self.subsystem.io.cancel(irp)

    def lose(self, provider: TlProvider) -> None:
        """Have the sockets of a transport no longer functional."""
        for socket in [one for one in self.sockets if one.provider is provider]:
            socket.force_closed()

    def transports_changed(self) -> None:
        """Complete those who wait for it."""
        changes, self._changes = self._changes, []
        for irp in changes:
            if self.subsystem.io.claim(irp):
                self.subsystem.complete(irp, NtStatus.SUCCESS)

    # Inside

    def _socket(self, irp: Irp, category: Category, opened: Opened) -> NtStatus:
        try:
            made = self._made(category, opened)
        except NtError as error:
            return self.subsystem.complete(irp, error.status)
        return self.subsystem.complete(irp, NtStatus.SUCCESS, result=made)

    def _made(self, category: Category, opened: Opened) -> Socket:
        kind, types = CATEGORIES[category]
        if opened.socket_type not in types:
            raise NtError(
                NtStatus.INVALID_PARAMETER, f"a {category.name} socket of type {opened.socket_type}"
            )
        if opened.security is not None and opened.security not in self.descriptors:
            raise NtError(NtStatus.INVALID_PARAMETER, "the security descriptor was not cached")
        provider = self.subsystem.provider_of(opened.family, opened.socket_type, opened.protocol)
        if provider is None:
            raise NtError(NtStatus.NOT_SUPPORTED, "no transport for this family, type and protocol")
        self._has_made_sockets = True
        made = kind(self, provider, opened)
        self.sockets.add(made)
        return made

    def _socket_connect(
        self, irp: Irp, opened: Opened, local: InternetAddress, remote: InternetAddress
    ) -> NtStatus:
        try:
            made = self._made(Category.CONNECTION, opened)
        except NtError as error:
            return self.subsystem.complete(irp, error.status)
        if not isinstance(made, ConnectionSocket):
            raise TypeError(made)
        try:
            made.bind_now(local)
        except NtError as error:
            made.discard()
            return self.subsystem.complete(irp, error.status)
        return made.connect_with(irp, remote, creates=True)

    def _control(self, irp: Irp, code: ClientControl, value: Any, output: Output | None) -> NtStatus:  # noqa: ANN401 - see control_client
        if code is ClientControl.TRANSPORT_LIST_CHANGE:
            self._changes.append(irp)
            return self.subsystem.io.pend_cancellable(irp, self._cancel_change)
        try:
            found = self._controlled(code, value, with_irp=True)
        except NtError as error:
            return self.subsystem.complete(irp, error.status)
        if output is not None:
            output.value = found
        return self.subsystem.complete(irp, NtStatus.SUCCESS, result=found)

    def _controlled(self, code: ClientControl, value: Any, *, with_irp: bool) -> Any:  # noqa: ANN401 - see control_client
        if code is ClientControl.TRANSPORT_LIST_QUERY:
            return self.subsystem.transports()
        if code is ClientControl.CACHE_SD and isinstance(value, SecurityDescriptor):
            self.descriptors.add(value)
            return value
        if code is ClientControl.RELEASE_SD and value in self.descriptors:
            self.descriptors.discard(value)
            return None
        if code is ClientControl.SET_STATIC_EVENT_CALLBACKS and isinstance(value, EventCallbackControl):
            self._set_static(value, with_irp=with_irp)
            return None
        unknown = code in (ClientControl.TDI_DEVICENAME_MAPPING, ClientControl.TDI_BEHAVIOR)
        raise NtError(NtStatus.NOT_SUPPORTED if unknown else NtStatus.INVALID_PARAMETER, code.name)

    def _set_static(self, control: EventCallbackControl, *, with_irp: bool) -> None:
        if with_irp or control.npi_id != NPI_WSK_INTERFACE_ID or control.event_mask & Event.DISABLE:
            raise NtError(NtStatus.INVALID_PARAMETER)
        if self._has_made_sockets:
            raise NtError(NtStatus.INVALID_DEVICE_STATE, "static callbacks come before the first socket")
        self.static_events = control.event_mask

    def _cancel_change(self, irp: Irp) -> None:
        if irp in self._changes:
            self._changes.remove(irp)
        self.subsystem.complete(irp, NtStatus.CANCELLED)

    def _resolve(self, irp: Irp, question: Question) -> NtStatus:
        subsystem = self.subsystem

        def answered(status: NtStatus, found: list[AddressInfo]) -> None:
            if subsystem.io.claim(irp):
                subsystem.complete(irp, status, result=found)

        said = subsystem.io.pend_cancellable(irp, lambda one: _cancel(subsystem, one))
        resolve(subsystem.names, question, answered)
        return said

    def _name(self, irp: Irp, address: InternetAddress, numeric: bool) -> NtStatus:  # noqa: FBT001 - an IRP's parameter
        try:
            found = name_info(self.subsystem.names, address, numeric=numeric)
        except NtError as error:
            return self.subsystem.complete(irp, error.status)
        return self.subsystem.complete(irp, NtStatus.SUCCESS, result=found)


def _cancel(subsystem: WskSubsystem, irp: Irp) -> None:
    subsystem.complete(irp, NtStatus.CANCELLED)
