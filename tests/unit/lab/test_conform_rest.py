"""When the vfio-user bench takes a card to be done: what is owed is waited for, once. The clock is ours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from lab.conformance.targets import settling
from lab.conformance.targets.settling import MOMENT_S, MOST_S, OWED_S, Rest, Sight

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE = Sight(sends=True, tx_heads=(0, 0), tx_tails=(0, 0), rx_heads=(0, 0), heard=0, told=0)
HANDED_OVER = replace(IDLE, tx_tails=(1, 0))
TAKEN = replace(HANDED_OVER, tx_heads=(1, 0))
SENT = replace(TAKEN, heard=1)
TOLD = replace(IDLE, told=1)
RECEIVED = replace(TOLD, rx_heads=(1, 0))


@dataclass
class World:
    """A card that shows what it shows at each time of a clock that only ``sleep`` moves."""

    card: Callable[[float], Sight] = lambda _: IDLE
    now: float = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds

    def look(self) -> Sight:
        """Return what the card shows now."""
        return self.card(self.now)

    def waits(self, rest: Rest) -> float:
        """Return how long a wait takes."""
        began = self.now
        rest.wait()
        return self.now - began


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Put a world of its own under the module."""
    made = World()
    monkeypatch.setattr(settling, "time", made)
    return made


@pytest.fixture
def rest(world: World) -> Rest:
    """Begin with an idle card."""
    made = Rest(world.look)
    made.begin()
    return made


def test_a_card_that_owes_nothing_is_given_a_moment(world: World, rest: Rest) -> None:
    """And no more, however often it is asked."""
    assert [world.waits(rest) for _ in range(3)] == pytest.approx([MOMENT_S] * 3)


@pytest.mark.parametrize(
    ("first", "then"),
    [(HANDED_OVER, SENT), (TAKEN, SENT), (TOLD, RECEIVED)],
    ids=["a descriptor is handed over", "a descriptor was taken", "a frame is on the cable"],
)
def test_what_is_owed_is_waited_for(world: World, rest: Rest, first: Sight, then: Sight) -> None:
    """It comes late, and a moment after it the card is at rest."""
    late = 6 * MOMENT_S
    world.card = lambda now: first if now < late else then

    took = world.waits(rest)

    assert late < took <= late + 2 * MOMENT_S
    assert world.waits(rest) == pytest.approx(MOMENT_S)


@pytest.mark.parametrize("first", [HANDED_OVER, TAKEN, TOLD])
def test_what_is_owed_in_vain_is_waited_for_once(world: World, rest: Rest, first: Sight) -> None:
    """A filter drops the frame, a context descriptor makes none, a head outside the ring does not move."""
    world.card = lambda _: first

    waits = [world.waits(rest) for _ in range(2)]

    assert OWED_S <= waits[0] <= OWED_S + MOMENT_S
    assert waits[1] == pytest.approx(MOMENT_S)


def test_a_transmitter_that_is_off_owes_nothing(world: World, rest: Rest) -> None:
    """Descriptors that it was handed stay where they are."""
    world.card = lambda _: replace(HANDED_OVER, sends=False)

    assert world.waits(rest) == pytest.approx(MOMENT_S)


def test_frames_that_follow_each_other_are_all_waited_for(world: World, rest: Rest) -> None:
    """Each of them moves the end on: a segmented packet in a thousand pieces."""
    world.card = lambda now: replace(SENT, heard=min(100, 1 + int(now / 0.01)))

    world.waits(rest)

    assert world.look().heard == 100


def test_a_card_that_never_rests_is_not_waited_for_without_end(world: World, rest: Rest) -> None:
    """Its heads go round and round."""
    world.card = lambda now: replace(TAKEN, tx_heads=(int(now / 0.01), 0))

    assert MOST_S <= world.waits(rest) < MOST_S + 2 * MOMENT_S
