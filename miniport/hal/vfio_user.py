"""A card behind a vfio-user socket: we are the client, and our DMA memory is a memfd that both sides map."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from device.vfio_user import Client
from miniport.hal.eventfds import CONFIG, EventfdBus
from miniport.hal.memory import DmaMemory
from miniport.hal.pci import Signalling

if TYPE_CHECKING:
    from miniport.hal.contract import Reactor

MEMORY_BYTES = 16 << 20
MEMORY_BASE = 0x1_0000_0000


class SocketRegisters:
    """One BAR. Writes are posted: nobody waits for their reply."""

    def __init__(self, client: Client, region: int) -> None:
        self._client = client
        self._region = region
        self.write32 = partial(client.post_write32, region)
        """Write a register: offset and value."""

    def read32(self, offset: int) -> int:
        """Read a register: one round trip."""
        return int.from_bytes(self._client.read(self._region, offset, 4), "little")


class ClientBackend:
    """``miniport.hal.eventfds.Backend`` over a client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def registers(self, bar: int) -> tuple[SocketRegisters, int]:
        """Map a BAR."""
        info, fd = self._client.region_info(bar)
        if fd is not None:
            os.close(fd)  # a mapping would make every access of this region ours: sockets are enough
        return SocketRegisters(self._client, bar), info.size

    def read_config(self, offset: int, length: int) -> bytes:
        """Read configuration space."""
        return self._client.read(CONFIG, offset, length)

    def write_config(self, offset: int, data: bytes) -> None:
        """Write configuration space."""
        self._client.write(CONFIG, offset, data)

    def arm(self, index: int, eventfds: list[int]) -> None:
        """Arm."""
        self._client.enable_irqs(index, eventfds)

    def disarm(self, index: int) -> None:
        """Disarm."""
        self._client.disable_irqs(index)

    def unmask_line(self) -> None:
        """Let INTx come again."""
        self._client.unmask_irq(0)

    def programs_messages(self) -> bool:
        """No: a vfio-user server sees the registers as the card's, and we write them."""
        return False


class VfioUserBus(EventfdBus):
    """``miniport.hal.contract.Bus`` at a vfio-user socket."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        reactor: Reactor,
        *,
        mode: Signalling = Signalling.MSIX,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """Connect and share the memory. OSError, TransportError."""
        self.client = Client.connect(path)
        memory = DmaMemory(memory_bytes, MEMORY_BASE)
        self.client.map_dma(memory.base, memory.view, fd=memory.fd)
        super().__init__(ClientBackend(self.client), memory, reactor, mode)

    def close(self) -> None:
        """Go: the server resets the card."""
        self.client.close()
        self.memory.close()
