"""How long the socket's thread looks for the next message before it sleeps (csrc/patience.c)."""

from __future__ import annotations

from typing import Any

import pytest
from device.engine._core import ffi, lib

SHORT_NS, LONG_NS = 10_000, 1_000_000


def patience(spin_us: int) -> Any:  # noqa: ANN401 - a C struct has no type of its own
    """Return the state of a socket that was just connected."""
    state = ffi.new("struct rw_patience *")
    lib.rw_patience_init(state, spin_us)
    return state


def test_it_does_not_look_before_it_has_seen_messages_come_close_together() -> None:
    """The first pauses are slept through: an idle card costs nothing."""
    state = patience(lib.RW_SPIN_ADAPTIVE)

    looks = []
    for _ in range(20):
        looks.append(bool(lib.rw_patience_look(state)))
        lib.rw_patience_learn(state, SHORT_NS)

    assert looks[:3] == [False, False, False]
    assert looks[-1]
    assert looks == sorted(looks)


def test_it_stops_looking_when_the_stream_ends() -> None:
    """A few long pauses undo a long stream of short ones."""
    state = patience(lib.RW_SPIN_ADAPTIVE)
    for _ in range(1000):
        lib.rw_patience_learn(state, SHORT_NS)

    in_vain = 0
    while lib.rw_patience_look(state):
        in_vain += 1
        lib.rw_patience_learn(state, LONG_NS)

    assert 1 <= in_vain <= 8


def test_one_long_pause_does_not_end_a_stream() -> None:
    """An interrupt handler of the guest's lasts longer than a look."""
    state = patience(lib.RW_SPIN_ADAPTIVE)
    for _ in range(100):
        lib.rw_patience_learn(state, SHORT_NS)

    lib.rw_patience_learn(state, LONG_NS)

    assert lib.rw_patience_look(state) > 0


def test_a_message_now_and_then_is_never_worth_a_look() -> None:
    """Fewer than half of the pauses are short."""
    state = patience(lib.RW_SPIN_ADAPTIVE)

    looks = set()
    for n in range(300):
        lib.rw_patience_learn(state, SHORT_NS if n % 3 == 0 else LONG_NS)
        looks.add(lib.rw_patience_look(state))

    assert looks == {0}


@pytest.mark.parametrize("spin_us", [0, 1, 1000])
def test_a_fixed_time_is_kept_whatever_comes(spin_us: int) -> None:
    """``--spin-us N`` is what the user said."""
    state = patience(spin_us)

    looks = set()
    for pause_ns in (SHORT_NS, LONG_NS) * 20:
        looks.add(lib.rw_patience_look(state))
        lib.rw_patience_learn(state, pause_ns)

    assert looks == {spin_us * 1000}
