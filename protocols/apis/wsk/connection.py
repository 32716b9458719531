"""Connection-oriented sockets: connect, send, disconnect; ``receiving`` has the other direction."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.apis.wsk.constants import (
    CONNECTION_EVENTS,
    Category,
    DisconnectFlag,
    Event,
    Flag,
    SendFlag,
    SioWsk,
    Wsk,
)
from protocols.apis.wsk.npi import ConnectionDispatch, SizeOut, WskBuf
from protocols.apis.wsk.receiving import ReceivingSocket
from protocols.apis.wsk.socket import AT_DISPATCH

if TYPE_CHECKING:
    from ntos.io.irp import Irp, Memory
    from protocols.apis.wsk.npi import InspectId
    from protocols.apis.wsk.options import Option
    from protocols.apis.wsk.socket import Opened, SocketHost
    from protocols.interfaces.tdi.address import InternetAddress
    from protocols.interfaces.tlnpi.npi import BindRequest, TlConnection, TlProvider, TlStreamAddress


@dataclass(eq=False, slots=True)
class Sending:
    """A send, or what a disconnect sends first: ``irp`` is the send's."""

    irp: Irp | None
    rest: deque[Memory]
    size: int


class ConnectionSocket(ReceivingSocket):
    """A connection-oriented socket; the ``ConnectionEvents`` of its connection."""

    category = Category.CONNECTION
    can_enable = CONNECTION_EVENTS

    def __init__(self, client: SocketHost, provider: TlProvider, opened: Opened) -> None:
        """Be neither bound nor connected."""
        super().__init__(client, provider, opened)
        self.inspect_id: InspectId | None = None
        self._address: TlStreamAddress | None = None
        self._connect_result: Any = None
        self._sends: deque[Sending] = deque()
        self._disconnecting: Irp | None = None
        self._sends_fin = False
        self._backlog = 0
        self._no_delay = False

    # WSK_PROVIDER_CONNECTION_DISPATCH, beyond the basic one and the bind

    def connect(self, remote: InternetAddress, irp: Irp) -> NtStatus:
        """WskConnect."""
        return self.submit(irp, Wsk.CONNECT, self.connect_with, remote)

    def get_remote_address(self, irp: Irp) -> NtStatus:
        """WskGetRemoteAddress: the IRP's result."""
        return self.submit(irp, Wsk.GET_REMOTE_ADDRESS, self._get_remote_address)

    def send(self, buffer: WskBuf, irp: Irp, flags: SendFlag = SendFlag.NONE) -> NtStatus:
        """WskSend: complete when the transport has taken all; the information is how many bytes."""
        return self.submit(irp, Wsk.SEND, self._send, buffer, flags)

    def disconnect(
        self, buffer: WskBuf | None, irp: Irp, flags: DisconnectFlag = DisconnectFlag.NONE
    ) -> NtStatus:
        """WskDisconnect: ``buffer`` and a FIN, complete when that is acknowledged; or a reset."""
        return self.submit(irp, Wsk.DISCONNECT, self._disconnect, buffer, flags)

    # For the listening socket, and WskSocketConnect

    @property
    def remote(self) -> InternetAddress | None:
        """The connection's remote end."""
        return self._tl.remote if self._tl is not None else None

    def adopt(self, connection: TlConnection) -> None:
        """Have a connection that came in."""
        self._tl = connection
        self._watch_backlog(connection)

    def give(self, context: object, dispatch: ConnectionDispatch | None) -> None:
        """Be the application's from now on."""
        self.context = context
        self.opened = self.opened._replace(context=context, dispatch=dispatch)
        if not self._is_closing:
            self.client.sockets.add(self)

    def connect_with(self, irp: Irp, remote: InternetAddress, *, creates: bool = False) -> NtStatus:
        """Connect; ``creates``: for WskSocketConnect, whose result is the socket."""
        if self._address is None or self._tl is not None or self._connecting is not None:
            return self._not_connected(irp, NtStatus.INVALID_DEVICE_STATE, creates=creates)
        try:
            self._tl = self._address.connect(remote, self)
        except NtError as error:
            return self._not_connected(irp, error.status, creates=creates)
        self._connecting, self._connect_result = irp, self if creates else None
        if not self.pend(irp, self._cancel_connect):
            self._connect_cancelled()
        return NtStatus.PENDING

    # BoundSocket

    @property
    def address(self) -> TlStreamAddress | None:
        """The transport's address object; an accepted socket has none."""
        return self._address

    @property
    def local(self) -> InternetAddress | None:
        """The connection's local end, else what was bound."""
        if self._tl is not None:
            return self._tl.local
        return self._address.local if self._address is not None else None

    @property
    def is_bound(self) -> bool:
        """Whether it has a local address: a connection that came in has."""
        return self._address is not None or self._tl is not None

    def claim(self, request: BindRequest) -> None:
        """Claim. NtError."""
        self._address = self.provider.open_stream(request)

    def option_set(self, option: Option) -> None:
        """Tell the address and the connection. NtError."""
        super().option_set(option)
        if option.passed and self._tl is not None:
            self._tl.set_options({option.name: self.options[option.name]})

    # Socket

    def end(self, status: NtStatus) -> None:
        """Complete everything; disconnect unless both sides have."""
        super().end(status)
        tl, self._tl = self._tl, None
        address, self._address = self._address, None
        unread = bool(self._held)
        self._held.clear()
        self.failure = self.failure or status
        if tl is not None:
            (tl.abort if unread or self._sends else tl.close)()
        self._fail_all(status)
        if address is not None:
            address.close()

    def tell_lost(self) -> None:
        """WskReceiveEvent without data."""
        super().tell_lost()
        receive = self.events.receive_event
        if Event.RECEIVE in self.callbacks and receive is not None:
            self.callbacks.call(Event.RECEIVE, receive, self.context, AT_DISPATCH, None, 0, SizeOut(0))

    def require_ready(self, events: Event) -> None:
        """Refuse connection events before the connection. NtError."""
        super().require_ready(events)
        if events & CONNECTION_EVENTS and self._tl is None:
            raise NtError(NtStatus.INVALID_DEVICE_STATE, "it is not connected")

    def enabled(self, events: Event) -> None:
        """Indicate what is there."""
        super().enabled(events)
        if self._tl is not None:
            self._watch_backlog(self._tl)
        if events & CONNECTION_EVENTS:
            self._deliver()

    def io_control(self, code: int, value: Any) -> Any:  # noqa: ANN401 - each code has its own
        """Tell the backlogs and the inspection. NtError."""
        if code == SioWsk.QUERY_IDEAL_SEND_BACKLOG and self._tl is not None:
            return self._tl.ideal_backlog
        if code == SioWsk.QUERY_RECEIVE_BACKLOG and self._tl is not None:
            return self._tl.available + sum(map(len, self._held))
        if code == SioWsk.QUERY_INSPECT_ID and self.inspect_id is not None:
            return self.inspect_id
        return super().io_control(code, value)

    # ConnectionEvents

    def connected(self, status: NtStatus) -> None:
        """Complete the connect."""
        irp, self._connecting = self._connecting, None
        made, self._connect_result = self._connect_result, None
        if not status.ok:
            self._tl = None
            if made is not None:
                self.discard()
        elif self._tl is not None:
            self._watch_backlog(self._tl)
        if irp is not None:
            self.finish(irp, status, result=made if status.ok else None)
        self._deliver()

    def readable(self) -> None:
        """Give data to a receive, or tell of it."""
        self._deliver()

    def writable(self) -> None:
        """Go on sending; tell of another backlog; end a disconnect that was acknowledged."""
        self._pump()
        tl = self._tl
        if tl is None:
            return
        if self._disconnecting is not None and not self._sends and tl.is_flushed:
            irp, self._disconnecting = self._disconnecting, None
            self.finish(irp, NtStatus.SUCCESS)
        ideal, tell = tl.ideal_backlog, self.events.send_backlog_event
        if ideal != self._backlog:
            self._backlog = ideal
            if Event.SEND_BACKLOG in self.callbacks and tell is not None:
                self.callbacks.call(Event.SEND_BACKLOG, tell, self.context, ideal)

    def remote_closed(self) -> None:
        """Tell of the end behind the data."""
        self._deliver()

    def aborted(self, status: NtStatus) -> None:
        """Everything ends."""
        self._tl = None
        self._held.clear()
        self._over(status)
        self._tell_disconnect(Flag.ABORTIVE)

    # What the IRPs ask

    def _get_remote_address(self, irp: Irp) -> NtStatus:
        if self._tl is None or self._connecting is not None:
            return self.complete(irp, NtStatus.INVALID_DEVICE_STATE)
        return self.complete(irp, NtStatus.SUCCESS, result=self._tl.remote)

    def _send(self, irp: Irp, buffer: WskBuf, flags: SendFlag) -> NtStatus:
        if self._tl is None or self._connecting is not None:
            return self.complete(irp, self._why())
        if self._sends_fin:
            return self.complete(irp, NtStatus.LOCAL_DISCONNECT)
        try:
            size = buffer.size
        except ValueError:
            return self.complete(irp, NtStatus.INVALID_PARAMETER)
        no_delay = bool(flags & SendFlag.NODELAY or self.options["no_delay"])
        if no_delay != self._no_delay:
            self._no_delay = no_delay
            self._tl.set_options({"no_delay": no_delay})
        if self.pend(irp, self._cancel_send):
            self._sends.append(Sending(irp, deque(buffer.pieces()), size))
            self._pump()
        return NtStatus.PENDING

    def _disconnect(self, irp: Irp, buffer: WskBuf | None, flags: DisconnectFlag) -> NtStatus:
        if flags & DisconnectFlag.ABORTIVE and buffer is not None:
            return self.complete(irp, NtStatus.INVALID_PARAMETER)
        if self._tl is None or self._connecting is not None:
            return self.complete(irp, self._why())
        if flags & DisconnectFlag.ABORTIVE:
            self._tl.abort()
            self._tl = None
            self._held.clear()
            self._over(NtStatus.CONNECTION_ABORTED)
            return self.complete(irp, NtStatus.SUCCESS)
        if self._sends_fin:
            return self.complete(irp, NtStatus.INVALID_DEVICE_STATE)
        if self.pend(irp, self._cancel_disconnect):
            if buffer is not None:
                self._sends.append(Sending(None, deque(buffer.pieces()), buffer.size))
            self._sends_fin = True
            self._disconnecting = irp
            self._pump()
        return NtStatus.PENDING

    # Inside

    def _watch_backlog(self, tl: TlConnection) -> None:
        self._backlog = tl.ideal_backlog
        if Event.SEND_BACKLOG in self.callbacks:
            tl.watch()

    def _not_connected(self, irp: Irp, status: NtStatus, *, creates: bool) -> NtStatus:
        if creates:
            self.discard()
        return self.complete(irp, status)

    def _pump(self) -> None:
        tl = self._tl
        if tl is None or self._connecting is not None:
            return
        while self._sends:
            one = self._sends[0]
            try:
                while one.rest:
                    taken = tl.send(one.rest[0])
                    if not taken:
                        return
                    piece = one.rest.popleft()
                    if taken < len(piece):
                        one.rest.appendleft(memoryview(piece)[taken:])
            except NtError as error:
                self._over(error.status)
                return
            self._sends.popleft()
            if one.irp is not None:
                self.finish(one.irp, NtStatus.SUCCESS, one.size)
        if self._sends_fin:
            tl.watch()
            tl.shut_down()

    def _over(self, status: NtStatus) -> None:
        self.failure = status
        self._fail_all(status)

    def _fail_all(self, status: NtStatus) -> None:
        made, self._connect_result = self._connect_result, None
        irps = [one.irp for one in self._sends if one.irp is not None]
        irps += [one.irp for one in self._receives]
        irps += [irp for irp in (self._connecting, self._disconnecting) if irp is not None]
        self._sends.clear()
        self._receives.clear()
        self._connecting = self._disconnecting = None
        for irp in irps:
            self.finish(irp, status)
        if made is not None and not self._is_closing:
            self.discard()

    # Cancels

    def _cancel_connect(self, irp: Irp) -> None:
        self._connect_cancelled()
        self.complete(irp, NtStatus.CANCELLED)

    def _connect_cancelled(self) -> None:
        self._connecting = None
        creates, self._connect_result = self._connect_result is not None, None
        if self._tl is not None:
            self._tl.abort()
            self._tl = None
        if creates:
            self.discard()

    def _cancel_send(self, irp: Irp) -> None:
        # Part of it may be on its way: a stream with a hole is no stream, so the connection ends.
        self._sends = deque(one for one in self._sends if one.irp is not irp)
        self.complete(irp, NtStatus.CANCELLED)
        if self._tl is not None:
            self._tl.abort()
            self._tl = None
            self._over(NtStatus.CONNECTION_ABORTED)

    def _cancel_disconnect(self, irp: Irp) -> None:
        self._disconnecting = None
        self.complete(irp, NtStatus.CANCELLED)
