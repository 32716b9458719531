"""An echo server in the kernel, with the behaviour of the WDK's sample ``network/wsk/echosrv``.

Callbacks and completions, at DISPATCH_LEVEL, only queue work; work items, at PASSIVE_LEVEL, do it, one after
the other. Each connection has two operations: each receives, sends that back, and receives again, so that
one receives while the other sends. When the peer disconnects, so does the server, and closes. ``ByEvents``
does the same with WskReceiveEvent: it retains what is indicated until it has been sent back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from protocols.apis.winsock.constants import Af, IpOption, Proto, Sock, Sol
from protocols.apis.wsk.constants import (
    WSK_NO_WAIT,
    Category,
    ClientControl,
    ControlType,
    DisconnectFlag,
    Event,
    Flag,
)
from protocols.apis.wsk.listen_dispatch import ListenDispatch
from protocols.apis.wsk.npi import (
    AcceptOut,
    ConnectionDispatch,
    DatagramDispatch,
    EventCallbackControl,
    WskBuf,
)
from protocols.interfaces.tdi.address import InternetAddress, internet

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.irp import Irp
    from protocols.apis.wsk.client import WskClient
    from protocols.apis.wsk.connection import ConnectionSocket
    from protocols.apis.wsk.datagram import DatagramSocket
    from protocols.apis.wsk.npi import DatagramIndication, DataIndication, SizeOut
    from protocols.apis.wsk.registration import WskRegistration
    from protocols.apis.wsk.socket import Socket

PORT = 40007
BUFFER_BYTES = 2048
OPERATIONS = 2
SOCKETS = 4
"""Three that listen, and one for datagrams."""
STATIC = Event.ACCEPT | Event.RECEIVE | Event.DISCONNECT | Event.RECEIVE_FROM


class Connection:
    """One accepted socket, served by receives: the sample's WSKSAMPLE_SOCKET_CONTEXT."""

    def __init__(self, server: EchoServer, socket: ConnectionSocket) -> None:
        """Serve a socket once ``begin`` is called."""
        self.server = server
        self.socket = socket
        self.closing = False
        self.disconnecting = False
        server.connections.add(self)

    @property
    def dispatch(self) -> ConnectionDispatch | None:
        """Its callbacks: none."""
        return None

    def begin(self) -> None:
        """Start the operations."""
        for _ in range(OPERATIONS):
            self._receive(bytearray(self.server.buffer_bytes))

    def close(self) -> None:
        """Close the socket, once; what is pending is cancelled."""
        if not self.closing:
            self.closing = True
            self.socket.close_socket(self.server.irp(lambda _irp: self.server.connections.discard(self)))

    def disconnect(self) -> None:
        """Disconnect behind all that is sent, then close."""
        if not self.closing and not self.disconnecting:
            self.disconnecting = True
            self.socket.disconnect(None, self.server.irp(lambda _irp: self.close()))

    def _receive(self, buffer: bytearray) -> None:
        if not self.closing and not self.disconnecting:
            self.socket.receive(WskBuf((buffer,)), self.server.irp(lambda irp: self._received(irp, buffer)))

    def _received(self, irp: Irp, buffer: bytearray) -> None:
        if self.closing:
            return
        if not irp.status.ok:
            self.close()
        elif not irp.information:
            self.disconnect()
        else:
            self.server.bytes_echoed += irp.information
            back = WskBuf((buffer,), length=irp.information)
            self.socket.send(back, self.server.irp(lambda sent: self._sent(sent, buffer)))

    def _sent(self, irp: Irp, buffer: bytearray) -> None:
        if irp.status.ok:
            self._receive(buffer)
        else:
            self.close()


class ByEvents(Connection):
    """One accepted socket, served by WskReceiveEvent."""

    @property
    def dispatch(self) -> ConnectionDispatch:
        """Its callbacks."""
        return ConnectionDispatch(self._receive_event, self._disconnect_event)

    def begin(self) -> None:
        """Wait for events."""

    def close(self) -> None:
        """Close once nothing is retained: a send that was pending releases what it sent."""
        if self.socket.retained():
            self.socket.disconnect(None, self.server.irp(lambda _irp: None), flags=DisconnectFlag.ABORTIVE)
            self.server.work(self.close)  # behind the completions of the sends
        else:
            super().close()

    def _receive_event(
        self, _context: object, _flags: Flag, indication: DataIndication | None, size: int, _taken: SizeOut
    ) -> NtStatus:
        if indication is None:
            self.server.work(self.close)
            return NtStatus.SUCCESS
        self.server.work(lambda: self._echo(indication, size))
        return NtStatus.PENDING

    def _disconnect_event(self, _context: object, flags: Flag) -> NtStatus:
        self.server.work(self.close if flags & Flag.ABORTIVE else self.disconnect)
        return NtStatus.SUCCESS

    def _echo(self, indication: DataIndication, size: int) -> None:
        self.server.bytes_echoed += size
        self.socket.send(indication.buffer, self.server.irp(lambda irp: self._back(irp, indication)))

    def _back(self, irp: Irp, indication: DataIndication) -> None:
        self.socket.release(indication)
        if not irp.status.ok:
            self.close()


class Resetting(Connection):
    """One accepted socket whose first bytes are answered by an abortive disconnect."""

    def _received(self, irp: Irp, buffer: bytearray) -> None:
        del irp, buffer
        if not self.closing and not self.disconnecting:
            self.disconnecting = True
            self.socket.disconnect(
                None, self.server.irp(lambda _irp: self.close()), flags=DisconnectFlag.ABORTIVE
            )


