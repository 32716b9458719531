"""Segments for a listening port (RFC 9293 3.10.7.2): half-open connections, and SYN cookies beyond them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from formats.transport import ACK, FIN, RST, SYN
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.tcp import arrival, cookies, output, segment
from protocols.transports.tcpip.tcp.listener import Inspection, Kept
from protocols.transports.tcpip.tcp.states import State
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.paths import Path
    from protocols.transports.tcpip.tcp.connection import Connection, FourTuple
    from protocols.transports.tcpip.tcp.listener import Listener
    from protocols.transports.tcpip.tcp.segment import Segment
    from protocols.transports.tcpip.tcp.service import Tcp

PATIENCE = 75 * SECOND
"""How long a SYN is kept that is not sent again: as long as 4.4BSD tries to connect."""
COOKIE_TRUST = 2 * cookies.COOKIE_PERIOD


def scale_for(limit: int) -> int:
    """Return the smallest shift with which the window field can say ``limit``."""
    shift = 0
    while limit >> shift > output.MAX_WINDOW and shift < segment.MAX_WINDOW_SCALE:
        shift += 1
    return shift


def listener_hears(tcp: Tcp, found: Listener, key: FourTuple, seg: Segment) -> None:
    """RFC 9293 3.10.7.2."""
    if seg.flags & RST:
        kept = found.kept.get(key)
        if kept is not None and (seg.sequence - kept.syn.sequence) & segment.MASK == 1:  # RFC 9293 3.10.7.4
            _give_up(found, key)
        return
    if seg.flags & ACK:
        if not _cookie_returns(tcp, found, key, seg):
            tcp.reset_for(key, seg)
        return
    if seg.flags & (SYN | FIN) == SYN:
        _hear_syn(tcp, found, key, seg)


def _hear_syn(tcp: Tcp, found: Listener, key: FourTuple, seg: Segment) -> None:
    classification = tcp.context.classification
    if classification is not None:
        resume = partial(_authorized, tcp, found, key, seg)
        if not classification.accept(*key, resume):
            return
    _admit(tcp, found, key, seg)


def _authorized(tcp: Tcp, found: Listener, key: FourTuple, seg: Segment, may_go_on: bool) -> None:  # noqa: FBT001 - the shape that an engine calls
    """Go on with a SYN that a filtering engine had to think about."""
    if may_go_on and found.open and key not in tcp.connections:
        _admit(tcp, found, key, seg)


def _admit(tcp: Tcp, found: Listener, key: FourTuple, seg: Segment) -> None:
    if not found.admit(key.remote, key.remote_port):
        tcp.context.counters["tcp.listen_overflow"] += 1
        return
    if found.inspect is not None and not _inspected(tcp, found, found.inspect, key, seg):
        return
    _answer(tcp, found, key, seg)


def _inspected(
    tcp: Tcp, found: Listener, inspect: Callable[[FourTuple], Inspection], key: FourTuple, seg: Segment
) -> bool:
    """Have a SYN inspected; return whether it is to be answered now."""
    if key in found.kept:
        found.kept[key].timer.start(PATIENCE)  # sent again while it waits
        return False
    if len(found.kept) + len(found.half_open) >= tcp.context.config.half_open_limit:
        tcp.context.counters["tcp.listen_overflow"] += 1
        return False
    said = inspect(key)
    if said is Inspection.KEEP and found.open:
        timer = tcp.context.timers.timer(partial(_give_up, found, key))
        timer.start(PATIENCE)
        found.kept[key] = Kept(seg, timer)
    if said is Inspection.REFUSE:
        tcp.reset_for(key, seg)
    return said is Inspection.ADMIT and found.open


def _give_up(found: Listener, key: FourTuple) -> None:
    """Forget a kept SYN: its sender reset it, or sends it no more."""
    found.kept.pop(key).timer.stop()
    found.dropped(key)


def conclude(tcp: Tcp, found: Listener, key: FourTuple, *, admit: bool) -> bool:
    """End the inspection of a kept SYN: answer it, or reset; False when it is there no more."""
    kept = found.kept.pop(key, None)
    if kept is None:
        return False
    kept.timer.stop()
    if admit:
        _answer(tcp, found, key, kept.syn)
    else:
        tcp.reset_for(key, kept.syn)
    return True


def _answer(tcp: Tcp, found: Listener, key: FourTuple, seg: Segment) -> None:
    try:
        path = tcp.ip.resolve(key.remote, key.local)
    except NetworkError:
        found.dropped(key)
        return
    config = tcp.context.config
    if len(found.half_open) >= config.half_open_limit:
        _send_cookie(tcp, found, key, seg)
        return
    if len(tcp.connections) >= config.connection_limit:
        tcp.context.counters["tcp.listen_overflow"] += 1
        found.dropped(key)
        return
    connection = _open(tcp, found, key, path, seg)
    found.half_open[key] = connection
    connection.rtt_sequence = connection.iss + 1
    connection.rtt_time = tcp.context.now
    output.send_syn(connection)
    connection.rexmit_timer.start(connection.rtt.rto)


def _open(tcp: Tcp, found: Listener, key: FourTuple, path: Path, seg: Segment) -> Connection:
    config = tcp.context.config
    connection = tcp.make(key, path)
    connection.passive = True
    connection.listener = found
    connection.state = State.SYN_RECEIVED
    connection.rcv_wscale = scale_for(connection.receive_limit) if config.window_scaling else 0
    connection.scale_ok = config.window_scaling
    connection.ts_ok = config.timestamps
    connection.sack_ok = config.sack
    arrival.learn_syn(connection, seg)
    return connection


def _send_cookie(tcp: Tcp, found: Listener, key: FourTuple, seg: Segment) -> None:
    config = tcp.context.config
    tcp.context.counters["tcp.cookies_sent"] += 1
    found.cookies_until = tcp.context.now + COOKIE_TRUST
    cookie = cookies.make_cookie(tcp.context, key, seg)
    path = tcp.ip.resolve(key.remote, key.local)
    stamps = None
    use_ts = config.timestamps and seg.ts_value is not None
    if use_ts and seg.ts_value is not None:
        now = tcp.context.now // 1_000_000
        stamp = cookies.stamp_options(now, seg, scale=config.window_scaling, sack=config.sack)
        stamps = (stamp, seg.ts_value)
    scale = config.window_scaling and use_ts and seg.window_scale is not None
    options = segment.syn_options(
        tcp.local_mss(path),
        scale_for(config.receive_buffer) if scale else None,
        stamps,
        sack=config.sack and use_ts and seg.sack_permitted,
    )
    flags = SYN | ACK
    window = min(config.receive_buffer, output.MAX_WINDOW)
    tcp.bare(key, cookie, seg.sequence + 1, flags, window=window, options=options)


def _cookie_returns(tcp: Tcp, found: Listener, key: FourTuple, seg: Segment) -> bool:
    if tcp.context.now > found.cookies_until or seg.flags & SYN:
        return False
    mss = cookies.check_cookie(tcp.context, key, seg)
    if mss is None or len(tcp.connections) >= tcp.context.config.connection_limit:
        tcp.context.counters["tcp.cookies_failed"] += 1
        return False
    tcp.context.counters["tcp.cookies_accepted"] += 1
    syn = segment.Segment(
        seg.source_port, seg.destination_port, seg.sequence - 1, 0, flags=SYN, window=seg.window
    )
    syn.sequence &= segment.MASK
    syn.mss = mss
    if seg.ts_value is not None:
        syn.ts_value = seg.ts_value
        syn.window_scale, syn.sack_permitted = cookies.stamped_options(seg.ts_echo)
    path = tcp.ip.resolve(key.remote, key.local)
    connection = _open(tcp, found, key, path, syn)
    connection.iss = (1 << 32) + ((seg.acknowledgment - 1) & segment.MASK)
    connection.snd_una = connection.iss
    connection.snd_nxt = connection.snd_max = connection.snd_up = connection.iss + 1
    connection.recover = connection.iss
    connection.send_buffer.start = connection.send_buffer.end = connection.iss + 1
    if seg.ts_value is not None:
        connection.ts_offset = (seg.ts_echo - tcp.context.now // 1_000_000) & segment.MASK
    arrival.arrive(connection, seg)
    return True
