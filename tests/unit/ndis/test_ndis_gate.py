"""The miniport lock of serialized drivers, by itself, and the levels that calls in it have."""

from __future__ import annotations

import random
from functools import partial

import pytest

from ndis.serialized import SerializedGate
from ntos.executive.interleaved import InterleavedExecutive
from ntos.executive.irql import Irql, IrqlModel
from ntos.executive.virtual import VirtualExecutive

SCHEDULES = 400


def test_a_call_from_inside_the_lock_is_made_after_the_one_that_posted_it() -> None:
    """It is made before ``post`` returns, by the holder, at DISPATCH_LEVEL; then the lock is free."""
    executive = VirtualExecutive()
    irql = IrqlModel(executive.context)
    gate = SerializedGate(executive, irql)
    seen: list[tuple[str, Irql]] = []

    def outer() -> None:
        gate.post(lambda: seen.append(("inner", irql.current)))
        seen.append(("outer", irql.current))

    gate.post(outer)

    assert seen == [("outer", Irql.DISPATCH), ("inner", Irql.DISPATCH)]
    assert (gate.holder, irql.current) == (None, Irql.PASSIVE)


def test_what_is_posted_during_an_exclusive_call_is_made_when_it_ends() -> None:
    """The exclusive call itself stays at PASSIVE_LEVEL."""
    executive = VirtualExecutive()
    irql = IrqlModel(executive.context)
    gate = SerializedGate(executive, irql)
    seen: list[tuple[str, Irql]] = []

    def initialize() -> str:
        gate.post(lambda: seen.append(("posted", irql.current)))
        seen.append(("exclusive", irql.current))
        return "done"

    answer = gate.exclusive(initialize)

    assert (answer, gate.holder) == ("done", None)
    assert seen == [("exclusive", Irql.PASSIVE), ("posted", Irql.DISPATCH)]


def test_a_level_that_is_higher_already_stays() -> None:
    """KeRaiseIrql never lowers, and each context has a level of its own."""
    cpu = 1
    irql = IrqlModel(lambda: cpu)

    outer = irql.raise_to(Irql.DEVICE)
    inner = irql.raise_to(Irql.DISPATCH)
    during = irql.current, irql.of(2)
    irql.lower_to(inner)
    after_inner = irql.current
    irql.lower_to(outer)

    assert during == (Irql.DEVICE, Irql.PASSIVE)
    assert (after_inner, irql.current) == (Irql.DEVICE, Irql.PASSIVE)


class Contest:
    """A gate that several CPUs want, on one schedule.

    Each call notes that it was made, and fails beside another. Changes of level are places to preempt, too.
    """

    def __init__(self, seed: int, switch_one_in: int) -> None:
        self.cpus = InterleavedExecutive(random.Random(seed), switch_one_in)
        self.irql = IrqlModel(self._context)
        self.gate = SerializedGate(self.cpus, self.irql)
        self.made: list[str] = []
        self._waiting = 0
        self._inside = 0

    def call(self, name: str, level: Irql) -> None:
        """Be alone at ``level`` for a while."""
        if level is Irql.DISPATCH:
            self._waiting -= 1
        else:
            assert self._waiting == 0, "an exclusive call has overtaken one that was there before it"
        assert self._inside == 0
        self._inside += 1
        assert self.irql.current == level
        for _ in range(3):
            self.cpus.preempt()
        self._inside -= 1
        self.made.append(name)

    def post(self, name: str) -> None:
        """Have three calls made, one after another."""
        for n in range(3):
            self._waiting += 1
            self.gate.post(partial(self.call, f"{name}{n}", Irql.DISPATCH))

    def take(self) -> None:
        """Take the lock for two calls of one's own."""
        for n in range(2):
            self.gate.exclusive(partial(self.call, f"x{n}", Irql.PASSIVE))

    def _context(self) -> int:
        self.cpus.preempt()
        return self.cpus.context()

    def of(self, name: str) -> list[str]:
        """Return the calls of one CPU in the order in which they were made."""
        return [one for one in self.made if one.startswith(name)]


@pytest.mark.parametrize("switch_one_in", [1, 3])
def test_on_any_schedule_one_context_is_inside_and_every_call_is_made_in_its_order(
    switch_one_in: int,
) -> None:
    """Three CPUs post, one wants the lock for itself twice; preemption inside the calls and at the guard."""
    for seed in range(SCHEDULES):
        contest = Contest(seed, switch_one_in)
        for name in "abc":
            contest.cpus.spawn(name, partial(contest.post, name))
        contest.cpus.spawn("x", contest.take)

        contest.cpus.run()

        assert [contest.of(name) for name in "abc"] == [[f"{name}{n}" for n in range(3)] for name in "abc"]
        assert contest.of("x") == ["x0", "x1"]
        assert contest.gate.holder is None
