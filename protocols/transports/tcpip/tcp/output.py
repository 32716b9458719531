"""Sending (RFC 9293 3.7, 3.8.6): what goes out now, and the making of segments.

One decision is one ``Chunk``; a chunk is up to 64 KB when the link cuts large sends itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from formats.checksum import ones_sum_of
from formats.transport import ACK, FIN, PSH, SYN, TCP, URG
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.ip import SendOptions
from protocols.transports.tcpip.tcp import segment
from protocols.transports.tcpip.tcp.connection import Recovery, Repair
from protocols.transports.tcpip.tcp.states import State
from protocols.transports.tcpip.timers import MILLISECOND, SECOND

if TYPE_CHECKING:
    from formats.checksum import Buffer
    from protocols.transports.tcpip.tcp.connection import Connection

MAX_PUMP = 4096  # chunks a call; the window is far smaller
MAX_WINDOW = 0xFFFF
CHALLENGES = 10  # challenge ACKs a connection in CHALLENGE_PERIOD (RFC 5961 7)
CHALLENGE_PERIOD = 5 * SECOND
SENDING = frozenset(
    (
        State.ESTABLISHED,
        State.FIN_WAIT_1,
        State.CLOSE_WAIT,
        State.CLOSING,
        State.LAST_ACK,
    )
)


Chunk = tuple[int, int, bool]
"""A run of sequence numbers to send now: the first, how many, and whether our FIN follows them."""


def pump(conn: Connection) -> None:
    """Send everything that may be sent, then an ACK if one is due and was not carried."""
    if conn.state in SENDING:
        for _ in range(MAX_PUMP):
            if conn.recovery is Recovery.FAST and conn.sack_ok:
                chunk = _in_recovery(conn)
            elif conn.snd_nxt == conn.send_buffer.end != conn.fin_sequence:
                break  # everything has gone
            else:
                chunk = _ordinary(conn)
            if chunk is None:
                break
            send_chunk(conn, chunk)
        if conn.send_buffer.end > conn.snd_nxt or conn.fin_sequence == conn.snd_nxt:
            _persist(conn)
    if conn.ack_now:
        send_ack(conn)


def chunk_limit(conn: Connection) -> int:
    """Return the largest payload of one frame: a segment, or as many as the link will cut."""
    offload = conn.path.interface.offload
    limit = offload.lso_v4_max_bytes if len(conn.key.remote) == 4 else offload.lso_v6_max_bytes
    mss = conn.data_mss
    room = min(limit, 0xFFFF) - 120  # the largest IP and TCP headers
    return max(mss, room // mss * mss)


def _ordinary(conn: Connection) -> Chunk | None:
    sequence = conn.snd_nxt
    end = conn.send_buffer.end
    flight = sequence - conn.snd_una
    if conn.scoreboard.total:
        if sequence < conn.snd_max:
            # After a timeout: what the peer has need not go again.
            sequence, hole_end = conn.scoreboard.next_hole(sequence)
            conn.snd_nxt = sequence
            end = min(end, hole_end)
        flight = sequence - conn.snd_una - conn.scoreboard.sacked_between(conn.snd_una, sequence)
    if conn.snd_max == conn.snd_una and conn.clock.now - conn.last_data_at > conn.rtt.rto:
        conn.congestion.idle()
    window = conn.congestion.cwnd
    if not conn.sack_ok and conn.dup_acks and conn.recovery is Recovery.OPEN:
        window += min(conn.dup_acks, 2) * conn.data_mss  # limited transmit (RFC 3042)
    allowed = window - flight
    offered = conn.snd_una + conn.snd_wnd - sequence
    available = end - sequence
    usable = min(allowed, offered, available, conn.chunk_limit)
    if allowed < available and allowed <= offered:
        conn.cwnd_limited = True
    fin = conn.fin_sequence is not None and _fin_fits(conn, sequence, usable, offered)
    if usable <= 0 and not (fin and usable == 0):
        return None
    return _sized(conn, sequence, usable, available, fin=fin)


def _fin_fits(conn: Connection, sequence: int, usable: int, offered: int) -> bool:
    return usable >= 0 and sequence + usable == conn.fin_sequence and offered > usable


def _sized(conn: Connection, sequence: int, length: int, available: int, *, fin: bool) -> Chunk | None:
    """Apply Nagle's algorithm and sender-side silly window avoidance (RFC 9293 3.8.6.2.1)."""
    mss = conn.data_mss
    if length >= mss:
        whole = length // mss * mss
        if whole == length or length < available:
            return sequence, whole, fin and whole == length
        if conn.no_delay or fin or sequence < conn.snd_max:
            return sequence, length, fin
        return sequence, whole, False
    # Minshall's form of Nagle's algorithm, as Linux has it: only a small segment in flight holds
    # a small one back, so that the tail of a large write need not wait.
    nagle = conn.small_end > conn.snd_una and not conn.no_delay and sequence >= conn.snd_up
    last = length == available and not nagle
    if sequence < conn.snd_max or fin or last or length >= conn.max_snd_wnd // 2 > 0:
        return sequence, length, fin
    return None


