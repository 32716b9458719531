"""The scripts themselves, and where our answers differ from Linux's and why.

Numbers are relative: the peer's SYN is 0, so its first byte is 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lab.trials.tcpip.script import App, Send, Wait
from protocols.transports.tcpip.tcp.segment import syn_options

if TYPE_CHECKING:
    from lab.trials.tcpip.script import Step

MSS = syn_options(1460, None, None, sack=False)
MSS_SACK = syn_options(1460, None, None, sack=True)
ALL = syn_options(1460, 7, (1000, 0), sack=True)


def accepted(options: bytes = MSS) -> list[Step]:
    """Return the steps of a passive open."""
    return [App("listen"), Send("S", options=options), Send(".", seq=1, ack=1)]


SCRIPTS: dict[str, list[Step]] = {
    "syn to a closed port": [Send("S", options=MSS)],
    "ack to a closed port": [Send(".", seq=1, ack=1)],
    "rst to a closed port": [Send("R", seq=1)],
    "fin to a closed port": [Send("F", seq=1)],
    "passive open, all options": [App("listen"), Send("S", options=ALL)],
    "passive open, only mss": [App("listen"), Send("S", options=MSS)],
    "passive open, no options": [App("listen"), Send("S"), Send(".", seq=1, ack=1)],
    "ack to a listener": [App("listen"), Send(".", seq=1, ack=1)],
    "rst to a listener": [App("listen"), Send("R", seq=1)],
    "syn and fin to a listener": [App("listen"), Send("SF", options=MSS)],
    "syn is repeated": [App("listen"), Send("S", options=MSS), Send("S", options=MSS)],
    "wrong ack in syn-received": [App("listen"), Send("S", options=MSS), Send(".", seq=1, ack=777)],
    "rst in syn-received": [
        App("listen"),
        Send("S", options=MSS),
        Send("R", seq=1),
        Send(".", seq=1, ack=1),
    ],
    "data is acknowledged twice a window": [
        *accepted(),
        Send("P.", seq=1, ack=1, length=1460),
        Wait(100),
        Send(".", seq=1461, ack=1, length=1460),
        Send("P.", seq=2921, ack=1, length=1460),
        Wait(100),
    ],
    "a hole is answered at once": [
        *accepted(MSS_SACK),
        Send(".", seq=1001, ack=1, length=1000),
        Send(".", seq=3001, ack=1, length=1000),
        Send(".", seq=1, ack=1, length=1000),
        Send(".", seq=2001, ack=1, length=1000),
    ],
    "old data is acknowledged again": [
        *accepted(MSS_SACK),
        Send("P.", seq=1, ack=1, length=1000),
        Wait(100),
        Send("P.", seq=1, ack=1, length=1000),
    ],
    "peer closes first": [
        *accepted(),
        Send("F.", seq=1, ack=1),
        Wait(60),
        App("close"),
        Send(".", seq=2, ack=2),
        Send(".", seq=2, ack=2),
    ],
    "we close first": [
        *accepted(),
        App("shutdown"),
        Send(".", seq=1, ack=2),
        Send("F.", seq=1, ack=2),
        Send("F.", seq=1, ack=2),
    ],
    "both close at once": [
        *accepted(),
        App("shutdown"),
        Send("F.", seq=1, ack=1),
        Send(".", seq=2, ack=2),
    ],
    "fin with data": [*accepted(), Send("FP.", seq=1, ack=1, length=500), Wait(60)],
    "fin before its data": [
        *accepted(),
        Send("F.", seq=1001, ack=1),
        Send("P.", seq=1, ack=1, length=1000),
        Wait(60),
    ],
    "close with unread data resets": [
        *accepted(),
        Send("P.", seq=1, ack=1, length=100),
        Wait(60),
        App("close"),
    ],
    "data after close resets": [
        *accepted(),
        App("close"),
        Send(".", seq=1, ack=2),
        Send("P.", seq=1, ack=2, length=100),
    ],
    "abort resets": [*accepted(), App("abort")],
    "rst exactly in place": [*accepted(), Send("R", seq=1), Send("P.", seq=1, ack=1, length=1)],
    "rst in the window": [*accepted(), Send("R", seq=1000), App("write", 10)],
    "rst outside the window": [*accepted(), Send("R", seq=10_000_000), App("write", 10)],
    "syn in the window": [*accepted(), Send("S", seq=1000), App("write", 10)],
    "ack of what was never sent": [*accepted(), Send(".", seq=1, ack=5000), App("write", 10)],
    "very old ack": [*accepted(), Send("P.", seq=1, ack=-200_000, length=10), Wait(60)],
    "data beyond the window": [*accepted(), Send("P.", seq=20_000_000, ack=1, length=10)],
    "segment without ack": [*accepted(), Send("P", seq=1, length=10), Wait(60)],
    "keepalive probe": [*accepted(), Send(".", seq=0, ack=1)],
    "keepalive probe with old byte": [
        *accepted(),
        Send("P.", seq=1, ack=1, length=1),
        Wait(60),
        Send(".", seq=1, ack=1, length=1),
    ],
    "write and ack": [*accepted(), App("write", 1000), Send(".", seq=1, ack=1001)],
    "nagle holds a small tail": [
        *accepted(),
        App("write", 100),
        App("write", 100),
        Send(".", seq=1, ack=101),
    ],
    "no delay does not": [*accepted(), App("nodelay"), App("write", 100), App("write", 100)],
    "three duplicates retransmit": [
        *accepted(),
        App("write", 14600),
        *[Send(".", seq=1, ack=1)] * 3,
        Send(".", seq=1, ack=14601),
    ],
    "sack fills only the hole": [
        *accepted(MSS_SACK),
        App("write", 14600),
        Send(".", seq=1, ack=1461, sack=((2921, 4381),)),
        Send(".", seq=1, ack=1461, sack=((2921, 5841),)),
        Send(".", seq=1, ack=1461, sack=((2921, 7301),)),
        Send(".", seq=1, ack=14601),
    ],
    "zero window is probed": [
        App("listen"),
        Send("S", options=MSS),
        Send(".", seq=1, ack=1, window=0),
        App("write", 100),
        Wait(260),
        Send(".", seq=1, ack=1, window=65535),
    ],
    "closed window opens": [
        App("listen"),
        Send("S", options=MSS, window=1000),
        Send(".", seq=1, ack=1, window=1000),
        App("write", 3000),
        Send(".", seq=1, ack=1001, window=0),
        Send(".", seq=1, ack=1001, window=5000),
    ],
    "active open": [App("connect"), Send("S.", ack=1, options=MSS), App("write", 10)],
    "active open, refused": [App("connect"), Send("R.", ack=1)],
    "active open, wrong ack": [App("connect"), Send("S.", ack=77, options=MSS)],
    "active open, rst without ack": [App("connect"), Send("R"), Send("S.", ack=1, options=MSS)],
    "simultaneous open": [
        App("connect"),
        Send("S", options=MSS),
        Send("S.", ack=1, options=MSS),
        Send(".", seq=1, ack=1),
        App("write", 10),
    ],
    "urgent data": [*accepted(), App("urgent", 5)],
    "a one byte window": [
        App("listen"),
        Send("S", options=MSS, window=1),
        Send(".", seq=1, ack=1, window=1),
        App("write", 5),
    ],
    "option of length zero": [App("listen"), Send("S", options=bytes((254, 0, 1, 1)))],
    "option that overruns": [App("listen"), Send("S", options=bytes((2, 40, 1, 1)))],
    "tiny mss": [
        App("listen"),
        Send("S", options=bytes((2, 4, 0, 1))),
        Send(".", seq=1, ack=1),
        App("write", 200),
    ],
}


class Difference(NamedTuple):
    """Steps (from 0) at which Linux may answer otherwise, and why ours stands."""

    steps: tuple[int, ...]
    why: str


QUICK_ACK = (
    "Linux acknowledges the first segments of a connection at once (quick ACK mode, tcp_input.c "
    "tcp_incr_quickack); RFC 9293 3.8.6.3 asks for an ACK at every second full segment, which is what we do."
)
PUSH = (
    "Linux also sets PSH after half of the largest window it has seen (tcp_output.c forced_push); "
    "RFC 9293 3.9.1.2 wants it on the last segment of what was written, where both have it."
)
DIFFERENCES: dict[str, Difference] = {
    "data is acknowledged twice a window": Difference((3, 4, 5, 6, 7), QUICK_ACK),
    "old data is acknowledged again": Difference((3, 4), QUICK_ACK),
    "close with unread data resets": Difference((3, 4), QUICK_ACK),
    "keepalive probe with old byte": Difference((3, 4), QUICK_ACK),
    "fin with data": Difference(
        (3, 4), "Linux delays the ACK of a FIN that came with data; ours goes at once, as a FIN must be seen."
    ),
    "three duplicates retransmit": Difference((3,), PUSH),
    "sack fills only the hole": Difference(
        (3, 4, 5, 6),
        "step 3: " + PUSH + " Then Linux judges loss by time (RACK, RFC 8985), we by RFC 6675's count: "
        "three segments' worth of SACKed bytes.",
    ),
    "zero window is probed": Difference(
        (4,),
        "Linux probes with an old sequence number and no data; RFC 9293 3.8.6.1 (MUST-36) wants a byte of "
        "new data, which also takes effect when the window opens.",
    ),
    "closed window opens": Difference(
        (3, 5),
        "Linux never sends more than half of the peer's largest window in a segment "
        "(tcp_bound_to_half_wnd), we fill the window that is offered.",
    ),
    "active open, wrong ack": Difference(
        (1,), "Linux sends its SYN again at once beside the reset; RFC 9293 3.10.7.3 only resets."
    ),
    "simultaneous open": Difference(
        (1,),
        "Linux repeats all its options in the SYN-ACK; RFC 7323 2.2 and RFC 2018 2 allow only those "
        "that the peer's SYN had.",
    ),
}
