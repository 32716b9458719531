"""``reference`` and ``native``: our card in this process, time and wire in our hands."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from device.card import CONFIG, Card
from device.effects import DmaError
from device.regs.nic import NIC
from lab.conformance.bench import Capability, Signal
from lab.conformance.targets import capabilities

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.effects import FrameSent, GuestMemory
    from device.engine.contract import Engine

DMA = range(0x0100_0000, 0x0110_0000)
MAC = bytes.fromhex("525400123456")
COMMAND_ALL = 0x0007  # I/O, memory, bus master
BAR0, BAR2, BAR3 = 0x10, 0x18, 0x1C
RCTL = NIC["RCTL"]
FRAMES_A_WAIT = 64  # what the wire holds for a card that cannot receive


class Area:
    """The DMA area: one region, nothing around it."""

    def __init__(self) -> None:
        self._bytes = bytearray(len(DMA))

    def read(self, address: int, length: int) -> bytes:
        """Return bytes; DmaError outside the area."""
        at = self._at(address, length)
        return bytes(self._bytes[at : at + length])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; DmaError outside the area."""
        at = self._at(address, len(data))
        self._bytes[at : at + len(data)] = data

    def _at(self, address: int, length: int) -> int:
        if address < DMA.start or address + length > DMA.stop:
            raise DmaError(address, length)
        return address - DMA.start


class InProcessBench:
    """A card that this process holds. It is also the card's interrupt sink."""

    capabilities = ~Capability.NONE
    dma = DMA

    def __init__(self, make: Callable[[GuestMemory], Engine]) -> None:
        """Build the card around the engine that ``make`` returns."""
        self._area = Area()
        self._sent: list[bytes] = []
        self._waiting: deque[bytes] = deque(maxlen=FRAMES_A_WAIT)
        self._vectors: set[int] = set()
        self._level = False
        self._now_ns = 0
        self._card = Card(make(self._area), MAC, send=self._leave, sink=self)
        self._card.set_carrier(present=True)

    # -- the sink -----------------------------------------------------------------------------------

    def message(self, vector: int) -> bool:
        """Remember the message."""
        self._vectors.add(vector)
        return True

    def level(self, *, asserted: bool) -> None:
        """Remember the level."""
        self._level = asserted

    # -- the bench ----------------------------------------------------------------------------------

    def read(self, offset: int, width: int = 4, bar: int = 0) -> int:
        """Read a BAR."""
        return int.from_bytes(self._card.read_region(bar, offset, width), "little")

    def write(self, offset: int, value: int, width: int = 4, bar: int = 0) -> None:
        """Write a BAR."""
        self._card.write_region(bar, offset, value.to_bytes(width, "little"))
        self.settle()

    def config_read(self, offset: int, width: int = 4) -> int:
        """Read configuration space."""
        return int.from_bytes(self._card.read_region(CONFIG, offset, width), "little")

    def config_write(self, offset: int, value: int, width: int = 4) -> None:
        """Write configuration space."""
        self._card.write_region(CONFIG, offset, value.to_bytes(width, "little"))

    def memory_read(self, address: int, length: int) -> bytes:
        """Read the DMA area."""
        return self._area.read(address, length)

    def memory_write(self, address: int, data: bytes) -> None:
        """Write the DMA area."""
        self._area.write(address, data)

    def send(self, frame: bytes) -> None:
        """Hand a frame to the card, or keep it while the card cannot receive, as ``device.serving`` does."""
        self._waiting.append(frame)
        self.settle()

    def frames(self) -> list[bytes]:
        """Collect what left."""
        sent, self._sent = self._sent, []
        return sent

    def settle(self) -> None:
        """Hand over what waits; timers that are due now fire."""
        # A receiver that is off loses its frames; one that is on and has no descriptors holds the wire back.
        # A sleeping card compares each with its wake-up filters.
        on = self._card.read_register(RCTL.offset) & RCTL["EN"].mask
        while self._waiting and (not on or self._card.sleeps or self._card.can_receive()):
            self._card.receive(self._waiting.popleft())
        self._card.advance(self._now_ns)

    def signal(self, how: Signal) -> None:
        """Program the capabilities; where messages are aimed does not matter here."""
        capabilities.switch(self, how, DMA.stop)

    def line(self) -> bool:
        """Tell the level that the card drives."""
        return self._level

    def messages(self) -> frozenset[int]:
        """Return the vectors seen."""
        seen = frozenset(self._vectors)
        self._vectors.clear()
        return seen

    def advance(self, step_ns: int) -> None:
        """Move the clock, stopping at every deadline on the way."""
        end = self._now_ns + step_ns
        while (due := self._card.deadline()) is not None and due <= end:
            self._now_ns = max(due, self._now_ns)
            self._card.advance(self._now_ns)
            if self._card.deadline() == due:  # nothing moved on: do not stand still
                break
        self._now_ns = end
        self.settle()

    def reset(self) -> None:
        """Power the card off and on, and enable it."""
        self._waiting.clear()
        self._card.reset()
        self._card.advance(self._now_ns)
        for bar, address in ((BAR0, 0xC000_0000), (BAR2, 0xC000), (BAR3, 0xC004_0000)):
            self.config_write(bar, address)
        self.config_write(0x04, COMMAND_ALL, 2)
        self._sent.clear()
        self._vectors.clear()

    def close(self) -> None:
        """Nothing is held."""

    def _leave(self, effect: FrameSent) -> None:
        self._sent.append(effect.data)
