"""Whether a thread that waits looks or sleeps: decided by the pauses before, on a clock of the test's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest

from lab.host.busy_poll import LOOK_NS, TURN_NS, WAKING_NS, Patience

if TYPE_CHECKING:
    import select

READY = [(3, 1)]
LOOK_TAKES_NS = 1_000


class Answers:
    """An epoll, and a clock that only it moves: an answer comes ``after_ns`` from the first look or sleep."""

    def __init__(self) -> None:
        """Have no answer set."""
        self.now = 1_000_000
        self.after_ns = 0
        self.looks = self.sleeps = 0
        self._due: int | None = None

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Be ``select.epoll.poll``."""
        if self._due is None:
            self._due = self.now + self.after_ns
        if timeout:
            self.sleeps += 1
            end = self.now + int(timeout * 1e9)
            self.now = min(max(self._due, self.now), end)
        else:
            self.looks += 1
            self.now += LOOK_TAKES_NS
        if self.now < self._due:
            return []
        self._due = None
        return READY

    def clock(self) -> int:
        """Return the time."""
        return self.now


@pytest.fixture
def answers() -> Answers:
    """Return somebody who answers."""
    return Answers()


def patience(answers: Answers) -> Patience:
    """Return who waits for them."""
    return Patience(cast("select.epoll", answers), answers.clock)


def wait(waiting: Patience, answers: Answers, times: int, after_ns: int, *, answer: bool = True) -> None:
    """Wait some times for what takes so long."""
    answers.after_ns = after_ns
    for _ in range(times):
        assert waiting.wait(1.0, answer=answer) == READY


def test_answers_that_come_soon_are_looked_for_after_a_few(answers: Answers) -> None:
    """The first are slept through: nothing is known of them."""
    waiting = patience(answers)

    wait(waiting, answers, 20, LOOK_NS // 2)
    slept = answers.sleeps
    wait(waiting, answers, 20, LOOK_NS // 2)

    assert 4 <= slept <= 8
    assert answers.sleeps == slept


def test_what_comes_late_is_never_looked_for(answers: Answers) -> None:
    """Somebody who waits for what comes seldom burns nothing."""
    waiting = patience(answers)

    wait(waiting, answers, 50, LOOK_NS + WAKING_NS + 1)

    assert (answers.looks, answers.sleeps) == (0, 50)


def test_looking_ends_soon_after_the_answers_have_become_slow(answers: Answers) -> None:
    """At worst a few looks are for nothing, each as long as ``LOOK_NS``."""
    waiting = patience(answers)
    wait(waiting, answers, 40, LOOK_NS // 2)
    answers.looks = 0

    wait(waiting, answers, 40, 100 * LOOK_NS)

    assert 0 < answers.looks <= 8 * (LOOK_NS // LOOK_TAKES_NS + 1)
    assert answers.sleeps >= 40


def test_who_has_asked_for_nothing_sleeps(answers: Answers) -> None:
    """A transfer that only comes in needs the processor elsewhere."""
    waiting = patience(answers)
    wait(waiting, answers, 40, LOOK_NS // 2)
    answers.looks = 0

    wait(waiting, answers, 10, LOOK_NS // 2, answer=False)

    assert answers.looks == 0


def test_a_look_is_no_longer_than_the_wait(answers: Answers) -> None:
    """``most_s`` is kept, though nothing came."""
    waiting = patience(answers)
    wait(waiting, answers, 40, LOOK_NS // 2)
    answers.after_ns, began = 100 * LOOK_NS, answers.now

    got = waiting.wait(50e-6, answer=True)

    assert got == []
    assert answers.now - began <= 2 * 50_000 + LOOK_TAKES_NS


def test_looking_ends_when_somebody_else_wants_the_processor(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom the yield lets run for long has work to do: perhaps the very answer."""
    waiting = patience(answers)
    wait(waiting, answers, 40, LOOK_NS // 2)
    answers.looks = answers.sleeps = 0

    def give_way() -> None:
        answers.now += TURN_NS + 1

    monkeypatch.setattr(os, "sched_yield", give_way)
    wait(waiting, answers, 1, LOOK_NS - LOOK_TAKES_NS)

    assert (answers.looks, answers.sleeps) == (1, 1)
