"""Interrupt causes, masks, messages, moderation (datasheet, Interrupts). It knows no ring and no PCI.

State is the words of the register file (ICR, IMS, …) and the instants at which timers run out. A cause
travels::

    raise_causes ──────────────► ICR ──(& IMS)──► INTx level, MSI, or an MSI-X vector by IVAR
    delay_receive/transmit ──timer──┘                 └─ held back while ITR / EITR runs

Sources of what the datasheet leaves open: e1000_configure_msix, e1000_irq_enable, e1000_intr_msi and
e1000_msix_other in Linux's e1000e/netdev.c; e1000_intr_test in e1000e/ethtool.c; QEMU's hw/net/e1000e_core.c.

Invariant: ``signalled`` is the part of ICR & IMS that was already announced under the present mode, so a
cause that stays pending is announced once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from device.effects import LineChanged, MessageSignalled
from device.engine.contract import DELAY_TICK_NS, TICK_NS, InterruptMode
from device.regs.nic import ALL_CAUSES, INT_ASSERTED, NIC, VECTORS
from device.regs.words import MASKS, place
from device.trace.events import CausesRaised, InterruptSent, LineMoved, TimerFired

if TYPE_CHECKING:
    from device.effects import Effect
    from device.trace.events import Observer

ICR, ICS, IMS, IMC = place("ICR"), place("ICS"), place("IMS"), place("IMC")
EIAC, IAM, IVAR, ITR, EITR = place("EIAC"), place("IAM"), place("IVAR"), place("ITR"), place("EITR")
RDTR, RADV, RAID = place("RDTR"), place("RADV"), place("RAID")
TIDV, TADV, CTRL_EXT = place("TIDV"), place("TADV"), place("CTRL_EXT")

ASSERTED = INT_ASSERTED.mask
_CAUSE = {field.name: field.mask for field in NIC["ICS"].fields}
TXDW, TXQE, LSC, RXDMT0 = _CAUSE["TXDW"], _CAUSE["TXQE"], _CAUSE["LSC"], _CAUSE["RXDMT0"]
RXO, RXT0, MDAC, TXD_LOW = _CAUSE["RXO"], _CAUSE["RXT0"], _CAUSE["MDAC"], _CAUSE["TXD_LOW"]
SRPD, ACK, OTHER = _CAUSE["SRPD"], _CAUSE["ACK"], _CAUSE["OTHER"]
RXQ = (_CAUSE["RXQ0"], _CAUSE["RXQ1"])
TXQ = (_CAUSE["TXQ0"], _CAUSE["TXQ1"])

# What IVAR.OTHER announces. Linux enables these beside OTHER (IMS_OTHER_MASK in e1000e/netdev.c).
OTHER_CAUSES = LSC | RXO | MDAC | SRPD | ACK | _CAUSE["MNG"] | _CAUSE["RXSEQ"]
_VECTOR_CAUSES = ((RXQ[0], 0), (RXQ[1], 4), (TXQ[0], 8), (TXQ[1], 12), (OTHER, 16))
_ENTRY_VALID = 8

EIAME = NIC["CTRL_EXT"]["EIAME"].mask
IAME = NIC["CTRL_EXT"]["IAME"].mask
INT_TIMER_CLR = NIC["CTRL_EXT"]["INT_TIMER_CLR"].mask
FLUSH = 1 << 31  # RDTR.FPD and TIDV.FPD

# Cause -> the counter that counts it (datasheet, Statistics Registers, "interrupt cause" counters).
_COUNTED = (
    (TXQE, place("ICTXQEC")),
    (TXD_LOW, place("ICTXQMTC")),
    (RXDMT0, place("ICRXDMTC")),
    (RXO, place("ICRXOC")),
)
_COUNTED_CAUSES = TXQE | TXD_LOW | RXDMT0 | RXO
IAC = place("IAC")
_DELAYS = {
    "RDTR": (RDTR, place("ICRXPTC")),
    "RADV": (RADV, place("ICRXATC")),
    "RAID": (RAID, 0),
    "TIDV": (TIDV, place("ICTXPTC")),
    "TADV": (TADV, place("ICTXATC")),
}
_RECEIVE_DELAYS = ("RDTR", "RADV", "RAID")
_TRANSMIT_DELAYS = ("TIDV", "TADV")
_SATURATED = 0xFFFF_FFFF
_LEGACY = VECTORS  # the throttle of INTx and MSI (ITR) stands behind those of the vectors (EITR)


class Surroundings(Protocol):
    """What the interrupts share with the rest of the engine."""

    words: list[int]
    effects: list[Effect]
    observer: Observer | None


class Interrupts:
    """The causes, and when and how they are announced."""

    def __init__(self, core: Surroundings) -> None:
        """Start with nothing pending and no way to signal."""
        self._core = core
        self.mode = InterruptMode.NONE
        self.now = 0
        self.asserted = False  # the INTx line
        self.signalled = 0
        self.delayed_receive = 0
        self.delayed_transmit = 0
        self.timers: dict[str, int] = {}  # delay register -> the instant it runs out
        self.quiet_until = [0] * (VECTORS + 1)
        self.held: set[int] = set()  # throttles that owe a message

    def reset(self) -> None:
        """Forget causes and timers; the line falls. The register file was reset by the caller."""
        self.signalled = 0
        self.delayed_receive = self.delayed_transmit = 0
        self.timers.clear()
        self.quiet_until = [0] * (VECTORS + 1)
        self.held.clear()
        self._drive(level=False)

    # -- causes -----------------------------------------------------------------------------------

    def raise_causes(self, causes: int) -> None:
        """Set bits of ICR and announce what is not masked."""
        core = self._core
        words = core.words
        if causes & _COUNTED_CAUSES:
            for cause, counter in _COUNTED:
                if causes & cause:
                    self._count(counter)
        if self.mode is InterruptMode.MSIX and causes & OTHER_CAUSES:
            causes |= OTHER
        words[ICR] |= causes
        # A cause that EIAC does not clear may be raised again before it was read: with MSI-X each
        # of its events is a message of its own (no ICR read tells the card that it was seen).
        if self.mode is InterruptMode.MSIX:
            self.signalled &= ~causes
        if core.observer is not None:
            core.observer(CausesRaised(causes))
        self.evaluate()

    def delay_receive(self, causes: int) -> None:
        """Raise receive causes once RDTR, RADV or RAID runs out; at once where no delay applies."""
        words = self._core.words
        delay = words[RDTR] & 0xFFFF
        if self.mode is InterruptMode.MSIX or not delay:
            self.raise_causes(causes)
            return
        self.delayed_receive |= causes
        self.timers["RDTR"] = self.now + delay * DELAY_TICK_NS
        if words[RADV] and "RADV" not in self.timers:
            self.timers["RADV"] = self.now + words[RADV] * DELAY_TICK_NS
        if causes & ACK and words[RAID] and "RAID" not in self.timers:
            self.timers["RAID"] = self.now + words[RAID] * DELAY_TICK_NS

    def delay_transmit(self, causes: int) -> None:
        """Raise transmit causes once TIDV or TADV runs out; at once where no delay applies."""
        words = self._core.words
        delay = words[TIDV] & 0xFFFF
        if self.mode is InterruptMode.MSIX or not delay:
            self.raise_causes(causes)
            return
        self.delayed_transmit |= causes
        self.timers["TIDV"] = self.now + delay * DELAY_TICK_NS
        if words[TADV] and "TADV" not in self.timers:
            self.timers["TADV"] = self.now + words[TADV] * DELAY_TICK_NS

    def evaluate(self) -> None:
        """Announce what of ICR & IMS is new, and let the line follow."""
        words = self._core.words
        effective = words[ICR] & words[IMS] & ALL_CAUSES
        mode = self.mode
        if mode is InterruptMode.MSIX:
            new = effective & ~self.signalled
            self.signalled = effective
            if new:
                self._messages(new)
        elif mode is InterruptMode.MSI:
            new = effective & ~self.signalled
            self.signalled = effective
            if not effective:
                self.held.discard(_LEGACY)
            elif new and not self._throttled(_LEGACY):
                self._send(0, _LEGACY)
        elif mode is InterruptMode.INTX:
            self.signalled = effective
            if not effective:
                self.held.discard(_LEGACY)
                if self.asserted:
                    self._drive(level=False)
            elif not self.asserted and not self._throttled(_LEGACY):
                self._assert()

    def _messages(self, new: int) -> None:
        ivar = self._core.words[IVAR]
        for cause, shift in _VECTOR_CAUSES:
            entry = ivar >> shift & 0xF
            if new & cause and entry & _ENTRY_VALID:
                vector = entry & 7
                if vector < VECTORS and not self._throttled(vector):
                    self._send(vector, vector)
                self._acknowledge(cause)

    def _acknowledge(self, cause: int) -> None:
        """Do what a message does by itself: EIAC clears the cause, EIAME with IAM masks it."""
        words = self._core.words
        words[ICR] &= ~(words[EIAC] & cause)
        if words[CTRL_EXT] & EIAME:
            words[IMS] &= ~(words[IAM] & cause)
        self.signalled &= words[ICR] & words[IMS]

    # -- signalling ---------------------------------------------------------------------------------

    def _throttled(self, throttle: int) -> bool:
        if self.quiet_until[throttle] > self.now:
            self.held.add(throttle)
            return True
        return False

    def _start_throttle(self, throttle: int) -> None:
        where = ITR if throttle == _LEGACY else EITR + throttle
        interval = self._core.words[where] & 0xFFFF
        self.quiet_until[throttle] = self.now + interval * TICK_NS if interval else 0

    def _send(self, vector: int, throttle: int) -> None:
        core = self._core
        self._start_throttle(throttle)
        core.effects.append(MessageSignalled(vector))
        if core.observer is not None:
            core.observer(InterruptSent(vector))
        self._count(IAC)
        if core.words[CTRL_EXT] & INT_TIMER_CLR and self.timers:
            self._flush_delays()

    def _assert(self) -> None:
        self._start_throttle(_LEGACY)
        self._drive(level=True)
        self._count(IAC)
        if self._core.words[CTRL_EXT] & INT_TIMER_CLR and self.timers:
            self._flush_delays()

    def _drive(self, *, level: bool) -> None:
        if level == self.asserted:
            return
        self.asserted = level
        self._core.effects.append(LineChanged(level))
        if self._core.observer is not None:
            self._core.observer(LineMoved(level))

    def _flush_delays(self) -> None:
        """Put what waits for a timer into ICR: an interrupt leaves anyway (INT_TIMER_CLR)."""
        causes = self.delayed_receive | self.delayed_transmit
        self.delayed_receive = self.delayed_transmit = 0
        self.timers.clear()
        self._core.words[ICR] |= causes
        self.signalled |= causes & self._core.words[IMS]

    def _count(self, counter: int) -> None:
        words = self._core.words
        if counter and words[counter] < _SATURATED:
            words[counter] += 1

    # -- time ---------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Fire the delays and the throttles that are due, the earliest first."""
        while True:
            due = self.deadline()
            if due is None or due > now_ns:
                break
            self.now = max(self.now, due)
            self._fire_delays()
            self._fire_throttles()
        self.now = max(self.now, now_ns)

    def deadline(self) -> int | None:
        """Return the instant of the next timer that has something to do."""
        instants = [self.quiet_until[throttle] for throttle in self.held]
        instants += self.timers.values()
        return min(instants, default=None)

    def _fire_delays(self) -> None:
        for name in [name for name, instant in self.timers.items() if instant <= self.now]:
            if name not in self.timers:
                continue  # the one before it took both down
            self._count(_DELAYS[name][1])
            if self._core.observer is not None:
                self._core.observer(TimerFired(name))
            if name in _RECEIVE_DELAYS:
                self.flush_receive()
            else:
                self.flush_transmit()

    def flush_receive(self) -> None:
        """Raise what waits for RDTR, RADV or RAID now (RDTR.FPD does this too)."""
        causes, self.delayed_receive = self.delayed_receive, 0
        for name in _RECEIVE_DELAYS:
            self.timers.pop(name, None)
        if causes:
            self.raise_causes(causes)

    def flush_transmit(self) -> None:
        """Raise what waits for TIDV or TADV now (TIDV.FPD does this too)."""
        causes, self.delayed_transmit = self.delayed_transmit, 0
        for name in _TRANSMIT_DELAYS:
            self.timers.pop(name, None)
        if causes:
            self.raise_causes(causes)

    def _fire_throttles(self) -> None:
        for throttle in sorted(self.held):
            if self.quiet_until[throttle] > self.now:
                continue
            self.held.discard(throttle)
            if self._core.observer is not None:
                self._core.observer(TimerFired("ITR" if throttle == _LEGACY else f"EITR[{throttle}]"))
            if throttle != _LEGACY:
                self._send(throttle, throttle)
            elif self.mode is InterruptMode.MSI:
                self._send(0, _LEGACY)
            elif self.mode is InterruptMode.INTX and self.signalled:
                self._assert()

    # -- the environment ------------------------------------------------------------------------------

    def set_mode(self, mode: InterruptMode) -> None:
        """Switch; delayed causes are raised, and what is pending is announced anew."""
        if mode is self.mode:
            return
        waiting = self.delayed_receive | self.delayed_transmit
        self.delayed_receive = self.delayed_transmit = 0
        self.timers.clear()
        self.held.clear()
        self._drive(level=False)
        self.mode = mode
        self.signalled = 0
        self._core.words[ICR] |= waiting
        self.evaluate()

    # -- register accesses ----------------------------------------------------------------------------

    def read_icr(self) -> int:
        """Return the causes; clear them where the datasheet says so (ICR, "interrupt mask cases").

        With nothing enabled, or with an interrupt asserted, the read clears; with something enabled
        and none of it pending it has no effect. IAME masks what IAM names.
        """
        words = self._core.words
        causes = words[ICR]
        asserted = causes & words[IMS] & ALL_CAUSES
        if asserted:
            causes |= ASSERTED
            if words[CTRL_EXT] & IAME:
                words[IMS] &= ~words[IAM]
        if asserted or not words[IMS]:
            words[ICR] = 0
            self.evaluate()
        return causes

    def write_icr(self, value: int) -> None:
        """Clear the causes written as 1."""
        words = self._core.words
        if words[ICR] & words[IMS] and words[CTRL_EXT] & IAME:
            words[IMS] &= ~words[IAM]
        words[ICR] &= ~value
        self.evaluate()

    def read_ics(self) -> int:
        """Return the causes without clearing them (QEMU's model shows ICR there, and so do we)."""
        return self._core.words[ICR]

    def write_ics(self, value: int) -> None:
        """Set causes as software."""
        if value & ALL_CAUSES:
            self.raise_causes(value & ALL_CAUSES)

    def write_ims(self, value: int) -> None:
        """Enable causes; one that is pending is announced."""
        self._core.words[IMS] |= value & ALL_CAUSES
        self.evaluate()

    def write_imc(self, value: int) -> None:
        """Disable causes; the line falls when none is left."""
        self._core.words[IMS] &= ~value
        self.evaluate()

    def write_rdtr(self, value: int) -> None:
        """Set the receive delay; bit 31 flushes."""
        self._core.words[RDTR] = value & MASKS[RDTR]
        if value & FLUSH:
            self.flush_receive()

    def write_tidv(self, value: int) -> None:
        """Set the transmit delay; bit 31 flushes."""
        self._core.words[TIDV] = value & MASKS[TIDV]
        if value & FLUSH:
            self.flush_transmit()
