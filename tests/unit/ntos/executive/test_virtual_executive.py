"""The executive whose clock jumps: what is particular to it."""

from __future__ import annotations

import pytest

from ntos.executive.contract import SECOND, StuckError
from ntos.executive.dispatcher import Mutex
from ntos.executive.virtual import VirtualExecutive


class Ticker:
    """A source of time: due every 3 s, three times."""

    def __init__(self) -> None:
        self.times: list[int] = []

    def next_deadline(self) -> int | None:
        """Return when the next tick is due."""
        return 3 * SECOND * (len(self.times) + 1) if len(self.times) < 3 else None

    def advance(self, now: int) -> None:
        """Tick."""
        self.times.append(now // SECOND)


class Log:
    """An instrument that writes down."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def routine_begins(self, name: str) -> None:
        """Note it."""
        self.lines.append(f"+{name}")

    def routine_ends(self, name: str) -> None:
        """Note it."""
        self.lines.append(f"-{name}")

    def thread_waits(self, thread: str, what: str) -> None:
        """Note it."""
        self.lines.append(f"{thread} waits for {what}")


def test_timers_and_sources_of_time_share_one_clock() -> None:
    """In order of time, and a timer before a source of the same time."""
    executive, ticker = VirtualExecutive(), Ticker()
    executive.add_source(ticker)
    seen: list[int] = []
    for second in (6, 7):
        executive.call_at(second * SECOND, "timer", lambda: seen.append(len(ticker.times)))

    executive.advance(8 * SECOND)

    assert ticker.times == [3, 6]
    assert seen == [1, 2]
    assert executive.now_ns() == 8 * SECOND


def test_what_a_thread_raises_is_raised_where_the_clock_is_turned() -> None:
    """And it has ended: what it owned is free."""
    executive, mutex = VirtualExecutive(), Mutex()

    def fail() -> None:
        executive.wait_for_objects([mutex])
        raise ValueError("a bug")

    thread = executive.create_thread(fail, "failing")

    with pytest.raises(ValueError, match="a bug"):
        executive.run()

    assert thread.has_ended
    assert mutex.owner is None


def test_a_stuck_wait_names_the_threads_that_wait_too() -> None:
    """Which is how a deadlock is read."""
    executive = VirtualExecutive()

    def serve() -> None:
        executive.wait(lambda: False, "the moon")

    executive.create_thread(serve, "server")

    with pytest.raises(StuckError, match=r"waiting for the sun; server waits for the moon"):
        executive.wait(lambda: False, "the sun")


def test_an_instrument_sees_what_runs_and_what_waits() -> None:
    """In order, without changing it."""
    log = Log()
    executive = VirtualExecutive(instrument=log)

    def sleep() -> None:
        executive.wait(lambda: executive.now_ns() > 0, "time")

    executive.create_thread(sleep, "thread")
    executive.queue_dpc("dpc", lambda: None)
    executive.call_at(SECOND, "timer", lambda: None)

    executive.advance(SECOND)

    assert log.lines == [
        *("+dpc", "-dpc"),
        *("+thread", "thread waits for time", "-thread"),
        *("+timer", "-timer"),
        *("+thread", "-thread"),
    ]
