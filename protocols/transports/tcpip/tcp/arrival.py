"""SEGMENT ARRIVES for a connection (RFC 9293 3.10.7.3 and .4), with RFC 5961 and RFC 7323.

The order of the checks is the RFC's: timestamps, sequence number, RST, SYN, ACK, urgent, data, FIN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.transport import ACK, FIN, PSH, RST, SYN, URG
from protocols.transports.tcpip.errors import Failure
from protocols.transports.tcpip.tcp import acknowledgment, output, states
from protocols.transports.tcpip.tcp.connection import Notice
from protocols.transports.tcpip.tcp.segment import HALF, MASK, unwrap
from protocols.transports.tcpip.tcp.states import Event, State
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from protocols.transports.tcpip.tcp.connection import Connection
    from protocols.transports.tcpip.tcp.segment import Segment

PAWS_IDLE = 24 * 24 * 3600 * SECOND  # RFC 7323 5.5: after 24 days a timestamp proves nothing


def arrive(conn: Connection, seg: Segment) -> None:
    """Handle a segment for a connection that is not closed."""
    conn.tcp.dirty[conn] = None  # whatever comes of it, ``settle`` is to look
    if conn.state is State.SYN_SENT:
        _syn_sent(conn, seg)
        return
    stamp = seg.ts_value
    if conn.ts_ok and (stamp is None or (stamp - conn.ts_recent) & MASK >= HALF) and not _excused(conn, seg):
        conn.tcp.context.counters["tcp.in_paws"] += 1
        _answer_unacceptable(conn, seg)
        return
    sequence = conn.rcv_nxt
    # Header prediction (Jacobson 1988; RFC 7323 5.6): nothing but data and an acknowledgment, next in order
    # and within the window, has passed the checks that follow. In ESTABLISHED nobody has closed either end.
    predicted = (
        seg.sequence == sequence & MASK
        and seg.flags & ~PSH == ACK
        and conn.state is State.ESTABLISHED
        and seg.length <= conn.rcv_adv - sequence
    )
    if not predicted:
        sequence = unwrap(sequence, seg.sequence)
        if not _check(conn, seg, sequence):
            return
    if (
        stamp is not None
        and conn.ts_ok
        and sequence <= conn.last_ack_sent
        and _acknowledges_what_was_sent(conn, seg)
    ):
        conn.ts_recent = stamp  # RFC 7323 4.3
        conn.ts_recent_at = conn.clock.now
    if not acknowledgment.process(conn, seg, sequence):
        return
    if conn.keepalive:
        conn.keepalive_sent = 0
        conn.keepalive_timer.start(conn.keepalive_idle)
    if not predicted or conn.early_fin is not None:
        _after_acknowledgment(conn, seg, sequence)
    elif seg.length:
        _in_order(conn, seg, sequence, sequence + seg.length)


def _acknowledges_what_was_sent(conn: Connection, seg: Segment) -> bool:
    """Tell whether the ACK field is one that RFC 5961 5.2 accepts.

    A segment that is about to be dropped for it must not change TS.Recent: whoever can guess a sequence
    number could else have PAWS drop all that the peer sends.
    """
    behind = (conn.snd_max - seg.acknowledgment) & MASK
    return behind <= conn.snd_max - conn.snd_una + conn.max_snd_wnd


def _check(conn: Connection, seg: Segment, sequence: int) -> bool:
    """First to fourth: sequence number, RST, SYN, the ACK of ours; False when there is no more to do."""
    if not _in_window(conn, sequence, seg):
        if conn.state is State.SYN_RECEIVED and seg.flags & SYN and sequence == conn.irs:
            _syn_again(conn, seg)
        else:
            _answer_unacceptable(conn, seg)
        return False
    if seg.flags & (RST | SYN):
        _reset_or_syn(conn, seg, sequence)
        return False
    if not seg.flags & ACK:
        return False
    return conn.state is not State.SYN_RECEIVED or _complete_handshake(conn, seg)


def _syn_again(conn: Connection, seg: Segment) -> None:
    if seg.flags & ACK and not conn.passive:
        # Simultaneous open (RFC 9293 figure 7): the peer's SYN-ACK acknowledges our SYN. Its
        # sequence number is old, which the strict check of 3.10.7.4 would refuse.
        if _complete_handshake(conn, seg):
            acknowledgment.handshake_acked(conn)
            conn.ack_now = True
    else:
        output.send_syn(conn)  # the peer has not heard our SYN-ACK


def _after_acknowledgment(conn: Connection, seg: Segment, sequence: int) -> None:
    """Sixth to eighth: urgent data, the text and the FIN."""
    if seg.flags & URG:
        _urgent(conn, seg, sequence)
    if seg.length or seg.flags & FIN:
        _text(conn, seg, sequence)


def _excused(conn: Connection, seg: Segment) -> bool:
    """Tell whether a segment may do without timestamps (RFC 7323 3.2), or with an old one (5.3)."""
    if seg.flags & RST:
        return True
    if seg.ts_value is None:
        return bool(seg.flags & SYN)
    return conn.clock.now - conn.ts_recent_at > PAWS_IDLE


def _in_window(conn: Connection, sequence: int, seg: Segment) -> bool:
    """Tell whether a segment is acceptable: the four cases of RFC 9293 3.4, table 6."""
    length = seg.sequence_length
    window = conn.rcv_adv - conn.rcv_nxt
    start, end = conn.rcv_nxt, conn.rcv_adv
    if not length:
        return sequence == start or (window > 0 and start <= sequence < end)
    if not window:
        # MUST-66: ACK, RST and URG are processed even when the window is closed.
        return sequence == start and bool(seg.flags & RST)
    return sequence < end and sequence + length > start


def _answer_unacceptable(conn: Connection, seg: Segment) -> None:
    conn.tcp.context.counters["tcp.in_unacceptable"] += 1
    if seg.flags & RST:
        return
    window = conn.rcv_adv - conn.rcv_nxt
    sequence = unwrap(conn.rcv_nxt, seg.sequence)
    if seg.length and sequence < conn.rcv_nxt:
        _duplicate(conn, sequence, seg.length)
        output.send_ack(conn)  # the peer retransmits: it did not see our ACK
        return
    if seg.flags & FIN and conn.state is State.TIME_WAIT:
        conn.wait_timer.start(2 * conn.tcp.context.config.msl)
    if not window and seg.flags & ACK and sequence == conn.rcv_nxt:
        # A window probe. Its ACK field is good, its data is not (RFC 9293 3.10.7.4).
        acknowledgment.process(conn, seg, sequence)
        if conn.state is not State.CLOSED:
            output.send_ack(conn)
        return
    output.challenge(conn)


def _duplicate(conn: Connection, sequence: int, length: int) -> None:
    if conn.sack_ok:
        conn.dsack = (sequence, min(sequence + length, conn.rcv_nxt))  # RFC 2883


def _reset_or_syn(conn: Connection, seg: Segment, sequence: int) -> None:
    if not seg.flags & RST:
        if conn.state is State.SYN_RECEIVED and conn.passive and sequence == conn.irs:
            output.send_syn(conn)
        else:
            output.challenge(conn)  # RFC 5961 4
        return
    if sequence != conn.rcv_nxt:
        output.challenge(conn)  # RFC 5961 3: in the window, but not exact
        return
    conn.tcp.context.counters["tcp.in_resets"] += 1
    refused = conn.state is State.SYN_RECEIVED and not conn.passive
    quiet = conn.state in (State.TIME_WAIT, State.CLOSING, State.LAST_ACK)
    failure = Failure.REFUSED if refused else Failure.RESET
    conn.tcp.delete(conn, None if quiet else failure)


def _complete_handshake(conn: Connection, seg: Segment) -> bool:
    ack = unwrap(conn.snd_una, seg.acknowledgment)
    if not conn.snd_una < ack <= conn.snd_max:
        conn.tcp.reset_for(conn.key, seg)
        return False
    conn.snd_wnd = seg.window << conn.snd_wscale
    conn.max_snd_wnd = conn.snd_wnd
    conn.snd_wl1 = unwrap(conn.rcv_nxt, seg.sequence)
    conn.snd_wl2 = ack
    conn.state = states.advance(conn.state, Event.SYN_ACKED)
    conn.tcp.established(conn)
    return True


def _syn_sent(conn: Connection, seg: Segment) -> None:
    """RFC 9293 3.10.7.3."""
    acceptable = False
    if seg.flags & ACK:
        ack = unwrap(conn.snd_una, seg.acknowledgment)
        acceptable = conn.iss < ack <= conn.snd_max
        if not acceptable:
            if not seg.flags & RST:
                conn.tcp.reset_for(conn.key, seg)
            return
    if seg.flags & RST:
        if acceptable:
            conn.tcp.context.counters["tcp.in_resets"] += 1
            conn.tcp.delete(conn, Failure.REFUSED)
        return
    if not seg.flags & SYN:
        return
    learn_syn(conn, seg)
    if not acceptable:
        conn.state = states.advance(conn.state, Event.RECEIVED_SYN)
        output.send_syn(conn)
        conn.rexmit_timer.start(conn.rtt.rto)
        return
    conn.snd_wnd = seg.window  # never scaled in a SYN
    conn.max_snd_wnd = conn.snd_wnd
    conn.snd_wl1 = conn.irs
    conn.snd_wl2 = unwrap(conn.snd_una, seg.acknowledgment)
    conn.state = states.advance(conn.state, Event.RECEIVED_SYN_ACK)
    acknowledgment.handshake_acked(conn)
    conn.ack_now = True
    conn.tcp.established(conn)
    if seg.length or seg.flags & FIN:
        _text(conn, seg, conn.irs + 1)


def learn_syn(conn: Connection, seg: Segment) -> None:
    """Take the peer's initial number and its options; what it did not offer is off."""
    conn.irs = (1 << 32) + seg.sequence
    conn.rcv_nxt = conn.irs + 1
    conn.rcv_adv = conn.rcv_nxt + min(conn.receive_limit, output.MAX_WINDOW)
    conn.last_ack_sent = conn.rcv_nxt
    if seg.mss is not None:
        conn.peer_mss = max(seg.mss, 48)  # a smaller one would make us drown in headers
    conn.scale_ok &= seg.window_scale is not None
    conn.snd_wscale = (seg.window_scale or 0) if conn.scale_ok else 0
    if not conn.scale_ok:
        conn.rcv_wscale = 0
    conn.sack_ok &= seg.sack_permitted
    conn.ts_ok &= seg.ts_value is not None
    if seg.ts_value is not None and conn.ts_ok:
        conn.ts_recent = seg.ts_value
        conn.ts_recent_at = conn.clock.now
    conn.tcp.size_segments(conn)


