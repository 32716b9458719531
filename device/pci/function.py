"""The 82574L as a PCI function: its configuration space, and what in it matters to the card.

Datasheet chapter 9; values cross-read with ``lspci -vvv`` of a Gigabit CT adapter and with QEMU's
hw/net/e1000e.c. Capabilities::

    34 ─► C8 PM ─► D0 MSI ─► E0 PCIe ─► A0 MSI-X        100 AER ─► 140 DSN
"""

from __future__ import annotations

from typing import Final

from device.pci.config import ConfigSpace
from device.regs.nic import BAR0_SIZE, VECTORS

VENDOR, DEVICE, SUBSYSTEM = 0x8086, 0x10D3, 0xA01F
FLASH_SIZE: Final = 0x2_0000
IO_SIZE: Final = 0x20
MSIX_SIZE: Final = 0x4000
MSIX_TABLE: Final = 0
MSIX_PBA: Final = 0x2000

COMMAND, STATUS = 0x04, 0x06
MEMORY_ENABLE, BUS_MASTER, INTX_DISABLE = 1 << 1, 1 << 2, 1 << 10
INTX_STATUS = 1 << 3
BARS = 0x10
PM, MSI, PCIE, MSIX, AER, DSN = 0xC8, 0xD0, 0xE0, 0xA0, 0x100, 0x140
PMCSR = PM + 4
PME_ENABLE, PME_STATUS = 1 << 8, 1 << 15
MSI_CONTROL, MSIX_CONTROL = MSI + 2, MSIX + 2
MSI_ENABLED, MSIX_ENABLED, MSIX_MASKED = 1, 1 << 15, 1 << 14

_MASTER_MASK = 0x0547  # I/O, memory, master, parity, SERR, INTx disable
_MEMORY_BAR, _IO_BAR = 0, 1


class Function:
    """The function's configuration space."""

    def __init__(self, mac: bytes) -> None:
        """Lay it out for a card of that address (its serial number)."""
        self.config = ConfigSpace()
        self._header()
        self._capabilities()
        self._extended(mac)

    def _header(self) -> None:
        lay = self.config.declare
        lay(0x00, 2, VENDOR)
        lay(0x02, 2, DEVICE)
        lay(COMMAND, 2, 0, _MASTER_MASK)
        lay(STATUS, 2, 0x0010, 0, 0xF900)
        lay(0x09, 3, 0x02_00_00)
        lay(0x0C, 1, 0, 0xFF)
        sizes = (
            (BAR0_SIZE, _MEMORY_BAR),
            (FLASH_SIZE, _MEMORY_BAR),
            (IO_SIZE, _IO_BAR),
            (MSIX_SIZE, _MEMORY_BAR),
        )
        for number, (size, kind) in enumerate(sizes):
            lay(BARS + 4 * number, 4, kind, 0x1_0000_0000 - size)
        lay(0x2C, 2, VENDOR)
        lay(0x2E, 2, SUBSYSTEM)
        lay(0x34, 1, PM)
        lay(0x3C, 1, 0, 0xFF)
        lay(0x3D, 1, 1)  # INTA

    def _capabilities(self) -> None:
        lay = self.config.declare
        # PM 1.1, DSI, PME from D0, D3hot and D3cold; D3hot to D0 resets (No_Soft_Reset = 0).
        lay(PM, 4, 0xC822 << 16 | MSI << 8 | 0x01)
        lay(PMCSR, 2, 0, 0x1F03, PME_STATUS)
        # MSI: one message, 64-bit address.
        lay(MSI, 2, PCIE << 8 | 0x05)
        lay(MSI_CONTROL, 2, 0x0080, 0x0001)
        lay(MSI + 4, 4, 0, 0xFFFF_FFFC)
        lay(MSI + 8, 4, 0, 0xFFFF_FFFF)
        lay(MSI + 12, 2, 0, 0xFFFF)
        # PCIe: version 1 endpoint, payload 256, no FLR; link 2.5 GT/s x1, ASPM L0s and L1.
        lay(PCIE, 2, MSIX << 8 | 0x10)
        lay(PCIE + 2, 2, 0x0001)
        lay(PCIE + 4, 4, 0x0000_8CC1)
        lay(PCIE + 8, 2, 0x2810, 0x7FFF)
        lay(PCIE + 10, 2, 0, 0, 0x000F)
        lay(PCIE + 12, 4, 0x0003_1C11)
        lay(PCIE + 16, 2, 0, 0x01FB)
        lay(PCIE + 18, 2, 0x1011)
        # MSI-X: five vectors, table and PBA in BAR3.
        lay(MSIX, 2, 0x11)
        lay(MSIX_CONTROL, 2, VECTORS - 1, MSIX_ENABLED | MSIX_MASKED)
        lay(MSIX + 4, 4, MSIX_TABLE | 3)
        lay(MSIX + 8, 4, MSIX_PBA | 3)

    def _extended(self, mac: bytes) -> None:
        lay = self.config.declare
        lay(AER, 4, DSN << 20 | 1 << 16 | 0x0001)
        lay(AER + 0x04, 4, 0, 0, 0x001F_F010)
        lay(AER + 0x08, 4, 0, 0x001F_F010)
        lay(AER + 0x0C, 4, 0x0006_2011, 0x001F_F010)
        lay(AER + 0x10, 4, 0, 0, 0x31C1)
        lay(AER + 0x14, 4, 0x2000, 0x31C1)
        lay(AER + 0x18, 4, 0, 0x0140)
        lay(DSN, 4, 1 << 16 | 0x0003)
        # EUI-64 of the address (datasheet, PCI Configuration): FF FF between its halves.
        serial = mac[:3] + b"\xff\xff" + mac[3:]
        lay(DSN + 4, 8, int.from_bytes(serial, "big"))

    @property
    def mastering(self) -> bool:
        """Whether the function may do DMA: bus master enable, and full power."""
        return bool(self.config.get(COMMAND, 2) & BUS_MASTER) and self.power_state == 0

    @property
    def power_state(self) -> int:
        """The D state: 0 or 3; the reserved 1 and 2 read as written and count as asleep."""
        return self.config.get(PMCSR, 2) & 3

    @property
    def intx_allowed(self) -> bool:
        """Whether the command register leaves INTx on."""
        return not self.config.get(COMMAND, 2) & INTX_DISABLE

    @property
    def msi(self) -> bool:
        """Whether MSI is enabled."""
        return bool(self.config.get(MSI_CONTROL, 2) & MSI_ENABLED)

    @property
    def msix(self) -> bool:
        """Whether MSI-X is enabled."""
        return bool(self.config.get(MSIX_CONTROL, 2) & MSIX_ENABLED)

    @property
    def msix_masked(self) -> bool:
        """Whether the function mask holds every MSI-X vector back."""
        return bool(self.config.get(MSIX_CONTROL, 2) & MSIX_MASKED)

    def show_line(self, *, asserted: bool) -> None:
        """Show the INTx line in the status register."""
        status = self.config.get(STATUS, 2) & ~INTX_STATUS
        self.config.put(STATUS, 2, status | (INTX_STATUS if asserted else 0))