class EchoServer:
    """The driver. ``queue_work_item`` runs a routine soon at PASSIVE_LEVEL, in the order of the calls.

    It serves TCP and UDP on ``port``, of IPv6 and IPv4; TCP by events on the next port; the one after that
    resets who sends.
    """

    def __init__(
        self,
        registration: WskRegistration,
        queue_work_item: Callable[[str, Callable[[], None]], None],
        *,
        port: int = PORT,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        """DriverEntry: queue the set-up of the sockets."""
        self.connections: set[Connection] = set()
        self.sockets: list[Socket] = []
        self.accepted = 0
        self.bytes_echoed = 0
        self.buffer_bytes = buffer_bytes
        self.failures: list[str] = []
        self.bound = 0
        """Sockets that are bound; all of ``SOCKETS`` serve."""
        self.work_items = 0
        """Work items that have not ended: its code may go when there is none."""
        self._registration = registration
        self._queue = queue_work_item
        self._client: WskClient
        self._is_stopping = False
        self.work(lambda: self._start(port))

    def stop(self) -> None:
        """Begin the driver's unload: close everything.

        ``registration.deregister`` waits for the sockets; after it the last work items end.
        """
        self.work(self._stop)

    # For the connections

    def work(self, routine: Callable[[], None]) -> None:
        """Queue a work item."""
        self.work_items += 1

        def run() -> None:
            try:
                routine()
            finally:
                self.work_items -= 1

        self._queue("echosrv", run)

    def irp(self, routine: Callable[[Irp], None]) -> Irp:
        """Return an IRP whose completion queues ``routine``."""
        return self._client.allocate_irp(lambda irp: self.work(lambda: routine(irp)))

    # Inside

    def _start(self, port: int) -> None:
        self._client, dispatch = self._registration.capture_provider_npi(WSK_NO_WAIT)
        control = EventCallbackControl(STATIC)
        status = dispatch.control_client(ClientControl.SET_STATIC_EVENT_CALLBACKS, control)
        if not status.ok:
            raise NtError(status, "static callbacks")
        for at, kind in enumerate((Connection, ByEvents, Resetting)):
            self._open(Category.LISTEN, port + at, ListenDispatch(self._accepter(kind)))
        self._open(Category.DATAGRAM, port, DatagramDispatch(self._receive_from_event))

    def _open(self, category: Category, port: int, dispatch: object) -> None:
        kinds = {Category.LISTEN: (Sock.STREAM, Proto.TCP), Category.DATAGRAM: (Sock.DGRAM, Proto.UDP)}
        kind, protocol = kinds[category]

        def opened(irp: Irp) -> None:
            self._must(irp, f"WskSocket for port {port}")
            socket = irp.result
            socket.context = socket  # what the callbacks are given
            self.sockets.append(socket)
            option = (ControlType.SET_OPTION, IpOption.V6ONLY, Sol.IPV6, 0)
            socket.control_socket(*option, self.irp(lambda done: self._bind(done, socket, port)))

        made = self.irp(opened)
        self._client.socket(Af.INET6, kind, protocol, category, made, dispatch=dispatch)

    def _bind(self, irp: Irp, socket: DatagramSocket, port: int) -> None:
        self._must(irp, "IPV6_V6ONLY")

        def bound(done: Irp) -> None:
            self._must(done, f"WskBind to {port}")
            self.bound += done.status.ok

        socket.bind(internet(bytes(16), port), self.irp(bound))

    def _must(self, irp: Irp, what: str) -> None:
        if not irp.status.ok:
            self.failures.append(f"{what}: {irp.status.name}")

    def _stop(self) -> None:
        self._is_stopping = True
        for connection in list(self.connections):
            connection.close()
        for socket in self.sockets:
            self._close(socket)
        self.sockets.clear()
        self._registration.release_provider_npi()

    def _close(self, socket: Socket) -> None:
        if socket.retained():
            self.work(lambda: self._close(socket))  # behind the completions that release it
        else:
            socket.close_socket(self.irp(lambda _irp: None))

    def _accepter(self, kind: type[Connection]) -> Callable[..., NtStatus]:
        def accept_event(
            _context: object,
            _flags: Flag,
            _local: InternetAddress,
            _remote: InternetAddress,
            socket: ConnectionSocket | None,
            out: AcceptOut,
        ) -> NtStatus:
            if socket is None or self._is_stopping:
                return NtStatus.REQUEST_NOT_ACCEPTED
            self.accepted += 1
            connection = kind(self, socket)
            out.context, out.dispatch = connection, connection.dispatch
            self.work(connection.begin)
            return NtStatus.SUCCESS

        return accept_event

    def _receive_from_event(
        self, socket: DatagramSocket, _flags: Flag, indication: DatagramIndication | None
    ) -> NtStatus:
        if indication is None or self._is_stopping:
            return NtStatus.DATA_NOT_ACCEPTED
        self.work(lambda: self._answer(socket, indication))
        return NtStatus.PENDING

    def _answer(self, socket: DatagramSocket, indication: DatagramIndication) -> None:
        def sent(irp: Irp) -> None:
            del irp
            socket.release(indication)

        self.bytes_echoed += indication.buffer.size
        socket.send_to(indication.buffer, indication.remote, self.irp(sent))
