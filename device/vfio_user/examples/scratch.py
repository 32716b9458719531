"""A whole PCI device: a scratch page, a factorial, an interrupt. Run it, then QEMU with what it prints.

BAR0: 0x00 identification; 0x04 write n, read n!; 0x08 a write raises INTx, a read lowers it; then scratch.
"""

import math
import struct
import sys
from typing import ClassVar

from .. import NO_REGION, DmaMap, Feature, Irqs, RegionInfo, Server

BAR0, CONFIG, ID, FACTORIAL, INTERRUPT = 0, 7, 0x00, 0x04, 0x08
HEADER = struct.Struct("<HHHHI 32x HH 12x BBBB").pack(  # PCI 3.0, figure 6-1
    *(0x1234, 0x11E8, 0, 0, 0xFF000010, 0x1AF4, 0x1100, 0, 1, 0, 0)  # class: other; pin INTA
)


class Scratch:
    """The device; every method is what ``Device`` asks for."""

    regions = (RegionInfo(4096), *[NO_REGION] * 6, RegionInfo(256), NO_REGION)
    irq_counts = (1, 0, 0, 1, 1)
    features: ClassVar[dict[int, Feature]] = {}

    def attached(self, dma: DmaMap, irqs: Irqs) -> None:
        """Keep what the client gives: its memory (not used here) and its interrupts."""
        self.dma, self.irqs = dma, irqs

    def detached(self) -> None:
        """Have nothing to let go of: no thread runs."""

    def reset(self) -> None:
        """Start as after power-on."""
        self.memory = {BAR0: bytearray(4096), CONFIG: bytearray(HEADER.ljust(256, b"\0"))}
        self.memory[BAR0][ID : ID + 4] = 0x010000ED.to_bytes(4, "little")

    __init__ = reset

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Read a register, or configuration space."""
        if (index, offset) == (BAR0, INTERRUPT):
            self.irqs.set_level(False)
        return bytes(self.memory[index][offset : offset + count])

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write a register, or configuration space (QEMU sizes the BARs itself)."""
        if (index, offset) == (BAR0, FACTORIAL):
            data = math.factorial(data[0] % 13).to_bytes(4, "little")
        self.memory[index][offset : offset + len(data)] = data
        if (index, offset) == (BAR0, INTERRUPT):
            self.irqs.set_level(True)


if __name__ == "__main__":
    with Server(sys.argv[1], Scratch()) as server:
        print(  # noqa: T201 - a program
            "-machine q35,memory-backend=m -m 512M -object memory-backend-memfd,id=m,size=512M,share=on",
            f"""-device '{{"driver":"vfio-user-pci","socket":{{"type":"unix","path":"{sys.argv[1]}"}}}}'""",
            flush=True,
        )
        server.serve_forever()
