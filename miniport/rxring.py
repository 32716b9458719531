"""One receive ring: buffers handed to the card, frames handed back with what the card says of them.

It knows neither NDIS nor interrupts. A buffer is at any time in exactly one place: a slot of the ring, the
spares, or in the hands of whoever got the frame. Sans I/O but for the doorbell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from device.rings.index import DESCRIPTOR_SIZE
from device.rings.receive import ExtendedRx, ExtendedRxRead, LegacyRx, RxStatus
from miniport.driverring import DriverRing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.hardware import SharedMemory

BUFFER_BYTES = 2048
"""RCTL.BSIZE 0; a longer frame takes several."""

_READ = ExtendedRxRead.FORMAT
_EXTENDED = ExtendedRx.FORMAT
_LEGACY = LegacyRx.FORMAT
_DD, _EOP = int(RxStatus.DD), int(RxStatus.EOP)
_STATUS_EXTENDED, _STATUS_LEGACY = 8, 12  # offset of the byte with DD


@dataclass(frozen=True, slots=True, eq=False)
class RxBuffer:
    """One buffer: where the card writes, and the same bytes as we see them; None: no card can reach it."""

    address: int | None
    view: memoryview


class Received(NamedTuple):
    """One frame, and what the card says of it.

    ``status`` and ``errors`` are RxStatus and RxError bits; ``lengths`` are the bytes in each of ``buffers``.
    """

    buffers: tuple[RxBuffer, ...]
    lengths: tuple[int, ...]
    length: int
    """Bytes of the frame."""
    status: int
    errors: int
    vlan: int
    hash: int
    hash_type: int
    is_lent: bool
    """There was no spare: the buffers go back to the ring as soon as the frame was looked at."""
    segments: int = 0
    """TCP segments that were coalesced to this frame; 0: it is as it came."""
    at: int = 0
    """Where in the first buffer it begins."""

    def data(self) -> bytes:
        """Return the frame, copied."""
        pieces = zip(self.buffers, self.lengths, (self.at, *[0] * len(self.buffers)), strict=False)
        return b"".join(buffer.view[at : at + length] for buffer, length, at in pieces)


class ReceiveRing(Protocol):
    """What the driver needs of a receive ring: ``RxRing``, or ``miniport.coalescingring.CoalescingRing``."""

    count: int
    address: int
    length_bytes: int
    keeps_buffers: bool
    """Whether frames go out in the card's own buffers; else as copies, and nothing comes back."""

    def reset(self) -> None:
        """Take every buffer out of the ring, and start again at 0. The card must have been reset."""

    def fill(self) -> None:
        """Give the card every buffer that there is a slot for, and ring."""

    def ring(self) -> None:
        """Write RDT, if slots were armed since it was written."""

    def take_back(self, frames: Sequence[Received]) -> None:
        """Put the buffers of frames that went out, and are not held any more, where they are needed; ring."""

    def recycle(self, frame: Received) -> None:
        """Put the buffers of a frame that nobody keeps back into the ring."""

    def harvest(self, budget: int) -> list[Received]:
        """Return frames that have arrived, oldest first; look at no more than ``budget`` descriptors."""

    @property
    def spares(self) -> int:
        """Frames that may be out beside what the card has."""

    @property
    def dropped(self) -> int:
        """Frames that never ended."""

    @property
    def next(self) -> int:
        """The slot that is looked at next."""

    @property
    def tail(self) -> int:
        """The slot that is armed next."""

    @property
    def rung(self) -> int:
        """The tail that the card was told last."""

    @property
    def in_ring(self) -> int:
        """Buffers that the card has."""

    @property
    def has_done(self) -> bool:
        """Whether ``harvest`` would find a descriptor."""


