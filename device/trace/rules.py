"""The lint's rules, as data: what drivers must not do, and where that is written."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Severity(enum.Enum):
    """How sure a rule is."""

    ERROR = "error"  # the hardware's documentation forbids it, or it cannot work
    WARNING = "warning"  # it works by luck, or costs


@dataclass(frozen=True, slots=True)
class Rule:
    """A thing that drivers must not do. ``source`` is where that is written."""

    name: str
    severity: Severity
    text: str
    source: str


RULES: Final = {
    rule.name: rule
    for rule in (
        Rule(
            "tail-beyond-ring",
            Severity.ERROR,
            "a tail is set beyond its ring",
            "datasheet, Receive Registers, Transmit Registers",
        ),
        Rule(
            "unaligned-ring",
            Severity.ERROR,
            "a ring's base or length breaks its alignment",
            "datasheet, Receive, Transmit: base 16 bytes, length 128",
        ),
        Rule(
            "touched-while-enabled",
            Severity.ERROR,
            "a ring's registers are written while its direction is enabled and descriptors are out",
            "datasheet, Initialization",
        ),
        Rule(
            "stale-descriptor",
            Severity.ERROR,
            "a descriptor is handed over as the card left it, DD still set",
            "datasheet, Receive, Transmit",
        ),
        Rule(
            "missing-rs",
            Severity.ERROR,
            "a whole ring of descriptors asks for no report: completions cannot come",
            "datasheet, Transmit",
        ),
        Rule(
            "waits-without-rs",
            Severity.ERROR,
            "the ring is used up, and the slot to be reused asked for no report: its DD never comes",
            "datasheet, Transmit",
        ),
        Rule(
            "unmapped-dma",
            Severity.ERROR,
            "the card is sent to memory that nothing maps",
            "PCI: the access is aborted",
        ),
        Rule(
            "unacknowledged-interrupt",
            Severity.WARNING,
            "an interrupt was sent and no cause or mask register touched for a second",
            "datasheet, Interrupts",
        ),
        Rule(
            "interrupt-goes-nowhere",
            Severity.ERROR,
            "an enabled cause has no valid vector in IVAR while MSI-X is on",
            "datasheet, Interrupts",
        ),
        Rule(
            "write-to-read-only",
            Severity.WARNING,
            "a register that cannot be written is written",
            "datasheet chapter 10",
        ),
        Rule(
            "reserved-register",
            Severity.WARNING,
            "an offset that the datasheet leaves reserved is written",
            "datasheet chapter 10",
        ),
        Rule(
            "unfinished-frame",
            Severity.WARNING,
            "descriptors wait for one with EOP for a second: what follows stands behind them",
            "datasheet, Transmit",
        ),
        Rule(
            "head-of-line-stall",
            Severity.WARNING,
            "descriptors are ready and the queue has not moved for a second",
            "datasheet, Transmit",
        ),
        Rule(
            "tail-not-moved",
            Severity.WARNING,
            "a doorbell rings with the tail where it was",
            "datasheet, Transmit Registers",
        ),
    )
}
"""Every rule by name."""
