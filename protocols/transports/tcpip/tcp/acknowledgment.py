"""Fifth, check the ACK field: progress, duplicates, loss detection, and the peer's window.

Sources: RFC 9293 3.10.7.4, RFC 5681, RFC 6582, RFC 6675, RFC 5961 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.transport import FIN
from protocols.transports.tcpip.tcp import output, states
from protocols.transports.tcpip.tcp.connection import Notice, Recovery
from protocols.transports.tcpip.tcp.scoreboard import DUP_THRESH
from protocols.transports.tcpip.tcp.segment import MASK, unwrap
from protocols.transports.tcpip.tcp.states import Event, State
from protocols.transports.tcpip.timers import MILLISECOND

if TYPE_CHECKING:
    from protocols.transports.tcpip.tcp.connection import Connection
    from protocols.transports.tcpip.tcp.segment import Segment


def process(conn: Connection, seg: Segment, sequence: int) -> bool:
    """Take the ACK field of an acceptable segment; False when the segment must be dropped."""
    ack = conn.snd_max
    if seg.acknowledgment != ack & MASK:  # else all of it: what a peer says who answers
        ack = unwrap(conn.snd_una, seg.acknowledgment)
    if ack > conn.snd_max or ack < conn.snd_una - conn.max_snd_wnd:
        output.challenge(conn)
        return False
    sacked = _take_sack(conn, seg, ack) if seg.sack else False
    old_window = conn.snd_wnd
    if not old_window:
        conn.retransmits = 0
    if ack >= conn.snd_una and (
        conn.snd_wl1 < sequence or (conn.snd_wl1 == sequence and conn.snd_wl2 <= ack)
    ):
        conn.snd_wl1 = sequence
        conn.snd_wl2 = ack
        conn.snd_wnd = seg.window << conn.snd_wscale
        conn.max_snd_wnd = max(conn.max_snd_wnd, conn.snd_wnd)
    if ack > conn.snd_una:
        _progress(conn, seg, ack)
    elif ack == conn.snd_una and conn.snd_max > ack and not conn.probing:
        plain = not seg.length and not seg.flags & FIN
        if sacked or (plain and conn.snd_wnd == old_window):
            _duplicate(conn)
    if conn.recovery is Recovery.FAST and conn.repairs:
        _find_lost_repairs(conn)
    if conn.probing and conn.snd_wnd:
        _window_is_open(conn)
    return conn.state is not State.CLOSED


def handshake_acked(conn: Connection) -> None:
    """Our SYN was acknowledged: begin to measure and to send."""
    conn.snd_una = conn.iss + 1
    conn.rexmit_timer.stop()
    if conn.rtt_sequence is not None and not conn.retransmits:
        conn.rtt.sample(conn.clock.now - conn.rtt_time)
    conn.rtt_sequence = None
    conn.rtt.progressed()
    if conn.retransmits:
        # RFC 6298 5.7 and RFC 5681 3.1: after a lost SYN begin with one segment.
        conn.congestion.cwnd = conn.congestion.mss
    conn.retransmits = 0


def _take_sack(conn: Connection, seg: Segment, ack: int) -> bool:
    if not conn.sack_ok:
        return False
    fresh = False
    una = max(conn.snd_una, ack)
    for left, right in seg.sack:
        start = unwrap(conn.snd_una, left)
        end = unwrap(conn.snd_una, right)
        if una <= start < end <= conn.snd_max:  # else a D-SACK, an old one, or a lie
            fresh |= conn.scoreboard.add(start, end)
    return fresh


def _window_is_open(conn: Connection) -> None:
    """Send again, in order, what was probed with: the window has opened."""
    conn.probing = False
    conn.persist_count = 0
    conn.snd_nxt = conn.snd_una
    if conn.snd_max > conn.snd_una:
        conn.rexmit_timer.start(conn.rtt.rto)
    else:
        conn.rexmit_timer.stop()


def _progress(conn: Connection, seg: Segment, ack: int) -> None:
    acked = ack - conn.snd_una
    buffer, board, rtt = conn.send_buffer, conn.scoreboard, conn.rtt
    if conn.rtt_sequence is not None and ack >= conn.rtt_sequence:
        rtt.sample(conn.clock.now - conn.rtt_time)
        conn.rtt_sequence = None
    elif conn.recovery is not Recovery.OPEN:
        _measure_echo(conn, seg)
    conn.snd_una = ack
    conn.snd_nxt = max(conn.snd_nxt, ack)
    buffer.release(ack)
    if board.total:
        board.advance(ack)
    conn.dup_acks = 0
    conn.retransmits = 0
    if rtt.backoff:
        rtt.progressed()
    if conn.cwnd_limited or conn.recovery is not Recovery.OPEN or board.total:
        _recover(conn, ack, acked)
    if conn.snd_max > ack:
        conn.rexmit_timer.start(rtt.rto)
    else:
        conn.rexmit_timer.deadline = None
    if conn.clock.now >= conn.hint_due:
        conn.tcp.progress(conn)
    if conn.wants_room and buffer.end - buffer.start < conn.send_limit:
        conn.wants_room = False
        conn.notices |= Notice.WRITABLE
    if conn.fin_sequence is not None and ack > conn.fin_sequence:
        _fin_acked(conn)


def _measure_echo(conn: Connection, seg: Segment) -> None:
    """RFC 7323 4: the echo tells a retransmission from the original."""
    if conn.ts_ok and seg.ts_echo:
        elapsed = (output.now_stamp(conn) - seg.ts_echo) & MASK
        if elapsed < 0x40000000:
            conn.rtt.sample(max(1, elapsed) * MILLISECOND)


def _recover(conn: Connection, ack: int, acked: int) -> None:
    congestion = conn.congestion
    now = conn.clock.now
    if conn.recovery is Recovery.FAST:
        if ack >= conn.recover:
            conn.recovery = Recovery.OPEN
            congestion.recovered(now)
        elif not conn.sack_ok:
            _partial(conn, acked)
        return
    if conn.recovery is Recovery.LOSS:
        if ack >= conn.recover:
            conn.recovery = Recovery.OPEN
        acked = min(acked, 2 * conn.data_mss)  # RFC 3465 2.3: no burst after a timeout
        conn.cwnd_limited = True
    if conn.cwnd_limited:
        congestion.acknowledged(acked, now, conn.rtt.srtt)
    conn.cwnd_limited = False
    if conn.recovery is Recovery.OPEN and conn.scoreboard:
        _maybe_enter(conn)


def _find_lost_repairs(conn: Connection) -> None:
    """Find retransmissions that were lost themselves, for ``output`` to repeat.

    RFC 6675 leaves those to the timeout. The sign is its own, applied again: more than two segments
    that were first sent after a retransmission have arrived, and the retransmission has not.
    """
    board = conn.scoreboard
    threshold = (DUP_THRESH - 1) * conn.data_mss
    repairs = conn.repairs
    while repairs:
        first = repairs[0]
        start = max(first.start, conn.snd_una)
        if first.end - start > board.sacked_between(start, first.end):
            if board.sacked_between(first.sent_upto, board.highest) <= threshold:
                return  # those behind it were sent later still
            conn.lost_repairs.append((start, first.end))
            conn.tcp.context.counters["tcp.repairs_lost"] += 1
            if first.sent_upto >= conn.recover:
                # RFC 5681 4.3: a lost retransmission is a second sign of congestion, once a window.
                conn.congestion.lost(output.pipe(conn), conn.clock.now)
                conn.recover = conn.snd_max
        repairs.popleft()


def _partial(conn: Connection, acked: int) -> None:
    """Take a partial acknowledgment of NewReno (RFC 6582 3.2 step 3)."""
    mss = conn.data_mss
    conn.congestion.cwnd = max(mss, conn.congestion.cwnd - acked + (mss if acked >= mss else 0))
    _retransmit_first(conn)


def _duplicate(conn: Connection) -> None:
    conn.dup_acks += 1
    conn.tcp.context.counters["tcp.in_duplicate_acks"] += 1
    if conn.recovery is Recovery.FAST:
        if not conn.sack_ok:
            conn.congestion.cwnd += conn.data_mss
    elif conn.recovery is Recovery.OPEN:
        _maybe_enter(conn)


def _maybe_enter(conn: Connection) -> None:
    """Enter fast recovery when the evidence suffices (RFC 6675 5 step 2 to 4; RFC 6582 3.2)."""
    una = conn.snd_una
    lost = conn.sack_ok and una < conn.scoreboard.lost_edge(conn.data_mss)
    if conn.dup_acks < DUP_THRESH and not lost:
        return
    if not conn.sack_ok and una <= conn.recover and conn.recover != conn.iss:
        return  # these are echoes of the last recovery
    conn.recovery = Recovery.FAST
    conn.recover = conn.snd_max
    conn.high_rxt = una
    conn.rescued = False
    conn.repairs.clear()
    conn.lost_repairs.clear()
    conn.rtt_sequence = None
    conn.tcp.context.counters["tcp.fast_recoveries"] += 1
    flight = conn.snd_max - una
    conn.congestion.lost(flight, conn.clock.now)
    if not conn.sack_ok:
        conn.congestion.cwnd += DUP_THRESH * conn.data_mss
    _retransmit_first(conn)
    conn.rexmit_timer.start(conn.rtt.rto)


def _retransmit_first(conn: Connection) -> None:
    una = conn.snd_una
    length = min(conn.data_mss, conn.send_buffer.end - una)
    if conn.scoreboard:
        length = min(length, conn.scoreboard.next_hole(una)[1] - una)
    fin = conn.fin_sequence == una + length and conn.snd_max > una + length
    conn.high_rxt = max(conn.high_rxt, una + length)
    if length > 0 or fin:
        output.send_chunk(conn, (una, max(length, 0), fin))


def _fin_acked(conn: Connection) -> None:
    if conn.state not in states.HAS_CLOSED:
        return
    conn.state = states.advance(conn.state, Event.FIN_ACKED)
    if conn.state is State.FIN_WAIT_2 and conn.application_gone:
        conn.wait_timer.start(conn.tcp.context.config.fin_wait_2)
    elif conn.state is State.TIME_WAIT:
        conn.tcp.enter_time_wait(conn)
    elif conn.state is State.CLOSED:
        conn.tcp.delete(conn, None)
