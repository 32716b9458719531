"""What the parts of the reference engine share: the register file, guest memory, effects, surroundings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from device.clock import SystemTime
from device.effects import DmaError, DmaFault
from device.interrupts import Interrupts
from device.regs.nic import NIC
from device.regs.words import RESET, place
from device.trace.events import DmaFaulted

if TYPE_CHECKING:
    from device.effects import Effect, GuestMemory
    from device.trace.events import Observer

ADDRESS_MASK = (1 << 64) - 1
"""A ring's address wraps as the bus would."""

RCTL = place("RCTL")
_LBM = NIC["RCTL"]["LBM"]
_LBM_MAC = _LBM.put(1)


class Core:
    """The state that transmitter, receiver and interrupts work on."""

    def __init__(self, memory: GuestMemory, *, offload: bool, observer: Observer | None) -> None:
        """Power on: no link, no DMA, no way to interrupt, until the card says otherwise."""
        self.memory = memory
        self.offload = offload
        self.observer = observer
        self.words: list[int] = list(RESET)
        self.effects: list[Effect] = []
        self.now = 0
        self.link = False
        self.mastering = False
        self.loopback = False
        self.paused_until = 0  # an XOFF frame was obeyed
        self.interrupts = Interrupts(self)
        self.time = SystemTime()

    def looped(self) -> bool:
        """Tell whether what is transmitted comes back: PHY loopback, or RCTL.LBM."""
        return self.loopback or (self.words[RCTL] & _LBM.mask) == _LBM_MAC

    def fault(self, error: DmaError, *, write: bool) -> None:
        """Report a DMA that nothing covers; the caller goes on without it."""
        self.effects.append(DmaFault(error.address, error.length, write))
        if self.observer is not None:
            self.observer(DmaFaulted(error.address, error.length, write))

    def fetch(self, address: int, length: int) -> bytes | None:
        """Read guest memory; None and a ``DmaFault`` where nothing is mapped."""
        try:
            return self.memory.read(address, length)
        except DmaError as error:
            self.fault(error, write=False)
            return None

    def store(self, address: int, data: bytes) -> bool:
        """Write guest memory; False and a ``DmaFault`` where nothing is mapped."""
        try:
            self.memory.write(address, data)
        except DmaError as error:
            self.fault(error, write=True)
            return False
        return True
