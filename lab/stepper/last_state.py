"""What a client left behind: registers, rings and buffers, kept when it goes and shown until the next comes.

A card is reset when its client goes, and the client's memory goes with it. Whoever asks why a driver's ring
stood wants to look after that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.effects import DmaError
from device.regs.nic import NIC
from device.rings.index import DESCRIPTOR_SIZE
from device.trace.image import Image
from lab.stepper.views import Look

if TYPE_CHECKING:
    from device.effects import GuestMemory
    from lab.stepper.views import Peekable, RingView

BUFFER_BYTES: Final = 2048
"""How much of each buffer is kept."""
MOST_SLOTS: Final = 1024
"""How many slots of a ring are kept, from a few before its head: a driver may say that there are 65,536."""
BEFORE_HEAD: Final = 256


class LastState:
    """Registers and memory to look at: the card's own, or what was kept when the client went."""

    def __init__(self, engine: Peekable, memory: GuestMemory) -> None:
        """Show ``engine`` and ``memory`` themselves."""
        self.engine, self._memory = engine, memory
        self._registers: dict[int, int] | None = None
        self._image = Image()

    @property
    def kept(self) -> bool:
        """Whether what is shown is of a client that has gone."""
        return self._registers is not None

    def keep(self) -> None:
        """Keep the present state. The card's lock is held, and the client's memory is still there."""
        look = Look(self.engine, self._memory)
        self._image = Image()
        for ring in (*look.tx, *look.rx):
            self._keep_ring(ring)
        self._registers = look.regs.values()

    def _keep_ring(self, ring: RingView) -> None:
        first = ring.head - BEFORE_HEAD
        for number in range(first, first + min(ring.count, MOST_SLOTS)):
            index = number % ring.count
            where = ring.base + index * DESCRIPTOR_SIZE
            raw = self._copied(where, DESCRIPTOR_SIZE)
            if raw is None:
                return  # nothing is mapped there: neither is the rest
            self._copied(int.from_bytes(raw[:8], "little"), BUFFER_BYTES)

    def _copied(self, address: int, length: int) -> bytes | None:
        try:
            data = self._memory.read(address, length)
        except DmaError:
            return None
        self._image.put(address, data)
        return data

    def forget(self) -> None:
        """Show the card itself again."""
        self._registers = None

    def peek(self, offset: int) -> int:
        """Return a register's value, without side effects."""
        if self._registers is None:
            return self.engine.peek(offset)
        place = NIC.canonical(offset)
        return self._registers.get(offset if place is None else place, 0)

    def read(self, address: int, length: int) -> bytes:
        """Return guest memory. DmaError where none is mapped, or none was kept."""
        if self._registers is None:
            return self._memory.read(address, length)
        data = self._image.get(address, length)
        if data is None:
            raise DmaError(address, length)
        return data

    def write(self, address: int, data: bytes) -> None:
        """Refuse: this is for looking."""
        raise DmaError(address, len(data))
