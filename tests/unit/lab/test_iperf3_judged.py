"""How an iperf3 test is judged by both ends' figures."""

from __future__ import annotations

import pytest

from lab.trials.interop.iperf3 import judge
from lab.trials.interop.iperf3_peer import Outcome
from lab.trials.interop.iperf3_protocol import Counts, Parameters

BLOCK = Parameters().length


def outcome(ours: int, theirs: int, parallel: int = 1) -> Outcome:
    """Return a TCP test of which all streams but the first moved nothing."""
    wanted = Parameters(parallel=parallel)
    rest = parallel - 1
    return Outcome(
        wanted, [Counts(ours)] + [Counts()] * rest, [{"bytes": theirs}] + [{"bytes": 0}] * rest, seconds=1.0
    )


@pytest.mark.parametrize(("parallel", "more"), [(1, BLOCK), (2, 2 * BLOCK)])
def test_a_block_a_stream_may_have_left_iperf3_uncounted(parallel: int, more: int) -> None:
    """And no byte more than that."""
    sent = 10 * BLOCK

    just, over = (
        judge("", {}, outcome(sent + got, sent, parallel), we_send=False) for got in (more, more + 1)
    )

    assert (just.good, over.good) == (True, False)


def test_what_we_sent_is_counted_exactly() -> None:
    """One byte too many at iperf3's receiver is a fault."""
    sent = 10 * BLOCK

    equal, over = (judge("", {}, outcome(sent, sent + more), we_send=True) for more in (0, 1))

    assert (equal.good, over.good) == (True, False)


@pytest.mark.parametrize("we_send", [True, False])
def test_nothing_received_is_a_fault(we_send: bool) -> None:  # noqa: FBT001 - pytest names its parameters
    """Whoever sends."""
    seen = judge("", {}, outcome(0 if not we_send else BLOCK, BLOCK if not we_send else 0), we_send=we_send)

    assert not seen.good


def test_what_iperf3_complains_of_is_told() -> None:
    """In its own words."""
    seen = judge("", {"error": "unable to connect"}, outcome(BLOCK, BLOCK), we_send=True)

    assert (seen.result, seen.good) == ("unable to connect", False)