def _in_recovery(conn: Connection) -> Chunk | None:
    """NextSeg of RFC 6675 4, while the pipe has room."""
    board = conn.scoreboard
    mss = conn.data_mss
    una = conn.snd_una
    room = conn.congestion.cwnd - pipe(conn)
    if room < mss:
        return None
    if conn.lost_repairs and (chunk := _lost_twice(conn)):
        return chunk
    sequence, hole_end = board.next_hole(max(una, conn.high_rxt))
    data_end = conn.send_buffer.end
    if sequence < min(board.lost_edge(mss), data_end):  # rule 1
        length = min(hole_end - sequence, data_end - sequence, room, conn.chunk_limit)
        return _again(conn, sequence, length)
    conn.snd_nxt = conn.snd_max
    fresh = _fresh(conn, room)  # rule 2
    if fresh is not None:
        return fresh
    if sequence < min(board.highest, data_end):  # rule 3
        return _again(conn, sequence, min(mss, hole_end - sequence, data_end - sequence))
    return _rescue(conn)  # rule 4


def _rescue(conn: Connection) -> Chunk | None:
    """RFC 6675 4, rule 4: once a recovery, up to a segment that ends with the highest number not SACKed."""
    una = conn.snd_una
    if conn.rescued or conn.snd_max <= max(una, conn.high_rxt):
        return None
    hole, end = conn.scoreboard.last_hole(una, min(conn.send_buffer.end, conn.snd_max))
    start = max(hole, conn.high_rxt, end - conn.data_mss)
    if start >= end:
        return None  # all that is left has been sent again already
    conn.rescued = True
    return _again(conn, start, end - start)


def _lost_twice(conn: Connection) -> Chunk | None:
    """Return what to retransmit once more: it comes before NextSeg's rule 1."""
    while conn.lost_repairs:
        start, end = conn.lost_repairs.popleft()
        start, hole_end = conn.scoreboard.next_hole(max(start, conn.snd_una))
        if start < end:
            length = min(end, hole_end, start + conn.data_mss) - start
            if start + length < end:
                conn.lost_repairs.appendleft((start + length, end))
            return _again(conn, start, min(length, conn.send_buffer.end - start))
    return None


def pipe(conn: Connection) -> int:
    """Return the bytes thought to be in the network: RFC 6675's, less repairs known to be lost."""
    board = conn.scoreboard
    estimate = board.pipe(conn.snd_una, conn.snd_max, conn.high_rxt, conn.data_mss)
    for start, end in conn.lost_repairs:
        start = max(start, conn.snd_una)  # noqa: PLW2901 - what was acknowledged since is not lost
        if start < end:
            estimate -= end - start - board.sacked_between(start, end)
    return estimate


def _again(conn: Connection, sequence: int, length: int) -> Chunk:
    conn.high_rxt = max(conn.high_rxt, sequence + length)
    fin = sequence + length == conn.fin_sequence and conn.snd_max > conn.fin_sequence
    return sequence, length, fin


