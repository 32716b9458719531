"""iperf3's messages: what is said, what is believed, what is counted."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from lab.trials.interop.iperf3_protocol import (
    Counts,
    Parameters,
    ProtocolError,
    State,
    emit_datagram,
    emit_json,
    json_bytes,
    parse_datagram,
    parse_json,
    results,
    state_of,
    stream_id,
)


def test_parameters_come_back_as_they_were_sent() -> None:
    """Both kinds, and their options."""
    asked = [
        Parameters(),
        Parameters(time=9, parallel=4, reverse=True),
        Parameters(udp=True, length=1448, bandwidth=10**6, counters_64bit=True),
    ]

    again = [Parameters.parse(one.emit()) for one in asked]

    assert again == asked


@pytest.mark.parametrize(
    "given",
    [
        {"parallel": 0},
        {"parallel": 129},
        {"parallel": "many"},
        {"len": 8},
        {"len": 1 << 30},
        {"time": None},
        {"bidirectional": True},
        {"sctp": True},
    ],
)
def test_parameters_that_nobody_can_meet_are_refused(given: dict[str, Any]) -> None:
    """Before anything is allocated for them."""
    with pytest.raises(ProtocolError):
        Parameters.parse({"tcp": True, "time": 1, **given})


def test_states_are_signed_bytes() -> None:
    """An end of the connection and an unknown state are errors."""
    known = [state_of(int(state).to_bytes(1, "big", signed=True)) for state in State]

    assert known == list(State)
    for odd in (b"", b"\x63"):
        with pytest.raises(ProtocolError):
            state_of(odd)


def test_json_has_its_length_before_it() -> None:
    """A length that is cut off or beyond reason, and what is no object, are errors."""
    sent = emit_json({"a": 1})

    assert json_bytes(sent[:4]) == len(sent) - 4
    assert parse_json(sent[4:]) == {"a": 1}
    for prefix in (b"\0\0", b"\x7f\0\0\0"):
        with pytest.raises(ProtocolError):
            json_bytes(prefix)
    for text in (b"[1]", b"{", b"\xff"):
        with pytest.raises(ProtocolError):
            parse_json(text)


@pytest.mark.parametrize("wide", [False, True])
def test_a_datagram_carries_its_number_and_time(*, wide: bool) -> None:
    """To the microsecond; what is too short is no datagram of ours."""
    now_ns = 1_700_000_000_123_456_000

    data = emit_datagram(64, 77, now_ns, wide=wide)

    assert len(data) == 64
    assert parse_datagram(data, wide=wide) == (77, now_ns)
    with pytest.raises(ProtocolError):
        parse_datagram(data[:11], wide=wide)


def test_losses_and_late_comers_are_told_apart() -> None:
    """A number that was counted as lost and comes after all is not lost any more."""
    counts = Counts()

    for number in (1, 2, 5, 4, 6):
        counts.arrived(100, number, 0.0)

    assert (counts.packets, counts.errors, counts.out_of_order, counts.bytes) == (6, 1, 1, 500)


def test_jitter_follows_the_transit_times() -> None:
    """RFC 3550 6.4.1: a sixteenth of each change; a constant delay has none."""
    steady, shaken = Counts(), Counts()
    chance = random.Random(3)

    for number in range(1, 400):
        steady.arrived(1, number, 5.0)
        shaken.arrived(1, number, chance.choice((0.0, 0.001)))

    assert steady.jitter == 0
    assert 0.0002 < shaken.jitter < 0.0008


def test_results_number_the_streams_as_iperf3_does() -> None:
    """1, 3, 4: an iperf3 that finds no stream of a number gives up."""
    told = results([Counts(bytes=n) for n in range(3)], 2.5)

    assert [one["id"] for one in told["streams"]] == [1, 3, 4] == [stream_id(n) for n in range(3)]
    assert [one["bytes"] for one in json.loads(json.dumps(told))["streams"]] == [0, 1, 2]