def _urgent(conn: Connection, seg: Segment, sequence: int) -> None:
    mark = sequence + seg.urgent
    if conn.state in states.MAY_RECEIVE and seg.urgent and mark > max(conn.rcv_up, conn.rcv_nxt):
        conn.rcv_up = mark
        conn.notify(Notice.URGENT)


def _text(conn: Connection, seg: Segment, sequence: int) -> None:
    """Seventh and eighth: the segment text and the FIN."""
    if conn.state not in states.MAY_RECEIVE:
        if seg.flags & FIN and conn.state is State.TIME_WAIT:
            conn.wait_timer.start(2 * conn.tcp.context.config.msl)
        conn.ack_now = True
        return
    if conn.application_gone and seg.length:
        # Data for nobody: RFC 9293 3.6.1 wants a reset, so that the peer knows.
        conn.tcp.reset_for(conn.key, seg)
        conn.tcp.delete(conn, Failure.ABORTED)
        return
    end = sequence + seg.length
    fin = bool(seg.flags & FIN)
    if end > conn.rcv_adv:
        fin = False  # what is beyond the window is cut off, its FIN too
        end = conn.rcv_adv
    if sequence < conn.rcv_nxt and seg.length:
        _duplicate(conn, sequence, min(seg.length, conn.rcv_nxt - sequence))
    if sequence <= conn.rcv_nxt:
        _in_order(conn, seg, sequence, end)
        if (fin and end == conn.rcv_nxt) or conn.early_fin == conn.rcv_nxt:
            _fin(conn)
        return
    if fin:
        conn.early_fin = end
    _early(conn, seg, sequence, end)


