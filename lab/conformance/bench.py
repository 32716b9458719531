"""The seam between the checks and what they are run against: a card on a bench.

A bench knows how to reach a card; it knows no register and no check. Widths are in bytes, times in ns,
addresses are bus addresses.
"""

from __future__ import annotations

import enum
from typing import Protocol


class Capability(enum.Flag):
    """What a bench can do beyond register accesses and DMA; a check that needs more is skipped."""

    NONE = 0
    WIRE = enum.auto()
    """Frames can be put on the wire and collected from it."""
    CLOCK = enum.auto()
    """Time moves only by ``advance``: what must not happen before a deadline can be shown."""
    LINE = enum.auto()
    """The level of INTx can be seen."""
    MSI = enum.auto()
    """MSI messages can be seen."""
    MSIX = enum.auto()
    """MSI-X messages can be seen, by vector."""
    TABLE = enum.auto()
    """The card's own MSI-X table decides: not a VMM's copy of it."""
    CONFIG = enum.auto()
    """Configuration space is the card's own, not a VMM's filter in front of it."""
    FLASH = enum.auto()
    """BAR1 leads to a flash whose content nobody needs."""
    SPARE = enum.auto()
    """DMA outside of memory is harmless: the guest's errors can be tried."""

    @property
    def words(self) -> str:
        """What it means not to have these, for a message."""
        return "; ".join(_WITHOUT[flag] for flag in self)


_WITHOUT = {
    Capability.WIRE: "the bench does not hold the far end of its cable",
    Capability.CLOCK: "its clock is the world's",
    Capability.LINE: "the level of INTx is the kernel's",
    Capability.MSI: "MSI messages cannot be seen",
    Capability.MSIX: "MSI-X messages cannot be seen",
    Capability.TABLE: "a VMM or the kernel keeps the MSI-X table",
    Capability.CONFIG: "the kernel stands before configuration space",
    Capability.FLASH: "what is in its flash may be needed",
    Capability.SPARE: "DMA outside of memory is an error of the IOMMU",
}


class Signal(enum.Enum):
    """How the function is told to interrupt."""

    INTX = "intx"
    MSI = "msi"
    MSIX = "msix"


class BenchError(Exception):
    """The target went away, or does not do what the bench needs before any check can be judged."""


class RefusedError(Exception):
    """The target has not what a check asks for: a BAR, an access of that width. The check fails."""


class Bench(Protocol):
    """A card that a check may do anything to."""

    @property
    def capabilities(self) -> Capability:
        """What this bench can do."""

    @property
    def dma(self) -> range:
        """The bus addresses that the card may reach: at least 1 MiB, nobody else's."""

    def read(self, offset: int, width: int = 4, bar: int = 0) -> int:
        """Read a BAR."""

    def write(self, offset: int, value: int, width: int = 4, bar: int = 0) -> None:
        """Write a BAR; what it set off has happened when the next call returns, timers excepted."""

    def config_read(self, offset: int, width: int = 4) -> int:
        """Read configuration space."""

    def config_write(self, offset: int, value: int, width: int = 4) -> None:
        """Write configuration space."""

    def memory_read(self, address: int, length: int) -> bytes:
        """Read the DMA area."""

    def memory_write(self, address: int, data: bytes) -> None:
        """Write the DMA area."""

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire towards the card, without FCS; needs ``Capability.WIRE``."""

    def frames(self) -> list[bytes]:
        """Return the frames that left the card since the last call, without FCS."""

    def settle(self) -> None:
        """Return when the card has done what it can do without time passing."""

    def signal(self, how: Signal) -> None:
        """Switch the way of interrupting, as a VMM or an operating system does."""

    def line(self) -> bool:
        """Tell whether INTx is asserted now."""

    def messages(self) -> frozenset[int]:
        """Return the vectors of the messages that left since the last call (MSI: vector 0)."""

    def advance(self, step_ns: int) -> None:
        """Let time pass, timers firing on the way."""

    def reset(self) -> None:
        """Bring the card to its state after power-on, INTx, decoding and mastering enabled."""

    def close(self) -> None:
        """Let the card go."""
