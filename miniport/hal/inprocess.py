"""A card in this process, on the executive's own clock: deterministic and steppable, no socket, no thread.

Memory is shared in a memfd; what the driver did not allocate, the card cannot reach. Interrupts become
DPC-like entries of the executive, so that a test chooses when they arrive. The card's timers are timers of
the executive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from device.card import BAR0, BAR3, REGION_SIZES, Card
from device.card import CONFIG as CONFIG_REGION
from device.effects import DmaError
from miniport.hal import pci
from miniport.hal.memory import DmaMemory
from miniport.hal.pci import Signalling
from miniport.hal.signalled import VirtualTimeBus

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.card import InterruptSink
    from device.effects import FrameSent
    from device.engine.contract import Engine
    from ntos.executive.contract import Executive, Timer

MEMORY_BYTES = 16 << 20
MEMORY_BASE = 0x1_0000_0000
"""Above 4 GiB, so that a driver that forgets the high half of an address is found."""


class EngineFactory(Protocol):
    """Makes an engine over guest memory."""

    def __call__(self, memory: ArenaMemory, /, *, offload: bool) -> Engine:
        """Make one."""


class CardFactory(Protocol):
    """Makes the card over an engine: ``Card``, or one that is watched."""

    def __call__(
        self, engine: Engine, mac: bytes, /, *, send: Callable[[FrameSent], None], sink: InterruptSink
    ) -> Card:
        """Make one."""


class ArenaMemory:
    """A driver's DMA memory as the card's bus master sees it."""

    def __init__(self, arena: DmaMemory) -> None:
        self._arena = arena

    def read(self, address: int, length: int) -> bytes:
        """Return bytes; DmaError outside of every block."""
        block = self._arena.find(address, length)
        if block is None:
            raise DmaError(address, length)
        at = address - block.address
        return bytes(block.view[at : at + length])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; DmaError outside of every block."""
        block = self._arena.find(address, len(data))
        if block is None:
            raise DmaError(address, len(data))
        at = address - block.address
        block.view[at : at + len(data)] = data


class CardRegisters:
    """BAR0, without the detour over bytes."""

    def __init__(self, card: Card, after: Callable[[], None]) -> None:
        """Address ``card``; ``after`` each write its timers may be others."""
        self._card = card
        self._after = after

    def read32(self, offset: int) -> int:
        """Read a register."""
        return int.from_bytes(self._card.read_region(BAR0, offset, 4), "little")

    def write32(self, offset: int, value: int) -> None:
        """Write a register."""
        self._card.write_region(BAR0, offset, value.to_bytes(4, "little"))
        self._after()


class _Table:
    """The MSI-X table in BAR3."""

    def __init__(self, card: Card) -> None:
        self._card = card

    def read32(self, offset: int) -> int:
        return int.from_bytes(self._card.read_region(BAR3, offset, 4), "little")

    def write32(self, offset: int, value: int) -> None:
        self._card.write_region(BAR3, offset, value.to_bytes(4, "little"))


class InProcessBus(VirtualTimeBus):
    """``miniport.hal.contract.Bus`` over a ``device.card.Card``.

    ``mode``: what the bus driver grants. The cable is ``sent`` (frames that left the card, in order) and
    ``receive``.
    """

    def __init__(
        self,
        engine: EngineFactory,
        executive: Executive,
        mac: bytes,
        *,
        mode: Signalling = Signalling.MSIX,
        send: Callable[[FrameSent], None] | None = None,
        memory_bytes: int = MEMORY_BYTES,
        offload: bool = False,
        card: CardFactory = Card,
    ) -> None:
        """Power a card on, its cable plugged in; ``card`` makes it."""
        super().__init__(executive, DmaMemory(memory_bytes, MEMORY_BASE), mode)
        self.sent: list[bytes] = []
        self._stalled_ns = 0
        self._timer: Timer | None = None
        self._timer_ns: int | None = None
        self._line = False
        self.card = card(
            engine(ArenaMemory(self.memory), offload=offload),
            mac,
            send=send if send is not None else lambda frame: self.sent.append(frame.data),
            sink=self,
        )
        self.card.set_carrier(present=True)

    # -- the driver's side ------------------------------------------------------------------------------

    def map_io_space(self, bar: int) -> tuple[CardRegisters, int]:
        """Map BAR0. IndexError for another BAR: the driver has no business there."""
        if bar != BAR0:
            raise IndexError(f"BAR{bar} holds nothing for a driver")
        pci.enable(self, line=self._mode is Signalling.INTX)
        self._keep_time()
        return CardRegisters(self.card, self._set_timer), REGION_SIZES[BAR0]

    def read_config(self, offset: int, length: int) -> bytes:
        """Read configuration space."""
        return self.card.read_region(CONFIG_REGION, offset, length)

    def write_config(self, offset: int, data: bytes) -> None:
        """Write configuration space."""
        self.card.write_region(CONFIG_REGION, offset, data)
        self._keep_time()

    def stall(self, delay_us: int) -> None:
        """Let the card's clock run on; the executive's stands."""
        end_ns = self.now_ns() + delay_us * 1000
        while (due := self.card.deadline()) is not None and due <= end_ns:
            self.card.advance(due)
        self._stalled_ns += delay_us * 1000
        self.card.advance(end_ns)

    def now_ns(self) -> int:
        """Return the card's time: the executive's, and what was spent in stalls."""
        return self._executive.now_ns() + self._stalled_ns

    # -- the cable's side --------------------------------------------------------------------------------

    def receive(self, frame: bytes) -> bool:
        """Put a frame on the cable towards the card; False: the card did not store it."""
        stored = self.card.receive(frame)
        self._keep_time()
        return stored

    def plug(self, *, present: bool) -> None:
        """Plug the cable in or out; the PHY's negotiation takes its time."""
        self.card.set_carrier(present=present)
        self._keep_time()

    def drain(self) -> list[bytes]:
        """Return and forget the frames that left the card."""
        gone, self.sent = self.sent, []
        return gone

    # -- what the card calls (device.card.InterruptSink) ---------------------------------------------------

    def message(self, vector: int) -> bool:
        """Take an interrupt message; the executive delivers it."""
        self._queue(vector)
        return True

    def level(self, *, asserted: bool) -> None:
        """Take the level of INTx; while it is up, it is delivered again and again."""
        self._line = asserted
        if asserted and self._mode is Signalling.INTX:
            self._queue(0)

    # -- inside --------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._mode is Signalling.MSIX:
            pci.arm_msix(self, _Table(self.card), 0, [(0xFEE0_0000, n) for n in range(self.messages)])
        elif self._mode is Signalling.MSI:
            pci.arm_msi(self, 0xFEE0_0000, 0)

    def _serviced(self, *, recognized: bool) -> None:
        if self._mode is Signalling.INTX and self._line and recognized:
            self._queue(0)  # level-triggered: the next ISR call follows at once
        self._keep_time()

    def _keep_time(self) -> None:
        """Tell the card the time, and have the executive call when its next timer is due."""
        self.card.advance(self.now_ns())
        self._set_timer()

    def _set_timer(self) -> None:
        due_ns = self.card.deadline()
        if due_ns == self._timer_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_ns = due_ns
        if due_ns is not None:
            self._timer = self._executive.call_at(due_ns - self._stalled_ns, "card", self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._timer_ns = None
        self._keep_time()
