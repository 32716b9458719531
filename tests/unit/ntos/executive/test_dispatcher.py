"""What a thread can wait for, and how a wait ends: the rules of the kernel's dispatcher objects."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ntos.errors import BugCheckError
from ntos.executive.contract import MILLISECOND, SECOND, StuckError, Wait, WaitFor, expect
from ntos.executive.dispatcher import (
    Dpc,
    Event,
    MutantNotOwnedError,
    Mutex,
    Semaphore,
    SemaphoreLimitExceededError,
    WaitableTimer,
)
from ntos.executive.interleaved import InterleavedExecutive
from ntos.executive.irql import Irql
from ntos.executive.live import LiveExecutive
from ntos.executive.virtual import VirtualExecutive

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.contract import Executive

KINDS: dict[str, Callable[[], Executive]] = {
    "virtual": VirtualExecutive,
    "interleaved": lambda: InterleavedExecutive(random.Random(1)),
}


@pytest.fixture(params=KINDS)
def executive(request: pytest.FixtureRequest) -> Executive:
    """Run on each clock that needs no thread."""
    return KINDS[request.param]()


def test_a_notification_event_releases_all_and_a_synchronization_event_one(executive: Executive) -> None:
    """KeSetEvent."""
    every, single = Event(), Event(manual=False)
    released: list[str] = []

    def waits(event: Event, name: str) -> None:
        if executive.wait_for_objects([event], timeout_ns=SECOND).index == 0:
            released.append(name)

    def set_both() -> None:
        every.set()
        single.set()

    for name in ("a", "b"):
        executive.create_thread(partial(waits, every, f"every {name}"), name)
        executive.create_thread(partial(waits, single, f"single {name}"), name)
    executive.call_at(executive.now_ns() + MILLISECOND, "set", set_both)
    executive.wait(lambda: len(released) > 2, "all", 2 * SECOND)

    assert sorted(name.split()[0] for name in released) == ["every", "every", "single"]
    assert (every.signalled, single.signalled) == (True, False)


def test_a_semaphore_lets_as_many_in_as_it_counts(executive: Executive) -> None:
    """And refuses a release beyond its limit, which changes nothing."""
    semaphore = Semaphore(2, 3)

    ends = [executive.wait_for_objects([semaphore], timeout_ns=MILLISECOND).index for _ in range(3)]
    before = semaphore.release(3)
    with pytest.raises(SemaphoreLimitExceededError):
        semaphore.release()

    assert ends == [0, 0, None]
    assert (before, semaphore.count) == (0, 3)


def test_a_mutex_is_its_owner_s_as_often_as_he_waits_and_nobody_else_s(executive: Executive) -> None:
    """KeReleaseMutex by another thread is refused."""
    mutex = Mutex()
    me = executive.current_thread()
    seen: list[Wait] = []

    def other() -> None:
        seen.append(executive.wait_for_objects([mutex], timeout_ns=MILLISECOND))
        with pytest.raises(MutantNotOwnedError):
            mutex.release(executive.current_thread())

    mine = [executive.wait_for_objects([mutex]) for _ in range(2)]
    thread = executive.create_thread(other, "other")
    executive.wait_for_objects([thread])
    freed = [mutex.release(me), mutex.release(me)]

    assert mine == [Wait(0), Wait(0)]
    assert seen == [Wait(None)]
    assert freed == [False, True]


def test_a_thread_that_ends_abandons_its_mutex_and_the_next_owner_is_told_once(executive: Executive) -> None:
    """STATUS_ABANDONED_WAIT_0: what the mutex guards may be half done."""
    mutex = Mutex()

    def take() -> None:
        executive.wait_for_objects([mutex])

    executive.wait_for_objects([executive.create_thread(take, "careless")])

    first = executive.wait_for_objects([mutex], timeout_ns=SECOND)
    second = executive.wait_for_objects([mutex], timeout_ns=SECOND)

    assert (first, second) == (Wait(0, is_abandoned=True), Wait(0))


def test_a_wait_for_any_takes_the_first_and_leaves_the_others(executive: Executive) -> None:
    """The lowest index of those that are signalled."""
    events = [Event(manual=False, signalled=signalled) for signalled in (False, True, True)]

    ended = executive.wait_for_objects(events)

    assert ended == Wait(1)
    assert [event.signalled for event in events] == [False, False, True]


def test_a_wait_for_all_takes_nothing_until_all_are_there(executive: Executive) -> None:
    """Half of them stay as they are when the time is over."""
    event, semaphore = Event(manual=False, signalled=True), Semaphore(0, 1)

    in_vain = executive.wait_for_objects([event, semaphore], WaitFor.ALL, MILLISECOND)
    before = event.signalled
    semaphore.release()
    ended = executive.wait_for_objects([event, semaphore], WaitFor.ALL, MILLISECOND)

    assert (in_vain, before) == (Wait(None), True)
    assert (ended, event.signalled, semaphore.count) == (Wait(0), False, 0)


@pytest.mark.parametrize("count", [0, 65])
def test_a_wait_for_no_object_or_too_many_is_refused(executive: Executive, count: int) -> None:
    """MAXIMUM_WAIT_OBJECTS is 64."""
    with pytest.raises(ValueError, match="objects"):
        executive.wait_for_objects([Event(signalled=True) for _ in range(count)])


def test_a_wait_for_all_of_an_object_twice_is_refused(executive: Executive) -> None:
    """STATUS_INVALID_PARAMETER_MIX: a semaphore could not be taken twice at once."""
    semaphore = Semaphore(1, 1)

    with pytest.raises(ValueError, match="twice"):
        executive.wait_for_objects([semaphore, semaphore], WaitFor.ALL)


def test_a_timer_is_signalled_at_its_time_and_a_periodic_one_again(executive: Executive) -> None:
    """KeSetTimerEx; a cancelled one is not."""
    timer, never = WaitableTimer(executive, manual=False), WaitableTimer(executive)
    start_ns = executive.now_ns()
    timer.set(start_ns + SECOND, 2 * SECOND)
    never.set(start_ns + SECOND)

    cancelled = never.cancel()
    times = []
    for _ in range(3):
        executive.wait_for_objects([timer])
        times.append((executive.now_ns() - start_ns) // SECOND)
    timer.cancel()
    executive.wait(lambda: False, "time to pass", 5 * SECOND)

    assert times == [1, 3, 5]
    assert cancelled
    assert not never.is_signalled_for(executive.current_thread())


def test_a_dpc_is_queued_once_however_often_it_is_asked_for(executive: Executive) -> None:
    """KeInsertQueueDpc; what it asks for while it runs comes after it."""
    ran: list[int] = []

    def routine() -> None:
        ran.append(1)
        if len(ran) == 1:
            dpc.queue()

    dpc = Dpc(executive, "dpc", routine)
    dpc.queue()
    dpc.queue()
    executive.wait(lambda: False, "all", 0)

    assert len(ran) == 2


def test_a_blocking_server_and_its_client_need_no_real_thread(executive: Executive) -> None:
    """Written as a program would be: each waits for the other, and time passes only when both do."""
    questions, answers = Semaphore(0, 10), Semaphore(0, 10)
    log: list[str] = []

    def serve() -> None:
        for number in range(3):
            executive.wait_for_objects([questions])
            executive.wait(lambda: False, "work", SECOND)
            log.append(f"answer {number}")
            answers.release()

    def ask() -> None:
        for number in range(3):
            log.append(f"question {number}")
            questions.release()
            executive.wait_for_objects([answers])

    start_ns = executive.now_ns()
    threads = [executive.create_thread(serve, "server"), executive.create_thread(ask, "client")]
    executive.wait_for_objects(threads, WaitFor.ALL)

    assert log == [f"{what} {number}" for number in range(3) for what in ("question", "answer")]
    assert executive.now_ns() - start_ns == 3 * SECOND


def test_work_items_that_wait_for_one_another_all_end(executive: Executive) -> None:
    """The first waits for the second: each has a thread of its own."""
    done: list[int] = []

    def first() -> None:
        executive.wait(lambda: 2 in done, "the second")
        done.append(1)

    executive.queue_work_item("first", first)
    executive.queue_work_item("second", lambda: done.append(2))
    executive.wait(lambda: 1 in done, "the first")

    assert done == [2, 1]


def test_a_wait_that_nothing_can_end_says_so(executive: Executive) -> None:
    """StuckError names what was waited for."""
    with pytest.raises(StuckError, match="Godot"):
        executive.wait(lambda: False, "Godot")


def test_a_wait_that_only_periodic_timers_outlive_says_so_within_a_day(executive: Executive) -> None:
    """A timer that sets itself again would let the clock run for ever."""

    def tick() -> None:
        executive.call_at(executive.now_ns() + 60 * SECOND, "tick", tick)

    tick()

    with pytest.raises(StuckError, match="Godot"):
        expect(executive, lambda: False, "Godot")


def test_a_timed_wait_ends_at_its_time_whatever_else_is_set(executive: Executive) -> None:
    """The clock stops there, not at the next timer."""
    start_ns = executive.now_ns()
    executive.call_at(start_ns + 10 * SECOND, "later", lambda: None)

    over = executive.wait(lambda: False, "nothing", 3 * SECOND)

    assert not over
    assert executive.now_ns() - start_ns == 3 * SECOND


@pytest.mark.parametrize("kind", [*KINDS, "live"])
def test_a_wait_at_dispatch_level_is_a_bug_check(kind: str) -> None:
    """A thread at DISPATCH_LEVEL cannot be switched from: IRQL_NOT_LESS_OR_EQUAL."""
    executive = LiveExecutive() if kind == "live" else KINDS[kind]()
    before = executive.irql.raise_to(Irql.DISPATCH)

    with pytest.raises(BugCheckError, match="DISPATCH"):
        executive.wait(lambda: True, "anything")
    executive.irql.lower_to(before)
    if isinstance(executive, LiveExecutive):
        executive.close()
