"""Seeded interleavings of send, interrupt, DPC, request and reset: no invariant breaks.

The long run is ``ringwalk conform --suite schedules --count 100000``.
"""

from __future__ import annotations

import random

import pytest

from lab.trials.suites.schedules import play
from lab.trials.suites.world import CARDS, Card, FreeCard, World
from ndis.status import Status
from ntos.executive.interleaved import InterleavedExecutive

SCHEDULES = 300


@pytest.mark.parametrize("mode", CARDS)
def test_no_schedule_breaks_an_invariant(mode: str) -> None:
    """Every packet comes back once, order per flow holds, one context inside a serialized driver."""
    chunk = play(mode, 0, SCHEDULES)

    assert chunk.faults == ()
    assert chunk.played == SCHEDULES
    assert chunk.most == 1 if mode == "serialized" else chunk.most > 1


def test_a_request_completed_while_a_reset_aborts_it_is_given_back_once() -> None:
    """One of 100,000 schedules had the driver's completion and the reset's end take the same request."""
    assert play("deserialized", 32793, 1).faults == ()


def test_the_same_seed_gives_the_same_schedule() -> None:
    """What the wire saw and the order of completions are equal."""
    interleaver = InterleavedExecutive(random.Random(0))
    runs = []
    for seed in (7, 7, 8):
        world = World(interleaver, FreeCard, seed)
        world.play()
        runs.append((world.card.wire, [p.number for p, _ in world.client.sent]))

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


class Careless(FreeCard):
    """Takes a packet out of the ring without its lock, in two steps."""

    def dpc(self) -> None:
        """Complete what was seen before another CPU could look."""
        done = list(self.ring)
        with self.lock:
            self.ring.clear()
        for packet in done:
            self.ndis.send_complete(packet, Status.SUCCESS)


class Overtaking(Card):
    """Puts later packets of an array before earlier ones."""

    def post(self, packet: object) -> None:
        """Write the wire's record from the back."""
        super().post(packet)  # type: ignore[arg-type]  # a double: NDIS gives packets only
        self.wire.sort(reverse=True)


@pytest.mark.parametrize("card", [Careless, Overtaking])
def test_a_driver_with_a_race_is_found(card: type[Card], monkeypatch: pytest.MonkeyPatch) -> None:
    """By some of a hundred schedules, and by the same ones again."""
    monkeypatch.setitem(CARDS, "bad", card)

    first, again = play("bad", 0, 100), play("bad", 0, 100)

    assert first.faults
    assert [(f.seed, f.what.split("<")[0]) for f in first.faults] == [
        (f.seed, f.what.split("<")[0]) for f in again.faults
    ]
