"""Throttling and the delay timers, on a clock that moves when we say so."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from device.rings.transmit import TxCommand
from lab.conformance.bench import Capability, Signal
from lab.conformance.check import Check, Topic, expect, is_false, is_true
from lab.conformance.checks.interrupts import IVAR_ALL, LINE, MSIX, VECTORS
from lab.conformance.checks.receive import WIRE, to_card
from lab.conformance.frames import ethernet, payload
from lab.conformance.rings import WHOLE, RxRing, TxRing
from lab.conformance.subject import MICROSECOND

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("timers", "datasheet, Interrupts, interrupt moderation")
CLOCK = Capability.CLOCK
TICK_NS, DELAY_NS = 256, 1024


@TOPIC.check(
    "TMR-ITR", "datasheet, Interrupts, interrupt moderation; Interrupt Registers, ITR", needs=LINE | CLOCK
)
def itr_spaces_interrupts(card: Subject) -> None:
    """ITR keeps the second interrupt back until its interval is over."""
    card.bench.signal(Signal.INTX)
    card.quiet()
    card.write("ITR", 1000)
    card.write("IMS", card.causes("LSC"))
    card.write("ICS", card.causes("LSC"))
    card.bench.advance(TICK_NS)
    card.read("ICR")
    card.write("ICS", card.causes("LSC"))
    card.bench.advance(TICK_NS * 500)
    is_false("INTx half way", card.bench.line())
    card.bench.advance(TICK_NS * 1100)
    is_true("INTx after the interval", card.bench.line())


def eitr(vector: int, cause: str, card: Subject) -> None:
    """EITR keeps the vector's second message back until its interval is over."""
    card.bench.signal(Signal.MSIX)
    card.write("IVAR", IVAR_ALL)
    card.quiet()
    card.write("EITR", 1000, vector)
    mask = card.causes(cause)
    card.write("EIAC", mask & 0x01F0_0000)
    card.write("IMS", mask)
    card.write("ICS", mask)
    card.bench.advance(TICK_NS)
    expect("the first message", card.bench.messages(), frozenset({vector}))
    card.write("ICS", mask)
    card.bench.advance(TICK_NS * 500)
    expect("messages half way", card.bench.messages(), frozenset())
    card.bench.advance(TICK_NS * 1100)
    expect("messages after the interval", card.bench.messages(), frozenset({vector}))


for _cause, _vector in VECTORS:
    TOPIC.add(
        Check(
            f"TMR-EITR-{_vector}",
            f"EITR {_vector} spaces the messages of its vector.",
            "datasheet, Interrupts, EITR; e1000e_write_itr in Linux's netdev.c",
            partial(eitr, _vector, _cause),
            MSIX | CLOCK,
        )
    )


@TOPIC.check("TMR-ITR-ZERO", "datasheet, Interrupts: zero is no throttling", needs=LINE | CLOCK)
def no_throttle(card: Subject) -> None:
    """With ITR zero every interrupt comes at once."""
    card.bench.signal(Signal.INTX)
    card.quiet()
    card.write("ITR", 0)
    card.write("IMS", card.causes("LSC"))
    for _ in range(3):
        card.write("ICS", card.causes("LSC"))
        is_true("INTx", card.bench.line())
        card.read("ICR")


@TOPIC.check("TMR-RDTR", "datasheet, Receive Registers, RDTR", needs=WIRE | CLOCK)
def rdtr_delays(card: Subject) -> None:
    """RDTR delays RXT0 from the last frame on."""
    card.link_up()
    RxRing(card).start()
    card.quiet()
    card.write("RDTR", 100)
    card.bench.send(to_card(card, payload(80)))
    card.bench.advance(DELAY_NS * 60)
    card.bench.send(to_card(card, payload(80)))
    card.bench.advance(DELAY_NS * 60)
    expect("RXT0 after 60 ticks", card.read("ICR") & card.causes("RXT0"), 0)
    card.bench.advance(DELAY_NS * 60)
    expect("RXT0 after 120 ticks", card.read("ICR") & card.causes("RXT0"), card.causes("RXT0"))


@TOPIC.check("TMR-RADV", "datasheet, Receive Registers, RADV", needs=WIRE | CLOCK)
def radv_bounds(card: Subject) -> None:
    """RADV bounds the delay from the first frame on."""
    card.link_up()
    RxRing(card).start()
    card.quiet()
    card.write("RADV", 150)
    card.write("RDTR", 100)
    for _ in range(3):
        card.bench.send(to_card(card, payload(80)))
        card.bench.advance(DELAY_NS * 60)
    expect("RXT0 after 180 ticks", card.read("ICR") & card.causes("RXT0"), card.causes("RXT0"))


@TOPIC.check("TMR-RDTR-FLUSH", "datasheet, Receive Registers, RDTR.FPD", needs=WIRE | CLOCK)
def fpd_flushes(card: Subject) -> None:
    """Writing RDTR with bit 31 raises the delayed cause at once."""
    card.link_up()
    RxRing(card).start()
    card.quiet()
    card.write("RDTR", 10000)
    card.bench.send(to_card(card, payload(80)))
    card.bench.settle()
    card.write("RDTR", 1 << 31 | 10000)
    expect("RXT0", card.read("ICR") & card.causes("RXT0"), card.causes("RXT0"))


@TOPIC.check("TMR-TIDV", "datasheet, Transmit Registers, TIDV", needs=WIRE | CLOCK)
def tidv_delays(card: Subject) -> None:
    """A descriptor with IDE raises TXDW after TIDV, not before."""
    card.link_up()
    ring = TxRing(card)
    card.quiet()
    card.write("TIDV", 100)
    ring.send(ring.legacy(ethernet(payload(80)), WHOLE | TxCommand.IDE))
    card.bench.advance(DELAY_NS * 50)
    expect("TXDW half way", card.read("ICR") & card.causes("TXDW"), 0)
    card.bench.advance(DELAY_NS * 60)
    expect("TXDW after TIDV", card.read("ICR") & card.causes("TXDW"), card.causes("TXDW"))


@TOPIC.check("TMR-TADV", "datasheet, Transmit Registers, TADV", needs=WIRE | CLOCK)
def tadv_bounds(card: Subject) -> None:
    """TADV bounds the delay when more descriptors keep TIDV from running out."""
    card.link_up()
    ring = TxRing(card)
    card.quiet()
    card.write("TADV", 150)
    card.write("TIDV", 100)
    for _ in range(3):
        ring.send(ring.legacy(ethernet(payload(80)), WHOLE | TxCommand.IDE))
        card.bench.advance(DELAY_NS * 60)
    expect("TXDW after 180 ticks", card.read("ICR") & card.causes("TXDW"), card.causes("TXDW"))


@TOPIC.check("TMR-IDE-OFF", "datasheet, Transmit", needs=WIRE | CLOCK)
def no_ide_no_delay(card: Subject) -> None:
    """A descriptor without IDE raises TXDW at once, whatever TIDV says."""
    card.link_up()
    ring = TxRing(card)
    card.quiet()
    card.write("TIDV", 10000)
    ring.send(ring.legacy(ethernet(payload(80))))
    card.bench.advance(MICROSECOND)
    expect("TXDW", card.read("ICR") & card.causes("TXDW"), card.causes("TXDW"))
