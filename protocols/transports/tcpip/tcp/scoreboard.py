"""What the peer has selectively acknowledged, and what that says is lost (RFC 2018, RFC 6675)."""

from __future__ import annotations

import bisect

DUP_THRESH = 3
MAX_RANGES = 512


class Scoreboard:
    """Disjoint sorted ranges of SACKed sequence numbers above the cumulative acknowledgment."""

    __slots__ = ("_ends", "_starts", "total")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0

    def __bool__(self) -> bool:
        """Tell whether anything is SACKed."""
        return bool(self._starts)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The SACKed ranges, lowest first."""
        return list(zip(self._starts, self._ends, strict=True))

    @property
    def highest(self) -> int:
        """The end of the highest range; 0 when there is none."""
        return self._ends[-1] if self._ends else 0

    def add(self, start: int, end: int) -> bool:
        """Mark a block as received; True when that told something new."""
        low = bisect.bisect_left(self._ends, start)
        high = bisect.bisect_right(self._starts, end)
        if low < high:
            start = min(start, self._starts[low])
            end = max(end, self._ends[high - 1])
            old = sum(self._ends[i] - self._starts[i] for i in range(low, high))
        else:
            if len(self._starts) >= MAX_RANGES:
                return False
            old = 0
        if end - start == old:
            return False
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]
        self.total += end - start - old
        return True

    def advance(self, una: int) -> None:
        """Forget what is below the cumulative acknowledgment."""
        while self._starts and self._starts[0] < una:
            if self._ends[0] <= una:
                self.total -= self._ends.pop(0) - self._starts.pop(0)
            else:
                self.total -= una - self._starts[0]
                self._starts[0] = una

    def clear(self) -> None:
        """Forget everything."""
        self._starts.clear()
        self._ends.clear()
        self.total = 0

    def sacked_between(self, start: int, end: int) -> int:
        """Return how many bytes of ``start`` up to ``end`` are SACKed."""
        if start >= end:
            return 0
        total = 0
        for index in range(bisect.bisect_right(self._ends, start), len(self._starts)):
            if self._starts[index] >= end:
                break
            total += min(end, self._ends[index]) - max(start, self._starts[index])
        return total

    def lost_edge(self, mss: int) -> int:
        """Return below which number everything unSACKed is lost (IsLost, RFC 6675 4); 0: nothing.

        That is when three separate ranges, or more than two segments' bytes, lie above.
        """
        edge = self._starts[-DUP_THRESH] if len(self._starts) >= DUP_THRESH else 0
        total = 0
        for index in range(len(self._starts) - 1, -1, -1):
            if self._starts[index] < edge:
                break
            total += self._ends[index] - self._starts[index]
            if total > (DUP_THRESH - 1) * mss:
                return max(edge, self._starts[index])
        return edge

    def pipe(self, una: int, high_data: int, high_rxt: int, mss: int) -> int:
        """Return how many bytes are thought to be in the network (SetPipe, RFC 6675 4)."""
        edge = max(una, self.lost_edge(mss))
        alive = high_data - edge - self.sacked_between(edge, high_data)
        again = max(0, high_rxt - una) - self.sacked_between(una, high_rxt)
        return alive + again

    def last_hole(self, start: int, end: int) -> tuple[int, int]:
        """Return the highest part of ``start`` up to ``end`` that is not SACKed; empty when all is."""
        for low, high in zip(reversed(self._starts), reversed(self._ends), strict=True):
            if high < end:
                return max(start, high), max(start, end)
            end = min(end, low)
        return start, max(start, end)

    def next_hole(self, sequence: int) -> tuple[int, int]:
        """Return the first unSACKed number at or after ``sequence`` and where its hole ends.

        The end is that of all numbers (a huge integer) when nothing above is SACKed.
        """
        index = bisect.bisect_right(self._starts, sequence) - 1
        if index >= 0 and self._ends[index] > sequence:
            sequence = self._ends[index]
        index = bisect.bisect_right(self._starts, sequence)
        end = self._starts[index] if index < len(self._starts) else 1 << 62
        return sequence, end
