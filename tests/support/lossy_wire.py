"""A wire that loses, duplicates and reorders frames, in virtual time, by a seed. No I/O."""

from __future__ import annotations

import random
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from ntos.executive.contract import MILLISECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAY_NS = MILLISECOND
SHORTEST = 60


class LossyWire:
    """Frames on their way. ``loss``, ``duplicate`` and ``reorder`` are shares of them."""

    def __init__(self, seed: int) -> None:
        self.loss = self.duplicate = self.reorder = 0.0
        self._random = random.Random(seed)
        self._flying: list[tuple[int, int, int, bytes]] = []
        self._count = 0

    @property
    def due_ns(self) -> int | None:
        """When the next frame arrives."""
        return self._flying[0][0] if self._flying else None

    def send(self, to: int, raw: bytes, now_ns: int) -> None:
        """Send a frame to an end; padded, as a cable has it."""
        for _ in range(1 + (self._random.random() < self.duplicate)):
            if self._random.random() < self.loss:
                continue
            late = DELAY_NS * self._random.randrange(1, 5) if self._random.random() < self.reorder else 0
            self._count += 1
            heappush(self._flying, (now_ns + DELAY_NS + late, self._count, to, raw.ljust(SHORTEST, b"\0")))

    def arrived(self, now_ns: int) -> Iterator[tuple[int, bytes]]:
        """Take off what has arrived: the end, and the frame."""
        while self._flying and self._flying[0][0] <= now_ns:
            _due, _count, to, raw = heappop(self._flying)
            yield to, raw
