"""The reference engine: the contract of ``device.engine.contract`` in Python, one descriptor a step.

Sans I/O. What it does to rings is in ``transmit`` and ``receive``; here are the register accesses, and the
joints. Whatever the guest writes is answered as hardware would answer it and never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device import interrupts as irq
from device import statistics
from device.clock import SystemTime
from device.engine.reference import state as state_of
from device.engine.reference.core import Core
from device.engine.reference.flow import FlowControl, Partner
from device.engine.reference.receive import Receiver
from device.engine.reference.transmit import Transmitter
from device.regs.bank import Access
from device.regs.nic import NIC
from device.regs.words import CANONICAL, MASKS, RESET, WORDS, place
from device.trace.events import RegisterRead, RegisterWritten

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.effects import Effect, GuestMemory, Offload
    from device.engine.contract import InterruptMode
    from device.trace.events import Observer

_WORD = 0xFFFF_FFFF
_SYSTIM, _TIMINCA, _TIMADJ = place("SYSTIML"), place("TIMINCA"), place("TIMADJL")
_TXSTMP, _RXSTMP = place("TXSTMPL"), place("RXSTMPL")
_TSYNCTXCTL, _TSYNCRXCTL = place("TSYNCTXCTL"), place("TSYNCRXCTL")
_TSYNC_VALID = NIC["TSYNCTXCTL"]["VALID"].mask
_TCTL, _FCTTV, _RCTL = place("TCTL"), place("FCTTV"), place("RCTL")
_RINGS = range(place("RDBAL0"), place("RDBAL0") + 0x80)
"""The words of both receive rings' registers: after a write there a frame that waits may be stored."""
_SWXOFF = NIC["TCTL"]["SWXOFF"].mask


class ReferenceEngine:
    """Both directions' rings on one register file."""

    name = "reference"

    def __init__(
        self, memory: GuestMemory, *, offload: bool = False, observer: Observer | None = None
    ) -> None:
        """Start in the state after power-on. ``observer`` is told each stage (``device.trace.events``)."""
        self.core = core = Core(memory, offload=offload, observer=observer)
        self.interrupts = core.interrupts
        self.flow = FlowControl(core)
        self.receiver = Receiver(core, self.flow)
        self.transmitter = Transmitter(core, self.receiver.loop)
        self.clock: Callable[[], int] | None = None
        """The monotonic clock, ns, by which a run ends as well; None: it ends by its work alone."""
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
            _SYSTIM: lambda: self._system_time() & _WORD,
            _SYSTIM + 1: lambda: self._system_time() >> 32,
            _TXSTMP + 1: self._releasing(_TXSTMP + 1, _TSYNCTXCTL),
            _RXSTMP + 1: self._releasing(_RXSTMP + 1, _TSYNCRXCTL),
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

    def _releasing(self, where: int, control: int) -> Callable[[], int]:
        words = self.core.words

        def read() -> int:
            words[control] &= ~_TSYNC_VALID
            return words[where]

        return read

    def _system_time(self) -> int:
        return self.core.time.value(self.core.now)

    def _write_actions(self) -> dict[int, Callable[[int], None]]:
        interrupts = self.interrupts
        return {
            irq.ICR: interrupts.write_icr,
            irq.ICS: interrupts.write_ics,
            irq.IMS: interrupts.write_ims,
            irq.IMC: interrupts.write_imc,
            irq.RDTR: interrupts.write_rdtr,
            irq.TIDV: interrupts.write_tidv,
            _SYSTIM: self._write_systiml,
            _SYSTIM + 1: self._write_systimh,
            _TIMINCA: self._write_timinca,
            _TIMADJ + 1: self._write_timadjh,
            _TSYNCTXCTL: self._keeping_valid(_TSYNCTXCTL),
            _TSYNCRXCTL: self._keeping_valid(_TSYNCRXCTL),
            _TCTL: self._write_tctl,
        }

    def _write_systiml(self, value: int) -> None:
        now = self.core.now
        self.core.time.set_value(self._system_time() & ~_WORD | value, now)

    def _write_systimh(self, value: int) -> None:
        now = self.core.now
        self.core.time.set_value(self._system_time() & _WORD | value << 32, now)

    def _write_timinca(self, value: int) -> None:
        self.core.words[_TIMINCA] = value
        self.core.time.set_pace(value, self.core.now)

    def _write_timadjh(self, value: int) -> None:
        self.core.words[_TIMADJ + 1] = value
        self.core.time.adjust(self.core.words[_TIMADJ], value, self.core.now)

    def _keeping_valid(self, where: int) -> Callable[[int], None]:
        words = self.core.words

        def write(value: int) -> None:
            words[where] = value & MASKS[where] | words[where] & _TSYNC_VALID

        return write

    def _write_tctl(self, value: int) -> None:
        """TCTL.SWXOFF sends one XOFF frame and clears itself (datasheet, Transmit Registers)."""
        self.core.words[_TCTL] = value & MASKS[_TCTL] & ~_SWXOFF
        if value & _SWXOFF:
            self.flow.send(self.core.words[_FCTTV])

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
            if where in _RINGS or where == _RCTL:
                self.receiver.deliver()

    # -- the contract: work ---------------------------------------------------------------------------

    def step(self) -> bool:
        """Consume one transmit descriptor; False when no queue has any."""
        return self.transmitter.step()

    def run(self) -> int:
        """Step until there is nothing to do; return the steps done."""
        return self.transmitter.run(self.clock)

    def can_receive(self) -> bool:
        """Tell whether the receiver is on and has room for the longest frame."""
        return self.receiver.can_receive()

    def receive(self, frame: bytes, offload: Offload | None = None) -> bool:
        """Take a frame off the wire; False: not stored, or not yet."""
        return self.receiver.receive(frame, offload)

    @property
    def stored(self) -> int:
        """Frames stored in a ring since the engine was made."""
        return self.receiver.stored

    # -- the contract: time -----------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Set the clock and fire every timer that is due."""
        self.core.now = max(self.core.now, now_ns)
        self.interrupts.advance(now_ns)

    def deadline(self) -> int | None:
        """Return when ``advance`` is next needed."""
        instants = [self.interrupts.deadline()]
        if self.transmitter.unfinished:
            instants.append(self.core.now)
        if self.core.paused_until > self.core.now:
            instants.append(self.core.paused_until)
        return min((instant for instant in instants if instant is not None), default=None)

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
        self.receiver.deliver()

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
        self.core.time = SystemTime()
        self.flow.partner = Partner.SENDS
        self.receiver.buffer.fill(())
        self.transmitter.reset()
        self.interrupts.reset()

    def effects(self) -> list[Effect]:
        """Return and forget the effects since the last call."""
        effects, self.core.effects = self.core.effects, []
        return effects

    def save(self) -> bytes:
        """Return the whole state."""
        return state_of.save(self)

    def restore(self, state: bytes) -> None:
        """Take a saved state over; ValueError when it is not one."""
        state_of.restore(self, state)
