"""A bad cable: loss, delay, jitter, reordering, duplication, corruption and a rate limit.

Sans I/O: frames and *now* go in, frames come out when they are due. Seeded, so that the same
frames at the same times meet the same fate; each direction has its own random numbers, so that one
does not disturb the other. It knows nothing of threads or of the wire behind it.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.wire.contract import MalformedFrame
from device.wire.frame import Frame
from device.wire.segmentation import segment
from device.wire.stage import Way

if TYPE_CHECKING:
    from collections.abc import Iterable

OVERHEAD_BYTES: Final = 24
"""What a frame takes beside itself: preamble 8, FCS 4, gap 12 (IEEE 802.3 clause 4.4.2)."""

OVERTAKEN_BY: Final = 3
"""So many later frames pass a reordered one."""

LONGEST_HOLD_NS: Final = 20_000_000
"""A reordered frame that nothing follows is let go after this long."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """What the cable does to each frame. Shares are 0 to 1, times ns, the rate bits a second."""

    loss: float = 0.0
    delay_ns: int = 0
    jitter_ns: int = 0
    reorder: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    rate_bps: int = 0
    """0: as fast as the frames come."""
    seed: int = 0
    limit: int = 1000
    """Frames under way in one direction; more are dropped, as by a switch with a full queue."""

    def __bool__(self) -> bool:
        """Tell whether anything is impaired at all."""
        shares = (self.loss, self.reorder, self.duplicate, self.corrupt)
        return any(shares) or any((self.delay_ns, self.jitter_ns, self.rate_bps))


@dataclass(slots=True)
class LineStatistics:
    """What befell the frames of one direction."""

    offered: int = 0
    lost: int = 0
    overflowed: int = 0
    duplicated: int = 0
    corrupted: int = 0
    reordered: int = 0
    delivered: int = 0


@dataclass(slots=True)
class _Held:
    """A reordered frame: waits for ``remaining`` others, or until ``deadline_ns``."""

    remaining: int
    deadline_ns: int
    data: bytes


class Line:
    """One direction of an impaired cable.

    Invariants: what is in ``_queue`` comes out in the order of due times, and due times never go
    back, so that jitter alone reorders nothing; every frame offered takes the same number of
    random numbers.
    """

    def __init__(self, impairment: Impairment, name: str) -> None:
        """Start empty; ``name`` makes the random numbers this line's own."""
        self.statistics = LineStatistics()
        self._how = impairment
        self._random = random.Random(f"{impairment.seed}/{name}")  # noqa: S311 - not for secrets
        self._queue: list[tuple[int, int, bytes]] = []
        self._held: list[_Held] = []
        self._serial = 0
        self._line_free_ns = 0
        self._last_due_ns = 0

    def become(self, impairment: Impairment) -> None:
        """Treat the next frames otherwise; those on their way stay on it. Any thread may call it."""
        self._how = impairment

    def push(self, data: bytes, now_ns: int) -> None:
        """Offer a frame to the cable."""
        how, count = self._how, self.statistics
        lost, corrupted, doubled, reordered, jitter, bit = (self._random.random() for _ in range(6))
        count.offered += 1
        if lost < how.loss:
            count.lost += 1
            return
        if corrupted < how.corrupt:
            count.corrupted += 1
            data = _flip(data, int(bit * len(data) * 8))
        copies = 1
        if doubled < how.duplicate:
            count.duplicated += 1
            copies = 2
        spread_ns = int((2 * jitter - 1) * how.jitter_ns)
        for _ in range(copies):
            if len(self._queue) + len(self._held) >= how.limit:
                count.overflowed += 1
            elif reordered < how.reorder:
                reordered = 1.0  # its copy goes in order
                count.reordered += 1
                wait_ns = how.delay_ns + LONGEST_HOLD_NS
                self._held.append(_Held(OVERTAKEN_BY, now_ns + wait_ns, data))
            else:
                self._enqueue(data, now_ns, spread_ns)

    def collect(self, now_ns: int) -> list[bytes]:
        """Return the frames that are due by ``now_ns``, in order."""
        out: list[bytes] = []
        while self._queue and self._queue[0][0] <= now_ns:
            out.append(heapq.heappop(self._queue)[2])
            for held in self._held:
                held.remaining -= 1
            out += self._release(now_ns)
        out += self._release(now_ns)
        self.statistics.delivered += len(out)
        return out

    @property
    def next_due_ns(self) -> int | None:
        """When ``collect`` will next have something; None when the line is empty."""
        times = [held.deadline_ns for held in self._held]
        if self._queue:
            times.append(self._queue[0][0])
        return min(times, default=None)

    def _enqueue(self, data: bytes, now_ns: int, spread_ns: int) -> None:
        how = self._how
        leaves_ns = now_ns
        if how.rate_bps:
            bits = (len(data) + OVERHEAD_BYTES) * 8
            leaves_ns = max(now_ns, self._line_free_ns) + bits * 1_000_000_000 // how.rate_bps
            self._line_free_ns = leaves_ns
        due_ns = max(leaves_ns + max(how.delay_ns + spread_ns, 0), self._last_due_ns)
        self._last_due_ns = due_ns
        self._serial += 1
        heapq.heappush(self._queue, (due_ns, self._serial, data))

    def _release(self, now_ns: int) -> list[bytes]:
        free = [h.data for h in self._held if h.remaining <= 0 or h.deadline_ns <= now_ns]
        if free:
            self._held = [h for h in self._held if h.remaining > 0 and h.deadline_ns > now_ns]
        return free


def _flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


class ImpairmentStage:
    """Both directions of an impaired cable, as a stage of a pump.

    A frame with ``gso`` is cut first: a cable loses segments, not the 64 KiB they were once.
    """

    def __init__(self, impairment: Impairment) -> None:
        """Impair both ways alike, each with random numbers of its own."""
        self.lines = {way: Line(impairment, way.value) for way in Way}
        self.malformed = 0

    def become(self, impairment: Impairment) -> None:
        """Impair otherwise from the next frame on. Any thread may call it."""
        for line in self.lines.values():
            line.become(impairment)

    def push(self, way: Way, frame: Frame, now_ns: int) -> Iterable[Frame]:
        """Put a frame on the line; nothing goes on at once."""
        try:
            for data in segment(frame):
                self.lines[way].push(data, now_ns)
        except MalformedFrame:
            self.malformed += 1
        return ()

    def collect(self, now_ns: int) -> Iterable[tuple[Way, Frame]]:
        """Return what is due, both ways."""
        return [(w, Frame(d)) for w, line in self.lines.items() for d in line.collect(now_ns)]

    @property
    def next_due_ns(self) -> int | None:
        """When something is due next."""
        times = [line.next_due_ns for line in self.lines.values()]
        return min((time for time in times if time is not None), default=None)

    def close(self) -> None:
        """Nothing is held that needs it."""
