"""SYN cookies (RFC 4987 3.6): initial sequence numbers and timestamps that remember a SYN for us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.transports.tcpip.tcp import segment
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.tcp.connection import FourTuple
    from protocols.transports.tcpip.tcp.segment import Segment

COOKIE_MSS = (216, 536, 1220, 1300, 1400, 1440, 1460, 8960)  # three bits
COOKIE_PERIOD = 64 * SECOND
COOKIE_MAX_AGE = 2  # periods
NO_SCALE = 15


def make_cookie(context: Context, key: FourTuple, seg: Segment) -> int:
    """Return the initial sequence number that remembers a SYN for us: hash, minute, MSS class."""
    count = context.now // COOKIE_PERIOD
    offered = seg.mss or (536 if len(key.remote) == 4 else 1220)
    index = max((i for i, m in enumerate(COOKIE_MSS) if m <= offered), default=0)
    return _cookie(context, key, seg.sequence, count, index)


def check_cookie(context: Context, key: FourTuple, seg: Segment) -> int | None:
    """Return the MSS that the cookie in an ACK remembers; None when it is none of ours."""
    cookie = (seg.acknowledgment - 1) & segment.MASK
    isn = (seg.sequence - 1) & segment.MASK
    count = context.now // COOKIE_PERIOD
    index = cookie & 7
    for age in range(COOKIE_MAX_AGE):
        if _cookie(context, key, isn, count - age, index) == cookie:
            return COOKIE_MSS[index]
    return None


def _cookie(context: Context, key: FourTuple, isn: int, count: int, index: int) -> int:
    parts = (
        b"cookie",
        key.local,
        key.remote,
        key.local_port.to_bytes(2) + key.remote_port.to_bytes(2) + isn.to_bytes(4),
        count.to_bytes(8, signed=True) + bytes((index,)),
    )
    return context.hash32(*parts) & ~7 | index


def stamp_options(stamp: int, seg: Segment, *, scale: bool, sack: bool) -> int:
    """Return a timestamp near ``stamp`` whose low bits remember the other options of a SYN."""
    bits = seg.window_scale if scale and seg.window_scale is not None else NO_SCALE
    return (stamp & ~31 | bits << 1 | (sack and seg.sack_permitted)) & segment.MASK


def stamped_options(echo: int) -> tuple[int | None, bool]:
    """Return the window scale (None: not offered) and SACK that an echoed stamp remembers."""
    bits = (echo >> 1) & 15
    return (None if bits == NO_SCALE else bits), bool(echo & 1)
