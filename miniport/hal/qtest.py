"""A card in a QEMU that runs no CPU: registers over qtest, memory shared in a memfd, a clock that we move.

Messages are aimed at words of our own memory, which the card writes as it would any MSI; a line is seen in
the status register of configuration space. Both are looked at after whatever can have raised them, so a run
is deterministic. The qtest connection itself is the lab's: ``QtestFunction`` is all that is needed of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from miniport.hal import pci
from miniport.hal.memory import DmaMemory
from miniport.hal.pci import Signalling
from miniport.hal.signalled import VirtualTimeBus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.contract import Executive, Timer

BAR0, BAR3 = 0, 3
BAR0_BYTES = 0x2_0000
LOW_BYTES = 1 << 20
"""The first MiB of the machine is the firmware's and the VGA's hole: no DMA memory there."""
TICK_NS = 10_000_000
_STATUS, _INTX_STATUS = 0x06, 1 << 3


class QtestFunction(Protocol):
    """One PCI function of a QEMU under qtest."""

    def read(self, address: int) -> int:
        """Read 32 bits of memory space."""

    def write(self, address: int, value: int) -> None:
        """Write 32 bits of memory space."""

    def read_config(self, offset: int, length: int) -> bytes:
        """Read configuration space."""

    def write_config(self, offset: int, data: bytes) -> None:
        """Write configuration space."""

    def bar(self, index: int) -> int:
        """Return where a BAR is."""

    def clock_step(self, step_ns: int) -> None:
        """Let QEMU's time pass; its timers fire."""

    @property
    def memory(self) -> tuple[int, int]:
        """The file of the machine's RAM and its length; address 0 is its first byte."""


class _Window:
    """Registers at an address; ``after`` each access interrupts may be there."""

    def __init__(self, function: QtestFunction, base: int, after: Callable[[], None]) -> None:
        self._function = function
        self._base = base
        self._after = after

    def read32(self, offset: int) -> int:
        """Read a register."""
        return self._function.read(self._base + offset)

    def write32(self, offset: int, value: int) -> None:
        """Write a register."""
        self._function.write(self._base + offset, value)
        self._after()


class QtestBus(VirtualTimeBus):
    """``miniport.hal.contract.Bus`` over a QEMU."""

    def __init__(
        self, function: QtestFunction, executive: Executive, *, mode: Signalling = Signalling.MSIX
    ) -> None:
        """Take the machine's RAM, from 1 MiB on, as DMA memory."""
        fd, length = function.memory
        super().__init__(executive, DmaMemory(length, 0, fd), mode)
        self._function = function
        self._low = self.memory.allocate(LOW_BYTES)
        self._words = self.memory.allocate(4096)
        self._now_ns = executive.now_ns()
        self._tick: Timer | None = None

    # -- the driver's side ------------------------------------------------------------------------------

    def map_io_space(self, bar: int) -> tuple[_Window, int]:
        """Map BAR0. IndexError for another."""
        if bar != BAR0:
            raise IndexError(f"BAR{bar} holds nothing for a driver")
        pci.enable(self, line=self._mode is Signalling.INTX)
        return _Window(self._function, self._function.bar(BAR0), self.look), BAR0_BYTES

    def read_config(self, offset: int, length: int) -> bytes:
        """Read configuration space."""
        return self._function.read_config(offset, length)

    def write_config(self, offset: int, data: bytes) -> None:
        """Write configuration space."""
        self._function.write_config(offset, data)

    def stall(self, delay_us: int) -> None:
        """Step QEMU's clock; the executive's stands."""
        self._function.clock_step(delay_us * 1000)
        self.look()

    # -- interrupts ----------------------------------------------------------------------------------------

    def look(self) -> None:
        """Find messages that were sent, or a raised line, and queue their service."""
        if self._mode is Signalling.INTX:
            if 0 in self._connected and 0 not in self._queued and self._line():
                self._queue(0)
            return
        words = self._words.view
        for message in self._connected:
            at = 4 * message
            if words[at]:
                words[at : at + 4] = bytes(4)
                self._queue(message)

    def keep_time(self) -> None:
        """Bring QEMU's clock to where the executive's is."""
        now_ns = self._executive.now_ns()
        if now_ns > self._now_ns:
            self._function.clock_step(now_ns - self._now_ns)
            self._now_ns = now_ns
        self.look()

    def _arm(self) -> None:
        """Arm, and let the clocks run together."""
        base = self._words.address
        if self._mode is Signalling.MSIX:
            table = _Window(self._function, self._function.bar(BAR3), lambda: None)
            pci.arm_msix(self, table, 0, [(base + 4 * n, n + 1) for n in range(self.messages)])
        elif self._mode is Signalling.MSI:
            pci.arm_msi(self, base, 1)
        self._run_clock()

    def _disarm(self) -> None:
        super()._disarm()
        if self._tick is not None:
            self._tick.cancel()

    def _line(self) -> bool:
        return bool(pci.word(self, _STATUS) & _INTX_STATUS)

    def _serviced(self, *, recognized: bool) -> None:
        del recognized  # a line that is still up is seen in the status register
        self.look()

    def _run_clock(self) -> None:
        self._tick = self._executive.call_at(self._executive.now_ns() + TICK_NS, "qtest", self._on_tick)

    def _on_tick(self) -> None:
        self.keep_time()
        if self._connected:
            self._run_clock()
