"""What a check holds: the card on its bench, with registers by name, memory to give away, and time.

It knows the register bank and the way a driver brings the card up, no bench and no check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from device.regs.nic import NIC
from lab.conformance.bench import BenchError, Capability, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.conformance.bench import Bench

MICROSECOND, MILLISECOND, SECOND = 1_000, 1_000_000, 1_000_000_000
UNTOUCHED = 0xA5  # what memory is filled with, so that a stray write shows
GUARD_BYTES = 64  # between two allocations
LINK_STEP_NS = 50 * MILLISECOND
LINK_STEPS = 200
SOON_STEPS = 50
T = TypeVar("T")

CTRL, STATUS = NIC["CTRL"], NIC["STATUS"]
PHY_ADDRESS = 1
MDIC_WRITE, MDIC_READ = 1 << 26, 2 << 26
MDIC_READY, MDIC_ERROR = 1 << 28, 1 << 30


class Subject:
    """One card for one check: made anew for each, so nothing of the last one is left."""

    def __init__(self, bench: Bench) -> None:
        """Reset the card and fill its memory with a pattern."""
        self.bench = bench
        bench.reset()
        self._next = bench.dma.start
        bench.memory_write(bench.dma.start, bytes([UNTOUCHED]) * len(bench.dma))
        if bench.frames():
            raise BenchError("frames left the card before the check began")

    # -- registers --------------------------------------------------------------------------------

    def read(self, name: str, index: int = 0) -> int:
        """Read a register by its name in ``device.regs.nic``."""
        return self.bench.read(NIC[name].at(index))

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Write a register by its name."""
        self.bench.write(NIC[name].at(index), value)

    def set(self, name: str, **fields: int) -> None:
        """Read, change fields, write back."""
        value = self.read(name)
        for field_name, field_value in fields.items():
            field = NIC[name][field_name]
            value = value & ~field.mask | field.put(field_value)
        self.write(name, value)

    def field(self, name: str, field: str) -> int:
        """Read one field of a register."""
        return NIC[name][field].get(self.read(name))

    def bits(self, name: str, *fields: str) -> int:
        """Return the mask of some fields of a register."""
        mask = 0
        for field in fields:
            mask |= NIC[name][field].mask
        return mask

    def causes(self, *names: str) -> int:
        """Return the mask of some interrupt causes."""
        return self.bits("ICR", *names)

    # -- memory -----------------------------------------------------------------------------------

    def allocate(self, length: int, *, align: int = 16) -> int:
        """Return the bus address of memory that nothing else uses, a guard after it."""
        start = (self._next + align - 1) // align * align
        if start + length + GUARD_BYTES > self.bench.dma.stop:
            raise BenchError(f"the DMA area of {len(self.bench.dma):#x} bytes is used up")
        self._next = start + length + GUARD_BYTES
        return start

    def buffer(self, data: bytes, *, align: int = 16) -> int:
        """Store bytes in memory of their own and return the address."""
        address = self.allocate(len(data), align=align)
        self.memory_write(address, data)
        return address

    def memory_read(self, address: int, length: int) -> bytes:
        """Read memory."""
        return self.bench.memory_read(address, length)

    def memory_write(self, address: int, data: bytes) -> None:
        """Write memory."""
        self.bench.memory_write(address, data)

    # -- the card's life --------------------------------------------------------------------------

    def software_reset(self) -> None:
        """Set CTRL.RST and wait for it to clear itself (e1000_reset_hw_82571 in Linux's 82571.c)."""
        self.write("CTRL", self.read("CTRL") | CTRL["RST"].mask)
        self.bench.advance(10 * MILLISECOND)

    def link_up(self) -> None:
        """Ask for the link and wait for it."""
        self.set("CTRL", SLU=1)
        for _ in range(LINK_STEPS):
            if self.field("STATUS", "LU"):
                return
            self.bench.advance(LINK_STEP_NS)
        raise RefusedError("the link did not come up: is the wire of this target connected?")

    def quiet(self) -> None:
        """Mask every interrupt, forget what is pending, and let a throttle window pass."""
        self.write("IMC", 0xFFFF_FFFF)
        self.read("ICR")
        self.bench.write(NIC["ICR"].offset, 0xFFFF_FFFF)
        self.bench.advance(MILLISECOND)
        self.bench.messages()

    def until(self, what: Callable[[], bool], *, step_ns: int = MILLISECOND, steps: int = 100) -> bool:
        """Let time pass in steps until something holds; False when it never does."""
        for _ in range(steps):
            if what():
                return True
            self.bench.advance(step_ns)
        return what()

    def soon(self, look: Callable[[], T | None]) -> T | None:
        """Return what ``look`` finds; a target with a clock of its own is given half a second."""
        found = look()
        for _ in range(SOON_STEPS):
            if found is not None or Capability.CLOCK & self.bench.capabilities:
                break
            self.bench.settle()
            found = look()
        return found

    def messages(self, *wanted: int) -> frozenset[int]:
        """Return the vectors that interrupted; a target with a clock of its own may take a while for some."""
        seen: frozenset[int] = frozenset()

        def look() -> bool | None:
            nonlocal seen
            seen |= self.bench.messages()
            return True if seen.issuperset(wanted) else None

        self.soon(look)
        return seen

    # -- PHY and NVM ------------------------------------------------------------------------------

    def phy_read(self, register: int, *, address: int = PHY_ADDRESS) -> int:
        """Read a PHY register of the page selected now, by MDIC."""
        return self.mdic(MDIC_READ | address << 21 | register << 16) & 0xFFFF

    def phy_write(self, register: int, value: int, *, address: int = PHY_ADDRESS) -> None:
        """Write a PHY register."""
        self.mdic(MDIC_WRITE | address << 21 | register << 16 | value)

    def mdic(self, command: int) -> int:
        """Run one MDIO access and return MDIC when it is ready."""
        self.write("MDIC", command)
        if not self.until(lambda: bool(self.read("MDIC") & MDIC_READY), step_ns=50 * MICROSECOND):
            raise RefusedError("MDIC never became ready")
        return self.read("MDIC")

    def nvm_read(self, word: int) -> int:
        """Read a word of the NVM by EERD."""
        self.write("EERD", word << 2 | 1)
        if not self.until(lambda: bool(self.read("EERD") & 2), step_ns=50 * MICROSECOND):
            raise RefusedError("EERD never became done")
        return self.read("EERD") >> 16

    def address(self) -> bytes:
        """Return the card's own Ethernet address, from receive address 0."""
        low, high = self.read("RAL"), self.read("RAH")
        return low.to_bytes(4, "little") + (high & 0xFFFF).to_bytes(2, "little")
