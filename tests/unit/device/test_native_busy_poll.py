"""How long the socket's thread looks for the next message or rests before it sleeps (csrc/busy_poll.c)."""

from __future__ import annotations

from typing import Any

import pytest
from device.engine._core import ffi, lib

SHORT_NS, LONG_NS = 10_000, 1_000_000


def busy_poll(spin_us: int) -> Any:  # noqa: ANN401 - a C struct has no type of its own
    """Return the state of a socket that was just connected."""
    state = ffi.new("struct rw_busy_poll *")
    lib.rw_busy_poll_init(state, spin_us)
    return state


def test_it_does_not_look_before_it_has_seen_messages_come_close_together() -> None:
    """The first pauses are slept through: an idle card costs nothing."""
    state = busy_poll(lib.RW_SPIN_ADAPTIVE)

    looks = []
    for _ in range(20):
        looks.append(bool(lib.rw_busy_poll_look(state)))
        lib.rw_busy_poll_learn(state, SHORT_NS)

    assert looks[:3] == [False, False, False]
    assert looks[-1]
    assert looks == sorted(looks)


def test_it_stops_looking_when_the_stream_ends() -> None:
    """A few long pauses undo a long stream of short ones."""
    state = busy_poll(lib.RW_SPIN_ADAPTIVE)
    for _ in range(1000):
        lib.rw_busy_poll_learn(state, SHORT_NS)

    in_vain = 0
    while lib.rw_busy_poll_look(state):
        in_vain += 1
        lib.rw_busy_poll_learn(state, LONG_NS)

    assert 1 <= in_vain <= 8


def test_one_long_pause_does_not_end_a_stream() -> None:
    """An interrupt handler of the guest's lasts longer than a look."""
    state = busy_poll(lib.RW_SPIN_ADAPTIVE)
    for _ in range(100):
        lib.rw_busy_poll_learn(state, SHORT_NS)

    lib.rw_busy_poll_learn(state, LONG_NS)

    assert lib.rw_busy_poll_look(state) > 0


def test_a_message_now_and_then_is_never_worth_a_look() -> None:
    """Fewer than half of the pauses are short."""
    state = busy_poll(lib.RW_SPIN_ADAPTIVE)

    looks = set()
    for n in range(300):
        lib.rw_busy_poll_learn(state, SHORT_NS if n % 3 == 0 else LONG_NS)
        looks.add(lib.rw_busy_poll_look(state))

    assert looks == {0}


@pytest.mark.parametrize("spin_us", [0, 1, 1000])
def test_a_fixed_time_is_kept_whatever_comes(spin_us: int) -> None:
    """``--spin-us N`` is what the user said."""
    state = busy_poll(spin_us)

    looks = set()
    for pause_ns in (SHORT_NS, LONG_NS) * 20:
        looks.add(lib.rw_busy_poll_look(state))
        lib.rw_busy_poll_learn(state, pause_ns)

    assert looks == {spin_us * 1000}


def streaming() -> Any:  # noqa: ANN401 - as above
    """Return the state of a socket whose messages come close together."""
    state = busy_poll(lib.RW_SPIN_ADAPTIVE)
    for _ in range(100):
        lib.rw_busy_poll_learn(state, SHORT_NS)
    return state


def test_a_frame_now_and_then_is_never_rested_after() -> None:
    """One out, one in, and a long pause: what pings and answers questions is served at once."""
    state = busy_poll(lib.RW_SPIN_ADAPTIVE)

    rests = set()
    for _ in range(300):
        rests.add(lib.rw_busy_poll_rest(state, 2, 200))
        lib.rw_busy_poll_learn(state, LONG_NS)

    assert rests == {0}


@pytest.mark.parametrize(
    ("octets", "rest_ns"),
    [(8191, 0), (8192, 65_536), (40_000, 320_000), (65_557, 500_000), (1 << 40, 500_000)],
)
def test_many_octets_are_rested_after_for_as_long_as_a_gigabit_wire_takes(octets: int, rest_ns: int) -> None:
    """8 ns an octet, and half a millisecond at most."""
    state = busy_poll(lib.RW_SPIN_ADAPTIVE)

    assert lib.rw_busy_poll_rest(state, 1, octets) == rest_ns


def test_many_frames_are_rested_after_however_short() -> None:
    """A flood of short frames off the wire."""
    state = busy_poll(lib.RW_SPIN_ADAPTIVE)

    rests = [lib.rw_busy_poll_rest(state, frames, 60 * frames) for frames in (7, 8, 64)]

    assert rests == [0, 200_000, 200_000]


def test_it_rests_while_frames_gather_in_its_rests() -> None:
    """A stream of doorbells of one frame each."""
    state = streaming()

    rests = {lib.rw_busy_poll_rest(state, 4, 240) for _ in range(100)}

    assert rests == {100_000}


def test_who_waits_for_each_frame_is_kept_waiting_once_in_a_long_while() -> None:
    """A driver in lockstep: its messages come close together, but nothing gathers in a rest."""
    state = streaming()

    rests = [lib.rw_busy_poll_rest(state, 1, 60) > 0 for _ in range(660)]

    assert rests[0]
    assert sum(rests) <= 660 // 64 + 1


def test_a_stream_that_ends_is_not_rested_after() -> None:
    """A few rests in which nothing gathers, and there are no more."""
    state = streaming()
    for _ in range(100):
        lib.rw_busy_poll_rest(state, 10, 600)

    rests = [lib.rw_busy_poll_rest(state, 0, 0) > 0 for _ in range(8)]

    assert rests == sorted(rests, reverse=True)
    assert sum(rests) <= 4


@pytest.mark.parametrize("spin_us", [0, 1, 1000])
def test_a_fixed_time_to_look_has_no_rests(spin_us: int) -> None:
    """``--spin-us N`` asks for no other pause."""
    state = busy_poll(spin_us)

    rests = {lib.rw_busy_poll_rest(state, 100, 1 << 20) for _ in range(20)}

    assert rests == {0}


MOMENT_NS = 4_000_000


@pytest.mark.parametrize(("frames", "octets"), [(11, 16_384), (1, 9_000), (64, 3_840)])
def test_a_lone_request_however_long_waits_for_no_rest(frames: int, octets: int) -> None:
    """A turn that moved much, after a while in which nothing moved; its answer is asked for at once."""
    pace = ffi.new("struct rw_pace *")

    seen = [lib.rw_pace_goes_on(pace, at, frames, octets) for at in range(10**9, 10**10, 2 * MOMENT_NS * 10)]

    assert set(seen) == {False}


def test_much_traffic_goes_on_from_its_second_turn_until_a_turn_moves_little() -> None:
    """Turns a rest apart."""
    pace = ffi.new("struct rw_pace *")

    seen = [
        lib.rw_pace_goes_on(pace, 10**9 + turn * 500_000, frames, 1514 * frames)
        for turn, frames in enumerate((64, 64, 64, 1, 64, 64))
    ]

    assert seen == [False, True, True, False, False, True]


def test_frames_that_others_took_long_ago_are_not_rested_after() -> None:
    """The wire's thread looks seldom while the socket's takes its frames: hundreds since its last look."""
    pace = ffi.new("struct rw_pace *")
    lib.rw_pace_goes_on(pace, 10**9, 500, 500 * 60)

    assert not lib.rw_pace_goes_on(pace, 2 * 10**9, 500, 500 * 60)
