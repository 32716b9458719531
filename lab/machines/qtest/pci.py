"""One PCI Express function of a q35 machine: configuration space by ECAM, BARs put where we want them.

It knows PCI's header, no device. Source: PCI Local Bus 3.0, 6.1 and 6.2.5; the q35's PCIEXBAR register is
described in Intel's Q35 datasheet, 5.1.15, and placed by QEMU's hw/pci-host/q35.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.machines.qtest import protocol

if TYPE_CHECKING:
    from lab.machines.qtest.client import Client

ECAM_BASE = 0xB000_0000
WINDOW_BASE = 0xC000_0000  # above the ECAM, below the chipset's own devices at 0xFEC00000
IO_BASE = 0xC000
CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
PCIEXBAR = 0x60
BARS = 6
BAR0 = 0x10
COMMAND_IO, COMMAND_MEMORY, COMMAND_MASTER = 1 << 0, 1 << 1, 1 << 2


@dataclass(frozen=True, slots=True)
class Bar:
    """A base address register: where it was put, and how much it decodes."""

    index: int
    address: int
    size_bytes: int
    io: bool


class Function:
    """The function at ``slot`` of bus 0, function 0."""

    def __init__(self, client: Client, slot: int) -> None:
        """Remember where; nothing is touched before ``place``."""
        self._client = client
        self._config = ECAM_BASE + (slot << 15)
        self.bars: dict[int, Bar] = {}

    def enable_ecam(self) -> None:
        """Switch the host bridge's memory-mapped configuration space on; a machine reset switches it off."""
        for register, value in ((PCIEXBAR + 4, 0), (PCIEXBAR, ECAM_BASE | 1)):
            self._client.batch(
                [
                    protocol.out_command(CONFIG_ADDRESS, 1 << 31 | register, 4),
                    protocol.out_command(CONFIG_DATA, value, 4),
                ]
            )

    def read(self, offset: int, width: int = 4) -> int:
        """Read configuration space, extended space included."""
        return self._client.read(self._config + offset, width)

    def write(self, offset: int, value: int, width: int = 4) -> None:
        """Write configuration space."""
        self._client.write(self._config + offset, value, width)

    def place(self) -> None:
        """Size every BAR, give each an address, and let the function decode and master the bus."""
        memory, port = WINDOW_BASE, IO_BASE
        self.bars.clear()
        for index in range(BARS):
            at = BAR0 + 4 * index
            self.write(at, 0xFFFF_FFFF)
            probe = self.read(at)
            if probe in (0, 0xFFFF_FFFF):
                continue
            io = bool(probe & 1)
            size = (~(probe & (~0x3 if io else ~0xF)) & 0xFFFF_FFFF) + 1
            size = size & 0xFFFF if io else size
            start = port if io else (memory + size - 1) // size * size
            self.write(at, start)
            self.bars[index] = Bar(index, start, size, io)
            if io:
                port = start + size
            else:
                memory = start + size
        self.write(0x04, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER, 2)

    def again(self) -> None:
        """Write the addresses once more after something cleared them."""
        for bar in self.bars.values():
            self.write(BAR0 + 4 * bar.index, bar.address)
        self.write(0x04, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER, 2)
