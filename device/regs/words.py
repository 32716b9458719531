"""The register file: one list of words, and what the bank says of each place in it.

It knows no behaviour beyond masks and aliases. Places are word numbers (offset / 4): indexing a list is the
fastest look-up Python has, and the rings do a dozen a descriptor.
"""

from __future__ import annotations

from device.regs.bank import Access
from device.regs.nic import BAR0_SIZE, NIC

WORDS = BAR0_SIZE // 4
_READABLE = frozenset({Access.RW, Access.RO, Access.RC, Access.RC64L, Access.RC64H, Access.RC_W1C})
_WRITABLE = frozenset({Access.RW})


def place(name: str) -> int:
    """Return the word number of a register by name, or of ``NAME[i]``."""
    base, _, index = name.partition("[")
    register = NIC[base]
    return register.at(int(index[:-1]) if index else 0) >> 2


def _aliases() -> list[int]:
    table = [-1] * WORDS
    for word in range(WORDS):
        canonical = NIC.canonical(word * 4)
        if canonical is not None:
            table[word] = canonical >> 2
    return table


def _each(table: list[int], accesses: frozenset[Access], *, masks: bool) -> list[int]:
    for register in NIC:
        for offset in register.offsets():
            if masks:
                table[offset >> 2] = register.mask if register.access in accesses else 0
            else:
                table[offset >> 2] = register.reset
    return table


CANONICAL: list[int] = _aliases()
"""Word number -> the word number it stands for; -1 where nothing is declared."""

MASKS: list[int] = _each([0] * WORDS, _WRITABLE, masks=True)
"""The bits that a plain write changes, by canonical word number."""

RESET: list[int] = _each([0] * WORDS, _READABLE, masks=False)
"""The value after power-on, by canonical word number."""


def ring_places(kind: str, queue: int) -> tuple[int, int, int, int, int]:
    """Return the places of base low, base high, length, head and tail of ring ``"TD"`` or ``"RD"``."""
    return (
        place(f"{kind}BAL{queue}"),
        place(f"{kind}BAH{queue}"),
        place(f"{kind}LEN{queue}"),
        place(f"{kind}H{queue}"),
        place(f"{kind}T{queue}"),
    )
