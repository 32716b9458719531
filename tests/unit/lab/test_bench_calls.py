"""``bench tcp --calls``: what is counted, and where it belongs."""

from __future__ import annotations

from collections import Counter

from lab.trials.bench import calls
from ntos.executive.dispatcher import Event


def test_calls_are_counted_by_the_folder_of_the_function() -> None:
    """The folder is the way's layer."""
    counting, event = calls.Counting(), Event()

    counting.next_trip()
    event.set()
    event.reset()
    counting.stop()

    assert counting.trips[0]["ntos/executive/"] == 2


def test_each_trip_has_a_count_of_its_own() -> None:
    """A median needs them apart."""
    counting, event = calls.Counting(), Event()

    counting.next_trip()
    counting.next_trip()
    event.set()
    counting.stop()

    assert [trip["ntos/executive/"] for trip in counting.trips] == [0, 1]


def test_medians_are_told_on_the_way_down_with_the_whole_last() -> None:
    """Folders that a trip does not enter have no line."""
    trips = [Counter({"ndis/": 4, "protocols/apis/afd/": 2}), Counter({"ndis/": 6, "protocols/apis/afd/": 2})]

    told = calls.medians(trips)

    assert told == [("protocols/apis/afd/", 2), ("ndis/", 5), (calls.WHOLE, 7)]


def test_the_standard_library_has_a_line_of_its_own() -> None:
    """Enumerations and generated functions cost as much as ours."""
    assert calls.folder_of("/usr/lib/python3.11/enum.py") == calls.ELSEWHERE
