"""The memory of a vfio-user client as engines want it.

The reference engine reaches all of it here; the native one only what came without a descriptor, by messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device import vfio_user
from device.effects import DmaError

if TYPE_CHECKING:
    from device.vfio_user import DmaMap


class ClientMemory:
    """The memory of whoever is attached, as the engine wants it; without a client nothing is mapped."""

    def __init__(self) -> None:
        self.dma: DmaMap | None = None

    def read(self, address: int, length: int) -> bytes:
        """Return bytes; DmaError where the client mapped none."""
        if self.dma is None:
            raise DmaError(address, length)
        try:
            return self.dma.read(address, length)
        except vfio_user.DmaError as error:
            raise DmaError(address, length) from error

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; DmaError where the client mapped none."""
        if self.dma is None:
            raise DmaError(address, len(data))
        try:
            self.dma.write(address, data)
        except vfio_user.DmaError as error:
            raise DmaError(address, len(data)) from error