def _early(conn: Connection, seg: Segment, sequence: int, end: int) -> None:
    conn.tcp.context.counters["tcp.in_early"] += 1
    if conn.sack_ok:
        conn.dsack = conn.received.already(sequence, end)  # RFC 2883 4.1.3: a duplicate beyond a hole
    at = sequence
    for view in seg.payload:
        piece = view[: max(0, end - at)]
        if piece:
            conn.received.add_early(at, piece)
        at += len(view)
    output.send_ack(conn)  # at once: RFC 5681 4.2, so that the peer can count


def _in_order(conn: Connection, seg: Segment, sequence: int, end: int) -> None:
    received = conn.received
    before = conn.rcv_nxt
    at = sequence
    for view in seg.payload:
        start = max(0, conn.rcv_nxt - at)
        piece = view[start : max(0, end - at)]
        if piece:
            received.append(piece)
            conn.rcv_nxt += len(piece)
        at += len(view)
    filled = False
    if received.ranges:
        conn.rcv_nxt = received.pull(conn.rcv_nxt)
        filled = True
    fresh = conn.rcv_nxt - before
    if not fresh:
        if seg.length:
            conn.ack_now = True
        return
    conn.bytes_received += fresh
    conn.notices |= Notice.READABLE
    conn.ack_pending_bytes += fresh
    if filled or conn.ack_pending_bytes >= 2 * conn.data_mss or conn.dsack:
        conn.ack_now = True
    elif conn.delack_timer.deadline is None:
        conn.delack_timer.start(conn.tcp.context.config.delayed_ack)


def _fin(conn: Connection) -> None:
    conn.rcv_nxt += 1
    conn.remote_fin = True
    conn.ack_now = True
    conn.state = states.advance(conn.state, Event.RECEIVED_FIN)
    if conn.state is State.TIME_WAIT:
        conn.tcp.enter_time_wait(conn)
    conn.notify(Notice.REMOTE_CLOSED)
