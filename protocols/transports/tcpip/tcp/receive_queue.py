"""Received bytes: in order for the application, and out of order with holes (RFC 9293 3.10.7.4).

Memory is bounded by the window that was offered, by a limit on the number of separate ranges, and
by copying small pieces so that none of them pins a whole frame.
"""

from __future__ import annotations

import bisect
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from formats.checksum import Buffer

MAX_RANGES = 256
COPY_BELOW = 1024  # smaller payloads are copied together


class Range:
    """A run of bytes that came too early."""

    __slots__ = ("end", "pieces", "stamp", "start")

    def __init__(self, start: int, end: int, pieces: list[bytes], stamp: int) -> None:
        """Hold ``pieces``, laid end to end, as ``start`` up to ``end``."""
        self.start = start
        self.end = end
        self.pieces = pieces
        self.stamp = stamp


class ReceiveQueue:
    """The two queues. ``size`` counts bytes that are ready for the application."""

    __slots__ = ("_ready", "_stamp", "early_bytes", "ranges", "size")

    def __init__(self) -> None:
        self._ready: deque[Buffer] = deque()
        self.size = 0
        self.ranges: list[Range] = []
        self.early_bytes = 0
        self._stamp = 0

    def append(self, data: memoryview) -> None:
        """Add bytes that continue the stream."""
        size = len(data)
        self.size += size
        if size < COPY_BELOW:
            tail = self._ready[-1] if self._ready else None
            if isinstance(tail, bytearray) and len(tail) < 16 * COPY_BELOW:
                tail += data
                return
            self._ready.append(bytearray(data))
            return
        self._ready.append(data)

    def add_early(self, start: int, data: Buffer) -> bool:
        """Keep bytes beyond a hole; what is already there stays. False when there is no room."""
        self._stamp += 1
        end = start + len(data)
        index = bisect.bisect_right(self.ranges, start, key=lambda r: r.start) - 1
        if index >= 0 and self.ranges[index].end >= start:
            target = self.ranges[index]
        else:
            if len(self.ranges) >= MAX_RANGES:
                return False
            index += 1
            target = Range(start, start, [], self._stamp)
            self.ranges.insert(index, target)
        target.stamp = self._stamp
        while target.end < end:
            follower = self.ranges[index + 1] if index + 1 < len(self.ranges) else None
            stop = end if follower is None else min(end, follower.start)
            if stop > target.end:
                piece = bytes(data[target.end - start : stop - start])
                target.pieces.append(piece)
                self.early_bytes += len(piece)
                target.end = stop
            if follower is not None and follower.start <= target.end:
                self._absorb(index)
        if index + 1 < len(self.ranges) and self.ranges[index + 1].start == target.end:
            self._absorb(index)
        return True

    def _absorb(self, index: int) -> None:
        target, follower = self.ranges[index], self.ranges.pop(index + 1)
        target.pieces += follower.pieces
        target.end = follower.end

    def pull(self, upto: int) -> int:
        """Move what now continues the stream at ``upto``; return the new end of the stream."""
        while self.ranges and self.ranges[0].start <= upto:
            ready = self.ranges.pop(0)
            at = ready.start
            for piece in ready.pieces:
                self.early_bytes -= len(piece)
                if at + len(piece) > upto:
                    fresh = memoryview(piece)[max(0, upto - at) :]
                    self.append(fresh)
                    upto += len(fresh)
                at += len(piece)
        return upto

    def already(self, start: int, end: int) -> tuple[int, int] | None:
        """Return which part of ``start`` up to ``end`` has come before, out of order; the first one."""
        for known in self.ranges:
            if known.end > start and known.start < end:
                return max(start, known.start), min(end, known.end)
        return None

    def sack_blocks(self, limit: int) -> list[tuple[int, int]]:
        """Return up to ``limit`` blocks, the most recently changed first (RFC 2018 4)."""
        recent = sorted(self.ranges, key=lambda r: -r.stamp)
        return [(r.start, r.end) for r in recent[:limit]]

    def take(self, limit: int) -> list[Buffer]:
        """Take up to ``limit`` bytes as buffers, without copying large ones."""
        out: list[Buffer] = []
        ready = self._ready
        while ready and limit > 0:
            head = ready.popleft()
            if len(head) > limit:
                view = memoryview(bytes(head) if isinstance(head, bytearray) else head)
                ready.appendleft(view[limit:])
                head = view[:limit]
            out.append(head)
            limit -= len(head)
            self.size -= len(head)
        return out

    def peek(self, limit: int) -> bytes:
        """Return up to ``limit`` bytes and leave them."""
        out = b""
        for buffer in self._ready:
            if len(out) >= limit:
                break
            out += bytes(buffer[: limit - len(out)])
        return out

    def clear(self) -> None:
        """Throw everything away."""
        self._ready.clear()
        self.ranges.clear()
        self.size = self.early_bytes = 0
