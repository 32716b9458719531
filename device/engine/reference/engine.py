"""The reference engine: the contract of ``device.engine.contract`` in Python, one descriptor a step.

Sans I/O. What it does to rings is in ``transmit`` and ``receive``; here are the register accesses, and the
joints. Whatever the guest writes is answered as hardware would answer it and never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device import interrupts as irq
from device import statistics
from device.engine.contract import InterruptMode
from device.engine.reference.core import Core
from device.engine.reference.transmit import Transmitter
from device.regs.bank import Access
from device.regs.nic import NIC
from device.regs.words import CANONICAL, MASKS, RESET, WORDS, place
from device.trace.events import RegisterRead, RegisterWritten

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.effects import Effect, GuestMemory, Offload
    from device.trace.events import Observer

_WORD = 0xFFFF_FFFF


class ReferenceEngine:
    """Both directions' rings on one register file."""

    name = "reference"

    def __init__(
        self, memory: GuestMemory, *, offload: bool = False, observer: Observer | None = None
    ) -> None:
        """Start in the state after power-on. ``observer`` is told each stage (``device.trace.events``)."""
        self.core = core = Core(memory, offload=offload, observer=observer)
        self.interrupts = core.interrupts
        self.transmitter = Transmitter(core, self._loop)
        self._readers = self._read_actions()
        self._writers = self._write_actions()

    @property
    def observer(self) -> Observer | None:
        """Who is told each stage; may be set while the engine stands."""
        return self.core.observer

    @observer.setter
    def observer(self, observer: Observer | None) -> None:
        self.core.observer = observer

    # -- what an access does -----------------------------------------------------------------------

    def _read_actions(self) -> dict[int, Callable[[], int]]:
        actions: dict[int, Callable[[], int]] = {
            irq.ICR: self.interrupts.read_icr,
            irq.ICS: self.interrupts.read_ics,
            irq.IMC: lambda: 0,
        }
        for register in NIC:
            for offset in register.offsets():
                where = offset >> 2
                if register.access is Access.RC:
                    actions[where] = self._clearing(where)
                elif register.access is Access.RC64H:
                    actions[where] = self._clearing64(where - 1)
        return actions

    def _clearing(self, where: int) -> Callable[[], int]:
        words = self.core.words

        def read() -> int:
            value, words[where] = words[where], 0
            return value

        return read

    def _clearing64(self, low: int) -> Callable[[], int]:
        words = self.core.words
        return lambda: statistics.read64_high(words, low)

    def _write_actions(self) -> dict[int, Callable[[int], None]]:
        interrupts = self.interrupts
        return {
            irq.ICR: interrupts.write_icr,
            irq.ICS: interrupts.write_ics,
            irq.IMS: interrupts.write_ims,
            irq.IMC: interrupts.write_imc,
            irq.RDTR: interrupts.write_rdtr,
            irq.TIDV: interrupts.write_tidv,
        }

    # -- the contract: registers --------------------------------------------------------------------

    def peek(self, offset: int) -> int:
        """Return the stored value, aliases resolved; 0 where nothing is declared."""
        where = CANONICAL[offset >> 2] if 0 <= offset >> 2 < WORDS else -1
        return self.core.words[where] if where >= 0 else 0

    def poke(self, offset: int, value: int) -> None:
        """Store a value as it is."""
        where = CANONICAL[offset >> 2] if 0 <= offset >> 2 < WORDS else -1
        if where >= 0:
            self.core.words[where] = value & _WORD

    def read(self, offset: int) -> int:
        """Do what a 32-bit read does."""
        where = CANONICAL[offset >> 2] if 0 <= offset >> 2 < WORDS else -1
        if where < 0:
            value = 0
        else:
            action = self._readers.get(where)
            value = self.core.words[where] if action is None else action()
        if self.core.observer is not None:
            self.core.observer(RegisterRead(offset, value))
        return value

    def write(self, offset: int, value: int) -> None:
        """Do what a 32-bit write does; work is left to ``step`` and ``run``."""
        value &= _WORD
        if self.core.observer is not None:
            self.core.observer(RegisterWritten(offset, value))
        where = CANONICAL[offset >> 2] if 0 <= offset >> 2 < WORDS else -1
        if where < 0:
            return
        action = self._writers.get(where)
        if action is not None:
            action(value)
            return
        mask = MASKS[where]
        if mask:
            self.core.words[where] = value & mask

    # -- the contract: work ---------------------------------------------------------------------------

    def step(self) -> bool:
        """Consume one transmit descriptor; False when no queue has any."""
        return self.transmitter.step()

    def run(self) -> int:
        """Step until there is nothing to do; return the steps done."""
        return self.transmitter.run()

    def can_receive(self) -> bool:
        """Tell whether a frame offered now would be stored."""
        return False

    def receive(self, frame: bytes, offload: Offload | None = None) -> bool:
        """Take a frame off the wire."""
        return False

    def _loop(self, frame: bytes) -> None:
        self.receive(frame)

    # -- the contract: time -----------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Set the clock and fire every timer that is due."""
        self.core.now = max(self.core.now, now_ns)
        self.interrupts.advance(now_ns)

    def deadline(self) -> int | None:
        """Return when ``advance`` is next needed."""
        return self.interrupts.deadline()

    # -- the contract: surroundings -----------------------------------------------------------------------

    def raise_causes(self, causes: int) -> None:
        """Set bits of ICR."""
        self.interrupts.raise_causes(causes)

    def set_interrupt_mode(self, mode: InterruptMode) -> None:
        """Switch the way of signalling."""
        self.interrupts.set_mode(mode)

    def set_mastering(self, *, enabled: bool) -> None:
        """Allow or forbid DMA."""
        self.core.mastering = enabled

    def set_loopback(self, *, enabled: bool) -> None:
        """Return transmitted frames to the receiver."""
        self.core.loopback = enabled

    def set_link(self, *, up: bool) -> None:
        """Tell whether there is a link."""
        self.core.link = up

    def reset(self, *, keep: frozenset[int] = frozenset()) -> None:
        """Return the registers to their reset values but those at offsets ``keep``."""
        words = self.core.words
        kept = [(offset >> 2, words[offset >> 2]) for offset in keep]
        words[:] = RESET
        for where, value in kept:
            words[where] = value
        self.core.paused_until = 0
        self.transmitter.reset()
        self.interrupts.reset()

    def effects(self) -> list[Effect]:
        """Return and forget the effects since the last call."""
        effects, self.core.effects = self.core.effects, []
        return effects

    def save(self) -> bytes:
        """Return the whole state."""
        return b""

    def restore(self, state: bytes) -> None:
        """Take a saved state over."""
