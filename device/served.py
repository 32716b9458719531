"""What a served card is with either engine: its lock, its client's memory, its state saved and restored.

It knows neither engine nor wire: ``device.serving`` and ``device.native_serving`` do.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from device.client_memory import ClientMemory
from device.engine.contract import InterruptMode
from device.regs.nic import VECTORS
from device.vfio_user import PciIrq
from device.vfio_user.sharing import private
from device.wire.contract import TellsLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from device.card import Card
    from device.vfio_user import DmaMap, Feature, Irqs, Serving
    from device.wire.contract import Wire

PRIVATE_MEMORY: Final = (
    "the guest's memory is not shared with the card, which sees zeros: give QEMU's memory backend share=on"
)
IRQ_COUNTS: Final = (1, 1, VECTORS, 1, 1)
LOG = structlog.get_logger("device.card")
"""Where a served card's events go (docs/logging.md)."""
CARRIER_POLL_S: Final = 0.25
"""How often the carrier of the wire is looked at."""


def stop_when(stop: threading.Event, server: Serving) -> None:
    """Wait until ``stop`` is set, and then stop the server: the body of a thread."""
    stop.wait()
    server.stop()


class ServedBase:
    """A card that a client may attach to; every call comes under its lock, at the present time."""

    irq_counts = IRQ_COUNTS
    card: Card

    def __init__(self, wire: Wire) -> None:
        """Have no client. ``wire`` stays the caller's; the card itself is a subclass's to make."""
        self.lock = threading.RLock()
        self.memory = ClientMemory()
        self.wire = wire
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.plugged = True
        """Whether the cable is in; see ``set_cable``."""
        self.stopping = False
        self.clock: Callable[[], int] = time.monotonic_ns
        """The card's time in nanoseconds: a stepper replaces it by a clock that can stand."""
        self.complain: Callable[[str], None] = lambda _: None
        self._looked = False

    @property
    def features(self) -> Mapping[int, Feature]:
        """None: migration is refused."""
        return {}

    def save(self, *, hold: bool = False) -> bytes:
        """Return the card's whole state; ``hold``: it does no DMA from this instant on."""
        with self.lock:
            self.card.advance(self.clock())
            state = self.card.save()
            if hold:
                self.card.hold()
            return state

    def restore(self, state: bytes) -> None:
        """Take a saved state over. ValueError.

        The next client goes on where it was: DMA is held until it has mapped memory and then armed an
        interrupt or written configuration space. DEVICE_RESET, or its end, makes an ordinary card of it.
        """
        with self.lock:
            self.card.advance(self.clock())
            self.card.restore(state)

    def set_cable(self, *, plugged: bool) -> None:
        """Pull the cable out of the running card, or plug it in; any thread may call it.

        The card sees what the wire says only while the cable is in. Both ends notice, where the wire can
        tell.
        """
        with self.lock:
            self.plugged = plugged
        os.eventfd_write(self.wake, 1)

    def set_partner(self, offers: Iterable[str]) -> None:
        """Have the link partner offer these modes from now on. ValueError; any thread may call it."""
        with self.lock:
            self.card.advance(self.clock())
            self.card.set_partner(offers)
        os.eventfd_write(self.wake, 1)

    def registers(self, offsets: Iterable[int]) -> dict[int, int]:
        """Return what registers hold, without the effects of reading them; any thread may call it."""
        with self.lock:
            return {offset: self.card.engine.peek(offset) for offset in offsets}

    def _follow_cable(self, *, ended: bool) -> None:
        """Let the PHY see the carrier, and the far end ours. Under the lock; ``ended``: the wire has."""
        self.card.set_carrier(present=self.plugged and not ended and self.wire.link)
        if isinstance(self.wire, TellsLink):
            self.wire.offer(link=self.plugged and self.card.phy.offers)

    def _use(self, dma: DmaMap) -> None:
        """Let a client's memory be the card's."""
        self.memory.dma = dma
        dma.complain = self._complain
        self._looked = False

    def _complain(self, text: str) -> None:
        self.complain(text)

    def _follow(self, irqs: Irqs) -> None:
        """Signal by what the client armed: QEMU arms what its guest enabled."""
        mode = None
        if irqs.armed(PciIrq.MSIX):
            mode = InterruptMode.MSIX
        elif irqs.armed(PciIrq.MSI):
            mode = InterruptMode.MSI
        self.card.set_interrupt_mode(mode)
        self._go_on()

    def _configured(self) -> None:
        """Do what a write to configuration space may call for."""
        self._go_on()
        self._look_at_memory()

    def _go_on(self) -> None:
        """End the hold of a restored card once there is memory."""
        if self.card.control.held and self.memory.dma is not None and self.memory.dma.regions:
            self.card.release()

    def _look_at_memory(self) -> None:
        """Complain, once a client, of memory that the guest does not share with us."""
        dma = self.memory.dma
        if dma is None or self._looked or not self.card.function.mastering:
            return
        self._looked = True
        if private(dma):
            self.complain(PRIVATE_MEMORY)
