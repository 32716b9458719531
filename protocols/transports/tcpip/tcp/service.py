"""The TCP layer of a host: demultiplexing, opening, resets, and the turn of the callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.checksum import ones_sum_of, pseudo_sum, verifies
from formats.transport import ACK, RST, SYN, TCP
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.classify import Point
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.icmp import ErrorKind, ErrorReport
from protocols.transports.tcpip.ip import SendOptions
from protocols.transports.tcpip.ports import PortTable
from protocols.transports.tcpip.tcp import arrival, output, passive, retransmission, segment, states
from protocols.transports.tcpip.tcp.classified import ClassifiedConnection
from protocols.transports.tcpip.tcp.congestion import controller
from protocols.transports.tcpip.tcp.connection import IGNORE, Connection, FourTuple, Notice
from protocols.transports.tcpip.tcp.listener import Listener
from protocols.transports.tcpip.tcp.states import Event, State
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.packet import Packet
    from protocols.transports.tcpip.paths import Path
    from protocols.transports.tcpip.tcp.connection import ConnectionHandler
    from protocols.transports.tcpip.tcp.segment import Segment

MAX_TURNS = 64
HINT_PERIOD = 1 * SECOND
"""How often a connection confirms its next hop: a small part of ``neighbours.REACHABLE_TIME``."""
ICMP_FAILURES = {
    ErrorKind.NET_UNREACHABLE: Failure.NET_UNREACHABLE,
    ErrorKind.HOST_UNREACHABLE: Failure.HOST_UNREACHABLE,
    ErrorKind.PROHIBITED: Failure.HOST_UNREACHABLE,
    ErrorKind.PROTOCOL_UNREACHABLE: Failure.PROTOCOL_UNREACHABLE,
    ErrorKind.PORT_UNREACHABLE: Failure.REFUSED,
}


class Tcp:
    """All connections and listeners; transport for protocol 6."""

    def __init__(self, context: Context, ip: Ip) -> None:
        self.context = context
        self.ip = ip
        self.ports = PortTable(context, TCP)
        self.connections: dict[tuple[bytes, int, bytes, int], Connection] = {}
        """By ``FourTuple``."""
        self.listeners: dict[tuple[bytes | None, int], Listener] = {}
        self.dirty: dict[Connection, None] = {}
        """The connections that the next ``settle`` looks at, in this order."""
        self._time_wait: dict[FourTuple, Connection] = {}
        ip.transports[TCP] = self

    # Opening

    def listen(
        self,
        local: bytes | None,
        port: int,
        on_accept: Callable[[Connection], ConnectionHandler],
        *,
        share: bool = False,
    ) -> Listener:
        """Open a port; NetworkError when it is taken. ``local`` None means any address.

        ``share``: others that share may have claimed the port too (a TDI address that it belongs to).
        """
        if self.context.classification is not None and not share:
            local, port = self.context.classification.redirect_bind(TCP, local, port)
        if local is not None and addresses.is_unspecified(local) and len(local) == 4:
            local = None
        if local is not None and not addresses.is_unspecified(local):
            self._check_local(local)
        if self.context.classification is not None:
            self.context.classification.listen(local, port)
        port = self.ports.claim(local, port, share=share)
        found = Listener(self, local, port, on_accept)
        self.listeners[local, port] = found
        return found

    def unlisten(self, found: Listener) -> None:
        """Close a port; reset what was half open."""
        del self.listeners[found.local, found.port]
        self.ports.release(found.local, found.port)
        for connection in list(found.half_open.values()):
            connection.abort()

    def connect(
        self,
        remote: bytes,
        port: int,
        handler: ConnectionHandler,
        *,
        local: bytes | None = None,
        local_port: int = 0,
    ) -> Connection:
        """Open actively; the handler hears ``connected`` or ``closed``."""
        self.context.catch_up()
        if self.context.classification is not None:
            found = self.context.classification.redirect_connect(local, local_port, remote, port)
            remote, port = found.address or remote, found.port
        if addresses.is_multicast(remote) or remote == addresses.IPV4_BROADCAST:
            raise NetworkError(Failure.NET_UNREACHABLE, addresses.text(remote))
        if local is not None and addresses.is_unspecified(local):
            local = None
        if local is not None:
            self._check_local(local)
        if not port or addresses.is_unspecified(remote):
            raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, addresses.text(remote))
        if len(self.connections) >= self.context.config.connection_limit:
            raise NetworkError(Failure.NO_RESOURCES)
        path = self.ip.resolve(remote, local)
        local_port = self._claim_port(FourTuple(path.source, local_port, remote, port))
        key = FourTuple(path.source, local_port, remote, port)
        is_settled = True
        if self.context.classification is not None:
            try:
                is_settled = self.context.classification.connect(
                    *key, lambda may_go_on: self._authorized(connection, may_go_on=may_go_on)
                )
            except NetworkError:
                self.ports.release(path.source, local_port)
                raise
        connection = self.make(key, path)
        connection.handler = handler
        connection.state = states.advance(connection.state, Event.ACTIVE_OPEN)
        config = self.context.config
        connection.rcv_wscale = passive.scale_for(connection.receive_limit) if config.window_scaling else 0
        connection.scale_ok = config.window_scaling
        connection.ts_ok = config.timestamps
        connection.sack_ok = config.sack
        connection.rtt_sequence = connection.iss + 1
        if not is_settled:
            del self.connections[key]  # nothing is heard on it before the engine has said
        else:
            self._open(connection)
        return connection

    def _open(self, connection: Connection) -> None:
        connection.rtt_time = self.context.now
        output.send_syn(connection)
        connection.rexmit_timer.start(connection.rtt.rto)

    def _authorized(self, connection: Connection, *, may_go_on: bool) -> None:
        """Go on with a connection that a filtering engine had to think about, unless its owner has left."""
        if connection.state is not State.SYN_SENT or connection.key in self.connections:
            return
        if not may_go_on:
            self.delete(connection, Failure.PROHIBITED)
            return
        self.connections[connection.key] = connection
        self._open(connection)

    # From IP

    def receive(self, about: Packet) -> None:
        """Handle a TCP packet."""
        counters = self.context.counters
        counters["tcp.in_segments"] += 1
        data = about.payload
        if not about.l4_verified:
            start = pseudo_sum(about.source, about.destination, TCP) + len(data)
            if not verifies(data, start):
                counters["tcp.in_checksum_errors"] += 1
                return
        seg = segment.parse(data, about.extra)
        if seg is None:
            counters["tcp.in_errors"] += 1
            return
        name = (about.destination, seg.destination_port, about.source, seg.source_port)
        connection = self.connections.get(name)
        if connection is not None and (
            connection.state is not State.TIME_WAIT or not self._may_replace(connection, seg)
        ):
            arrival.arrive(connection, seg)
            return
        key = FourTuple(*name)
        if addresses.is_multicast(key.local) or about.link_cast or not seg.source_port:
            return
        found = self.listeners.get((key.local, key.local_port)) or self.listeners.get(
            (None if len(key.local) == 4 else addresses.IPV6_ANY, key.local_port)
        )
        if found is None:
            found = self.listeners.get((None, key.local_port))
        if found is None:
            self.reset_for(key, seg)
        else:
            passive.listener_hears(self, found, key, seg)

    def icmp_error(self, report: ErrorReport) -> None:
        """Hear of trouble. Believed only for a sequence number in flight (RFC 5927 4.1)."""
        ports = int.from_bytes(report.quoted[:4])
        key = FourTuple(report.source, ports >> 16, report.destination, ports & 0xFFFF)
        connection = self.connections.get(key)
        if connection is None:
            return
        sequence = segment.unwrap(connection.snd_una, int.from_bytes(report.quoted[4:8]))
        if not connection.snd_una <= sequence < connection.snd_max:
            self.context.counters["tcp.icmp_lies"] += 1
            return
        if report.kind is ErrorKind.TOO_BIG:
            self._too_big(connection, report)
            return
        failure = ICMP_FAILURES.get(report.kind)
        if failure is None:
            return
        connection.failure = failure
        if connection.state in (State.SYN_SENT, State.SYN_RECEIVED) and not connection.passive:
            self.delete(connection, failure)
        # RFC 9293 3.9.2.2, RFC 5927 5.2: once synchronized, an ICMP error only says why
        # a later timeout happens; it must not end the connection.

    # For the other modules of TCP

    def settle(self) -> None:
        """Make the callbacks that are due and send what may be sent, until all is quiet."""
        for _ in range(MAX_TURNS):
            if not self.dirty:
                return
            dirty, self.dirty = iter(self.dirty), {}
            connection: Connection | None = None
            try:
                for connection in dirty:
                    if connection.notices:
                        _call_back(connection)
                    if connection.state is not State.CLOSED:
                        output.pump(connection)
            except Exception:
                # A failure of ours with one connection: its owner hears, the others are for the next turn.
                if connection is not None and connection.state is not State.CLOSED:
                    self.context.counters["tcp.failed"] += 1
                    self.delete(connection, Failure.ABORTED)
                self.dirty.update(dict.fromkeys(dirty))
                raise

    def established(self, connection: Connection) -> None:
        """Tell the owner, or the listener that has waited for it, that a handshake is over."""
        self.context.counters["tcp.established"] += 1
        found = connection.listener
        if found is not None:
            found.half_open.pop(connection.key, None)
        if connection.keepalive:
            connection.keepalive_timer.start(connection.keepalive_idle)
        connection.notify(Notice.CONNECTED)

    def progress(self, connection: Connection) -> None:
        """Tell the neighbour cache that the next hop is alive (RFC 4861 7.3.1): at ``hint_due``."""
        connection.hint_due = self.context.now + HINT_PERIOD
        interface = connection.path.interface
        if not interface.loopback:
            v4 = len(connection.key.remote) == 4
            cache = interface.neighbours4 if v4 else interface.neighbours6
            cache.confirm(connection.path.next_hop)

    def enter_time_wait(self, connection: Connection) -> None:
        """Wait 2 MSL; keep nothing but the control block (RFC 9293 3.6.1)."""
        connection.rexmit_timer.stop()
        connection.keepalive_timer.stop()
        connection.wait_timer.start(2 * self.context.config.msl)
        self._time_wait[connection.key] = connection
        while len(self._time_wait) > self.context.config.time_wait_limit:
            self.context.counters["tcp.time_wait_overflow"] += 1
            self.delete(next(iter(self._time_wait.values())), None)
        connection.notify(Notice.CLOSED)

    def delete(self, connection: Connection, failure: Failure | None) -> None:
        """Close at once and forget; the owner hears ``closed``."""
        if self.connections.get(connection.key) is connection:
            del self.connections[connection.key]
        self._time_wait.pop(connection.key, None)
        found = connection.listener
        if found is not None and found.half_open.pop(connection.key, None) is not None:
            found.dropped(connection.key)
        if connection.state is not State.CLOSED:
            connection.state = states.advance(connection.state, Event.DELETED)
        for timer in (
            connection.rexmit_timer,
            connection.delack_timer,
            connection.keepalive_timer,
            connection.wait_timer,
        ):
            timer.stop()
        if not connection.passive:
            self.ports.release(connection.key.local, connection.key.local_port)
        if self.context.classification is not None:
            self.context.classification.flow_ended(*connection.key)
        connection.failure = failure
        if failure is not None:
            connection.received.clear()
        connection.scoreboard.clear()
        connection.send_buffer.release(connection.send_buffer.end)
        connection.ack_now = False
        connection.notify(Notice.CLOSED)

    def size_segments(self, connection: Connection) -> None:
        """Choose the segment size: the peer's MSS, our link, the path (RFC 9293 3.7.1)."""
        room = self.ip.max_payload(connection.path) - segment.HEADER_BYTES
        before = connection.mss
        connection.mss = min(connection.peer_mss, room)
        connection.data_mss = connection.mss - 12 if connection.ts_ok else connection.mss
        connection.chunk_limit = output.chunk_limit(connection)
        congestion = connection.congestion
        congestion.mss = connection.data_mss
        if connection.state in (State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED):
            # The initial window is counted in segments of the size just learnt.
            connection.congestion = controller(self.context.config.congestion, connection.data_mss)
        elif connection.mss < before:
            congestion.cwnd = max(congestion.cwnd, 2 * connection.data_mss)

    def path_mtu_changed(self, connection: Connection) -> None:
        """Send again what no longer fits (RFC 1191 6.4: without calling it a loss)."""
        before = connection.mss
        self.size_segments(connection)
        if connection.mss < before and connection.snd_max > connection.snd_una:
            connection.snd_nxt = connection.snd_una
            connection.high_rxt = connection.snd_una
            connection.rtt_sequence = None
            self.dirty[connection] = None

    def local_mss(self, path: Path) -> int:
        """Return the MSS to announce: what our link can receive (RFC 6691)."""
        v4 = len(path.destination) == 4
        mtu = path.interface.mtu if v4 else path.interface.mtu6
        return min(mtu, 0xFFFF) - segment.HEADER_BYTES - (20 if v4 else 40)

    def header_sum(self, key: FourTuple) -> int:
        """Return the pseudo header's sum, less the length, for segments of a connection."""
        return pseudo_sum(key.local, key.remote, TCP)

    def reroute(self, connection: Connection) -> bool:
        """Find the way again after routes have changed; False when there is none now."""
        try:
            connection.path = self.ip.resolve(connection.key.remote, connection.key.local)
        except NetworkError:
            self.context.counters["tcp.out_no_route"] += 1
            return False
        self.size_segments(connection)
        return True

    def send_reset(self, connection: Connection) -> None:
        """Reset the peer of a connection that it knows."""
        self.context.counters["tcp.out_resets"] += 1
        output.transmit(connection, connection.snd_max, RST | ACK)

    def reset_for(self, key: FourTuple, seg: Segment) -> None:
        """Answer a segment that belongs to nothing (RFC 9293 3.10.7.1)."""
        if seg.flags & RST:
            return
        self.context.counters["tcp.out_resets"] += 1
        if seg.flags & ACK:
            self.bare(key, seg.acknowledgment, 0, RST)
        else:
            acknowledgment_number = seg.sequence + seg.sequence_length
            self.bare(key, 0, acknowledgment_number, RST | ACK)

    # Timers

    def on_retransmit(self, connection: Connection) -> None:
        """Serve the retransmission, persist or handshake timer."""
        retransmission.timer_fired(connection)
        self.dirty[connection] = None

    def on_delayed_ack(self, connection: Connection) -> None:
        """Send an ACK that has waited long enough."""
        connection.ack_now = True
        self.dirty[connection] = None

    def on_keepalive(self, connection: Connection) -> None:
        """Serve the keepalive timer."""
        retransmission.keepalive_fired(connection)

    def on_wait_over(self, connection: Connection) -> None:
        """TIME-WAIT is over, or a peer has left us in FIN-WAIT-2."""
        self.delete(connection, None)

    # Inside

    def _check_local(self, local: bytes) -> None:
        if not self.ip.paths.is_local(local):
            raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, addresses.text(local))

    def _claim_port(self, key: FourTuple) -> int:
        if key.local_port and key in self.connections:
            raise NetworkError(Failure.ADDRESS_IN_USE, f"port {key.local_port}")
        return self.ports.claim(key.local, key.local_port, share=bool(key.local_port))

    def make(self, key: FourTuple, path: Path) -> Connection:
        """Make a closed connection under its name, with a hard-to-guess initial number."""
        # RFC 6528 3: a clock of 4 microseconds and a hash of the connection's name.
        ports = key.local_port.to_bytes(2) + key.remote_port.to_bytes(2)
        iss = self.context.now // 4000 + self.context.hash32(b"isn", key.local, key.remote, ports)
        classification = self.context.classification
        is_seen = classification is not None and Point.STREAM in classification.points
        kind = ClassifiedConnection if is_seen else Connection
        connection = kind(self, key, path, iss & segment.MASK)
        self.connections[key] = connection
        return connection

    def _may_replace(self, connection: Connection, seg: Segment) -> bool:
        """Let a new SYN take a connection out of TIME-WAIT (RFC 9293 3.10.7.4, RFC 6191)."""
        if seg.flags & (SYN | ACK | RST) != SYN:
            return False
        newer = (seg.sequence - connection.rcv_nxt) & segment.MASK
        fresh = 0 < newer < segment.HALF
        if connection.ts_ok and seg.ts_value is not None:
            age = (seg.ts_value - connection.ts_recent) & segment.MASK
            fresh = 0 < age < segment.HALF or (age == 0 and fresh)
        if fresh:
            self.delete(connection, None)
        return fresh

    def _too_big(self, connection: Connection, report: ErrorReport) -> None:
        floor = report.packet_bytes
        if report.mtu and report.mtu >= floor:
            return  # the packet was not too big for that: a lie or a late message
        self.ip.paths.lower_mtu(report.destination, report.mtu, report.packet_bytes)
        self.path_mtu_changed(connection)

    def bare(
        self,
        key: FourTuple,
        sequence: int,
        acknowledgment_number: int,
        flags: int,
        *,
        window: int = 0,
        options: bytes = b"",
    ) -> None:
        """Send a segment that belongs to no connection."""
        raw = segment.build(
            (key.local_port, key.remote_port),
            sequence,
            acknowledgment_number,
            flags,
            window,
            options=options,
        )
        value = 0xFFFF - ones_sum_of((raw,), self.header_sum(key) + len(raw))
        raw = raw[:16] + value.to_bytes(2) + raw[18:]
        self.context.counters["tcp.out_segments"] += 1
        try:
            path = self.ip.resolve(key.remote, key.local)
            self.ip.send(path, TCP, raw, [], SendOptions(dont_fragment=True))
        except NetworkError:
            self.context.counters["tcp.out_errors"] += 1


def _call_back(connection: Connection) -> None:
    notices, connection.notices = connection.notices, 0
    handler = connection.handler
    if notices & Notice.CONNECTED:
        classification = connection.tcp.context.classification
        if classification is not None and not classification.established(
            *connection.key, is_inbound=connection.passive
        ):
            connection.abort()
            return
        found = connection.listener
        if found is not None and handler is IGNORE:
            connection.listener = None
            handler = connection.handler = found.on_accept(connection)
        handler.connected(connection)
    if notices & Notice.URGENT:
        handler.urgent(connection)
    if notices & Notice.READABLE and connection.received.size:
        handler.readable(connection)
    if notices & Notice.WRITABLE and not connection.application_gone:
        handler.writable(connection)
    if notices & Notice.REMOTE_CLOSED:
        handler.remote_closed(connection)
    if notices & Notice.CLOSED:
        connection.handler = IGNORE
        handler.closed(connection, connection.failure)
