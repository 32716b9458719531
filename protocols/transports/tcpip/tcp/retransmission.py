"""TCP's timers going off: retransmission, persist, delayed ACK, keepalive (RFC 6298, 9293 3.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.transports.tcpip.errors import Failure
from protocols.transports.tcpip.tcp import output
from protocols.transports.tcpip.tcp.connection import Recovery
from protocols.transports.tcpip.tcp.states import State

if TYPE_CHECKING:
    from protocols.transports.tcpip.tcp.connection import Connection

BLACK_HOLE_AFTER = 3  # timeouts of full segments before a smaller size is tried (RFC 4821 7.7)
BLACK_HOLE_MTU = {4: 1024, 16: 1280}


def timer_fired(conn: Connection) -> None:
    """Do what the retransmission timer was running for."""
    if conn.state in (State.SYN_SENT, State.SYN_RECEIVED) and conn.snd_una == conn.iss:
        _syn(conn)
    elif conn.probing or (not conn.snd_wnd and conn.snd_max > conn.snd_una):
        _window_probe(conn)
    elif conn.snd_max > conn.snd_una:
        _timeout(conn)


def _syn(conn: Connection) -> None:
    conn.retransmits += 1
    if conn.retransmits > conn.tcp.context.config.syn_retries:
        conn.tcp.delete(conn, conn.failure or Failure.TIMED_OUT)
        return
    conn.rtt.timed_out()
    conn.rtt_sequence = None
    conn.tcp.context.counters["tcp.retransmitted_segments"] += 1
    output.send_syn(conn)
    conn.rexmit_timer.start(conn.rtt.rto)


def _timeout(conn: Connection) -> None:
    """RFC 6298 5.4 to 5.6, RFC 5681 3.1, RFC 6675 5.1."""
    tcp = conn.tcp
    conn.retransmits += 1
    tcp.context.counters["tcp.timeouts"] += 1
    if conn.retransmits > tcp.context.config.data_retries:
        tcp.delete(conn, conn.failure or Failure.TIMED_OUT)
        return
    if conn.retransmits == 1:
        conn.congestion.timed_out(conn.snd_max - conn.snd_una, tcp.context.now)
    else:
        conn.congestion.cwnd = conn.congestion.mss
    if conn.retransmits == BLACK_HOLE_AFTER:
        _suspect_black_hole(conn)
    board = conn.scoreboard
    if board and board.ranges[0][0] <= conn.snd_una:
        board.clear()  # the peer has reneged: it SACKed what it does not acknowledge
    conn.recovery = Recovery.LOSS
    conn.recover = conn.snd_max
    conn.high_rxt = 0
    conn.dup_acks = 0
    conn.rtt.timed_out()
    conn.rtt_sequence = None
    conn.snd_nxt = conn.snd_una
    length = min(conn.data_mss, conn.send_buffer.end - conn.snd_una)
    if board:
        length = min(length, board.ranges[0][0] - conn.snd_una)
    fin = conn.fin_sequence == conn.snd_una + length
    output.send_chunk(conn, (conn.snd_una, length, fin))
    conn.rexmit_timer.start(conn.rtt.rto)


def _suspect_black_hole(conn: Connection) -> None:
    path = conn.path
    small = BLACK_HOLE_MTU[len(path.destination)]
    paths = conn.tcp.ip.paths
    if conn.snd_max - conn.snd_una >= conn.data_mss and paths.mtu(path) > small:
        conn.tcp.context.counters["tcp.black_holes"] += 1
        paths.lower_mtu(path.destination, small, paths.mtu(path))
        conn.tcp.path_mtu_changed(conn)


def _window_probe(conn: Connection) -> None:
    """Send one byte (or the FIN) beyond the closed window (RFC 9293 3.8.6.1, MUST-35, 36)."""
    end = conn.send_buffer.end
    sequence = conn.snd_una
    if sequence == end and conn.fin_sequence is None:
        conn.probing = False
        return
    conn.persist_count += 1
    conn.retransmits += 1  # any ACK clears it: a peer that answers may stay closed for ever
    retries = conn.tcp.context.config.data_retries
    if conn.retransmits > retries or (conn.application_gone and conn.persist_count > retries):
        conn.tcp.delete(conn, conn.failure or Failure.TIMED_OUT)
        return
    length = min(1, end - sequence)
    conn.tcp.context.counters["tcp.window_probes"] += 1
    conn.snd_nxt = sequence
    output.send_chunk(conn, (sequence, length, not length))
    conn.probing = True
    conn.rexmit_timer.start(min(conn.rtt.rto << min(conn.persist_count, 10), conn.tcp.context.config.max_rto))


def keepalive_fired(conn: Connection) -> None:
    """Probe an idle connection, or give it up (RFC 9293 3.8.4)."""
    if conn.snd_max > conn.snd_una:
        conn.keepalive_timer.start(conn.keepalive_idle)  # retransmission watches already
        return
    if conn.keepalive_sent >= conn.keepalive_probes:
        conn.tcp.send_reset(conn)
        conn.tcp.delete(conn, Failure.TIMED_OUT)
        return
    conn.keepalive_sent += 1
    conn.tcp.context.counters["tcp.keepalive_probes"] += 1
    output.send_probe(conn)
    conn.keepalive_timer.start(conn.keepalive_interval)
