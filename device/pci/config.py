"""Configuration space: an image, the bits that can be written, the bits that a 1 clears.

It knows no card; ``device.pci.function`` lays the 82574L's out. Bytes outside the image do not exist: the
transport has checked the range.
"""

from __future__ import annotations

SIZE = 4096


class ConfigSpace:
    """4096 bytes, little-endian, read and written at any width."""

    def __init__(self) -> None:
        """Start with zeros that nobody can write."""
        self._image = bytearray(SIZE)
        self._writable = bytearray(SIZE)
        self._clearable = bytearray(SIZE)
        self._initial = bytes(SIZE)

    def declare(self, offset: int, size: int, value: int, writable: int = 0, clearable: int = 0) -> None:
        """Lay ``size`` bytes out: the value after reset, and which bits a write stores or clears."""
        for target, number in (
            (self._image, value),
            (self._writable, writable),
            (self._clearable, clearable),
        ):
            target[offset : offset + size] = number.to_bytes(size, "little")
        self._initial = bytes(self._image)

    def reset(self) -> None:
        """Return to the values declared."""
        self._image[:] = self._initial

    def read(self, offset: int, count: int) -> bytes:
        """Return bytes as they are."""
        return bytes(self._image[offset : offset + count])

    def write(self, offset: int, data: bytes) -> None:
        """Store what can be stored, clear what a 1 clears."""
        for at, byte in enumerate(data, offset):
            writable = self._writable[at]
            value = self._image[at] & ~writable | byte & writable
            self._image[at] = value & ~(byte & self._clearable[at])

    def get(self, offset: int, size: int) -> int:
        """Return a field as a number."""
        return int.from_bytes(self._image[offset : offset + size], "little")

    def put(self, offset: int, size: int, value: int) -> None:
        """Set a field from the device's side: no mask."""
        self._image[offset : offset + size] = value.to_bytes(size, "little")

    def save(self) -> bytes:
        """Return the image."""
        return bytes(self._image)

    def restore(self, image: bytes) -> None:
        """Take an image back; ValueError for a wrong length."""
        if len(image) != SIZE:
            raise ValueError(f"a configuration space of {len(image):#x} bytes")
        self._image[:] = image
