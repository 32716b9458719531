"""Timers on the caller's clock. Nanoseconds in, callbacks out; nothing here knows what time is.

Re-arming a timer later than it was, which TCP does on every ACK, costs one assignment: the heap
entry stays and is put back when it surfaces.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Timer:
    """One callback that can be armed, moved and stopped. Fires once per arming.

    ``deadline`` None: it is stopped, however it became so.
    """

    __slots__ = ("_queue", "callback", "deadline", "queued_at")

    def __init__(self, queue: TimerQueue, callback: Callable[[], None]) -> None:
        self._queue = queue
        self.callback = callback
        self.deadline: int | None = None
        self.queued_at: int | None = None  # the heap entry's time, when it has one

    def start(self, delay_ns: int) -> None:
        """Fire ``delay_ns`` from now, instead of whenever it was to fire."""
        self.deadline = self._queue.now + delay_ns
        if self.queued_at is None or self.deadline < self.queued_at:
            self._queue.push(self)

    def start_unless_running(self, delay_ns: int) -> None:
        """Leave a running timer as it is; start a stopped one."""
        if self.deadline is None:
            self.start(delay_ns)

    def stop(self) -> None:
        """Never mind."""
        self.deadline = None


class TimerQueue:
    """All timers of a stack, and the time that it believes it is.

    ``first``: before that nothing is due; None while nothing is queued. It may be the time of a timer that
    was stopped or moved since: ``next_deadline`` tells exactly, and costs more.
    ``clock``, where the owner gives one, is what calls from above look at (``catch_up``): they come when the
    stack was last driven long ago, and what they start must not be due already.
    """

    def __init__(self, now: int) -> None:
        """Begin at ``now`` nanoseconds of any monotonic clock."""
        self.now = now
        self.first: int | None = None
        self.clock: Callable[[], int] | None = None
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = 0

    def timer(self, callback: Callable[[], None]) -> Timer:
        """Return a stopped timer."""
        return Timer(self, callback)

    def push(self, timer: Timer) -> None:
        """Queue an entry for the timer's deadline (for ``Timer`` only)."""
        deadline = timer.deadline
        if deadline is None:
            raise ValueError("a stopped timer cannot be queued")
        self._order += 1
        timer.queued_at = deadline
        heapq.heappush(self._heap, (deadline, self._order, timer))
        self.first = self._heap[0][0]

    def catch_up(self) -> None:
        """Look at the clock, if there is one; fire nothing: that is for ``advance``."""
        if self.clock is not None:
            self.now = max(self.clock(), self.now)

    def advance(self, now: int) -> None:
        """Move the clock and fire what is due, in order of deadline. Time never goes back."""
        self.now = max(now, self.now)
        if self.first is None or self.first > self.now:
            return
        heap = self._heap
        while heap and heap[0][0] <= self.now:
            at, _, timer = heapq.heappop(heap)
            if timer.queued_at != at:
                continue  # superseded by an earlier entry
            timer.queued_at = None
            if timer.deadline is None:
                continue
            if timer.deadline > self.now:
                self.push(timer)
                continue
            timer.deadline = None
            timer.callback()
        self.first = heap[0][0] if heap else None

    def next_deadline(self) -> int | None:
        """Return when ``advance`` next has something to do; None when never."""
        heap = self._heap
        while heap:
            at, _, timer = heap[0]
            if timer.queued_at == at and timer.deadline is not None:
                if timer.deadline <= at:
                    self.first = at
                    return at
                heapq.heappop(heap)
                self.push(timer)
                continue
            heapq.heappop(heap)
            if timer.queued_at == at:
                timer.queued_at = None
        self.first = None
        return None