def _fresh(conn: Connection, room: int) -> Chunk | None:
    sequence = conn.snd_nxt
    offered = conn.snd_una + conn.snd_wnd - sequence
    available = conn.send_buffer.end - sequence
    if available < 0:
        return None
    usable = min(room, offered, available, conn.chunk_limit)
    fin = _fin_fits(conn, sequence, usable, offered)
    if usable <= 0 and not (fin and usable == 0):
        return None
    return _sized(conn, sequence, usable, available, fin=fin)


def send_chunk(conn: Connection, chunk: Chunk) -> None:
    """Send data and perhaps FIN; keep the books of what was sent when."""
    sequence, length, fin = chunk
    payload = conn.send_buffer.slice(sequence, length) if length else []
    flags = ACK
    if length and sequence + length == conn.send_buffer.end:
        flags |= PSH
    if length % conn.data_mss:
        conn.small_end = max(conn.small_end, sequence + length)
    conn.last_data_at = conn.clock.now
    end = sequence + length
    if fin:
        flags |= FIN
        end += 1
    if sequence < conn.snd_max:
        conn.tcp.context.counters["tcp.retransmitted_segments"] += 1
        if conn.recovery is Recovery.FAST and conn.sack_ok:
            conn.repairs.append(Repair(sequence, end, conn.snd_max))
        if conn.rtt_sequence is not None and sequence < conn.rtt_sequence:
            conn.rtt_sequence = None  # Karn
    elif conn.rtt_sequence is None and conn.recovery is Recovery.OPEN:
        conn.rtt_sequence = end
        conn.rtt_time = conn.clock.now
    conn.snd_max = max(conn.snd_max, end)
    if conn.recovery is not Recovery.FAST or sequence >= conn.snd_nxt:
        conn.snd_nxt = max(conn.snd_nxt, end)
    if conn.rexmit_timer.deadline is None or conn.probing:
        conn.probing = False
        conn.rexmit_timer.start(conn.rtt.rto)
    transmit(conn, sequence, flags, payload=payload, length=length)


def send_ack(conn: Connection) -> None:
    """Send a segment without data, with SACK blocks when there are holes."""
    options = b""
    if conn.sack_ok and (conn.received.ranges or conn.dsack):
        blocks = [conn.dsack] if conn.dsack else []
        conn.dsack = None
        blocks += conn.received.sack_blocks((3 if conn.ts_ok else 4) - len(blocks))
        options = segment.sack_blocks(blocks)
    transmit(conn, conn.snd_max, ACK, options=options)


def send_probe(conn: Connection) -> None:
    """Send a segment that asks for an ACK: old sequence number, no data (keepalive)."""
    transmit(conn, conn.snd_una - 1, ACK)


def send_syn(conn: Connection) -> None:
    """Send SYN or SYN-ACK."""
    passive = conn.state is State.SYN_RECEIVED
    flags = SYN | (ACK if passive else 0)
    options = segment.syn_options(
        conn.tcp.local_mss(conn.path),
        conn.rcv_wscale if conn.scale_ok else None,
        (now_stamp(conn), conn.ts_recent) if conn.ts_ok else None,
        sack=conn.sack_ok,
    )
    conn.snd_nxt = conn.snd_max = max(conn.snd_max, conn.iss + 1)
    window = min(conn.receive_limit, MAX_WINDOW)
    conn.rcv_adv = max(conn.rcv_adv, conn.rcv_nxt + window)
    _emit(conn, conn.iss, flags, window, options=options)


def transmit(
    conn: Connection,
    sequence: int,
    flags: int,
    *,
    payload: list[Buffer] | None = None,
    length: int = 0,
    options: bytes = b"",
) -> None:
    """Send one segment (or one large send) with the current ACK and window."""
    if conn.ts_ok:
        options = (
            segment.TIMESTAMP.pack(segment.ALIGNED_TIMESTAMPS, now_stamp(conn), conn.ts_recent) + options
        )
    urgent = 0
    if conn.snd_up > sequence and conn.snd_up - sequence <= 0xFFFF:
        urgent = conn.snd_up - sequence
        flags |= URG
    window = advertise(conn)
    conn.ack_now = False
    conn.ack_pending_bytes = 0
    conn.last_ack_sent = conn.rcv_nxt
    conn.delack_timer.deadline = None
    _emit(conn, sequence, flags, window, options=options, payload=payload, length=length, urgent=urgent)


