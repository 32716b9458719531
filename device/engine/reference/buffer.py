"""The receive packet buffer: frames that wait for descriptors or for DMA (datasheet, PBA).

The MAC puts a frame in, whole, when it passed the filters; the DMA engine takes it out, first in, first
out, when its ring has descriptors. So one ring without any holds up the other, as it does in a card with
one buffer. It knows no ring.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from device.engine.contract import BUFFER_KIB, BUFFER_LINE_BYTES
from device.regs.nic import NIC
from device.regs.words import place
from formats.checksum import FCS_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PBA = place("PBA")
_RXA = NIC["PBA"]["RXA"]


class Waiting(NamedTuple):
    """A frame in the buffer."""

    frame: bytes
    """As it came, without its FCS."""
    status: int
    """What the MAC found: PIF, TST."""


def charge(length: int) -> int:
    """Return the bytes of the buffer that a frame of ``length`` bytes takes: with its FCS, in whole lines."""
    return -(-(length + FCS_SIZE) // BUFFER_LINE_BYTES) * BUFFER_LINE_BYTES


class PacketBuffer:
    """The receive share of the buffer.

    Invariant: ``held`` is the sum of the frames' charges and no more than ``BUFFER_KIB``.
    """

    def __init__(self, words: list[int]) -> None:
        """Start empty; PBA is looked up in ``words``."""
        self.held = 0
        """Bytes."""
        self._words = words
        self._frames: deque[Waiting] = deque()

    def __bool__(self) -> bool:
        """Tell whether a frame waits."""
        return bool(self._frames)

    def __iter__(self) -> Iterator[Waiting]:
        """Go through the frames, the oldest first."""
        return iter(self._frames)

    @property
    def capacity(self) -> int:
        """The bytes that PBA gives the receiver."""
        return min(_RXA.get(self._words[_PBA]), BUFFER_KIB) << 10

    def fits(self, length: int) -> bool:
        """Tell whether there is room for a frame of ``length`` bytes."""
        return self.held + charge(length) <= self.capacity

    def put(self, waiting: Waiting) -> None:
        """Keep a frame behind the others; the caller knows that it fits."""
        self.held += charge(len(waiting.frame))
        self._frames.append(waiting)

    def first(self) -> Waiting:
        """Return the frame that waits longest."""
        return self._frames[0]

    def take(self) -> None:
        """Take that frame out."""
        self.held -= charge(len(self._frames.popleft().frame))

    def fill(self, frames: Iterable[Waiting]) -> None:
        """Hold these frames and no others."""
        self._frames.clear()
        self.held = 0
        for waiting in frames:
            self.put(waiting)
