"""A TCP connection: its control block (RFC 9293 3.3.1) and what an application may do with it.

Segments are handled in ``arrival``, sent in ``output``, timers in ``retransmission``; all of them
work on the variables that are declared here. Calls never block and never call back: callbacks
come from ``Tcp.settle`` after the event that caused them has been handled whole.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.tcp import states
from protocols.transports.tcpip.tcp.congestion import controller
from protocols.transports.tcpip.tcp.receive_queue import ReceiveQueue
from protocols.transports.tcpip.tcp.rtt import RttEstimator
from protocols.transports.tcpip.tcp.scoreboard import Scoreboard
from protocols.transports.tcpip.tcp.send_buffer import SendBuffer
from protocols.transports.tcpip.tcp.states import Event, State

if TYPE_CHECKING:
    from formats.checksum import Buffer
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.paths import Path
    from protocols.transports.tcpip.tcp.congestion.control import CongestionControl
    from protocols.transports.tcpip.tcp.listener import Listener
    from protocols.transports.tcpip.tcp.segment import Segment
    from protocols.transports.tcpip.timers import Timer
LEAST_BACKLOG = 1 << 16


class FourTuple(NamedTuple):
    """What names a connection."""

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int


class TcpHost(Protocol):
    """What a connection, and the modules that work on it, ask of the host's TCP. ``service.Tcp`` is one."""

    dirty: dict[Connection, None]
    """Connections that ``settle`` is to look at."""

    @property
    def context(self) -> Context:
        """The stack's clock, timers, settings and counters."""

    @property
    def ip(self) -> Ip:
        """What carries segments."""

    def delete(self, connection: Connection, failure: Failure | None) -> None:
        """Close at once and forget."""

    def established(self, connection: Connection) -> None:
        """Tell the owner that a handshake is over."""

    def progress(self, connection: Connection) -> None:
        """Tell the neighbour cache that the next hop is alive."""

    def enter_time_wait(self, connection: Connection) -> None:
        """Wait 2 MSL."""

    def size_segments(self, connection: Connection) -> None:
        """Choose the segment size."""

    def path_mtu_changed(self, connection: Connection) -> None:
        """Send again what no longer fits."""

    def local_mss(self, path: Path) -> int:
        """Return the MSS to announce."""

    def header_sum(self, key: FourTuple) -> int:
        """Return the pseudo header's sum, less the length."""

    def reroute(self, connection: Connection) -> bool:
        """Find the way again; False when there is none."""

    def send_reset(self, connection: Connection) -> None:
        """Reset the peer."""

    def reset_for(self, key: FourTuple, seg: Segment) -> None:
        """Answer a segment that belongs to nothing."""

    def on_retransmit(self, connection: Connection) -> None:
        """Serve the retransmission, persist or handshake timer."""

    def on_delayed_ack(self, connection: Connection) -> None:
        """Send an ACK that has waited long enough."""

    def on_keepalive(self, connection: Connection) -> None:
        """Serve the keepalive timer."""

    def on_wait_over(self, connection: Connection) -> None:
        """End TIME-WAIT."""


class Recovery(enum.Enum):
    """Where the sender is in loss recovery."""

    OPEN = enum.auto()
    FAST = enum.auto()  # fast retransmit and recovery (RFC 6582, RFC 6675)
    LOSS = enum.auto()  # after a retransmission timeout


class Repair(NamedTuple):
    """A retransmission in fast recovery: what went again, and how far we had sent by then."""

    start: int
    end: int
    sent_upto: int


class Notice(enum.IntEnum):
    """Callbacks that are due: bits. Or'ed they are plain numbers, which cost a tenth of an IntFlag."""

    CONNECTED = 1
    READABLE = 2
    WRITABLE = 4
    REMOTE_CLOSED = 8
    URGENT = 16
    CLOSED = 32


