"""The loop of a running host: who carries out what, and who is woken by whom."""

from __future__ import annotations

import operator
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from lab.host.live import LiveExecutive, LiveWaiter
from lab.host.locked_winsock import Entered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


PATIENCE_S = 60.0
PATIENCE_NS = 60_000_000_000
TICKS = 20


class Host:
    """A loop, a way to wait on it, and nothing above."""

    def __init__(self) -> None:
        """Start it."""
        self.executive = LiveExecutive()
        self.waiter = LiveWaiter(self.executive)
        self.executive.start()

    def wait_for(self, until: Callable[[], bool]) -> threading.Thread:
        """Wait for something on a thread of its own, as a blocking call does."""

        def call() -> None:
            with self.executive.entry:
                assert self.waiter.wait(until, PATIENCE_NS)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        return thread


class Asking:
    """Something to call: it has the loop do something, and answers or refuses."""

    def __init__(self, executive: LiveExecutive, ran_on: list[int]) -> None:
        """Note in ``ran_on`` which thread did it."""
        self._executive = executive
        self._ran_on = ran_on

    def ask(self, number: int) -> int:
        """Return twice as much. ValueError below 0."""
        assert self._executive.is_entered
        self._executive.queue_dpc("asked", lambda: self._ran_on.append(threading.get_ident()))
        if number < 0:
            raise ValueError("refused")
        return 2 * number


@pytest.fixture
def host() -> Iterator[Host]:
    """Run a loop."""
    made = Host()
    yield made
    made.executive.stop()
    made.executive.close()


def test_what_a_call_asked_for_is_carried_out_by_its_own_thread_before_it_returns(host: Host) -> None:
    """No other thread has to wake for it."""
    ran_on: list[int] = []

    with host.executive.entry:
        host.executive.queue_dpc("asked", lambda: ran_on.append(threading.get_ident()))
        before = list(ran_on)

    assert before == []
    assert ran_on == [threading.get_ident()]


def test_a_method_of_an_entered_object_is_carried_out_like_a_call_between_enter_and_leave(host: Host) -> None:
    """Also one that raises: what it asked for is done, and the next thread's wish wakes the loop again."""
    ran_on: list[int] = []
    entered = Entered(Asking(host.executive, ran_on), host.executive)

    answer = entered.ask(2)
    with pytest.raises(ValueError, match="refused"):
        entered.ask(-1)

    assert answer == 4
    assert ran_on == [threading.get_ident()] * 2
    assert not host.executive.is_entered
    assert not host.executive.lock._is_owned()  # type: ignore[attr-defined]  # threading's own condition asks so


def test_the_loop_is_woken_for_a_kick_unless_a_thread_will_see_to_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is entered, or runs what is queued, looks at the queue before it leaves."""
    kicked: list[str] = []
    host.waiter.kick_stack = lambda: kicked.append("kicked")
    monkeypatch.setattr(host.executive, "wake", lambda: kicked.append("woken"))

    with host.executive.entry:
        host.waiter.kick()
        host.executive.queue_dpc("asked", host.waiter.kick)
    inside = list(kicked)
    with host.executive.lock:
        host.waiter.kick()
    monkeypatch.undo()

    assert inside == ["kicked", "kicked"]
    assert kicked == ["kicked", "kicked", "kicked", "woken"]


def test_every_waiting_thread_is_told_when_another_s_call_makes_its_condition_true(host: Host) -> None:
    """One of them turns the loop, the others sleep; which is which does not matter."""
    happened: list[int] = []
    threads = [host.wait_for(partial(operator.contains, happened, n)) for n in range(4)]

    for n in (2, 0, 3, 1):
        with host.executive.entry:
            host.executive.queue_dpc("happens", partial(happened.append, n))
        threads[n].join(PATIENCE_S)

    assert not any(thread.is_alive() for thread in threads)


def test_descriptors_are_served_while_a_thread_waits_and_after_it_has_left(host: Host) -> None:
    """The waiting thread serves the first; then the loop's own thread has them again."""
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    served = threading.Semaphore(0)
    count: list[int] = []

    def ready() -> None:
        count.append(os.eventfd_read(fd))
        served.release()

    with host.executive.entry:
        host.executive.watch(fd, ready, edge=True)
    thread = host.wait_for(lambda: bool(count))
    os.eventfd_write(fd, 1)
    thread.join(PATIENCE_S)
    for _ in range(20):
        os.eventfd_write(fd, 1)
        assert served.acquire(timeout=PATIENCE_S)

    with host.executive.entry:
        host.executive.unwatch(fd)
    os.close(fd)
    assert not thread.is_alive()


def test_the_loop_s_own_thread_does_not_wake_itself_for_the_one_that_waits(host: Host) -> None:
    """That one is awake, and wants the lock: a thread that turns for nothing keeps it from it."""
    executive, ticks, over = host.executive, threading.Semaphore(0), threading.Event()
    fd = os.eventfd(0, os.EFD_NONBLOCK)

    def tick() -> None:
        os.eventfd_write(fd, 1)  # wakes the thread that waits
        time.sleep(0.005)
        ticks.release()

    with executive.entry:
        executive.watch(fd, lambda: None, edge=True)
    thread = host.wait_for(over.is_set)
    before = executive.turns

    for _ in range(TICKS):
        with executive.lock:
            executive.call_at(executive.now_us(), "tick", tick)
        assert ticks.acquire(timeout=PATIENCE_S)
    turns = executive.turns - before
    with executive.entry:
        executive.queue_dpc("over", over.set)
    thread.join(PATIENCE_S)

    with executive.entry:
        executive.unwatch(fd)
    os.close(fd)
    assert not thread.is_alive()
    assert turns <= 3 * TICKS


def test_a_timer_that_was_set_while_a_thread_led_fires_after_it_has_left(host: Host) -> None:
    """Its thread may do something else for ever: the loop's own sees to it."""
    fired = threading.Event()
    happened: list[int] = []
    thread = host.wait_for(lambda: bool(happened))

    def happens() -> None:
        happened.append(1)
        host.executive.call_at(host.executive.now_us() + 20_000, "later", fired.set)

    with host.executive.entry:
        host.executive.queue_dpc("happens", happens)
    thread.join(PATIENCE_S)

    assert fired.wait(PATIENCE_S)


def test_a_wait_ends_when_its_time_is_over_though_nothing_happens(host: Host) -> None:
    """By False, whichever way it waited."""
    with host.executive.entry:
        over = host.waiter.wait(lambda: False, 1_000_000)

    assert not over
