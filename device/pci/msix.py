"""The MSI-X table and pending bits in BAR3 (PCI 3.0, 6.8.2). It knows no card and no eventfd.

QEMU keeps a table of its own and arms vectors by SET_IRQS: then nobody writes ours, and its mask bits
(set after reset) hold nothing back. They count from the first write on.
"""

from __future__ import annotations

from typing import Any

from device.pci.function import MSIX_PBA, MSIX_TABLE
from device.regs.nic import VECTORS

ENTRY = 16
_MASKED = 1


class MsixTable:
    """Five entries of address, data and control; one pending bit each."""

    def __init__(self) -> None:
        """Start as after reset: masked, but unused."""
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._table = bytearray((bytes(12) + _MASKED.to_bytes(4, "little")) * VECTORS)
        self._used = False
        self.pending: set[int] = set()

    def save(self) -> dict[str, object]:
        """Return the whole state."""
        return {"table": self._table.hex(), "used": self._used, "pending": sorted(self.pending)}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take a saved state over; KeyError, TypeError or ValueError when it is not one."""
        table, pending = bytearray.fromhex(saved["table"]), {int(vector) for vector in saved["pending"]}
        if len(table) != ENTRY * VECTORS or not pending <= set(range(VECTORS)):
            raise ValueError("an MSI-X table of another card")
        self._table, self._used, self.pending = table, bool(saved["used"]), pending

    def masked(self, vector: int) -> bool:
        """Tell whether the vector's mask bit holds it back."""
        return self._used and bool(self._table[vector * ENTRY + 12] & _MASKED)

    def message(self, vector: int) -> tuple[int, int]:
        """Return the address and the data that the driver programmed."""
        entry = self._table[vector * ENTRY : vector * ENTRY + 12]
        return int.from_bytes(entry[:8], "little"), int.from_bytes(entry[8:], "little")

    def read(self, offset: int, count: int) -> bytes:
        """Return bytes of the region; what is neither table nor pending bits is zero."""
        out = bytearray(count)
        pending = sum(1 << vector for vector in self.pending).to_bytes(8, "little")
        for source, base in ((self._table, MSIX_TABLE), (pending, MSIX_PBA)):
            start, stop = max(offset, base), min(offset + count, base + len(source))
            if start < stop:
                out[start - offset : stop - offset] = source[start - base : stop - base]
        return bytes(out)

    def write(self, offset: int, data: bytes) -> bool:
        """Store whole aligned doublewords of the table; tell whether anything changed.

        Other widths are undefined by PCI 3.0 (6.8.2) and ignored, as are the pending bits.
        """
        if offset % 4 or len(data) not in (4, 8) or offset % len(data):
            return False
        stop = min(offset + len(data), len(self._table))
        if offset >= stop:
            return False
        self._used = True
        self._table[offset:stop] = data[: stop - offset]
        return True
