"""A receive ring that joins TCP segments: ``RxRing``'s contract, over ``csrc/coalesce.c``.

Slots keep their buffers for ever. What arrives is copied to a room and lent from there, so every frame goes
up with RESOURCES, and the card has its slots back before anybody looks at a frame. It knows neither NDIS nor
interrupts.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from device.rings.index import DESCRIPTOR_SIZE
from device.rings.receive import RxStatus
from miniport._burst import ffi, lib
from miniport.pointers import pointer
from miniport.rxring import BUFFER_BYTES, Received, RxBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.hardware import SharedMemory

WORTH_TELLING = 8
"""The part of the ring whose slots are given back by one register write; Linux's e1000e saves them up too."""
_UNIT = struct.Struct("=4I2H2B10x")
"""``struct mp_unit``: at, length, status, hash, vlan, segments, errors, hash_type; then the joiner's own."""
_STATUS, _DD = 8, int(RxStatus.DD)


class CoalescingRing:
    """The driver's half of a receive ring of extended descriptors.

    Invariants: the card owns ``next`` up to ``tail``, all slots but one; what ``harvest`` returned is good
    until it is called again.
    """

    def __init__(
        self, descriptors: SharedMemory, buffers: list[RxBuffer], count: int, doorbell: Callable[[int], None]
    ) -> None:
        """Lay a ring of ``count`` over ``descriptors``, with a buffer for each slot; join nothing yet."""
        if len(buffers) < count:
            raise ValueError(f"{len(buffers)} buffers for {count} slots")
        self.count = count
        self.keeps_buffers = False
        self.address = descriptors.address
        self.length_bytes = count * DESCRIPTOR_SIZE
        self._ring = descriptors.view
        self._doorbell = doorbell
        self._rung = 0
        self._room = memoryview(bytearray(count * BUFFER_BYTES))
        self._rooms = (RxBuffer(None, self._room),)
        self._raw = ffi.new("struct mp_rsc *")
        self._buffers = buffers[:count]
        self._keep = (
            ffi.new("uint8_t *[]", [pointer(one.view) for one in self._buffers]),
            ffi.new("uint64_t[]", [one.address for one in self._buffers]),
            ffi.new("uint32_t[]", count),
            ffi.new("struct mp_unit[]", count),
        )
        self._units = memoryview(ffi.buffer(self._keep[3]))
        raw = self._raw
        raw.ring, raw.room = pointer(self._ring), pointer(self._room)
        raw.buffers, raw.addresses, raw.following, raw.units = self._keep
        raw.count = count
        self.reset()

    def coalesce(self, *, v4: bool, v6: bool) -> None:
        """Say what is to be joined from now on."""
        self._raw.v4, self._raw.v6 = int(v4), int(v6)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """NDIS_RSC_STATISTICS_INFO: segments and octets coalesced, units made, coalescing ended early."""
        raw = self._raw
        return int(raw.coalesced), int(raw.octets), int(raw.events), int(raw.aborts)

    @property
    def dropped(self) -> int:
        """Frames without an end."""
        return int(self._raw.dropped)

    def reset(self) -> None:
        """Start again at 0, with nothing armed. The card must have been reset."""
        self._ring[: self.length_bytes] = bytes(self.length_bytes)
        self._raw.next = self._raw.tail = self._rung = 0

    def fill(self) -> None:
        """Give the card every slot but one, and ring."""
        lib.mp_rsc_arm(self._raw)
        self.ring()

    def ring(self) -> None:
        """Write RDT, once an eighth of the ring was armed since it was written: the card has plenty."""
        tail = self._raw.tail
        if (tail - self._rung) % self.count >= max(self.count // WORTH_TELLING, 1):
            self._rung = tail
            self._doorbell(tail)

    @property
    def next(self) -> int:
        """The slot that is looked at next."""
        return int(self._raw.next)

    @property
    def tail(self) -> int:
        """The slot that is armed next."""
        return int(self._raw.tail)

    @property
    def rung(self) -> int:
        """The tail that the card was told last."""
        return self._rung

    @property
    def spares(self) -> int:
        """Frames that may be out at a time: all of one harvest."""
        return self.count

    @property
    def in_ring(self) -> int:
        """Buffers that the card has."""
        return int((self._raw.tail - self._raw.next) % self.count)

    @property
    def has_done(self) -> bool:
        """Whether ``harvest`` might find something."""
        at = self._raw.next
        return at != self._raw.tail and bool(self._ring[at * DESCRIPTOR_SIZE + _STATUS] & _DD)

    def harvest(self, budget: int) -> list[Received]:
        """Return what has arrived, oldest first, segments joined; of about ``budget`` descriptors."""
        rooms, found = self._rooms, []
        units = lib.mp_rsc_burst(self._raw, min(budget, self.count))
        # All of a unit at once: each field read by cffi costs as much as a call.
        for at, length, status, rss, vlan, segments, errors, hash_type in _UNIT.iter_unpack(
            self._units[: units * _UNIT.size]
        ):
            found.append(
                Received(
                    rooms,
                    (length,),
                    length,
                    status,
                    errors,
                    vlan,
                    rss,
                    hash_type,
                    is_lent=True,
                    segments=segments,
                    at=at,
                )
            )
        return found

    def recycle(self, frame: Received) -> None:
        """Do nothing: the card has the slots already."""

    def take_back(self, frames: Sequence[Received]) -> None:
        """Do nothing: every frame that went out was a copy."""
