"""Listening sockets: connections wait for WskAccept, or are offered to WskAcceptEvent as they come.

In conditional accept mode a connection request is judged before it is answered; what was not decided waits in
the transport.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ntos.io.status import NtError, NtStatus
from protocols.apis.wsk.bound import ADDRESS_BYTES, BoundSocket
from protocols.apis.wsk.connection import ConnectionSocket
from protocols.apis.wsk.constants import CONNECTION_EVENTS, Category, Event, Wsk
from protocols.apis.wsk.listen_dispatch import NO_LISTEN_EVENTS, ListenDispatch
from protocols.apis.wsk.npi import AcceptOut, Inspect, InspectId
from protocols.apis.wsk.socket import AT_DISPATCH, Opened
from protocols.interfaces.tdi.address import InternetAddress, internet

if TYPE_CHECKING:
    from ntos.io.irp import Irp
    from protocols.apis.wsk.npi import ConnectionDispatch
    from protocols.apis.wsk.socket import SocketHost
    from protocols.interfaces.tlnpi.npi import BindRequest, TlConnection, TlProvider, TlStreamAddress

BACKLOG = 200
"""Connections that wait to be accepted; beyond them requests are not heard."""


@dataclass(eq=False, slots=True)
class Accepting:
    """A WskAccept, and what the socket is to have."""

    irp: Irp
    context: object
    dispatch: ConnectionDispatch | None


class Inspected(NamedTuple):
    """A connection request that was inspected: the transport's name of it, ours, and its ends."""

    request: object
    id: InspectId
    ends: tuple[InternetAddress, InternetAddress]


