"""How long a waiting thread polls before it sleeps: the card's rule (``device/engine/csrc/busy_poll.c``).

A thread that sleeps gives its processor back, and finds it halted and its caches cold when it is woken:
after a short pause that costs more than the pause. So a thread that has just asked for something polls for
the answer for a while, and yields between two polls; but only while most of the last pauses were short
enough, so that a thread that waits for rare events burns nothing.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import select
    from collections.abc import Callable

POLL_NS: Final = 500_000
"""Well above what a peer beside us takes to answer, so that one slow answer does not end the polling."""
YIELD_NS: Final = 25_000
"""A poll and a yield take less than this when no other thread wants the processor."""
WAKE_UP_NS: Final = 50_000
"""A pause that was slept through is longer by the wake-up."""
CERTAIN: Final = 256
EIGHTH: Final = 8


class BusyPoll:
    """Waits for an epoll: by polling while that pays, else asleep."""

    def __init__(self, epoll: select.epoll, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Expect long pauses: the first are slept through. ``clock`` counts ns."""
        self._poll = epoll.poll
        self._clock = clock
        self._short = 0
        """Which share of the last pauses was short, of ``CERTAIN``; each new one counts an eighth."""

    def wait(self, most_s: float, *, answer: bool) -> list[tuple[int, int]]:
        """Return what is readable; nothing after ``most_s`` seconds. Only for an ``answer`` it polls."""
        poll = self._poll
        if not answer:
            return poll(most_s)
        clock = self._clock
        began = clock()
        readable: list[tuple[int, int]] = []
        if self._short * 2 >= CERTAIN:
            now, until = began, began + min(POLL_NS, int(most_s * 1e9))
            while not (readable := poll(0)) and now < until:
                before = now
                os.sched_yield()  # the answer may need this very processor
                now = clock()
                if now - before > YIELD_NS:
                    break  # another thread has run: more of them want a processor than there are
        if not readable:
            readable = poll(most_s)
        self._short -= self._short // EIGHTH
        if clock() - began <= POLL_NS + WAKE_UP_NS:
            self._short += CERTAIN // EIGHTH
        return readable