def advertise(conn: Connection) -> int:
    """Return the window field; the right edge never moves left (RFC 9293 3.8.6.2.2)."""
    free = max(0, conn.receive_limit - conn.received.size)
    edge = conn.rcv_nxt + free
    step = min(conn.receive_limit // 2, conn.mss)
    if edge - conn.rcv_adv >= step or edge >= conn.rcv_nxt + conn.receive_limit:
        conn.rcv_adv = max(conn.rcv_adv, edge)
    shift = conn.rcv_wscale
    return min(max(0, conn.rcv_adv - conn.rcv_nxt) >> shift, MAX_WINDOW)


def now_stamp(conn: Connection) -> int:
    """Return our timestamp clock: milliseconds from a random start (RFC 7323 5.4)."""
    return (conn.clock.now // MILLISECOND + conn.ts_offset) & segment.MASK


@lru_cache(maxsize=256)
def _send_options(ttl: int, tos: int, checksum_offset: int, lso_mss: int) -> SendOptions:
    """Return the same object for the same values: they change seldom, and segments are many."""
    return SendOptions(ttl=ttl, tos=tos, dont_fragment=True, checksum_offset=checksum_offset, lso_mss=lso_mss)


def _emit(
    conn: Connection,
    sequence: int,
    flags: int,
    window: int,
    *,
    options: bytes,
    payload: list[Buffer] | None = None,
    length: int = 0,
    urgent: int = 0,
) -> None:
    tcp = conn.tcp
    if conn.path.generation != tcp.ip.routes.generation and not tcp.reroute(conn):
        return
    path = conn.path
    mss = conn.data_mss
    lso = mss if length > mss else 0
    acknowledgment = conn.rcv_nxt if flags & ACK else 0
    total = segment.HEADER_BYTES + len(options) + length
    start = conn.header_sum + total
    if path.interface.offload.tx_tcp_checksum or lso:
        header = segment.build(
            conn.ports,
            sequence,
            acknowledgment,
            flags,
            window,
            options=options,
            urgent=urgent,
            checksum=start % 0xFFFF,
        )
        offset = segment.CHECKSUM_OFFSET
    else:
        header = segment.build(
            conn.ports, sequence, acknowledgment, flags, window, options=options, urgent=urgent
        )
        value = 0xFFFF - ones_sum_of((header, *(payload or ())), start)
        header = header[:16] + value.to_bytes(2) + header[18:]
        offset = -1
    counters = tcp.context.counters
    counters["tcp.out_segments"] += 1
    try:
        conn.layer.send(path, TCP, header, payload or [], _send_options(conn.ttl, conn.tos, offset, lso))
    except NetworkError as error:
        # The path MTU fell since the segment was sized: it goes again in smaller pieces.
        counters["tcp.out_errors"] += 1
        if error.failure is Failure.MESSAGE_TOO_LONG:
            tcp.path_mtu_changed(conn)


def challenge(conn: Connection) -> None:
    """Send a challenge ACK, within this connection's rate (RFC 5961 7)."""
    now = conn.clock.now
    if now - conn.challenged_at >= CHALLENGE_PERIOD:
        conn.challenged_at = now
        conn.challenge_tokens = CHALLENGES
    if conn.challenge_tokens:
        conn.challenge_tokens -= 1
        conn.tcp.context.counters["tcp.challenge_acks"] += 1
        send_ack(conn)


def _persist(conn: Connection) -> None:
    """Start the persist timer when only the peer's window holds us (RFC 9293 3.8.6.1)."""
    if conn.snd_max == conn.snd_una and conn.rexmit_timer.deadline is None:
        conn.probing = True
        conn.rexmit_timer.start(conn.rtt.rto << min(conn.persist_count, 10))
