"""A connection as TLNPI shows it: TCP's, with statuses of NT and addresses of the client's family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.tcp import options
from protocols.transports.tcpip.tcp.connection import IGNORE, Connection, ConnectionHandler
from protocols.transports.tcpip.tcp.states import MAY_SEND, State
from protocols.transports.tcpip.tdi_edge.codes import STATUS, options_of
from protocols.transports.tcpip.tdi_edge.mapped import outward

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ntos.io.irp import Memory
    from protocols.interfaces.tlnpi.npi import ConnectionEvents
    from protocols.transports.tcpip.stack import Stack

OVER = frozenset((State.TIME_WAIT, State.CLOSED))
BOTH_FINS = frozenset((State.TIME_WAIT, State.CLOSED, State.LAST_ACK, State.CLOSING))
"""Each side has sent its FIN, or will do so without being asked again."""


class TcpTlConnection(ConnectionHandler):
    """Owns one TCP connection. ``events`` hears of it until ``abort`` or ``close``."""

    def __init__(self, stack: Stack, *, dual: bool) -> None:
        """Have no connection yet; ``start`` gives it one."""
        self.tcp: Connection
        self.events: ConnectionEvents | None = None
        self._stack = stack
        self._dual = dual
        self.is_over = False
        """Whether the client is done with it."""
        self._is_connecting = False
        self._watches = False

    def start(self, tcp: Connection, events: ConnectionEvents | None, *, connecting: bool) -> None:
        """Own ``tcp``; connecting ends by ``events.connected``."""
        self.tcp = tcp
        self.events = events
        self._is_connecting = connecting

    # TlConnection

    @property
    def local(self) -> InternetAddress:
        """The local end."""
        return outward(internet(self.tcp.key.local, self.tcp.key.local_port), dual=self._dual)

    @property
    def remote(self) -> InternetAddress:
        """The remote end."""
        return outward(internet(self.tcp.key.remote, self.tcp.key.remote_port), dual=self._dual)

    @property
    def at_end(self) -> bool:
        """Whether the peer has closed and everything was taken."""
        return self.tcp.at_end

    @property
    def available(self) -> int:
        """Bytes that can be taken."""
        return self.tcp.received.size

    @property
    def is_flushed(self) -> bool:
        """Whether the FIN, hence everything, has been acknowledged."""
        return self.tcp.state is State.FIN_WAIT_2 or self.tcp.state in OVER

    @property
    def ideal_backlog(self) -> int:
        """Twice what may be in flight, as a power of two: it changes seldom."""
        return self.tcp.ideal_backlog

    def send(self, data: Memory) -> int:
        """Hand over bytes. NtError."""
        try:
            return self.tcp.send(data)
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error

    def take(self, limit: int) -> list[Memory]:
        """Take received bytes; the window opens."""
        return self.tcp.receive_buffers(limit)

    def watch(self) -> None:
        """Tell of every acknowledgment: TCP tells of the next one to whom it owes room."""
        self._watches = self.tcp.wants_room = True

    def shut_down(self) -> None:
        """Send a FIN behind everything."""
        self.tcp.shutdown()
        self._stack.request_turn()

    def abort(self) -> None:
        """Reset."""
        self._forget()
        self.tcp.abort()
        self._stack.request_turn()

    def close(self) -> None:
        """Let it end by itself if both FINs are there; else reset it."""
        if self.tcp.state not in BOTH_FINS:
            self.abort()
            return
        self._forget()
        self.tcp.close()
        self._stack.request_turn()

    def set_options(self, values: Mapping[str, Any]) -> None:
        """Apply options by name. NtError(INVALID_PARAMETER)."""
        options.apply(self.tcp, options_of(values))
        if self.tcp.state in MAY_SEND:
            self._stack.request_turn()

    # ConnectionHandler

    def connected(self, connection: Connection) -> None:
        """Tell that connecting is over."""
        del connection
        if self._is_connecting and self.events is not None:
            self._is_connecting = False
            self.events.connected(NtStatus.SUCCESS)

    def readable(self, connection: Connection) -> None:
        """Tell that there is data."""
        del connection
        if self.events is not None:
            self.events.readable()

    def writable(self, connection: Connection) -> None:
        """Tell that there is room."""
        if self._watches:
            connection.wants_room = True
        if self.events is not None:
            self.events.writable()

    def remote_closed(self, connection: Connection) -> None:
        """Tell of the FIN."""
        del connection
        if self.events is not None:
            self.events.remote_closed()

    def closed(self, connection: Connection, failure: Failure | None) -> None:
        """Tell of the end; one in good order is an acknowledgment of everything."""
        del connection
        events = self.events
        if events is None:
            return
        if self._is_connecting:
            self._is_connecting = False
            events.connected(STATUS[failure] if failure is not None else NtStatus.CANCELLED)
        elif failure is None:
            events.writable()
        else:
            self.events = None
            events.aborted(STATUS[failure])

    def _forget(self) -> None:
        self.is_over = True
        self.events = None
        self.tcp.handler = IGNORE
