"""What the two buses that signal by eventfd share: arming, waiting, masking of a level-triggered line.

VFIO and vfio-user have the same model: interrupt types by index, an eventfd a vector, INTx masked by the
other side until it is unmasked (linux/vfio.h). ``Backend`` is the little in which they differ.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

from miniport.hal import pci
from miniport.hal.pci import Signalling
from miniport.hal.signalled import SignalledBus

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniport.hal.contract import Reactor
    from miniport.hal.memory import DmaMemory
    from ndis.hardware import Registers

BAR0, BAR3, CONFIG = 0, 3, 7
INDEX = {Signalling.INTX: 0, Signalling.MSI: 1, Signalling.MSIX: 2}
_SPIN_US = 50


class Backend(Protocol):
    """The device's side of a bus."""

    def registers(self, bar: int) -> tuple[Registers, int]:
        """Map a BAR."""

    def read_config(self, offset: int, length: int) -> bytes:
        """Read configuration space."""

    def write_config(self, offset: int, data: bytes) -> None:
        """Write configuration space."""

    def arm(self, index: int, eventfds: list[int]) -> None:
        """Have vectors 0, 1, ... of an interrupt type signal these eventfds."""

    def disarm(self, index: int) -> None:
        """Disarm all vectors of a type."""

    def unmask_line(self) -> None:
        """Let INTx come again."""

    def programs_messages(self) -> bool:
        """Whether the other side writes MSI and MSI-X registers itself when vectors are armed."""


class EventfdBus(SignalledBus):
    """``miniport.hal.contract.Bus`` over a backend."""

    def __init__(self, backend: Backend, memory: DmaMemory, reactor: Reactor, mode: Signalling) -> None:
        """Use ``memory``, which the device can reach already."""
        super().__init__(memory, mode)
        self._backend = backend
        self._reactor = reactor
        self._eventfds: list[int] = []

    def map_io_space(self, bar: int) -> tuple[Registers, int]:
        """Map a BAR."""
        pci.enable(self, line=self._mode is Signalling.INTX)
        return self._backend.registers(bar)

    def read_config(self, offset: int, length: int) -> bytes:
        """Read configuration space."""
        return self._backend.read_config(offset, length)

    def write_config(self, offset: int, data: bytes) -> None:
        """Write configuration space."""
        self._backend.write_config(offset, data)

    def stall(self, delay_us: int) -> None:
        """Wait. Short delays spin, as KeStallExecutionProcessor does; a sleep is never that short."""
        if delay_us > _SPIN_US:
            time.sleep(delay_us / 1e6)
            return
        end_ns = time.monotonic_ns() + delay_us * 1000
        while time.monotonic_ns() < end_ns:
            pass

    def _arm(self) -> None:
        count = max(self.messages, 1)
        self._eventfds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(count)]
        for number, fd in enumerate(self._eventfds):
            self._reactor.watch(fd, self._waiter(number, fd), edge=True)
        self._backend.arm(INDEX[self._mode], self._eventfds)
        if self._backend.programs_messages():
            return
        if self._mode is Signalling.MSIX:
            table, _ = self._backend.registers(BAR3)
            pci.arm_msix(self, table, 0, [(0xFEE0_0000, n) for n in range(count)])
        elif self._mode is Signalling.MSI:
            pci.arm_msi(self, 0xFEE0_0000, 0)

    def _disarm(self) -> None:
        if not self._backend.programs_messages():
            super()._disarm()
        self._backend.disarm(INDEX[self._mode])
        for fd in self._eventfds:
            self._reactor.unwatch(fd)
            os.close(fd)
        self._eventfds = []

    def _waiter(self, number: int, fd: int) -> Callable[[], None]:
        def ready() -> None:
            try:
                os.eventfd_read(fd)
            except BlockingIOError:  # another look was quicker
                return
            connection = self._connected.get(number)
            if connection is not None:
                connection.service()
            if self._mode is Signalling.INTX:
                self._backend.unmask_line()

        return ready
