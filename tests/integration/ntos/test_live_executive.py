"""The executive of a running host: who carries out what, who is woken by whom, and what a failure ends."""

from __future__ import annotations

import enum
import operator
import os
import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest
from structlog.testing import capture_logs

from lab.host.locked_winsock import Entered
from ntos.errors import BugCheckError
from ntos.executive.contract import MILLISECOND, SECOND, Wait, WaitFor
from ntos.executive.dispatcher import Event, Mutex, Semaphore
from ntos.executive.live import LiveExecutive, StoppedError
from ntos.executive.live_states import (
    DUTY_TRANSITIONS,
    LEAD_TRANSITIONS,
    LIFE_TRANSITIONS,
    Duty,
    Lead,
    Life,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PATIENCE_S = 60.0
PATIENCE_NS = 60 * SECOND
TICKS = 20
S = TypeVar("S", bound=enum.Enum)


class Waiting:
    """A thread that waits, as a blocking call of a program does."""

    def __init__(self, executive: LiveExecutive, until: Callable[[], bool]) -> None:
        """Start it, and return when it waits."""
        self.held: bool | None = None
        self._executive, self._until = executive, until
        self.thread = threading.Thread(target=self._run, daemon=True)
        before = executive.waiting
        self.thread.start()
        while executive.waiting == before and self.held is None:
            time.sleep(0.001)

    def join(self) -> bool:
        """Return whether it ended because its condition held."""
        self.thread.join(PATIENCE_S)
        return bool(self.held)

    def _run(self) -> None:
        with self._executive.entry:
            self.held = self._executive.wait(self._until, "the test", PATIENCE_NS)


class Asking:
    """Something to call: it has the loop do something, and answers or refuses."""

    def __init__(self, executive: LiveExecutive, ran_on: list[int]) -> None:
        """Note in ``ran_on`` which thread did it."""
        self._executive = executive
        self._ran_on = ran_on

    def ask(self, number: int) -> int:
        """Return twice as much. ValueError below 0."""
        assert self._executive.duty is Duty.ENTERED
        self._executive.queue_dpc("asked", lambda: self._ran_on.append(threading.get_ident()))
        if number < 0:
            raise ValueError("refused")
        return 2 * number


@pytest.fixture
def executive() -> Iterator[LiveExecutive]:
    """Run one."""
    made = LiveExecutive()
    made.start()
    yield made
    made.stop()
    made.close()


def test_what_a_call_asked_for_is_carried_out_by_its_own_thread_before_it_returns(
    executive: LiveExecutive,
) -> None:
    """No other thread has to wake for it."""
    ran_on: list[int] = []

    with executive.entry:
        executive.queue_dpc("asked", lambda: ran_on.append(threading.get_ident()))
        before = list(ran_on)

    assert before == []
    assert ran_on == [threading.get_ident()]


def test_a_method_of_an_entered_object_is_carried_out_like_a_call_between_enter_and_leave(
    executive: LiveExecutive,
) -> None:
    """Also one that raises: what it asked for is done, and the next DPC wakes the loop again."""
    ran_on: list[int] = []
    entered = Entered(Asking(executive, ran_on), executive)

    answer = entered.ask(2)
    with pytest.raises(ValueError, match="refused"):
        entered.ask(-1)

    assert answer == 4
    assert ran_on == [threading.get_ident()] * 2
    assert executive.duty is Duty.IDLE
    assert not executive.lock._is_owned()  # type: ignore[attr-defined]  # threading's own condition asks so


def test_a_call_from_inside_a_call_gives_the_lock_up_entirely_while_it_waits(
    executive: LiveExecutive,
) -> None:
    """Else no other thread could make its condition true."""
    happened: list[int] = []

    def call() -> bool:
        with executive.entry, executive.entry:
            return executive.wait(lambda: bool(happened), "another thread", PATIENCE_NS)

    held: list[bool] = []
    thread = threading.Thread(target=lambda: held.append(call()), daemon=True)
    thread.start()
    while not executive.waiting:
        time.sleep(0.001)
    with executive.entry:
        happened.append(1)
    thread.join(PATIENCE_S)

    assert held == [True]
    assert (executive.nested, executive.duty) == (0, Duty.IDLE)


def test_a_dpc_from_any_thread_runs_though_nobody_waits(executive: LiveExecutive) -> None:
    """The loop's own thread is woken for it."""
    ran = threading.Event()

    executive.queue_dpc("from outside", ran.set)

    assert ran.wait(PATIENCE_S)


def test_every_waiting_thread_is_woken_when_another_s_call_makes_its_condition_true(
    executive: LiveExecutive,
) -> None:
    """One of them leads, the others follow; which is which does not matter."""
    happened: list[int] = []
    threads = [Waiting(executive, partial(operator.contains, happened, n)) for n in range(4)]

    for n in (2, 0, 3, 1):
        with executive.entry:
            executive.queue_dpc("happens", partial(happened.append, n))
        assert threads[n].join()


def test_a_waiting_thread_is_woken_by_a_call_that_asks_for_nothing(executive: LiveExecutive) -> None:
    """An event that another thread sets is enough, whether the thread leads or follows."""
    events = [Event() for _ in range(3)]
    threads = [
        Waiting(executive, partial(event.is_signalled_for, executive.current_thread())) for event in events
    ]

    for event, thread in zip(reversed(events), reversed(threads), strict=True):
        with executive.entry:
            event.set()
        assert thread.join()


def test_only_threads_whose_conditions_hold_are_woken(executive: LiveExecutive) -> None:
    """A call wakes none of those that wait for something else."""
    evaluated_on: Counter[int] = Counter()

    def never() -> bool:
        evaluated_on[threading.get_ident()] += 1
        return over.is_set()

    over = threading.Event()
    leader = Waiting(executive, over.is_set)
    follower = Waiting(executive, never)
    ident = follower.thread.ident or 0
    before = evaluated_on[ident]
    for _ in range(TICKS):
        with executive.entry:
            executive.queue_dpc("nothing", lambda: None)
    after = evaluated_on[ident]
    over.set()
    with executive.entry:
        pass

    assert leader.join()
    assert follower.join()
    assert after == before


def test_descriptors_are_served_while_a_thread_waits_and_after_it_has_left(executive: LiveExecutive) -> None:
    """The waiting thread serves the first; then the loop's own thread has them again."""
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    served = threading.Semaphore(0)
    count: list[int] = []

    def ready() -> None:
        count.append(os.eventfd_read(fd))
        served.release()

    with executive.entry:
        executive.watch(fd, ready, edge=True)
    waiting = Waiting(executive, lambda: bool(count))
    os.eventfd_write(fd, 1)
    held = waiting.join()
    for _ in range(20):
        os.eventfd_write(fd, 1)
        assert served.acquire(timeout=PATIENCE_S)

    with executive.entry:
        executive.unwatch(fd)
    os.close(fd)
    assert held


def test_the_loop_s_own_thread_does_not_wake_itself_for_the_one_that_waits(executive: LiveExecutive) -> None:
    """That one is awake, and wants the lock: a thread that turns for nothing keeps it from it."""
    ticks, over = threading.Semaphore(0), threading.Event()
    fd = os.eventfd(0, os.EFD_NONBLOCK)

    def tick() -> None:
        os.eventfd_write(fd, 1)  # wakes the thread that waits
        time.sleep(0.005)
        ticks.release()

    with executive.entry:
        executive.watch(fd, lambda: None, edge=True)
    waiting = Waiting(executive, over.is_set)
    before = executive.turns

    for _ in range(TICKS):
        executive.call_at(executive.now_ns(), "tick", tick)
        assert ticks.acquire(timeout=PATIENCE_S)
    turns = executive.turns - before
    with executive.entry:
        executive.queue_dpc("over", over.set)
    held = waiting.join()

    with executive.entry:
        executive.unwatch(fd)
    os.close(fd)
    assert held
    assert turns <= 3 * TICKS


def test_a_timer_that_was_set_while_a_thread_led_fires_after_it_has_left(executive: LiveExecutive) -> None:
    """Its thread may do something else for ever: the loop's own sees to it."""
    fired = threading.Event()
    happened: list[int] = []
    waiting = Waiting(executive, lambda: bool(happened))

    def happens() -> None:
        happened.append(1)
        executive.call_at(executive.now_ns() + 20 * MILLISECOND, "later", fired.set)

    with executive.entry:
        executive.queue_dpc("happens", happens)
    waiting.join()

    assert fired.wait(PATIENCE_S)


def test_a_wait_ends_when_its_time_is_over_though_nothing_happens(executive: LiveExecutive) -> None:
    """By False, whichever way it waited."""
    with executive.entry:
        held = executive.wait(lambda: False, "nothing", MILLISECOND)

    assert not held


def test_system_threads_wait_for_dispatcher_objects_and_one_another(executive: LiveExecutive) -> None:
    """A blocking server and its client, as they run on a virtual clock."""
    questions, answers = Semaphore(0, 10), Semaphore(0, 10)
    log: list[str] = []

    def serve() -> None:
        for number in range(3):
            executive.wait_for_objects([questions])
            log.append(f"answer {number}")
            answers.release()

    def ask() -> None:
        for number in range(3):
            log.append(f"question {number}")
            questions.release()
            executive.wait_for_objects([answers])

    threads = [executive.create_thread(serve, "server"), executive.create_thread(ask, "client")]
    with executive.entry:
        ended = executive.wait_for_objects(threads, WaitFor.ALL, PATIENCE_NS)

    assert ended == Wait(0)
    assert log == [f"{what} {number}" for number in range(3) for what in ("question", "answer")]


def test_a_system_thread_that_ends_abandons_its_mutex(executive: LiveExecutive) -> None:
    """And a thread of the program can own it, too."""
    mutex = Mutex()

    def take() -> None:
        executive.wait_for_objects([mutex])

    thread = executive.create_thread(take, "careless")
    with executive.entry:
        executive.wait_for_objects([thread], timeout_ns=PATIENCE_NS)
        ended = executive.wait_for_objects([mutex], timeout_ns=PATIENCE_NS)
        freed = mutex.release(executive.current_thread())

    assert ended == Wait(0, is_abandoned=True)
    assert freed


def test_work_items_begin_in_order_and_may_wait_for_later_ones(executive: LiveExecutive) -> None:
    """Each that waits leaves the others a thread; the loop's own stays free for DPCs."""
    began: list[int] = []
    ended = threading.Semaphore(0)

    def work(number: int) -> None:
        began.append(number)
        executive.wait(lambda: len(began) == 5, "the last")
        ended.release()

    for number in range(5):
        executive.queue_work_item("work", partial(work, number))
    for _ in range(5):
        assert ended.acquire(timeout=PATIENCE_S)

    assert began == [0, 1, 2, 3, 4]


def test_a_routine_that_fails_is_counted_and_logged_and_the_host_goes_on(executive: LiveExecutive) -> None:
    """One packet's failure: neither the loop's thread nor the thread that carried it out ends."""

    def fail() -> None:
        raise ValueError("a bad packet")

    done = threading.Semaphore(0)
    with capture_logs() as logs:
        with executive.entry:
            executive.queue_dpc("by a caller", fail)
        executive.queue_dpc("by the loop", fail)
        executive.call_at(executive.now_ns(), "by a timer", fail)
        executive.call_at(executive.now_ns() + MILLISECOND, "after all", done.release)
        assert done.acquire(timeout=PATIENCE_S)

    assert executive.failures == Counter({"by a caller": 1, "by the loop": 1, "by a timer": 1})
    assert executive.life is Life.RUNNING
    assert sorted((one["event"], one["routine"], one["log_level"]) for one in logs) == [
        ("executive.routine.failed", routine, "error")
        for routine in ("by a caller", "by a timer", "by the loop")
    ]
    assert all(isinstance(one["exc_info"], ValueError) for one in logs)


def test_a_descriptor_whose_handler_fails_is_served_again(executive: LiveExecutive) -> None:
    """The failure of one frame's arrival does not end the card's interrupts."""
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    served = threading.Semaphore(0)

    def ready() -> None:
        os.eventfd_read(fd)
        served.release()
        raise ValueError("a bad frame")

    with capture_logs():
        with executive.entry:
            executive.watch(fd, ready, edge=True)
        for _ in range(3):
            os.eventfd_write(fd, 1)
            assert served.acquire(timeout=PATIENCE_S)
        with executive.entry:
            executive.unwatch(fd)
    os.close(fd)

    assert executive.failures == {f"descriptor {fd}": 3}


def test_a_bug_check_stops_the_system_and_every_wait() -> None:
    """KeBugCheckEx: nothing goes on, and ``stop`` raises it."""
    executive = LiveExecutive()
    executive.start()
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            with executive.entry:
                executive.wait(lambda: False, "nothing", PATIENCE_NS)
        except BugCheckError as error:
            errors.append(error)

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    while executive.waiting < 3:
        time.sleep(0.001)

    def check() -> None:
        raise BugCheckError("a driver broke a rule")

    executive.queue_dpc("check", check)
    for thread in threads:
        thread.join(PATIENCE_S)
    with pytest.raises(BugCheckError, match="broke a rule"):
        executive.stop()
    executive.close()

    assert len(errors) == 3
    assert executive.failures == {}


def test_stopping_ends_the_waits_of_every_kind_of_thread() -> None:
    """By StoppedError, which ends a system thread as if it had returned."""
    executive = LiveExecutive()
    executive.start()
    ends: list[str] = []

    def wait_for_ever() -> None:
        executive.wait(lambda: False, "nothing")

    def program() -> None:
        try:
            with executive.entry:
                wait_for_ever()
        except StoppedError:
            ends.append("program")

    thread = executive.create_thread(wait_for_ever, "server")
    executive.queue_work_item("work", wait_for_ever)
    machine = threading.Thread(target=program, daemon=True)
    machine.start()
    while executive.waiting < 3:
        time.sleep(0.001)

    executive.stop()
    machine.join(PATIENCE_S)
    executive.close()

    assert ends == ["program"]
    assert thread.has_ended
    assert executive.failures == {}


def test_before_it_is_started_a_failure_goes_to_whoever_turns_the_loop() -> None:
    """Nothing is contained where a test or a tool steps it."""
    executive = LiveExecutive()

    def fail() -> None:
        raise ValueError("a bug")

    executive.queue_dpc("fail", fail)

    with pytest.raises(ValueError, match="a bug"):
        executive.run()
    executive.close()


class Watched(LiveExecutive):
    """Holds every move against the tables of ``live_states``."""

    def __init__(self) -> None:
        self.moves: set[tuple[enum.Enum, enum.Enum]] = set()
        super().__init__()

    def __setattr__(self, name: str, value: object) -> None:
        """Note a move of one of the three states."""
        if name in ("life", "duty", "lead") and hasattr(self, name) and getattr(self, name) is not value:
            self.moves.add((getattr(self, name), value))  # type: ignore[arg-type]  # states
        super().__setattr__(name, value)


def _pairs(table: Mapping[tuple[S, str], S]) -> set[tuple[S, S]]:
    return {(before, after) for (before, _event), after in table.items()}


def test_every_move_of_a_busy_executive_is_in_the_tables() -> None:
    """Callers, waits in routines, work items, descriptors and a bug check on several threads."""
    executive = Watched()
    executive.start()
    happened: list[int] = []

    def program(first: int) -> None:
        for n in range(first, first + 20):
            with executive.entry:
                executive.queue_dpc("happens", partial(happened.append, n))
                executive.wait(partial(operator.contains, happened, n), "it", PATIENCE_NS)

    def waits_inside() -> None:
        executive.wait(lambda: False, "time", MILLISECOND)
        happened.append(-1)

    threads = [threading.Thread(target=program, args=(100 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    executive.queue_dpc("waits", waits_inside)
    executive.queue_work_item("works", waits_inside)
    for thread in threads:
        thread.join(PATIENCE_S)
    with executive.entry:
        executive.wait(lambda: happened.count(-1) == 2, "both", PATIENCE_NS)
    leader = Waiting(executive, lambda: 999 in happened)
    with executive.entry:
        happened.append(999)
    leader.join()
    executive.stop()
    executive.close()

    drawn = _pairs(LIFE_TRANSITIONS) | _pairs(DUTY_TRANSITIONS) | _pairs(LEAD_TRANSITIONS)
    assert executive.moves - drawn == set()
    assert {
        (Lead.NOBODY, Lead.WAITING),
        (Lead.WAITING, Lead.CALLED),
        (Duty.WORKING, Duty.IDLE),
    } <= executive.moves