class Listening(BoundSocket):
    """What listening and stream sockets share: the ``ListenEvents`` of their address."""

    def __init__(self, client: SocketHost, provider: TlProvider, opened: Opened) -> None:
        super().__init__(client, provider, opened)
        self._listens = False
        self._accepts: deque[Accepting] = deque()
        self._waiting: deque[ConnectionSocket] = deque()
        self._inspected: list[Inspected] = []
        self._serial = 0

    def accept(
        self, irp: Irp, context: object = None, dispatch: ConnectionDispatch | None = None
    ) -> NtStatus:
        """WskAccept: the IRP's result is the connection's socket, which tells both its addresses."""
        return self.submit(irp, Wsk.ACCEPT, self._accept, context, dispatch)

    def inspect_complete(self, request: InspectId, action: Inspect, irp: Irp) -> NtStatus:
        """WskInspectComplete. INVALID_PARAMETER: the request was dropped, or never pending."""
        return self.submit(irp, Wsk.INSPECT_COMPLETE, self._inspect_complete, request, action)

    @property
    def listen_events(self) -> ListenDispatch:
        """The application's callbacks."""
        found: ListenDispatch = self.opened.dispatch or NO_LISTEN_EVENTS
        return found

    def start_listening(self, address: TlStreamAddress) -> None:
        """Let connections come. NtError."""
        if self.options["conditional"] and self.listen_events.inspect_event is None:
            raise NtError(NtStatus.INVALID_PARAMETER, "conditional accept without WskInspectEvent")
        address.listen(self)
        self._listens = True

    # Socket

    def end(self, status: NtStatus) -> None:
        """Refuse who waits, in both directions."""
        super().end(status)
        self._listens = False
        while self._waiting:
            self._waiting.popleft().discard()
        while self._accepts:
            self.finish(self._accepts.popleft().irp, status)

    def tell_lost(self) -> None:
        """WskAcceptEvent without a socket, WskInspectEvent without an id."""
        super().tell_lost()
        events, nowhere = self.listen_events, internet(bytes(ADDRESS_BYTES[self.opened.family]), 0)
        if Event.ACCEPT in self.callbacks and events.accept_event is not None:
            tell = events.accept_event
            self.callbacks.call(
                Event.ACCEPT, tell, self.context, AT_DISPATCH, nowhere, nowhere, None, AcceptOut()
            )
        if self.options["conditional"] and events.inspect_event is not None:
            self.callbacks.call(Event.NONE, events.inspect_event, self.context, nowhere, nowhere, None)

    def require_ready(self, events: Event) -> None:
        """Events of a listening socket come after its bind."""
        if self.is_bound or not events & Event.ACCEPT:
            super().require_ready(events)
            return
        raise NtError(NtStatus.INVALID_DEVICE_STATE, "it is not bound")

    def enabled(self, events: Event) -> None:
        """Offer what waits."""
        super().enabled(events)
        while events & Event.ACCEPT and self._waiting and self._offers:
            made = self._waiting.popleft()
            if made.failure is None and not self._offer(made):
                made.discard()

    def may_disable(self, event: Event) -> bool:
        """Keep what accepted sockets inherit: connection events of a listening socket stay enabled."""
        return not self._listens or event is Event.ACCEPT

    # ListenEvents

    @property
    def is_conditional(self) -> bool:
        """SO_CONDITIONAL_ACCEPT."""
        return bool(self.options["conditional"])

    def may_accept(self) -> bool:
        """Tell whether there is room for one more."""
        return self._listens and len(self._waiting) < BACKLOG

    def inspect(self, request: object, local: InternetAddress, remote: InternetAddress) -> Inspect:
        """WskInspectEvent."""
        tell = self.listen_events.inspect_event
        if tell is None:
            return Inspect.REJECT
        self._serial += 1
        made = InspectId(id(self) & 0xFFFF_FFFF, self._serial)
        self._inspected.append(Inspected(request, made, (local, remote)))
        said = self.callbacks.call(Event.NONE, tell, self.context, local, remote, made)
        if said is Inspect.REJECT:
            self._forget(request)
        return said

    def dropped(self, request: object) -> None:
        """WskAbortEvent."""
        found, tell = self._forget(request), self.listen_events.abort_event
        if found is not None and tell is not None:
            self.callbacks.call(Event.NONE, tell, self.context, found.id)

    def accepted(self, connection: TlConnection) -> ConnectionSocket | None:
        """Give a connection to who waits for one, else offer it, else keep it."""
        if not self._listens:
            return None
        opened = self.opened._replace(context=None, dispatch=None)
        made = ConnectionSocket(self.client, self.provider, opened)
        made.adopt(connection)
        ends = (connection.local, connection.remote)
        for one in [each for each in self._inspected if each.ends == ends]:
            made.inspect_id = one.id
            self._inspected.remove(one)
        if self._accepts:
            self._hand_over(self._accepts.popleft(), made)
        elif self._offers:
            return made if self._offer(made) else None
        else:
            self._waiting.append(made)
        return made

    # What the IRPs ask

    def _accept(self, irp: Irp, context: object, dispatch: ConnectionDispatch | None) -> NtStatus:
        if not self._listens:
            return self.complete(irp, NtStatus.INVALID_DEVICE_STATE)
        one = Accepting(irp, context, dispatch)
        if self.pend(irp, self._cancel_accept):
            while self._waiting:
                made = self._waiting.popleft()
                if made.failure is None:
                    self._hand_over(one, made)
                    return NtStatus.PENDING
            self._accepts.append(one)
        return NtStatus.PENDING

    def _inspect_complete(self, irp: Irp, request: InspectId, action: Inspect) -> NtStatus:
        found = next((one for one in self._inspected if one.id == request), None)
        address = self.address
        if found is None or action is Inspect.PEND or address is None:
            return self.complete(irp, NtStatus.INVALID_PARAMETER)
        if action is Inspect.REJECT:
            self._inspected.remove(found)
        status = address.inspected(found.request, action)  # type: ignore[attr-defined]  # a stream address
        return self.complete(irp, status)

    # Inside

    @property
    def _offers(self) -> bool:
        return Event.ACCEPT in self.callbacks and self.listen_events.accept_event is not None

    def _hand_over(self, one: Accepting, made: ConnectionSocket) -> None:
        made.give(one.context, one.dispatch)
        self.finish(one.irp, NtStatus.SUCCESS, result=made)
        made.enabled(made.callbacks.static)

    def _offer(self, made: ConnectionSocket) -> bool:
        """Call WskAcceptEvent; return whether it took the connection."""
        tell = self.listen_events.accept_event
        if tell is None:
            return False
        out, local, remote = AcceptOut(), made.local, made.remote
        made.give(None, None)
        said = self.callbacks.call(Event.ACCEPT, tell, self.context, AT_DISPATCH, local, remote, made, out)
        if said is not NtStatus.SUCCESS:
            self.client.closed(made)
            return False
        made.give(out.context, out.dispatch)
        inherited = self.callbacks.enabled & CONNECTION_EVENTS
        made.callbacks.enable(inherited)
        made.enabled(inherited | made.callbacks.static)
        return True

    def _forget(self, request: object) -> Inspected | None:
        found = next((one for one in self._inspected if one.request == request), None)
        if found is not None:
            self._inspected.remove(found)
        return found

    def _cancel_accept(self, irp: Irp) -> None:
        self._accepts = deque(one for one in self._accepts if one.irp is not irp)
        self.complete(irp, NtStatus.CANCELLED)


class ListenSocket(Listening):
    """A listening socket: bound, it listens."""

    category = Category.LISTEN
    can_enable = Event.ACCEPT | CONNECTION_EVENTS

    def __init__(self, client: SocketHost, provider: TlProvider, opened: Opened) -> None:
        super().__init__(client, provider, opened)
        self._address: TlStreamAddress | None = None

    @property
    def address(self) -> TlStreamAddress | None:
        """The transport's address object."""
        return self._address

    @property
    def local(self) -> InternetAddress | None:
        """What was bound."""
        return self._address.local if self._address is not None else None

    def claim(self, request: BindRequest) -> None:
        """Claim, and listen. NtError."""
        address = self.provider.open_stream(request)
        try:
            self.start_listening(address)
        except NtError:
            address.close()
            raise
        self._address = address

    def end(self, status: NtStatus) -> None:
        """Give the address back."""
        super().end(status)
        address, self._address = self._address, None
        if address is not None:
            address.close()
