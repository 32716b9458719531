"""Whether a thread that waits polls or sleeps: decided by the pauses before, on a clock of the test's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest

from ntos.executive.busy_poll import POLL_NS, WAKE_UP_NS, YIELD_NS, BusyPoll

if TYPE_CHECKING:
    import select

READY = [(3, 1)]
ONE_POLL_NS = 1_000


class Answers:
    """An epoll, and a clock that only it moves: an answer comes ``after_ns`` from the first poll or sleep."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.after_ns = 0
        self.polls = self.sleeps = 0
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
            self.polls += 1
            self.now += ONE_POLL_NS
        if self.now < self._due:
            return []
        self._due = None
        return READY

    def clock(self) -> int:
        """Return the time."""
        return self.now


@pytest.fixture
def answers() -> Answers:
    """Return an epoll with answers."""
    return Answers()


def busy_poll(answers: Answers) -> BusyPoll:
    """Return what waits for them."""
    return BusyPoll(cast("select.epoll", answers), answers.clock)


def wait(waiting: BusyPoll, answers: Answers, times: int, after_ns: int, *, answer: bool = True) -> None:
    """Wait some times for what takes so long."""
    answers.after_ns = after_ns
    for _ in range(times):
        assert waiting.wait(1.0, answer=answer) == READY


def test_answers_that_come_soon_are_polled_for_after_a_few(answers: Answers) -> None:
    """The first are slept through: nothing is known of them."""
    waiting = busy_poll(answers)

    wait(waiting, answers, 20, POLL_NS // 2)
    slept = answers.sleeps
    wait(waiting, answers, 20, POLL_NS // 2)

    assert 4 <= slept <= 8
    assert answers.sleeps == slept


def test_what_comes_late_is_never_polled_for(answers: Answers) -> None:
    """A thread that waits for rare events burns nothing."""
    waiting = busy_poll(answers)

    wait(waiting, answers, 50, POLL_NS + WAKE_UP_NS + 1)

    assert (answers.polls, answers.sleeps) == (0, 50)


def test_polling_ends_soon_after_the_answers_have_become_slow(answers: Answers) -> None:
    """At worst a few rounds of polling are for nothing, each as long as ``POLL_NS``."""
    waiting = busy_poll(answers)
    wait(waiting, answers, 40, POLL_NS // 2)
    answers.polls = 0

    wait(waiting, answers, 40, 100 * POLL_NS)

    assert 0 < answers.polls <= 8 * (POLL_NS // ONE_POLL_NS + 1)
    assert answers.sleeps >= 40


def test_a_thread_that_has_asked_for_nothing_sleeps(answers: Answers) -> None:
    """A transfer that only comes in needs the processor elsewhere."""
    waiting = busy_poll(answers)
    wait(waiting, answers, 40, POLL_NS // 2)
    answers.polls = 0

    wait(waiting, answers, 10, POLL_NS // 2, answer=False)

    assert answers.polls == 0


def test_polling_is_no_longer_than_the_wait(answers: Answers) -> None:
    """``most_s`` is kept, though nothing came."""
    waiting = busy_poll(answers)
    wait(waiting, answers, 40, POLL_NS // 2)
    answers.after_ns, began = 100 * POLL_NS, answers.now

    got = waiting.wait(50e-6, answer=True)

    assert got == []
    assert answers.now - began <= 2 * 50_000 + ONE_POLL_NS


def test_polling_ends_when_another_thread_wants_the_processor(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that runs for long after the yield has work to do: perhaps the very answer."""
    waiting = busy_poll(answers)
    wait(waiting, answers, 40, POLL_NS // 2)
    answers.polls = answers.sleeps = 0

    def give_way() -> None:
        answers.now += YIELD_NS + 1

    monkeypatch.setattr(os, "sched_yield", give_way)
    wait(waiting, answers, 1, POLL_NS - ONE_POLL_NS)

    assert (answers.polls, answers.sleeps) == (1, 1)
