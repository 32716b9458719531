r"""\Device\Tcp: TDI connections over ``Stack``'s.

Data that the client does not take stays in TCP, so that its window closes. ``_held`` are bytes that were
taken out of TCP for an indication and refused: they come first.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import internet
from protocols.interfaces.tdi.events import NOT_ACCEPTED
from protocols.interfaces.tdi.requests import Flags, Query
from protocols.interfaces.tdi.transport import ConnectionObject
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.tcp import options
from protocols.transports.tcpip.tcp.connection import IGNORE, Connection, ConnectionHandler
from protocols.transports.tcpip.tcp.states import State
from protocols.transports.tcpip.tdi_edge.codes import STATUS
from protocols.transports.tcpip.tdi_edge.mapped import inward, outward, own

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp, Memory
    from protocols.interfaces.tdi.events import ReceiveHandler
    from protocols.transports.tcpip.tdi_edge.tcp_address import TcpAddress
    from protocols.transports.tcpip.tdi_edge.tcp_driver import TcpDriver

_EXPEDITED = int(Flags.EXPEDITED)
INDICATE_BYTES = 65536
"""What is taken out of TCP for one indication."""
FIN_ON_ITS_WAY = frozenset({State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK})


class Phase(enum.Enum):
    """The life of a connection object."""

    IDLE = enum.auto()
    LISTENING = enum.auto()
    CONNECTING = enum.auto()
    CONNECTED = enum.auto()
    OVER = enum.auto()


class TcpConnection(ConnectionObject, ConnectionHandler):
    """A connection endpoint, and the owner of a TCP connection."""

    driver: TcpDriver
    address: TcpAddress | None

    def __init__(self, driver: TcpDriver, file: FileObject, context: object) -> None:
        super().__init__(driver, file, context)
        self.phase = Phase.IDLE
        self.tcp: Connection | None = None
        self.since_ns = 0
        self._connecting: Irp | None = None
        self._sends: deque[tuple[Irp, deque[Memory]]] = deque()
        self._receives: deque[Irp] = deque()
        self._expedited: deque[Irp] = deque()  # receives that want urgent bytes, and nothing else
        self._disconnects: list[Irp] = []
        self._held: deque[Memory] = deque()
        self._silent = False  # the client refused data: not a word until it asks
        self._told_fin = False
        self._fin_after_sends = False
        self._failure: NtStatus | None = None

    @property
    def is_active(self) -> bool:
        """Whether there is a connection, or will be."""
        return self.phase in (Phase.LISTENING, Phase.CONNECTING, Phase.CONNECTED)

    def adopt(self, connection: Connection) -> None:
        """Own a connection that came in."""
        self.tcp = connection
        self.phase = Phase.CONNECTED
        self.since_ns = self.driver.stack.context.now
        self._configure()

    # Requests

    def connect(self, irp: Irp) -> NtStatus:
        """TDI_CONNECT."""
        if self.is_active:
            return self.io.complete(irp, NtStatus.CONNECTION_ACTIVE)
        if self.address is None:
            return self.io.complete(irp, NtStatus.ADDRESS_NOT_ASSOCIATED)
        try:
            remote = inward(own(irp.location.parameters.remote), dual=self.address.dual)
        except NtError as error:
            return self.io.complete(irp, error.status)
        local = inward(self.address.local, dual=self.address.dual)
        if self.address.ip is None:
            local = internet(bytes(len(remote.address)), local.port)
        if len(remote.address) != len(local.address):
            return self.io.complete(irp, NtStatus.INVALID_ADDRESS_COMPONENT)
        self._forget()
        try:
            self.tcp = self.driver.stack.tcp_connect(
                remote.address, remote.port, self, local=local.address, local_port=local.port
            )
        except NetworkError as error:
            return self.io.complete(irp, STATUS[error.failure])
        self.phase = Phase.CONNECTING
        self._connecting = irp
        self._configure()
        self.driver.stack.request_turn()
        return self.io.pend_cancellable(irp, self._cancel_connect)

    def listen(self, irp: Irp) -> NtStatus:
        """TDI_LISTEN: the next connection to the address becomes this object's."""
        if self.is_active:
            return self.io.complete(irp, NtStatus.CONNECTION_ACTIVE)
        if self.address is None:
            return self.io.complete(irp, NtStatus.ADDRESS_NOT_ASSOCIATED)
        try:
            self.address.open_port()
        except NetworkError as error:
            return self.io.complete(irp, STATUS[error.failure])
        self._forget()
        self.phase = Phase.LISTENING
        self.address.waiting.append(irp)
        return self.io.pend_cancellable(irp, self._cancel_listen)

    def accept(self, irp: Irp) -> NtStatus:
        """TDI_ACCEPT: confirm a connection that TDI_LISTEN has brought."""
        there = self.phase is Phase.CONNECTED
        return self.io.complete(irp, NtStatus.SUCCESS if there else NtStatus.CONNECTION_INVALID)

    def disconnect(self, irp: Irp) -> NtStatus:
        """TDI_DISCONNECT: ABORT resets; RELEASE sends FIN behind all data; WAIT waits for the peer's."""
        flags = irp.location.parameters.flags
        if self.tcp is None or self.phase is not Phase.CONNECTED:
            return self.io.complete(irp, NtStatus.CONNECTION_INVALID)
        if flags & Flags.ABORT:
            self.tcp.abort()
            self._over(NtStatus.LOCAL_DISCONNECT)
            self.driver.stack.request_turn()
            return self.io.complete(irp, NtStatus.SUCCESS)
        if flags & Flags.WAIT:
            if self._told_fin:
                return self.io.complete(irp, NtStatus.SUCCESS)
            self._disconnects.append(irp)
            return self.io.pend_cancellable(irp, self._cancel_wait)
        self._fin_after_sends = True
        if not self._sends:
            self.tcp.shutdown()
            self.driver.stack.request_turn()
            return self.io.complete(irp, NtStatus.SUCCESS)
        self._disconnects.append(irp)
        irp.context["release"] = True
        return self.io.pend_cancellable(irp, self._cancel_wait)

    def send(self, irp: Irp) -> NtStatus:
        """TDI_SEND: complete when TCP has taken all bytes."""
        if self.phase is not Phase.CONNECTED or self.tcp is None:
            return self.io.complete(irp, self._failure or NtStatus.CONNECTION_INVALID)
        if self._fin_after_sends:
            return self.io.complete(irp, NtStatus.LOCAL_DISCONNECT)
        queued = (irp, deque(filter(len, irp.buffers)))
        self._sends.append(queued)
        self._pump()
        self.driver.stack.request_turn()
        if not self._sends or self._sends[-1] is not queued:
            return irp.status  # TCP took it at once, or the connection is over
        return self.io.pend_cancellable(irp, self._cancel_send)

    def receive(self, irp: Irp) -> NtStatus:
        """TDI_RECEIVE: as many bytes as there are, at least one; PEEK leaves them.

        EXPEDITED: the next urgent byte, when all before it has been taken.
        """
        self._silent = False
        if self.phase is not Phase.CONNECTED and not self._held:
            status = self._failure or NtStatus.CONNECTION_INVALID
            if self._told_fin and self._failure is None:
                status = NtStatus.SUCCESS
            return self.io.complete(irp, status)
        expedited = irp.location.parameters.flags & Flags.EXPEDITED
        (self._expedited if expedited else self._receives).append(irp)
        self.io.pend_cancellable(irp, self._cancel_receive)
        self._deliver()
        self.driver.stack.request_turn()
        return NtStatus.PENDING

    def set_information(self, irp: Irp) -> NtStatus:
        """Options of this connection: no_delay, keepalive, ttl, tos."""
        if self.tcp is not None:
            options.apply(self.tcp, irp.location.parameters.values)
            self.driver.stack.request_turn()
        elif self.address is not None:
            self.address.options.update(irp.location.parameters.values)
        return self.io.complete(irp, NtStatus.SUCCESS)

    def cleanup(self) -> None:
        """End: in good order when a FIN was asked for, else by a reset."""
        tcp, self.tcp = self.tcp, None
        if tcp is not None and tcp.state is not State.CLOSED:
            tcp.handler = IGNORE
            if self._fin_after_sends and not self._sends and not self._held:
                tcp.close()
            else:
                tcp.abort()
            self.driver.stack.request_turn()
        self._over(NtStatus.CANCELLED, tell=False)

    # ConnectionHandler

    def connected(self, connection: Connection) -> None:
        """Complete the connect request."""
        del connection
        self.phase = Phase.CONNECTED
        self.since_ns = self.driver.stack.context.now
        irp, self._connecting = self._connecting, None
        if irp is not None and self.io.claim(irp):
            self.io.complete(irp, NtStatus.SUCCESS)

    def writable(self, connection: Connection) -> None:
        """Go on sending."""
        del connection
        if self._sends or self._fin_after_sends:
            self._pump()

    def closed(self, connection: Connection, failure: Failure | None) -> None:
        """Tell of the end."""
        del connection
        if failure is None:
            self._deliver()
        irp, self._connecting = self._connecting, None
        status = STATUS[failure] if failure is not None else NtStatus.GRACEFUL_DISCONNECT
        if irp is not None:
            self.phase = Phase.OVER
            if self.io.claim(irp):
                self.io.complete(irp, status)
            return
        if failure is not None and self.phase is not Phase.OVER:
            self._over(status)

    # Inside

    def _pump(self) -> None:  # noqa: C901 - one loop over what is queued, with its two ends
        tcp = self.tcp
        if tcp is None:
            return
        while self._sends:
            irp, rest = self._sends[0]
            try:
                while rest:
                    urgent = int(irp.location.parameters.flags) & _EXPEDITED
                    taken = (tcp.send_urgent if urgent else tcp.send)(rest[0])
                    if not taken:
                        return
                    piece = rest.popleft()
                    if taken < len(piece):
                        rest.appendleft(memoryview(piece)[taken:])
            except NetworkError as error:
                self._over(STATUS[error.failure])
                return
            self._sends.popleft()
            if irp.cancel_routine is not None:  # it had to wait
                self.io.claim(irp)
            if not irp.completed:
                self.io.complete(irp, NtStatus.SUCCESS, irp.length)
        if self._fin_after_sends:
            tcp.shutdown()
            for irp in [one for one in self._disconnects if "release" in one.context]:
                self._disconnects.remove(irp)
                if self.io.claim(irp):
                    self.io.complete(irp, NtStatus.SUCCESS)

    def _deliver(self, connection: Connection | None = None) -> None:
        """Give data to a waiting receive, or tell of it; tell of the FIN behind the data."""
        del connection
        if self._expedited and self.tcp is not None and not self._held:
            self._give_urgent(self.tcp)
        while self._held or (self.tcp is not None and self.tcp.received.size):
            if not (self._fill_receives() if self._receives else self._indicate()):
                break
        tcp = self.tcp
        if tcp is not None and tcp.remote_fin and tcp.at_end and not self._held and not self._told_fin:
            self._told_fin = True
            for irp in self._drain(self._receives) + self._drain(self._expedited):
                self.io.complete(irp, NtStatus.SUCCESS)
            for irp in [one for one in self._disconnects if "release" not in one.context]:
                self._disconnects.remove(irp)
                if self.io.claim(irp):
                    self.io.complete(irp, NtStatus.SUCCESS)
            self._tell_disconnect(Flags.RELEASE)

    readable = remote_closed = _deliver

    def _fill_receives(self) -> bool:
        irp = self._receives[0]
        if not self._held and self.tcp is not None:
            self._held.extend(self._take(self.tcp, max(irp.length, 1)))
        if not self._held:
            return False
        self._receives.popleft()
        copied = 0
        peeked = list(self._held)
        while self._held and copied < irp.length:
            piece = self._held.popleft()
            fitted = irp.scatter(piece, copied)
            copied += fitted
            if fitted < len(piece):
                self._held.appendleft(memoryview(piece)[fitted:])
        if irp.location.parameters.flags & Flags.PEEK:
            self._held = deque(peeked)
        if self.io.claim(irp):
            self.io.complete(irp, NtStatus.SUCCESS, copied)
        return True

    def _take(self, tcp: Connection, limit: int) -> list[Memory]:
        """Take data out of TCP, up to an urgent byte; that one is told of by itself, if anybody listens."""
        heard = self.address.handlers.receive_expedited if self.address is not None else None
        if heard is None and not self._expedited:
            return tcp.receive_buffers(limit)
        self._give_urgent(tcp)
        while (ahead := tcp.urgent_ahead) == 1 and tcp.received.size and heard is not None:
            heard(self.context, Flags.EXPEDITED, 1, tcp.receive(1))
        if ahead == 1 and not self._expedited:
            return tcp.receive_buffers(limit)  # nobody wants it apart
        return tcp.receive_buffers(limit if ahead is None else min(limit, ahead - 1))

    def _give_urgent(self, tcp: Connection) -> None:
        """Complete the requests for urgent bytes as far as those come next."""
        while self._expedited and tcp.urgent_ahead == 1 and tcp.received.size:
            irp = self._expedited.popleft()
            if self.io.claim(irp):
                self.io.complete(irp, NtStatus.SUCCESS, irp.scatter(tcp.receive(1)), Flags.EXPEDITED)

    def _indicate(self) -> bool:
        handlers = self.address.handlers if self.address is not None else None
        if self._silent or handlers is None:
            return False
        if not self._held:
            if self.tcp is None or (handlers.chained_receive is None and handlers.receive is None):
                return False
            if self.tcp.rcv_up:
                self._held.extend(self._take(self.tcp, INDICATE_BYTES))
            else:  # no urgent data has ever come
                self._held.extend(self.tcp.receive_buffers(INDICATE_BYTES))
        if not self._held:
            return False
        chained = handlers.chained_receive
        if chained is not None:
            status = chained(self.context, list(self._held))
            if status is NtStatus.SUCCESS:
                self._held.clear()
                return True
            self._silent = True
            return False
        return self._indicate_lookahead(handlers.receive)

    def _indicate_lookahead(self, receive: ReceiveHandler | None) -> bool:
        available = sum(map(len, self._held))
        lookahead = self._held[0]
        said = NOT_ACCEPTED
        if receive is not None:
            said = receive(self.context, Flags.NONE, available, lookahead)
        left = said.bytes_taken
        while left and self._held:
            piece = self._held.popleft()
            if left < len(piece):
                self._held.appendleft(memoryview(piece)[left:])
            left -= min(left, len(piece))
        if said.irp is not None:
            self._receives.append(said.irp)
            self.io.mark_pending(said.irp)
            said.irp.cancel_routine = self._cancel_receive
            return True
        self._silent = said.status is NtStatus.DATA_NOT_ACCEPTED
        return bool(said.bytes_taken) and not self._silent

    def _tell_disconnect(self, flags: Flags) -> None:
        handler = self.address.handlers.disconnect if self.address is not None else None
        if handler is not None:
            handler(self.context, flags)

    def _over(self, status: NtStatus, *, tell: bool = True) -> None:
        was = self.phase
        self.phase = Phase.OVER
        self._failure = status
        self._silent = False
        pending = [irp for irp, _rest in self._sends] + self._drain_all()
        self._sends.clear()
        for irp in pending:
            if irp.cancel_routine is not None:
                self.io.claim(irp)
            if not irp.completed:
                self.io.complete(irp, status)
        if tell and was is Phase.CONNECTED:
            self._tell_disconnect(Flags.ABORT)

    def _drain_all(self) -> list[Irp]:
        found = [*self._receives, *self._expedited, *self._disconnects]
        if self._connecting is not None:
            found.append(self._connecting)
            self._connecting = None
        self._receives.clear()
        self._expedited.clear()
        self._disconnects.clear()
        if self.phase is Phase.OVER and self.address is not None:
            mine = [irp for irp in self.address.waiting if irp.location.file is self.file]
            for irp in mine:
                self.address.waiting.remove(irp)
            found += mine
        return found

    def _drain(self, queue: deque[Irp]) -> list[Irp]:
        found = [irp for irp in queue if self.io.claim(irp)]
        queue.clear()
        return found

    def _configure(self) -> None:
        if self.tcp is not None and self.address is not None:
            options.apply(self.tcp, self.address.options)

    def _forget(self) -> None:
        self._held.clear()
        self._silent = self._told_fin = self._fin_after_sends = False
        self._failure = None

    def _answers(self) -> dict[Query, Any]:
        found = super()._answers()
        if self.tcp is not None:
            key, dual = self.tcp.key, self.address is not None and self.address.dual
            found[Query.ADDRESS_INFO] = outward(internet(key.local, key.local_port), dual=dual)
            found[Query.CONNECTION_INFO] = {
                "state": self.tcp.state.name,
                "remote": outward(internet(key.remote, key.remote_port), dual=dual),
                "received": self.tcp.bytes_received,
                "since_ns": self.since_ns,
                "ideal_backlog": self.tcp.ideal_backlog,
                "unacknowledged": len(self.tcp.send_buffer) + (self.tcp.state in FIN_ON_ITS_WAY),
                "available": self.tcp.received.size + sum(map(len, self._held)),
            }
        return found

    # Cancels

    def _cancel_connect(self, irp: Irp) -> None:
        self._connecting = None
        if self.tcp is not None:
            self.tcp.handler = IGNORE
            self.tcp.abort()
        self.phase = Phase.OVER
        self.io.complete(irp, NtStatus.CANCELLED)

    def _cancel_listen(self, irp: Irp) -> None:
        if self.address is not None and irp in self.address.waiting:
            self.address.waiting.remove(irp)
        self.phase = Phase.IDLE
        self.io.complete(irp, NtStatus.CANCELLED)

    def _cancel_receive(self, irp: Irp) -> None:
        for queue in (self._receives, self._expedited):
            if irp in queue:
                queue.remove(irp)
        self.io.complete(irp, NtStatus.CANCELLED)

    def _cancel_wait(self, irp: Irp) -> None:
        if irp in self._disconnects:
            self._disconnects.remove(irp)
        self.io.complete(irp, NtStatus.CANCELLED)

    def _cancel_send(self, irp: Irp) -> None:
        # Part of it may be in TCP already: a stream with a hole is no stream, so the connection ends.
        self._sends = deque(one for one in self._sends if one[0] is not irp)
        self.io.complete(irp, NtStatus.CANCELLED)
        if self.tcp is not None:
            self.tcp.abort()
