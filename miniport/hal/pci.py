"""The part of a PCI bus driver that a bus of ours does itself: find capabilities, grant and arm interrupts.

Pure functions on any object that reads and writes configuration space. Source: PCI Local Bus 3.0, 6.7, 6.8.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ndis.hardware import Registers

COMMAND: Final = 0x04
MEMORY, MASTER, INTX_DISABLE = 1 << 1, 1 << 2, 1 << 10
CAPABILITIES: Final = 0x34
CAP_MSI, CAP_MSIX = 0x05, 0x11
MSI_ENABLE: Final = 1
MSIX_ENABLE, MSIX_MASK_ALL = 1 << 15, 1 << 14
MSIX_ENTRY_BYTES: Final = 16
MSI_64BIT: Final = 1 << 7


class Signalling(enum.Enum):
    """How a card is to interrupt."""

    INTX = "intx"
    MSI = "msi"
    MSIX = "msix"


class ConfigSpace(Protocol):
    """Configuration space of one function."""

    def read_config(self, offset: int, length: int) -> bytes:
        """Read."""

    def write_config(self, offset: int, data: bytes) -> None:
        """Write."""


def word(space: ConfigSpace, offset: int) -> int:
    """Read 16 bits."""
    return int.from_bytes(space.read_config(offset, 2), "little")


def put_word(space: ConfigSpace, offset: int, value: int) -> None:
    """Write 16 bits."""
    space.write_config(offset, (value & 0xFFFF).to_bytes(2, "little"))


def capability(space: ConfigSpace, number: int) -> int:
    """Return the offset of a capability, 0 when there is none; the walk is bounded by the space."""
    at = space.read_config(CAPABILITIES, 1)[0] & ~3
    for _ in range(48):
        if not at:
            return 0
        found, following = space.read_config(at, 2)
        if found == number:
            return at
        at = following & ~3
    return 0


def enable(space: ConfigSpace, *, line: bool) -> None:
    """Let the function decode and master the bus; INTx only where it is the way of signalling."""
    value = word(space, COMMAND) | MEMORY | MASTER
    put_word(space, COMMAND, value & ~INTX_DISABLE if line else value | INTX_DISABLE)


def disable(space: ConfigSpace) -> None:
    """Take mastering away."""
    put_word(space, COMMAND, word(space, COMMAND) & ~MASTER)


def messages(space: ConfigSpace, how: Signalling) -> int:
    """Return how many messages the function can send that way; 0 for a line."""
    if how is Signalling.MSIX:
        at = capability(space, CAP_MSIX)
        return (word(space, at + 2) & 0x7FF) + 1 if at else 0
    return 1 if how is Signalling.MSI and capability(space, CAP_MSI) else 0


def arm_msix(space: ConfigSpace, table: Registers, first: int, addresses: list[tuple[int, int]]) -> None:
    """Fill the MSI-X table with (address, data), unmask each, and switch MSI-X on."""
    at = capability(space, CAP_MSIX)
    put_word(space, at + 2, word(space, at + 2) | MSIX_ENABLE | MSIX_MASK_ALL)
    for vector, (address, data) in enumerate(addresses):
        entry = first + vector * MSIX_ENTRY_BYTES
        table.write32(entry, address & 0xFFFF_FFFF)
        table.write32(entry + 4, address >> 32)
        table.write32(entry + 8, data)
        table.write32(entry + 12, 0)
    put_word(space, at + 2, word(space, at + 2) & ~MSIX_MASK_ALL | MSIX_ENABLE)


def arm_msi(space: ConfigSpace, address: int, data: int) -> None:
    """Set MSI's address and data and switch it on."""
    at = capability(space, CAP_MSI)
    wide = bool(word(space, at + 2) & MSI_64BIT)
    space.write_config(at + 4, (address & 0xFFFF_FFFF).to_bytes(4, "little"))
    if wide:
        space.write_config(at + 8, (address >> 32).to_bytes(4, "little"))
    put_word(space, at + (12 if wide else 8), data)
    put_word(space, at + 2, word(space, at + 2) | MSI_ENABLE)


def disarm(space: ConfigSpace) -> None:
    """Switch both kinds of message off."""
    for number, bit in ((CAP_MSI, MSI_ENABLE), (CAP_MSIX, MSIX_ENABLE)):
        at = capability(space, number)
        if at:
            put_word(space, at + 2, word(space, at + 2) & ~bit)
