"""What a driver's half of any ring is: where it lies, the tail it fills up to, and the doorbell that tells.

It knows no descriptor's format. Sans I/O but for the doorbell, which is one register write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device.rings.index import DESCRIPTOR_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.hardware import SharedMemory


class DriverRing:
    """``count`` descriptors in shared memory.

    Invariant: the card was told of the slots up to ``rung``, which ``tail`` runs ahead of until ``ring``.
    """

    def __init__(self, descriptors: SharedMemory, count: int, doorbell: Callable[[int], None]) -> None:
        """Lay a ring of ``count`` over ``descriptors``; ``doorbell`` writes the tail register."""
        self.count = count
        self.address = descriptors.address
        self.length_bytes = count * DESCRIPTOR_SIZE
        self._ring = descriptors.view
        self._doorbell = doorbell
        self._tail = 0
        self._rung = 0

    @property
    def tail(self) -> int:
        """The slot that is filled next."""
        return self._tail

    @property
    def rung(self) -> int:
        """The tail that the card was told last."""
        return self._rung

    def ring(self) -> None:
        """Write the tail register, if slots were filled since it was written."""
        if self._rung != self._tail:
            self._rung = self._tail
            self._doorbell(self._tail)

    def _clear(self) -> None:
        """Start again at 0, every descriptor zero. The card must have been reset."""
        self._tail = self._rung = 0
        self._ring[: self.length_bytes] = bytes(self.length_bytes)
