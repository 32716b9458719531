"""Guest memory as a file of our own, which QEMU maps too. It knows no machine."""

from __future__ import annotations

import mmap
import os


class SharedRam:
    """A memfd, mapped here; ``descriptor`` is what the other side maps. Addresses start at 0."""

    def __init__(self, size_bytes: int) -> None:
        """Make the memory, all zeros."""
        self.size_bytes = size_bytes
        self.descriptor = os.memfd_create("ringwalk-ram", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, size_bytes)
        self._map = mmap.mmap(self.descriptor, size_bytes)

    def read(self, address: int, length: int) -> bytes:
        """Return ``length`` bytes; raises IndexError beyond the end."""
        self._check(address, length)
        return self._map[address : address + length]

    def write(self, address: int, data: bytes) -> None:
        """Store the bytes; raises IndexError beyond the end."""
        self._check(address, len(data))
        self._map[address : address + len(data)] = data

    def close(self) -> None:
        """Unmap and close; what QEMU has mapped stays alive with QEMU."""
        self._map.close()
        os.close(self.descriptor)

    def _check(self, address: int, length: int) -> None:
        if address < 0 or length < 0 or address + length > self.size_bytes:
            raise IndexError(f"{address:#x}+{length:#x} is outside {self.size_bytes:#x} bytes of RAM")
