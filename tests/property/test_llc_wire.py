"""LLC type 2 over a bad wire: I PDUs arrive once and in order, or the link goes down and says so."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.interfaces.llc import DataAcknowledged, DataReceived, LinkDown, LinkParameters, LinkUp
from tests.support.llc_pair import MACS, SAP, Pair

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


def _exchange(pair: Pair, count: int) -> tuple[list[list[bytes]], bool]:
    """Send ``count`` PDUs each way. Return what came to each end, and whether the link lasted."""
    link = pair.saps[0].connect(MACS[1], SAP, pair.now_ns)
    sent = [[b"%d:%d" % (end, n) for n in range(count)] for end in range(2)]
    pair.settle()
    up = next((event.link for event in pair.events[1] if isinstance(event, LinkUp)), None)
    for end, one in enumerate((link, up)):
        for data in sent[end]:
            if one is not None and one.is_up:
                one.send(data, pair.now_ns)
    pair.settle()
    lasted = not any(isinstance(event, LinkDown) for events in pair.events for event in events)
    came = [[event.data for event in events if isinstance(event, DataReceived)] for events in pair.events]
    for end in range(2):
        assert came[end] == sent[1 - end][: len(came[end])]
        if lasted:
            acknowledged = sum(e.count for e in pair.events[end] if isinstance(e, DataAcknowledged))
            assert came[end] == sent[1 - end]
            assert acknowledged == count
    return came, lasted


@SETTINGS
@given(st.integers(0, 2**32), st.floats(0, 0.3), st.floats(0, 0.3), st.integers(1, 63))
def test_loss_and_duplicates_keep_order(seed: int, loss: float, duplicate: float, window: int) -> None:
    """200 PDUs each way, so that the numbers go round; only N2 tries in vain may end the link."""
    pair = Pair(seed, LinkParameters(window=window, n2=40))
    pair.wire.loss, pair.wire.duplicate = loss, duplicate

    came, lasted = _exchange(pair, 200)

    assert lasted
    assert [len(one) for one in came] == [200, 200]


@SETTINGS
@given(st.integers(0, 2**32), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.5))
def test_reordering_keeps_order_or_ends_the_link(
    seed: int, loss: float, duplicate: float, reorder: float
) -> None:
    """An N(R) that was overtaken is a protocol error by the standard: FRMR, and both ends report it."""
    pair = Pair(seed)
    pair.wire.loss, pair.wire.duplicate, pair.wire.reorder = loss, duplicate, reorder

    _came, lasted = _exchange(pair, 50)

    if not lasted:
        assert all(not sap.links or all(link.is_up for link in sap.links.values()) for sap in pair.saps)


def test_a_wire_that_is_cut_is_said() -> None:
    """Both ends report the link down after N2 polls, with what was not acknowledged."""
    pair = Pair()
    link = pair.saps[0].connect(MACS[1], SAP, pair.now_ns)
    pair.settle()
    pair.wire.loss = 1.0

    link.send(b"lost", pair.now_ns)
    pair.settle(quiet_ns=60_000_000_000)

    downs = [[e for e in events if isinstance(e, LinkDown)] for events in pair.events]
    assert [(d.reason.name, d.unacknowledged) for ends in downs for d in ends] == [
        ("NO_ANSWER", 1),
        ("NO_ANSWER", 0),
    ]
    assert [sap.links for sap in pair.saps] == [{}, {}]