class RxRing(DriverRing):
    """The driver's half of a receive ring.

    Invariants: the card owns ``next`` up to ``tail``; every slot of those has a buffer; one slot is always
    left empty, so that a full ring can be told from an empty one.
    """

    def __init__(
        self,
        descriptors: SharedMemory,
        buffers: list[RxBuffer],
        count: int,
        doorbell: Callable[[int], None],
        *,
        legacy: bool = False,
    ) -> None:
        """Lay a ring of ``count`` over ``descriptors``; ``buffers`` beyond ``count - 1`` are spares."""
        super().__init__(descriptors, count, doorbell)
        self.keeps_buffers = True
        self._legacy = legacy
        self._spare = list(buffers)
        self._slots: list[RxBuffer | None] = [None] * count
        self._pieces: list[tuple[RxBuffer, int]] = []  # of a frame whose end has not come
        self._next = 0
        self.dropped = 0

    def reset(self) -> None:
        """Take every buffer out of the ring, and start again at 0. The card must have been reset."""
        self._spare += [buffer for buffer in self._slots if buffer is not None]
        self._spare += [buffer for buffer, _ in self._pieces]
        self._slots = [None] * self.count
        self._pieces = []
        self._next = 0
        self._clear()

    def fill(self) -> None:
        """Give the card every spare it has a slot for, and ring."""
        for _ in range(self.count - 1):
            if not self._spare or self._armed() == self.count - 1:
                break
            self._arm(self._spare.pop())
        self.ring()

    def give_back(self, buffers: tuple[RxBuffer, ...]) -> None:
        """Take home buffers that went out with a frame."""
        self._spare += buffers
        if self._armed() < self.count // 2:
            self.fill()

    def take_back(self, frames: Sequence[Received]) -> None:
        """Put the buffers of frames that went out, and are not held any more, where they are needed; ring."""
        for frame in frames:
            if frame.is_lent:
                self.recycle(frame)
            else:
                self.give_back(frame.buffers)
        self.ring()

    @property
    def next(self) -> int:
        """The slot that is looked at next."""
        return self._next

    @property
    def spares(self) -> int:
        """Buffers that are neither with the card nor out."""
        return len(self._spare)

    @property
    def in_ring(self) -> int:
        """Buffers that the card has, and pieces of an unfinished frame."""
        return sum(1 for slot in self._slots if slot is not None) + len(self._pieces)

    @property
    def has_done(self) -> bool:
        """Whether ``harvest`` would find a descriptor."""
        at = _STATUS_LEGACY if self._legacy else _STATUS_EXTENDED
        pending = self._next != self._tail
        return pending and bool(self._ring[self._next * DESCRIPTOR_SIZE + at] & _DD)

    def harvest(self, budget: int) -> list[Received]:
        """Return frames that have arrived, oldest first; look at no more than ``budget`` descriptors."""
        frames: list[Received] = []
        for _ in range(min(budget, self.count)):
            if not self.has_done:
                break
            frame = self._take()
            if frame is not None:
                frames.append(frame)
        return frames

    def recycle(self, frame: Received) -> None:
        """Put the buffers of a frame that nobody keeps back into the ring."""
        for buffer in frame.buffers:
            self._arm_or_spare(buffer)

    def _take(self) -> Received | None:
        at = self._next
        where = at * DESCRIPTOR_SIZE
        if self._legacy:
            _, length, _, status, errors, vlan = _LEGACY.unpack_from(self._ring, where)
            mrq = rss = 0
        else:
            mrq, low, high, word, length, vlan = _EXTENDED.unpack_from(self._ring, where)
            status, errors = word & 0xF_FFFF, word >> 24
            rss = high << 16 | low
        buffer = self._slots[at]
        if buffer is None:
            raise AssertionError(f"slot {at} is done and has no buffer")
        self._slots[at] = None
        self._next = at + 1 if at + 1 < self.count else 0
        if not status & _EOP:
            self._pieces.append((buffer, min(length, BUFFER_BYTES)))
            if len(self._pieces) >= self.count - 1:  # no frame is that long: the card is out of its mind
                self._drop()
            return None
        pieces = [*self._pieces, (buffer, min(length, BUFFER_BYTES))]
        self._pieces = []
        lent = len(self._spare) < len(pieces)
        if not lent:
            for _ in pieces:
                self._arm(self._spare.pop())
        return Received(
            tuple(piece for piece, _ in pieces),
            tuple(size for _, size in pieces),
            sum(size for _, size in pieces),
            status,
            errors,
            vlan,
            rss,
            mrq & 0xF,
            lent,
        )

    def _drop(self) -> None:
        for buffer, _ in self._pieces:
            self._arm_or_spare(buffer)
        self._pieces = []
        self.dropped += 1

    def _armed(self) -> int:
        return (self._tail - self._next) % self.count

    def _arm_or_spare(self, buffer: RxBuffer) -> None:
        if self._armed() < self.count - 1:
            self._arm(buffer)
        else:
            self._spare.append(buffer)

    def _arm(self, buffer: RxBuffer) -> None:
        tail = self._tail
        _READ.pack_into(self._ring, tail * DESCRIPTOR_SIZE, buffer.address, 0)
        self._slots[tail] = buffer
        self._tail = tail + 1 if tail + 1 < self.count else 0
