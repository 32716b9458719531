"""Causes, masks, and the three ways they leave the card."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from device.rings.transmit import TxCommand
from lab.conformance.bench import Capability, Signal
from lab.conformance.check import Check, Topic, expect, is_false, is_true
from lab.conformance.checks.receive import WIRE, to_card
from lab.conformance.frames import ethernet, payload
from lab.conformance.rings import Kind, RxRing, TxRing
from lab.conformance.subject import MILLISECOND

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("interrupts", "datasheet, Interrupts")
LINE, MSI, MSIX = Capability.LINE, Capability.MSI, Capability.MSIX
SELF_TEST = "e1000_intr_test in Linux's e1000e/ethtool.c"
ASSERTED = NIC["ICR"]["INT_ASSERTED"].mask
TESTED = tuple(bit for bit in range(10) if bit != 8)  # 8 is reserved in the 82574L's ICR


def latches(bit: int, card: Subject) -> None:
    """A cause that is set while masked shows in ICR."""
    card.quiet()
    card.write("ICS", 1 << bit)
    expect("ICR", card.read("ICR") & 0x7FFF_FFFF, 1 << bit)


def masked(bit: int, card: Subject) -> None:
    """A masked cause does not interrupt, an unmasked one does."""
    card.bench.signal(Signal.INTX)
    card.quiet()
    card.write("ICS", 1 << bit)
    is_false("INTx while masked", card.bench.line())
    card.quiet()
    card.write("IMS", 1 << bit)
    card.write("ICS", 1 << bit)
    card.bench.advance(MILLISECOND)
    is_true("INTx while unmasked", card.bench.line())
    expect("ICR", card.read("ICR") & 1 << bit, 1 << bit)
    is_false("INTx after the read of ICR", card.bench.line())


for _bit in (0, 1, 2, 4, 6, 7, 9, 15, 16, 17, 20, 21, 22, 23, 24):
    TOPIC.add(
        Check(
            f"INT-LATCH-{_bit:02}",
            f"Cause {_bit}, set by ICS while masked, latches in ICR: drivers that poll depend on it.",
            "datasheet, Interrupt Registers, ICR; intel_poll in iPXE's intel.c",
            partial(latches, _bit),
        )
    )
for _bit in TESTED:
    TOPIC.add(
        Check(
            f"INT-MASK-{_bit:02}",
            f"Cause bit {_bit} is silent while masked, asserts INTx when unmasked,"
            " and falls with ICR's read.",
            SELF_TEST,
            partial(masked, _bit),
            LINE,
        )
    )


@TOPIC.check("INT-ICR-CLEAR", "datasheet, Interrupt Registers, ICR: cleared by a read when IMS is 0")
def a_read_clears(card: Subject) -> None:
    """With IMS zero a read of ICR clears it."""
    card.quiet()
    card.write("ICS", card.causes("LSC", "RXT0"))
    card.read("ICR")
    expect("ICR", card.read("ICR"), 0)


@TOPIC.check("INT-ICR-W1C", "datasheet, Interrupt Registers, ICR: writing 1 clears")
def writing_one_clears(card: Subject) -> None:
    """Writing ones to ICR clears those causes and no other."""
    card.quiet()
    card.write("ICS", card.causes("LSC", "RXT0", "TXDW"))
    card.bench.write(NIC["ICR"].offset, card.causes("RXT0"))
    expect("ICR", card.read("ICR") & 0x7FFF_FFFF, card.causes("LSC", "TXDW"))


@TOPIC.check(
    "INT-ASSERTED", "datasheet, Interrupt Registers, ICR.INT_ASSERTED; e1000_intr in Linux's netdev.c"
)
def the_asserted_bit(card: Subject) -> None:
    """ICR bit 31 is set when an unmasked cause is pending: a driver on a shared line needs it."""
    card.bench.signal(Signal.INTX)
    card.quiet()
    card.write("IMS", card.causes("LSC"))
    card.write("ICS", card.causes("LSC"))
    card.bench.advance(MILLISECOND)
    expect("ICR", card.read("ICR"), card.causes("LSC") | ASSERTED)


@TOPIC.check(
    "INT-NOT-ASSERTED", "datasheet, Interrupt Registers, ICR.INT_ASSERTED; e1000_intr in Linux's netdev.c"
)
def the_asserted_bit_is_clear(card: Subject) -> None:
    """ICR bit 31 is clear when only masked causes are pending."""
    card.quiet()
    card.write("ICS", card.causes("LSC"))
    expect("ICR", card.read("ICR"), card.causes("LSC"))


@TOPIC.check("INT-IMS-SETS", "datasheet, Interrupt Registers, IMS: writing 1 sets, 0 leaves")
def ims_only_sets(card: Subject) -> None:
    """IMS gathers ones, IMC takes them away."""
    card.write("IMC", 0xFFFF_FFFF)
    card.write("IMS", card.causes("LSC"))
    card.write("IMS", card.causes("TXDW", "RXT0"))
    card.write("IMC", card.causes("TXDW"))
    expect("IMS", card.read("IMS"), card.causes("LSC", "RXT0"))


@TOPIC.check("INT-LATE-UNMASK", "datasheet, Interrupts: the interrupt is ICR and IMS", needs=LINE)
def unmasking_a_pending_cause(card: Subject) -> None:
    """Unmasking a cause that is pending asserts INTx."""
    card.bench.signal(Signal.INTX)
    card.quiet()
    card.write("ICS", card.causes("LSC"))
    card.write("IMS", card.causes("LSC"))
    card.bench.advance(MILLISECOND)
    is_true("INTx", card.bench.line())


@TOPIC.check("INT-MASK-LOWERS", "datasheet, Interrupts", needs=LINE)
def masking_lowers_the_line(card: Subject) -> None:
    """Masking the pending cause by IMC lowers INTx."""
    card.bench.signal(Signal.INTX)
    card.quiet()
    card.write("IMS", card.causes("LSC"))
    card.write("ICS", card.causes("LSC"))
    card.write("IMC", card.causes("LSC"))
    is_false("INTx", card.bench.line())


@TOPIC.check("INT-W1C-LOWERS", "datasheet, Interrupts", needs=LINE)
def clearing_lowers_the_line(card: Subject) -> None:
    """Clearing the pending cause by writing ICR lowers INTx."""
    card.bench.signal(Signal.INTX)
    card.quiet()
    card.write("IMS", card.causes("LSC"))
    card.write("ICS", card.causes("LSC"))
    card.bench.write(NIC["ICR"].offset, card.causes("LSC"))
    is_false("INTx", card.bench.line())


@TOPIC.check("INT-IAM-READ", "datasheet, Interrupt Registers, IAM; CTRL_EXT.IAME")
def iam_on_read(card: Subject) -> None:
    """With CTRL_EXT.IAME a read of ICR that shows an asserted interrupt clears IAM's bits of IMS."""
    card.bench.signal(Signal.INTX)
    card.quiet()
    card.set("CTRL_EXT", IAME=1)
    card.write("IAM", card.causes("LSC"))
    card.write("IMS", card.causes("LSC", "TXDW"))
    card.write("ICS", card.causes("LSC"))
    card.bench.advance(MILLISECOND)
    card.read("ICR")
    expect("IMS", card.read("IMS"), card.causes("TXDW"))


