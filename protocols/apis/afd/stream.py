"""Stream sockets: connections, the queue of those that wait to be accepted, and the buffers between.

What arrives is the business of ``receiving``, which this builds on.
What is sent completes at once while SO_SNDBUF has room.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.apis.afd.copying import keep
from protocols.apis.afd.receiving import ReceivingEndpoint, State
from protocols.apis.afd.requests import Accept, Bind, Disconnect, Poll, Send
from protocols.interfaces.tdi.requests import Event, Flags, Query

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from protocols.apis.afd.endpoint import EndpointHost
    from protocols.apis.afd.requests import AfdOpen
    from protocols.interfaces.tdi.address import TdiAddress

MOST_BACKLOG = 200


CANNOT_CONNECT = {
    State.CONNECTED: NtStatus.CONNECTION_ACTIVE,
    State.CONNECTING: NtStatus.INVALID_DEVICE_REQUEST,
    State.LISTENING: NtStatus.INVALID_PARAMETER,
    State.PROMISED: NtStatus.INVALID_PARAMETER,
}
"""What a connect is answered in the states that do not allow one."""


class StreamEndpoint(ReceivingEndpoint):
    """A stream socket."""

    def __init__(self, driver: EndpointHost, opened: AfdOpen) -> None:
        super().__init__(driver, opened)
        self.accepted: deque[StreamEndpoint] = deque()  # connected, nobody has asked for them yet
        self.backlog = 0
        self._accepts: deque[Irp] = deque()
        self.handed_over: list[Irp] = []  # AcceptEx whose connection is there, and its first data is not
        self.promised: Irp | None = None  # the AcceptEx that this endpoint is for
        self._sending_bytes = 0
        self._no_send = False
        self._blocked = False  # a send would have blocked: the next room is worth an event

    # State

    def ready(self) -> Poll:
        """Tell ``select`` what is the case."""
        found = Poll.NONE
        if self.state is State.LISTENING:
            return Poll.ACCEPT if self.accepted else found
        if self._buffered.size:
            found |= Poll.RECEIVE
        if self._buffered.urgent:
            found |= Poll.OOB_RECEIVE
        if self._eof and not self._buffered:
            found |= Poll.DISCONNECT
        if self._aborted is not None:
            found |= Poll.ABORT
        if self.state is State.CONNECTED:
            found |= Poll.CONNECT
            if self._sending_bytes < max(self.send_limit, 1):
                found |= Poll.SEND
        if self.state is State.FAILED:
            found |= Poll.CONNECT_FAIL
        return found

    # Opening

    def set_handlers(self, address: FileObject) -> None:
        """Hear of data, urgent data and endings; the connection's context says whose."""
        self.tdi.set_event_handler(address, Event.CHAINED_RECEIVE, StreamEndpoint.data_arrived)
        self.tdi.set_event_handler(address, Event.RECEIVE_EXPEDITED, StreamEndpoint.urgent_arrived)
        self.tdi.set_event_handler(address, Event.DISCONNECT, StreamEndpoint.disconnected)

    def bind(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_BIND. INVALID_PARAMETER: it has an address or a connection, or an AcceptEx has it."""
        if self.state is not State.OPEN:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        return super().bind(irp)

    def connect(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_CONNECT; immediate: PENDING goes on behind a DEVICE_NOT_READY."""
        asked = irp.location.parameters
        if self.state in CANNOT_CONNECT:
            return self.io.complete(irp, CANNOT_CONNECT[self.state])
        try:
            if self.address is None:
                self._open_any()
            self._open_connection()
        except NtError as error:
            return self.io.complete(irp, error.status)
        self.state = State.CONNECTING
        self._recorded &= ~(Poll.CONNECT | Poll.CONNECT_FAIL | Poll.SEND)
        self.error = NtStatus.SUCCESS
        self.remote = asked.remote
        assert self.connection is not None  # noqa: S101 - _open_connection has just made it
        waiting = None if asked.immediate else irp
        lower = self.tdi.connect(self.connection, asked.remote, lambda one: self._connected(one, waiting))
        if waiting is None:
            status = NtStatus.DEVICE_NOT_READY
            if lower.completed and not lower.status.ok:
                status = lower.status
            return self.io.complete(irp, status)
        if not irp.completed:
            return self.io.pend_cancellable(irp, lambda one: self._cancel_connect(one, lower))
        return irp.status

    def start_listen(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_START_LISTEN."""
        if self.address is None:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        if self.state in (State.CONNECTING, State.CONNECTED):
            return self.io.complete(irp, NtStatus.CONNECTION_ACTIVE)
        self.backlog = max(1, min(irp.location.parameters.backlog, MOST_BACKLOG))
        try:
            self.tdi.set_event_handler(self.address, Event.CONNECT, self._incoming)
        except NtError as error:
            return self.io.complete(irp, error.status)
        self.state = State.LISTENING
        return self.io.complete(irp, NtStatus.SUCCESS)

    def accept(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_ACCEPT."""
        return self.super_accept(irp)

    def super_accept(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_SUPER_ACCEPT: the next connection becomes the given file's; maybe with first data.

        INVALID_PARAMETER: nothing listens here, or the file is not that of an unused socket of the same
        transport. Until the end that socket is this request's: it cannot be bound, connected or given again.
        """
        asked: Accept = irp.location.parameters
        acceptor = asked.file.fs_context
        if self.state is not State.LISTENING or not isinstance(acceptor, StreamEndpoint):
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        if acceptor.state is not State.OPEN or acceptor.opened.transport != self.opened.transport:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        if self.accepted:
            return self._hand_over(irp, self.accepted.popleft())
        if asked.immediate:
            return self.io.complete(irp, NtStatus.DEVICE_NOT_READY)
        acceptor.state, acceptor.promised = State.PROMISED, irp
        self._accepts.append(irp)
        return self.io.pend_cancellable(irp, self._cancel_accept)

    # Data

    def send(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_SEND."""
        asked: Send = irp.location.parameters
        connection = self.connection
        if (
            connection is None
            or self.state is not State.CONNECTED
            or self._aborted is not None
            or self._no_send
        ):
            return self.io.complete(irp, self._cannot_send())
        if asked.immediate and self._sending_bytes >= max(self.send_limit, 1):
            self._blocked = True
            return self.io.complete(irp, NtStatus.DEVICE_NOT_READY)
        length = irp.length
        buffers, copied = keep(irp.buffers, steady=asked.steady)
        self.copied_bytes += copied
        self._sending_bytes += length
        flags = Flags.EXPEDITED if asked.out_of_band else Flags.NONE
        # Memory that is the caller's is the caller's until TCP has let go of it.
        early = asked.immediate or (self._sending_bytes <= self.send_limit and not asked.steady)
        lower = self.tdi.send(connection, buffers, partial(self._sent, length, None if early else irp), flags)
        if early:
            if lower.completed and not lower.status.ok:
                return self.io.complete(irp, lower.status)
            return self.io.complete(irp, NtStatus.SUCCESS, length)
        if irp.completed:
            return irp.status
        return self.io.pend_cancellable(irp, lambda one: self._cancel_send(one, lower))

    # Ending

    def disconnect(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_DISCONNECT: shutdown."""
        asked: Disconnect = irp.location.parameters
        if self.state is not State.CONNECTED or self.connection is None:
            return self.io.complete(irp, NtStatus.CONNECTION_INVALID)
        if asked.receive:
            self._no_receive = True
        if asked.receive and (self._buffered.size or self._refused):
            self._undeliverable()
        elif asked.abort:
            self.tdi.disconnect(self.connection, Flags.ABORT)
        elif asked.send and not self._no_send:
            self._no_send = True
            self.tdi.disconnect(self.connection, Flags.RELEASE)
        self.changed()
        return self.io.complete(irp, NtStatus.SUCCESS)

    def super_disconnect(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_SUPER_DISCONNECT: DisconnectEx; with ``reuse`` the socket is as if just bound."""
        asked: Disconnect = irp.location.parameters
        if self.state is not State.CONNECTED or self.connection is None:
            return self.io.complete(irp, NtStatus.CONNECTION_INVALID)
        if not self._no_send:
            self._no_send = True
            self.tdi.disconnect(self.connection, Flags.RELEASE)
        if not asked.reuse:
            return self.io.complete(irp, NtStatus.SUCCESS)

        def over(lower: Irp) -> None:
            if irp.completed or not self.io.claim(irp):
                return
            self._reset()
            self.io.complete(irp, lower.status if lower.status.ok else NtStatus.SUCCESS)

        lower = self.tdi.disconnect(self.connection, Flags.WAIT)
        if lower.completed:
            self._reset()
            return self.io.complete(irp, NtStatus.SUCCESS)
        lower.done = over
        return self.io.pend_cancellable(irp, lambda one: self._cancel_send(one, lower))

    def cleanup(self) -> None:
        """closesocket: SO_LINGER 0 resets; else FIN behind what is queued, and the rest goes on alone."""
        for queue in (self._accepts, self.handed_over, self._receives, self._urgent_receives):
            for irp in list(queue):
                self.io.cancel(irp)
        for one in (self.promised, self._first_data):
            if one is not None:
                self.io.cancel(one)
        for child in self.accepted:
            child.options["linger"] = 0  # nobody will ever read or write there: the peer is to know at once
            child.cleanup()
        self.accepted.clear()
        connection, self.connection = self.connection, None
        if connection is not None:
            self._leave(connection)
        if self.address is not None:
            self.io.close(self.address)
            self.address = None
        super().cleanup()

    def information(self) -> dict[str, Any]:
        """Return what a stream socket can be asked besides."""
        found = super().information()
        found["at_mark"] = self._buffered.at_mark
        found["available"] = self._buffered.size
        found["listening"] = self.state is State.LISTENING
        found["connected"] = self.state is State.CONNECTED
        if self.connection is not None and self.state is State.CONNECTED:
            about = self.tdi.query(self.connection, Query.CONNECTION_INFO)
            found["connected_since_ns"] = about["since_ns"]
            found["ideal_backlog"] = about.get("ideal_backlog")
            found["unacknowledged"] = self._sending_bytes + about["unacknowledged"]
        return found

    def options_changed(self, values: dict[str, Any]) -> NtStatus:
        """Tell the transport; SO_OOBINLINE is AFD's own."""
        if "oob_inline" in values:
            self._buffered.inline = bool(values["oob_inline"])
        try:
            for file in (self.connection, self.address):
                if file is not None:
                    self.tdi.set_information(file, **self.transport_options())
        except NtError as error:
            return error.status
        return NtStatus.SUCCESS

    # From TDI. The context of an event is the endpoint that the connection belongs to.

    def _incoming(
        self, _context: object, remote: TdiAddress, local: TdiAddress
    ) -> tuple[NtStatus, FileObject | None]:
        if len(self.accepted) >= self.backlog + len(self._accepts):
            return NtStatus.CONNECTION_REFUSED, None
        child = StreamEndpoint(self.driver, self.opened)
        child.options = dict(self.options)
        child._buffered.inline = self._buffered.inline
        child.receive_limit, child.send_limit = self.receive_limit, self.send_limit
        child.connection = self.tdi.open_connection(self.opened.transport, child)
        assert self.address is not None  # noqa: S101 - it is the address that this came for
        self.tdi.associate(child.connection, self.address)
        child.state, child.remote, child.local = State.CONNECTED, remote, local
        child._recorded = Poll.CONNECT  # FD_CONNECT is for who has connected
        while self._accepts:
            irp = self._accepts.popleft()
            if self.io.claim(irp):
                self._hand_over(irp, child)
                return NtStatus.SUCCESS, child.connection
        self.accepted.append(child)
        self.record(Poll.ACCEPT)
        return NtStatus.SUCCESS, child.connection

    def disconnected(self, flags: Flags) -> None:
        """ClientEventDisconnect."""
        if flags & Flags.ABORT:
            self._aborted = NtStatus.CONNECTION_RESET
            self._buffered.clear()
            event = Poll.ABORT
        else:
            self._eof = True
            event = Poll.DISCONNECT
        self._serve()
        if event is Poll.ABORT or not self._buffered:
            status = NtStatus.CONNECTION_RESET if event is Poll.ABORT else NtStatus.SUCCESS
            self.record(event, status)

    # Inside

    def _open(self, asked: Bind) -> None:
        super()._open(asked)
        self.state = State.BOUND

    def _open_connection(self) -> None:
        if self.connection is not None:
            self.io.close(self.connection)
        self.connection = self.tdi.open_connection(self.opened.transport, self)
        assert self.address is not None  # noqa: S101 - callers bind first
        self.tdi.associate(self.connection, self.address)

    def _connected(self, lower: Irp, irp: Irp | None) -> None:
        if self.closed:
            return
        status = lower.status
        if status is NtStatus.SUCCESS:
            self.state, self.error = State.CONNECTED, NtStatus.SUCCESS
            assert self.connection is not None  # noqa: S101 - it has just connected
            self.local = self.tdi.query(self.connection, Query.ADDRESS_INFO)
            self.options_changed({})
            self.record(Poll.CONNECT)
            self.record(Poll.SEND)
        else:
            self.state, self.error, self.remote = State.FAILED, status, None
            self.record(Poll.CONNECT_FAIL, status)
        if irp is None or irp.completed:
            return
        if irp.cancel_routine is not None:
            self.io.claim(irp)
        if status is NtStatus.SUCCESS and irp.buffers:
            self._send_first(irp)
        else:
            self.io.complete(irp, status)

    def _send_first(self, irp: Irp) -> None:
        assert self.connection is not None  # noqa: S101 - it has just connected
        buffers, copied = keep(irp.buffers, steady=False)
        self.copied_bytes += copied
        length = irp.length
        self._sending_bytes += length
        irp.cancel_routine = None
        self.tdi.send(self.connection, buffers, partial(self._sent, length, None))
        self.io.complete(irp, NtStatus.SUCCESS, length)

    def _hand_over(self, irp: Irp, child: StreamEndpoint) -> NtStatus:
        asked: Accept = irp.location.parameters
        file = asked.file
        self.driver.endpoints.discard(file.fs_context)
        file.fs_context = child
        child.file = file
        self.driver.endpoints.add(child)
        self.rearm(Poll.ACCEPT)
        if not asked.receive_bytes or child._buffered.size:
            return self._accept_done(irp, child)
        child._first_data = irp
        self.handed_over.append(irp)
        return self.io.pend_cancellable(irp, lambda one: self._cancel_first(one, child))

    def _first_arrived(self, irp: Irp) -> None:
        self._accept_done(irp, self)

    def _accept_done(self, irp: Irp, child: StreamEndpoint) -> NtStatus:
        copied = 0
        asked: Accept = irp.location.parameters
        self._forget_handed_over(irp)
        if asked.receive_bytes:
            copied = child._take_into(irp)
        child.rearm(Poll.SEND)
        return self.io.complete(irp, NtStatus.SUCCESS, copied, (child.local, child.remote))

    def _forget_handed_over(self, irp: Irp) -> None:
        listener = irp.location.file.fs_context if irp.location.file is not None else None
        if isinstance(listener, StreamEndpoint) and irp in listener.handed_over:
            listener.handed_over.remove(irp)

    def _undeliverable(self) -> None:
        """Reset: there is data, and SD_RECEIVE was said (shutdown, "Remarks")."""
        self._buffered.clear()
        if self.connection is not None and self._aborted is None:
            self.tdi.disconnect(self.connection, Flags.ABORT)
            self._aborted = NtStatus.CONNECTION_ABORTED

    def _cancel_first(self, irp: Irp, child: StreamEndpoint) -> None:
        """End an AcceptEx that waited for data: its connection is reset, its socket is as before."""
        child._first_data = None
        self._forget_handed_over(irp)
        if not child.closed:
            child._reset()
        self.io.complete(irp, NtStatus.CANCELLED)

    def _cannot_send(self) -> NtStatus:
        if self._aborted is not None:
            return self._aborted
        return NtStatus.LOCAL_DISCONNECT if self.state is State.CONNECTED else NtStatus.CONNECTION_INVALID

    def _sent(self, length: int, irp: Irp | None, lower: Irp) -> None:
        self._sending_bytes -= length
        if irp is not None and not irp.completed:
            if irp.cancel_routine is not None:
                self.io.claim(irp)
            self.io.complete(irp, lower.status, length if lower.status.ok else 0)
        if self._blocked and self._sending_bytes < max(self.send_limit, 1):
            self._blocked = False
            self.rearm(Poll.SEND)
        if self.driver.polls:
            self.changed()

    def _leave(self, connection: FileObject) -> None:
        linger = self.options.get("linger")
        over = self.state is not State.CONNECTED or self._aborted is not None
        unread = bool(self._buffered)
        if over or unread or linger == 0:
            if not over:
                self.tdi.disconnect(connection, Flags.ABORT)
            self.io.close(connection)
            return
        if self._no_send:
            if self._sending_bytes:
                self.tdi.disconnect(connection, Flags.RELEASE, lambda _irp: self._close_later(connection))
            else:
                self.io.close(connection)
            return
        self.tdi.disconnect(connection, Flags.RELEASE, lambda _irp: self._close_later(connection))

    def _close_later(self, connection: FileObject) -> None:
        if connection.is_open:
            self.io.close(connection)

    def _reset(self) -> None:
        if self.connection is not None:
            self.io.close(self.connection)
            self.connection = None
        self.state = State.BOUND if self.address is not None else State.OPEN
        self._buffered.clear()
        self._sending_bytes = 0
        self._no_send = self._no_receive = self._eof = self._refused = False
        self._aborted, self.remote = None, None

    # Cancels

    def _cancel_connect(self, irp: Irp, lower: Irp) -> None:
        self.state = State.FAILED
        self.io.complete(irp, NtStatus.CANCELLED)
        self.io.cancel(lower)

    def _cancel_accept(self, irp: Irp) -> None:
        if irp in self._accepts:
            self._accepts.remove(irp)
        acceptor = irp.location.parameters.file.fs_context
        acceptor.state, acceptor.promised = State.OPEN, None
        self.io.complete(irp, NtStatus.CANCELLED)

    def _cancel_send(self, irp: Irp, lower: Irp) -> None:
        self.io.complete(irp, NtStatus.CANCELLED)
        self.io.cancel(lower)
