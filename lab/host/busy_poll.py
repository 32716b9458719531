"""How long a waiting thread looks before it sleeps: by the card's rule (``device/engine/csrc/patience.c``).

Who sleeps gives his processor back, and finds it halted and its caches cold when he is woken: after a short
pause that costs more than the pause. So who has just asked for something looks for the answer for a while,
and lets others run between two looks; but only while most of the last pauses were short enough, so that
somebody who waits for what comes seldom burns nothing.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import select
    from collections.abc import Callable

LOOK_NS: Final = 500_000
"""Well above what a peer beside us takes to answer, so that a slow one of them does not end the looking."""
TURN_NS: Final = 25_000
"""What a look and a yield to nobody do not take."""
WAKING_NS: Final = 50_000
"""A pause that was slept through is longer by the wake-up."""
CERTAIN: Final = 256
EIGHTH: Final = 8


class Patience:
    """Waits for an epoll: by looking while that pays, else asleep."""

    def __init__(self, epoll: select.epoll, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Begin without hope: the first pauses are slept through. ``clock`` counts ns."""
        self._poll = epoll.poll
        self._clock = clock
        self._worth = 0
        """Which share of the last pauses was short, of ``CERTAIN``; each new one counts an eighth."""

    def wait(self, most_s: float, *, answer: bool) -> list[tuple[int, int]]:
        """Return what is readable; nothing after ``most_s`` seconds. Only an ``answer`` is looked for."""
        poll = self._poll
        if not answer:
            return poll(most_s)
        clock = self._clock
        began = clock()
        readable: list[tuple[int, int]] = []
        if self._worth * 2 >= CERTAIN:
            now, until = began, began + min(LOOK_NS, int(most_s * 1e9))
            while not (readable := poll(0)) and now < until:
                before = now
                os.sched_yield()  # the answer may need this very processor
                now = clock()
                if now - before > TURN_NS:
                    break  # somebody has had it: there are more who want one than there are
        if not readable:
            readable = poll(most_s)
        self._worth -= self._worth // EIGHTH
        if clock() - began <= LOOK_NS + WAKING_NS:
            self._worth += CERTAIN // EIGHTH
        return readable
