"""``bench tcp --hops``: how notes become trips and medians; nothing here is timed."""

from __future__ import annotations

from lab.trials.bench import hops
from lab.trials.bench.hops import SEAMS, Trace


def noted(*trips: list[int]) -> Trace:
    """Return a trace of trips, each an instant for every seam."""
    trace = Trace()
    for trip in trips:
        for seam, at in zip(SEAMS, trip, strict=True):
            trace.at[seam].append(at)
    return trace


def test_each_trip_takes_the_first_note_behind_the_seam_before() -> None:
    """What another frame has left at a seam in between belongs to no trip."""
    first, second = list(range(0, 110, 10)), list(range(1000, 1110, 10))
    trace = noted(first, second)
    stray = trace.at[SEAMS[4]]
    stray.insert(1, 500)

    assert list(hops.trips(trace)) == [first, second]


def test_a_trip_that_lacks_a_seam_is_left_out() -> None:
    """A retransmission may have taken another way."""
    first, second = list(range(0, 110, 10)), list(range(1000, 1110, 10))
    trace = noted(first, second)
    trace.at[SEAMS[3]].remove(first[3])

    assert list(hops.trips(trace)) == [None, second]


def test_hops_are_told_in_the_order_of_the_way_with_the_whole_last() -> None:
    """Microseconds, the median of each."""
    trips = [[n * 1000 * k for n in range(len(SEAMS))] for k in (1, 2, 9)]

    told = hops.medians(trips)

    assert [us for _, us in told] == [2.0] * (len(SEAMS) - 1) + [20.0]
    assert told[0][0] == f"{SEAMS[0].name} → {SEAMS[1].name}"
    assert told[-1][0] == "the whole trip"


def test_functions_are_wrapped_only_while_it_looks() -> None:
    """And their calls are noted."""
    trace = Trace()
    seam = next(one for one in SEAMS if one.function == "receive")
    assert seam.owner is not None
    before = seam.owner.__dict__["receive"]

    with hops.wrapped(trace):
        during = seam.owner.__dict__["receive"]

    assert during is not before
    assert seam.owner.__dict__["receive"] is before
