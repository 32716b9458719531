"""Stream sockets: made for either use, and listening or connected by the first call that decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from protocols.apis.wsk.connection import ConnectionSocket
from protocols.apis.wsk.constants import CONNECTION_EVENTS, Category, Event, Wsk
from protocols.apis.wsk.listen_dispatch import ListenDispatch, StreamDispatch
from protocols.apis.wsk.listening import Listening

if TYPE_CHECKING:
    from ntos.io.irp import Irp
    from protocols.apis.wsk.npi import ConnectionDispatch
    from protocols.interfaces.tdi.address import InternetAddress

NEITHER = StreamDispatch()


class StreamSocket(ConnectionSocket, Listening):
    """A stream socket (WSK_FLAG_STREAM_SOCKET)."""

    category = Category.STREAM
    can_enable = Event.ACCEPT | CONNECTION_EVENTS

    def listen(self, irp: Irp) -> NtStatus:
        """WskListen, of a bound socket. INVALID_DEVICE_STATE: unbound, connected, or listening."""
        return self.submit(irp, Wsk.LISTEN, self._listen)

    @property
    def events(self) -> ConnectionDispatch:
        """The callbacks of a connection."""
        return self._dispatch.connect

    @property
    def listen_events(self) -> ListenDispatch:
        """The callbacks of a listening socket."""
        return self._dispatch.listen

    def connect_with(self, irp: Irp, remote: InternetAddress, *, creates: bool = False) -> NtStatus:
        """Connect, unless it listens."""
        if self._listens:
            return self.complete(irp, NtStatus.INVALID_DEVICE_STATE)
        return super().connect_with(irp, remote, creates=creates)

    def require_ready(self, events: Event) -> None:
        """Each event in the use that it belongs to; connections inherit from a listening socket."""
        if self._listens:
            return
        if events & Event.ACCEPT:
            raise NtError(NtStatus.INVALID_DEVICE_STATE, "it does not listen")
        super().require_ready(events)

    @property
    def _dispatch(self) -> StreamDispatch:
        found: StreamDispatch = self.opened.dispatch or NEITHER
        return found

    def _listen(self, irp: Irp) -> NtStatus:
        if self.address is None or self._tl is not None or self._listens:
            return self.complete(irp, NtStatus.INVALID_DEVICE_STATE)
        try:
            self.start_listening(self.address)
        except NtError as error:
            return self.complete(irp, error.status)
        return self.complete(irp, NtStatus.SUCCESS)
