"""MSI and MSI-X through configuration space, for benches that play the operating system themselves.

Messages are aimed at a mailbox in memory, one word a vector; a word that is not zero is a message that came.
Source: PCI Local Bus 3.0, 6.7 and 6.8.
"""

from __future__ import annotations

from typing import Protocol

from lab.conformance.bench import RefusedError, Signal

CAPABILITIES = 0x34
MSI_ID, MSIX_ID = 0x05, 0x11
COMMAND, INTX_DISABLE = 0x04, 1 << 10
STATUS, INTX_PENDING = 0x06, 1 << 3
MSI_ENABLE, MSIX_ENABLE = 1 << 0, 1 << 15
VECTORS = 5
ENTRY_BYTES = 16
MSI_SLOT = 8  # the word of the mailbox that MSI is aimed at
MAILBOX_WORDS = 9


class Space(Protocol):
    """What is needed of a bench."""

    def config_read(self, offset: int, width: int = 4) -> int:
        """Read configuration space."""

    def config_write(self, offset: int, value: int, width: int = 4) -> None:
        """Write configuration space."""

    def write(self, offset: int, value: int, width: int = 4, bar: int = 0) -> None:
        """Write a BAR."""


def find(space: Space, wanted: int) -> int:
    """Return the offset of a capability; raises ``RefusedError`` when the list has none."""
    at = space.config_read(CAPABILITIES, 1)
    for _ in range(48):
        if at == 0:
            break
        if space.config_read(at, 1) == wanted:
            return at
        at = space.config_read(at + 1, 1)
    raise RefusedError(f"no capability {wanted:#x} in the list")


def switch(space: Space, how: Signal, mailbox: int) -> None:
    """Aim the messages at the mailbox and enable one way of interrupting, the others off."""
    msi, msix = find(space, MSI_ID), find(space, MSIX_ID)
    space.config_write(msi + 2, 0, 2)
    space.config_write(msix + 2, 0, 2)
    command = space.config_read(COMMAND, 2) & ~INTX_DISABLE
    space.config_write(COMMAND, command | (0 if how is Signal.INTX else INTX_DISABLE), 2)
    if how is Signal.MSI:
        space.config_write(msi + 4, mailbox + 4 * MSI_SLOT)
        space.config_write(msi + 8, 0)
        space.config_write(msi + 0xC, MSI_SLOT + 1, 2)
        space.config_write(msi + 2, MSI_ENABLE, 2)
    elif how is Signal.MSIX:
        table = space.config_read(msix + 4)
        bar, offset = table & 7, table & ~7
        for vector in range(VECTORS):
            entry = offset + vector * ENTRY_BYTES
            for at, value in ((0, mailbox + 4 * vector), (4, 0), (8, vector + 1), (12, 0)):
                space.write(entry + at, value, 4, bar)
        space.config_write(msix + 2, MSIX_ENABLE, 2)


def vectors(words: bytes) -> frozenset[int]:
    """Return which vectors a mailbox holds a message of; MSI's is vector 0."""
    found = {
        index for index in range(MAILBOX_WORDS) if int.from_bytes(words[4 * index : 4 * index + 4], "little")
    }
    return frozenset(0 if index == MSI_SLOT else index for index in found)