@TOPIC.check("INT-MSI", "PCI 3.0, 6.8, MSI; e1000_intr_msi in Linux's netdev.c", needs=MSI)
def msi_leaves(card: Subject) -> None:
    """With MSI enabled an unmasked cause sends one message, and INTx stays low."""
    card.bench.signal(Signal.MSI)
    card.quiet()
    card.write("IMS", card.causes("LSC"))
    card.write("ICS", card.causes("LSC"))
    card.bench.advance(MILLISECOND)
    expect("messages", card.messages(0), frozenset({0}))


@TOPIC.check("INT-MSI-MASKED", "PCI 3.0, 6.8", needs=MSI)
def msi_is_silent_when_masked(card: Subject) -> None:
    """With MSI enabled a masked cause sends nothing."""
    card.bench.signal(Signal.MSI)
    card.quiet()
    card.write("ICS", card.causes("LSC"))
    card.bench.advance(MILLISECOND)
    expect("messages", card.bench.messages(), frozenset())


@TOPIC.check("INT-MSI-AGAIN", "datasheet, Interrupts, legacy and MSI interrupt modes", needs=MSI)
def msi_again(card: Subject) -> None:
    """After ICR is read the next cause sends another message."""
    card.bench.signal(Signal.MSI)
    card.quiet()
    card.write("IMS", card.causes("LSC", "TXDW"))
    for cause in ("LSC", "TXDW"):
        card.write("ICS", card.causes(cause))
        card.bench.advance(MILLISECOND)
        expect(f"messages for {cause}", card.messages(0), frozenset({0}))
        card.read("ICR")


