"""Header prediction changes nothing: it only spares checks that its segments pass."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.trials.tcpip.script import App, OurTarget, Send, Step, Wait, run
from lab.trials.tcpip.scripts import ALL, MSS_SACK
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.link import Offload
from protocols.transports.tcpip.stack import StackConfig
from protocols.transports.tcpip.tcp.connection import Connection
from protocols.transports.tcpip.tcp.segment import timestamps

UNIT = 500
segments = st.builds(
    Send,
    flags=st.sampled_from([".", ".", ".", "P.", "P.", "FP."]),
    seq=st.sampled_from([0, 0, 0, -UNIT, UNIT, 2 * UNIT]),
    ack=st.sampled_from([1, 1, 1, 1, 1, 1 + UNIT, 11, 1501]),
    length=st.sampled_from([0, UNIT, UNIT, 2 * UNIT, 6 * UNIT]),
    window=st.sampled_from([0, UNIT, 65535]),
    options=st.sampled_from([timestamps(1001, 0)] * 6 + [timestamps(1002, 0), timestamps(999, 0), b""]),
)
"""``seq`` counts from the end of what has gone in order."""
calls = st.sampled_from([App("write", 1500), App("write", 10), App("read"), App("shutdown"), App("close")])
steps = st.lists(st.one_of(segments, segments, segments, segments, calls, st.just(Wait(250))), max_size=40)
SAME = (
    *(name for name in Connection.__slots__ if name.startswith(("rcv_", "snd_", "ack_", "ts_"))),
    *("bytes_received", "dup_acks", "early_fin", "fin_sequence", "remote_fin", "retransmits", "state"),
)


class Patient(OurTarget):
    """Goes on when a call is refused: nobody writes behind a shutdown."""

    def app(self, call: str, amount: int) -> None:
        """Make the call."""
        with contextlib.suppress(NetworkError):
            super().app(call, amount)


def carried_out(script: list[Step], options: bytes) -> tuple[list[list[str]], list[str], list[object]]:
    """Return what a stack answers, what its application hears, and the control block at the end."""
    config = StackConfig(ipv6=False, receive_buffer=8 * UNIT)
    target = Patient(random.Random(1).randbytes, Offload(), config)
    first: list[Step] = [
        App("listen"),
        Send("S", options=options),
        Send(".", seq=1, ack=1, options=stamped(options)),
    ]
    answers = run(target, [*first, *script])
    connection = target.connection
    assert connection is not None
    return answers, target.events, [getattr(connection, name) for name in SAME]


def stamped(options: bytes) -> bytes:
    """Return the options of segments behind a SYN with ``options``."""
    return timestamps(1001, 0) if options == ALL else b""


def placed(script: list[Step], mark: str) -> list[Step]:
    """Return the script with its segments at their places in the sequence space, flagged with ``mark``."""
    whole: list[Step] = []
    end = 1
    for step in script:
        if isinstance(step, Send):
            at = max(1, end + step.seq)
            if step.seq <= 0:
                end = max(end, at + step.length)
            whole.append(replace(step, flags=step.flags + mark, seq=at))
        else:
            whole.append(step)
    return whole


@settings(max_examples=500)
@given(steps, st.sampled_from([ALL, MSS_SACK]))
def test_the_same_segments_with_a_flag_that_is_not_predicted_end_the_same(
    script: list[Step], options: bytes
) -> None:
    """CWR means nothing to a stack without ECN (RFC 9293 3.1), but is not of a predicted segment's flags."""
    assert carried_out(placed(script, ""), options) == carried_out(placed(script, "W"), options)