class ConnectionHandler:
    """The owner of a connection. Override what is of interest."""

    def connected(self, connection: Connection) -> None:
        """Hear that the handshake is over."""

    def readable(self, connection: Connection) -> None:
        """Hear that there is more to ``receive``."""

    def writable(self, connection: Connection) -> None:
        """Hear that there is room again, after ``send`` has taken less than it was given."""

    def remote_closed(self, connection: Connection) -> None:
        """Hear that the peer has sent its FIN; what it sent before is readable."""

    def urgent(self, connection: Connection) -> None:
        """Hear that the urgent mark moved (``urgent_ahead``)."""

    def closed(self, connection: Connection, failure: Failure | None) -> None:
        """Hear, once, that the connection is gone; ``failure`` None means in good order."""


IGNORE = ConnectionHandler()


class Connection:
    """The transmission control block. Sequence numbers are unwrapped."""

    __slots__ = (
        "ack_now",
        "ack_pending_bytes",
        "application_gone",
        "bytes_received",
        "challenge_tokens",
        "challenged_at",
        "chunk_limit",
        "clock",
        "congestion",
        "cwnd_limited",
        "data_mss",
        "delack_timer",
        "dsack",
        "dup_acks",
        "early_fin",
        "failure",
        "fin_sequence",
        "handler",
        "header_sum",
        "high_rxt",
        "hint_due",
        "irs",
        "iss",
        "keepalive",
        "keepalive_idle",
        "keepalive_interval",
        "keepalive_probes",
        "keepalive_sent",
        "keepalive_timer",
        "key",
        "last_ack_sent",
        "last_data_at",
        "layer",
        "listener",
        "lost_repairs",
        "max_snd_wnd",
        "mss",
        "no_delay",
        "notices",
        "passive",
        "path",
        "peer_mss",
        "persist_count",
        "ports",
        "probing",
        "rcv_adv",
        "rcv_nxt",
        "rcv_up",
        "rcv_wscale",
        "receive_limit",
        "received",
        "recover",
        "recovery",
        "remote_fin",
        "repairs",
        "rescued",
        "retransmits",
        "rexmit_timer",
        "rtt",
        "rtt_sequence",
        "rtt_time",
        "sack_ok",
        "scale_ok",
        "scoreboard",
        "send_buffer",
        "send_limit",
        "small_end",
        "snd_max",
        "snd_nxt",
        "snd_una",
        "snd_up",
        "snd_wl1",
        "snd_wl2",
        "snd_wnd",
        "snd_wscale",
        "state",
        "tcp",
        "tos",
        "ts_offset",
        "ts_ok",
        "ts_recent",
        "ts_recent_at",
        "ttl",
        "user",
        "wait_timer",
        "wants_room",
    )

    def __init__(self, tcp: TcpHost, key: FourTuple, path: Path, iss: int) -> None:  # noqa: PLR0915 - the RFC has so many
        """Make a closed connection; ``Tcp`` opens it."""
        config = tcp.context.config
        timer = tcp.context.timers.timer
        self.tcp = tcp
        self.clock = tcp.context.timers  # ``clock.now``: the stack's time
        self.key = key
        self.ports = (key.local_port, key.remote_port)
        self.layer = tcp.ip.v4 if len(key.remote) == 4 else tcp.ip.v6
        self.path = path
        self.state = State.CLOSED
        self.handler: ConnectionHandler = IGNORE
        self.user: object = None  # the owner's own
        self.passive = False
        self.listener: Listener | None = None
        """Whose backlog it is in, until the listener's owner has it."""
        self.notices = 0
        self.failure: Failure | None = None
        self.application_gone = False
        self.header_sum = tcp.header_sum(key)
        # Sending
        self.iss = iss + (1 << 32)
        self.snd_una = self.snd_nxt = self.snd_max = self.iss
        self.snd_wnd = self.max_snd_wnd = 0
        self.snd_wl1 = self.snd_wl2 = 0
        self.snd_up = self.iss
        self.snd_wscale = 0
        self.send_buffer = SendBuffer(self.iss + 1)
        self.send_limit = config.send_buffer
        self.wants_room = False  # ``send`` has taken less than it was given
        self.fin_sequence: int | None = None  # of our FIN, once the application has closed
        self.last_data_at = (
            self.clock.now
        )  # when data or a FIN was sent last: after an RTO without, RFC 5681 4.1 holds
        self.small_end = self.iss  # end of the last segment that was not full
        # Receiving
        self.irs = self.rcv_nxt = self.rcv_adv = 1 << 32
        self.rcv_up = 0
        self.rcv_wscale = 0
        self.received = ReceiveQueue()
        self.receive_limit = config.receive_buffer
        self.remote_fin = False
        self.early_fin: int | None = None  # where a FIN is that came before its data
        self.bytes_received = 0
        self.ack_now = False
        self.ack_pending_bytes = 0
        self.last_ack_sent = 0
        self.dsack: tuple[int, int] | None = None
        # Options
        self.peer_mss = 536 if len(key.remote) == 4 else 1220
        self.mss = self.peer_mss
        # These two by ``Tcp.size_segments``:
        self.data_mss = self.mss  # payload bytes of a full segment: without the options that each carries
        self.chunk_limit = self.mss  # the largest payload of one frame: a segment, or what the link will cut
        # Offered until the handshake is over, then agreed on.
        self.scale_ok = False
        self.ts_ok = False
        self.ts_recent = 0
        self.ts_recent_at = 0
        self.ts_offset = tcp.context.random(32)
        self.sack_ok = False
        # Loss and congestion
        self.congestion: CongestionControl = controller(config.congestion, self.mss)
        self.recovery = Recovery.OPEN
        self.recover = self.iss
        self.scoreboard = Scoreboard()
        self.high_rxt = 0
        self.rescued = False
        self.repairs: deque[Repair] = deque()  # in the order in which they were sent
        self.lost_repairs: deque[tuple[int, int]] = deque()
        self.dup_acks = 0
        self.cwnd_limited = False
        self.rtt = RttEstimator(config.initial_rto, config.min_rto, config.max_rto)
        self.rtt_sequence: int | None = None
        self.rtt_time = 0
        self.retransmits = 0
        self.persist_count = 0
        self.probing = False
        self.hint_due = 0  # when the neighbour cache is next to hear that the next hop lives
        # Manners
        self.no_delay = False
        self.keepalive = False
        self.keepalive_idle = tcp.context.config.keepalive_idle
        self.keepalive_interval = tcp.context.config.keepalive_interval
        self.keepalive_probes = tcp.context.config.keepalive_probes
        self.keepalive_sent = 0
        self.ttl = 0
        self.tos = 0
        self.challenge_tokens = 10
        self.challenged_at = 0
        # Timers
        self.rexmit_timer: Timer = timer(lambda: tcp.on_retransmit(self))
        self.delack_timer: Timer = timer(lambda: tcp.on_delayed_ack(self))
        self.keepalive_timer: Timer = timer(lambda: tcp.on_keepalive(self))
        self.wait_timer: Timer = timer(lambda: tcp.on_wait_over(self))

    # What the application does

    def send(self, data: Buffer) -> int:
        """Queue bytes; return how many were taken (0: full, ``writable`` will come)."""
        if self.state not in states.MAY_SEND and self.state not in (
            State.SYN_SENT,
            State.SYN_RECEIVED,
        ):
            raise NetworkError(
                self.failure or (Failure.NOT_CONNECTED if self.state is State.CLOSED else Failure.SHUT_DOWN)
            )
        buffer = self.send_buffer
        room = self.send_limit - (buffer.end - buffer.start)
        if len(data) > room:
            self.wants_room = True
            if room <= 0:
                return 0
            data = data[:room]
        buffer.append(data)
        self.tcp.dirty[self] = None
        return len(data)

    def send_urgent(self, data: Buffer) -> int:
        """Send bytes with the urgent mark behind the last of them (RFC 6093)."""
        taken = self.send(data)
        if taken:
            self.snd_up = self.send_buffer.end
        return taken

    def receive(self, limit: int = 1 << 30) -> bytes:
        """Take up to ``limit`` received bytes; empty when there are none."""
        return b"".join(self.receive_buffers(limit))

    def receive_buffers(self, limit: int = 1 << 30) -> list[Buffer]:
        """Take received bytes as buffers, uncopied when they are large."""
        if not self.received.size:
            return []
        buffers = self.received.take(limit)
        # Offer what has been read, when it is worth a segment (RFC 9293 3.8.6.2.2).
        limit = self.receive_limit
        gain = self.rcv_nxt + limit - self.received.size - self.rcv_adv
        if self.state in states.MAY_RECEIVE and (
            gain >= limit // 4
            or (self.rcv_adv - self.rcv_nxt < self.mss and gain >= min(limit // 2, self.mss))
        ):
            self.ack_now = True
            self.tcp.dirty[self] = None
        return buffers

    @property
    def at_end(self) -> bool:
        """True when the peer has closed and everything was received."""
        return self.remote_fin and not self.received.size

    @property
    def urgent_ahead(self) -> int | None:
        """How many readable bytes lie before the urgent mark; None when it is behind."""
        ahead = self.rcv_up - (self.rcv_nxt - self.received.size - (1 if self.remote_fin else 0))
        return ahead if ahead > 0 and self.rcv_up else None

    def shutdown(self) -> None:
        """Send a FIN behind what is queued; receiving goes on."""
        if self.fin_sequence is not None or self.state in (State.CLOSED, State.TIME_WAIT):
            return
        if self.state is State.SYN_SENT:
            self.tcp.delete(self, None)
            return
        self.fin_sequence = self.send_buffer.end
        self.state = states.advance(self.state, Event.CLOSE)
        self.tcp.dirty[self] = None

    def close(self) -> None:
        """End both directions: the application is done with the connection.

        Unread data resets it (RFC 9293 3.10.4, RFC 2525 2.17); else it ends in good order.
        """
        self.application_gone = True
        if self.received.size and self.state is not State.TIME_WAIT:
            self.abort()
            return
        self.shutdown()
        if self.state is State.FIN_WAIT_2:
            self.wait_timer.start(self.tcp.context.config.fin_wait_2)

    def abort(self) -> None:
        """Reset the connection (RFC 9293 3.10.5)."""
        if self.state is State.CLOSED:
            return
        if self.state in states.SYNCHRONIZED - {State.TIME_WAIT} or self.state is State.SYN_RECEIVED:
            self.tcp.send_reset(self)
        self.tcp.delete(self, Failure.ABORTED)

    @property
    def ideal_backlog(self) -> int:
        """How many bytes keep the way full: twice what may be in flight, as a power of two."""
        flight = min(self.snd_wnd, self.congestion.cwnd)
        return max(LEAST_BACKLOG, 1 << (2 * flight - 1).bit_length()) if flight > 0 else LEAST_BACKLOG

    def set_keepalive(self, *, enabled: bool) -> None:
        """Turn keepalive probes on or off (RFC 9293 3.8.4)."""
        self.keepalive = enabled
        if enabled and self.state in states.SYNCHRONIZED:
            self.keepalive_timer.start(self.keepalive_idle)
        elif not enabled:
            self.keepalive_timer.stop()

    def set_no_delay(self, *, enabled: bool) -> None:
        """Turn Nagle's algorithm off or on (RFC 9293 3.7.4)."""
        self.no_delay = enabled
        self.tcp.dirty[self] = None

    # What the other modules ask

    @property
    def flight(self) -> int:
        """Bytes sent and not acknowledged, in sequence space."""
        return self.snd_nxt - self.snd_una

    def notify(self, notice: Notice) -> None:
        """Have a callback made by ``settle``."""
        self.notices |= notice
        self.tcp.dirty[self] = None