# Vectors as e1000_configure_msix gives them, none shared, so that each is seen alone.
IVAR_ALL = 0x8 | 0x9 << 4 | 0xA << 8 | 0xB << 12 | 0xC << 16
VECTORS = (("RXQ0", 0), ("RXQ1", 1), ("TXQ0", 2), ("TXQ1", 3), ("OTHER", 4))


def vector_of(cause: str, vector: int, card: Subject) -> None:
    """The cause sends the vector that IVAR allots."""
    card.bench.signal(Signal.MSIX)
    card.write("IVAR", IVAR_ALL)
    card.quiet()
    card.write("IMS", card.causes(cause))
    card.write("ICS", card.causes(cause))
    card.bench.advance(MILLISECOND)
    expect("messages", card.messages(vector), frozenset({vector}))


def vector_off(cause: str, shift: int, card: Subject) -> None:
    """A cause whose IVAR entry is not valid sends nothing."""
    card.bench.signal(Signal.MSIX)
    card.write("IVAR", IVAR_ALL & ~(8 << shift))
    card.quiet()
    card.write("IMS", card.causes(cause))
    card.write("ICS", card.causes(cause))
    card.bench.advance(MILLISECOND)
    expect("messages", card.bench.messages(), frozenset())


for _cause, _vector in VECTORS:
    TOPIC.add(
        Check(
            f"INT-MSIX-{_cause}",
            f"In MSI-X mode {_cause} sends the vector that IVAR allots.",
            "datasheet, Interrupt Registers, IVAR; e1000_configure_msix in Linux's netdev.c",
            partial(vector_of, _cause, _vector),
            MSIX,
        )
    )
    TOPIC.add(
        Check(
            f"INT-MSIX-INVALID-{_cause}",
            f"{_cause} sends nothing when its IVAR entry is not valid.",
            "datasheet, Interrupt Registers, IVAR, INT_Alloc_valid",
            partial(vector_off, _cause, 4 * _vector),
            MSIX,
        )
    )


@TOPIC.check(
    "INT-EIAC", "datasheet, Interrupt Registers, EIAC; e1000_configure_msix in Linux's netdev.c", needs=MSIX
)
def auto_clear(card: Subject) -> None:
    """A cause in EIAC is cleared in ICR when its message is sent."""
    card.bench.signal(Signal.MSIX)
    card.write("IVAR", IVAR_ALL)
    card.quiet()
    card.write("EIAC", card.causes("RXQ0"))
    card.write("IMS", card.causes("RXQ0", "TXQ0"))
    card.write("ICS", card.causes("RXQ0", "TXQ0"))
    card.bench.advance(MILLISECOND)
    both = card.causes("RXQ0", "TXQ0")
    expect("ICR", card.read("ICR") & both, card.causes("TXQ0"))


@TOPIC.check(
    "INT-EIAME",
    "datasheet, General Registers, CTRL_EXT.EIAME; e1000_configure_msix in Linux's netdev.c",
    needs=MSIX,
)
def auto_mask(card: Subject) -> None:
    """With EIAME the causes of IAM are masked when their message is sent."""
    card.bench.signal(Signal.MSIX)
    card.write("IVAR", IVAR_ALL)
    card.quiet()
    card.set("CTRL_EXT", EIAME=1)
    card.write("EIAC", card.causes("RXQ0"))
    card.write("IAM", card.causes("RXQ0"))
    card.write("IMS", card.causes("RXQ0", "OTHER"))
    card.write("ICS", card.causes("RXQ0"))
    card.bench.advance(MILLISECOND)
    expect("IMS", card.read("IMS") & card.causes("RXQ0", "OTHER"), card.causes("OTHER"))


@TOPIC.check("INT-MSIX-MASKED", "datasheet, Interrupts", needs=MSIX)
def msix_is_silent_when_masked(card: Subject) -> None:
    """In MSI-X mode a masked cause sends nothing."""
    card.bench.signal(Signal.MSIX)
    card.write("IVAR", IVAR_ALL)
    card.quiet()
    card.write("ICS", card.causes("RXQ0"))
    card.bench.advance(MILLISECOND)
    expect("messages", card.bench.messages(), frozenset())


@TOPIC.check("INT-MSIX-NO-LINE", "PCI 3.0, 6.8.3.3: no INTx while MSI-X is enabled", needs=MSIX | LINE)
def msix_and_no_line(card: Subject) -> None:
    """In MSI-X mode INTx is not asserted on the bus."""
    card.bench.signal(Signal.MSIX)
    card.write("IVAR", IVAR_ALL)
    card.quiet()
    card.write("IMS", card.causes("OTHER"))
    card.write("ICS", card.causes("OTHER"))
    card.bench.advance(MILLISECOND)
    expect("messages, INTx", (card.messages(4), card.bench.line()), (frozenset({4}), False))


