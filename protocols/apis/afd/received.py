"""What a stream socket has received and nobody has asked for yet: the stream, and the urgent bytes beside it.

An urgent byte is kept apart (``urgent``) or, with SO_OOBINLINE, lies in the stream between two marks; a
receive never crosses a mark, so that one call does not mix normal and out-of-band data. Source: SIOCATMARK
and "Protocol-Independent Out-of-band Data" (Microsoft); RFC 6093 for what TCP makes of it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntos.io.irp import Irp, Memory

MOST_URGENT = 64
"""Urgent bytes that wait; a peer that sends more loses the oldest."""


class ReceiveBuffer:
    """The bytes in order. ``size`` counts those of the stream."""

    def __init__(self) -> None:
        self.size = 0
        self.inline = False  # SO_OOBINLINE
        self.urgent = bytearray()
        self._pieces: deque[Memory] = deque()
        self._taken = 0  # position in the stream of what is taken next
        self._marks: deque[int] = deque()  # positions beyond which one receive does not go

    def __bool__(self) -> bool:
        """Tell whether there is anything to receive from the stream."""
        return bool(self.size)

    @property
    def at_mark(self) -> bool:
        """SIOCATMARK: whether no normal data precedes out-of-band data that waits."""
        return not self._marks or self._marks[0] <= self._taken

    def append(self, buffers: Sequence[Memory]) -> None:
        """Add normal data."""
        self._pieces.extend(buffers)
        self.size += sum(map(len, buffers))

    def append_urgent(self, data: Memory) -> None:
        """Add urgent data: to the stream between marks, or apart."""
        if not self.inline:
            self.urgent += data
            del self.urgent[:-MOST_URGENT]
            return
        self._marks.append(self._taken + self.size)
        self.append([data])
        self._marks.append(self._taken + self.size)

    def take(self, irp: Irp) -> int:
        """Move bytes into a request, up to a mark; return how many."""
        copied, room = 0, min(irp.length, self._before_mark() if self._marks else self.size)
        while self._pieces and copied < room:
            piece = self._pieces.popleft()
            if len(piece) > room - copied:
                self._pieces.appendleft(memoryview(piece)[room - copied :])
                piece = memoryview(piece)[: room - copied]
            copied += irp.scatter(piece, copied)
        self.size -= copied
        self._taken += copied
        while self._marks and self._marks[0] < self._taken:
            self._marks.popleft()
        return copied

    def peek(self, irp: Irp) -> int:
        """Copy bytes into a request and leave them."""
        copied, room = 0, self._before_mark()
        for piece in self._pieces:
            copied += irp.scatter(memoryview(piece)[: room - copied], copied)
            if copied == room:
                break
        return copied

    def take_urgent(self, irp: Irp, *, peek: bool = False) -> int:
        """Move urgent bytes into a request."""
        copied = irp.scatter(self.urgent)
        if not peek:
            del self.urgent[:copied]
        return copied

    def clear(self) -> None:
        """Throw everything away."""
        self._pieces.clear()
        self._marks.clear()
        self.urgent.clear()
        self.size = 0

    def _before_mark(self) -> int:
        ahead = next((mark for mark in self._marks if mark > self._taken), None)
        return self.size if ahead is None else ahead - self._taken
