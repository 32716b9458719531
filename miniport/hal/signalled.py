"""What every bus does the same: DMA memory, and interrupts that are armed with the first that is connected.

``VirtualTimeBus`` is for those on the executive's own clock: a message becomes a DPC-like entry of the
executive, once however often it was sent, so that a test chooses when it arrives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from miniport.hal import pci
from miniport.hal.contract import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniport.hal.memory import Block, DmaMemory
    from miniport.hal.pci import Signalling
    from ndis.hardware import SharedMemory
    from ntos.executive.contract import Executive


class SignalledBus(ABC):
    """The common part of ``miniport.hal.contract.Bus``; a bus adds its access to the card."""

    def __init__(self, memory: DmaMemory, mode: Signalling) -> None:
        """Allocate from ``memory``; ``mode``: what the bus driver grants."""
        self.memory = memory
        self._mode = mode
        self._connected: dict[int, Connection] = {}

    @abstractmethod
    def read_config(self, offset: int, length: int) -> bytes:
        """Read configuration space."""

    @abstractmethod
    def write_config(self, offset: int, data: bytes) -> None:
        """Write configuration space."""

    @abstractmethod
    def _arm(self) -> None:
        """Have the card signal as ``mode`` says."""

    def _disarm(self) -> None:
        """Switch the messages off."""
        pci.disarm(self)

    @property
    def messages(self) -> int:
        """What the function can do of what was granted."""
        return pci.messages(self, self._mode)

    def allocate_shared_memory(self, length: int) -> Block:
        """Allocate. MemoryError."""
        return self.memory.allocate(length)

    def free_shared_memory(self, memory: SharedMemory) -> None:
        """Free: the card cannot reach it any more."""
        self.memory.free(memory)

    def connect_interrupt(self, message: int, service: Callable[[], bool]) -> Connection:
        """Connect; with the first, arm what was granted."""
        connection = Connection(message, service)
        first = not self._connected
        self._connected[message] = connection
        if first:
            self._arm()
        return connection

    def disconnect_interrupt(self, connection: object) -> None:
        """Disconnect; with the last one the messages are switched off."""
        self._connected = {n: one for n, one in self._connected.items() if one is not connection}
        if not self._connected:
            self._disarm()


class VirtualTimeBus(SignalledBus):
    """A bus whose interrupts the executive delivers."""

    def __init__(self, executive: Executive, memory: DmaMemory, mode: Signalling) -> None:
        super().__init__(memory, mode)
        self._executive = executive
        self._queued: set[int] = set()

    @abstractmethod
    def _serviced(self, *, recognized: bool) -> None:
        """Go on behind a service routine that said whether the interrupt was its card's."""

    def _queue(self, message: int) -> None:
        if message not in self._queued:
            self._queued.add(message)
            self._executive.queue_dpc("interrupt", lambda: self._deliver(message))

    def _deliver(self, message: int) -> None:
        self._queued.discard(message)
        connection = self._connected.get(message)
        if connection is not None:
            self._serviced(recognized=connection.service())