@TOPIC.check("INT-RX-CAUSE", "datasheet, Receive, receive interrupts", needs=WIRE)
def a_frame_raises_rxt0(card: Subject) -> None:
    """With RDTR zero a received frame raises RXT0 at once."""
    card.link_up()
    RxRing(card).start()
    card.quiet()
    card.bench.send(to_card(card, payload(80)))
    card.bench.settle()
    expect("RXT0", card.read("ICR") & card.causes("RXT0"), card.causes("RXT0"))


@TOPIC.check("INT-RX-QUEUE", "datasheet, Interrupts, MSI-X mode: RXQ0", needs=WIRE | MSIX)
def a_frame_raises_rxq0(card: Subject) -> None:
    """In MSI-X mode a received frame sends the vector of receive queue 0."""
    card.bench.signal(Signal.MSIX)
    card.write("IVAR", IVAR_ALL)
    card.link_up()
    RxRing(card).start()
    card.quiet()
    card.write("IMS", card.causes("RXQ0"))
    card.bench.send(to_card(card, payload(80)))
    card.bench.settle()
    card.bench.advance(MILLISECOND)
    expect("messages", card.messages(0), frozenset({0}))


@TOPIC.check("INT-TX-CAUSE", "datasheet, Transmit, transmit interrupts: TXDW", needs=WIRE)
def a_write_back_raises_txdw(card: Subject) -> None:
    """A write-back raises TXDW."""
    card.link_up()
    ring = TxRing(card)
    card.quiet()
    ring.send(ring.legacy(ethernet(payload(80))))
    expect("TXDW", card.read("ICR") & card.causes("TXDW"), card.causes("TXDW"))


@TOPIC.check("INT-TX-NO-RS", "datasheet, Transmit: TXDW needs RS", needs=WIRE)
def no_write_back_no_txdw(card: Subject) -> None:
    """Without RS there is no TXDW."""
    card.link_up()
    ring = TxRing(card)
    card.quiet()
    ring.send(ring.legacy(ethernet(payload(80)), TxCommand.EOP | TxCommand.IFCS))
    expect("TXDW", card.read("ICR") & card.causes("TXDW"), 0)


@TOPIC.check("INT-TX-QUEUE", "datasheet, Interrupts; IVAR bit 31", needs=WIRE | MSIX)
def a_write_back_raises_txq0(card: Subject) -> None:
    """In MSI-X mode a write-back sends the vector of transmit queue 0."""
    card.bench.signal(Signal.MSIX)
    card.write("IVAR", IVAR_ALL | 1 << 31)
    card.link_up()
    ring = TxRing(card)
    card.quiet()
    card.write("IMS", card.causes("TXQ0"))
    ring.send(ring.legacy(ethernet(payload(80))))
    card.bench.advance(MILLISECOND)
    expect("messages", card.messages(2), frozenset({2}))


@TOPIC.check("INT-TXQE", "datasheet, Interrupt Registers, ICR.TXQE", needs=WIRE)
def an_empty_queue_raises_txqe(card: Subject) -> None:
    """A transmit queue that runs empty raises TXQE."""
    card.link_up()
    ring = TxRing(card)
    card.quiet()
    ring.send(ring.legacy(ethernet(payload(80))))
    expect("TXQE", card.read("ICR") & card.causes("TXQE"), card.causes("TXQE"))


def threshold(code: int, count: int, card: Subject) -> None:
    """RXDMT0 comes when free descriptors fall to the threshold, not before."""
    card.link_up()
    ring = RxRing(card, kind=Kind.LEGACY, count=32).start(RDMTS=code)
    card.quiet()
    for _ in range(31):
        card.bench.send(to_card(card, payload(60)))
        card.bench.settle()
        if card.read("ICR") & card.causes("RXDMT0"):
            break
    free = (ring.tail - ring.head) % ring.count
    is_true("free descriptors when RXDMT0 came, to one", abs(free - count) <= 1)


for _code, _part in ((0, 2), (1, 4), (2, 8)):
    TOPIC.add(
        Check(
            f"INT-RXDMT-{_part}",
            f"RXDMT0 comes when 1/{_part} of the ring is left.",
            "datasheet, Receive Registers, RCTL.RDMTS; Interrupt Registers, ICR.RXDMT0",
            partial(threshold, _code, 32 // _part),
            WIRE,
        )
    )
