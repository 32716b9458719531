"""The language that a register bank is declared in. It knows no card.

A ``Bank`` is data: behaviour is in ``device.engine`` and ``device.card``. It refuses two registers
at one offset, and two fields on one bit, when the module that declares it is imported.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WORD = 0xFFFF_FFFF


class Access(enum.Enum):
    """What a read and a write of the register do."""

    RW = "reads what was written, through the mask"
    RO = "writes are ignored"
    WO = "reads as zero; a write acts"
    RC = "a counter: saturates, a read clears it, writes are ignored"
    RC64L = "the low half of a 64-bit counter; reading it changes nothing"
    RC64H = "the high half of a 64-bit counter; reading it clears both halves"
    RC_W1C = "a read clears (conditions apply); writing 1 clears the bit"


class Owner(enum.Enum):
    """Who answers an access."""

    ENGINE = "the data path: in C in the native engine"
    CARD = "policy shared by both engines: reset, link, PHY, NVM, power"


@dataclass(frozen=True, slots=True)
class Field:
    """Bits ``low`` to ``high`` (both included) of a register."""

    name: str
    low: int
    high: int
    doc: str

    @property
    def mask(self) -> int:
        """The field's bits, in place."""
        return ((1 << (self.high - self.low + 1)) - 1) << self.low

    def get(self, value: int) -> int:
        """Return the field out of the register's value, shifted down."""
        return (value & self.mask) >> self.low

    def put(self, value: int) -> int:
        """Return the field's value shifted into place; bits that do not fit are lost."""
        return (value << self.low) & self.mask


@dataclass(frozen=True)
class Register:
    """A 32-bit register, or an array of ``count`` of them, ``stride`` bytes apart.

    ``mask`` are the bits a write changes; ``reset`` the value after power-on; ``keep`` the bits
    that CTRL.RST leaves alone.
    """

    name: str
    offset: int
    access: Access
    reset: int
    doc: str
    fields: tuple[Field, ...] = ()
    mask: int = WORD
    owner: Owner = Owner.ENGINE
    count: int = 1
    stride: int = 4
    aliases: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse overlapping fields and odd offsets: the declaration is wrong."""
        seen = 0
        for field in self.fields:
            if seen & field.mask:
                raise ValueError(f"{self.name}.{field.name} overlaps another field")
            seen |= field.mask
        if self.offset % 4 or self.stride % 4:
            raise ValueError(f"{self.name} is not on a 4-byte boundary: {self.offset:#x}")

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def __getitem__(self, name: str) -> Field:
        """Return the field of that name."""
        return self._by_name[name]

    def at(self, index: int) -> int:
        """Return the offset of element ``index`` of the array."""
        if not 0 <= index < self.count:
            raise IndexError(f"{self.name}[{index}] of {self.count}")
        return self.offset + index * self.stride

    def offsets(self) -> range:
        """Return the offset of every element."""
        return range(self.offset, self.offset + self.count * self.stride, self.stride)


class Bank:
    """Registers by name and by offset."""

    def __init__(self, name: str, registers: tuple[Register, ...]) -> None:
        """Index the registers; refuse two at one place or of one name."""
        self.name = name
        self._registers = registers
        self._by_name: dict[str, Register] = {}
        self._by_offset: dict[int, tuple[Register, int]] = {}
        for reg in registers:
            if reg.name in self._by_name:
                raise ValueError(f"two registers are named {reg.name}")
            self._by_name[reg.name] = reg
            for index, offset in enumerate(reg.offsets()):
                self._place(offset, reg, index)
            for alias in reg.aliases:
                for index in range(reg.count):
                    self._place(alias + index * reg.stride, reg, index)

    def _place(self, offset: int, reg: Register, index: int) -> None:
        if offset in self._by_offset:
            other = self._by_offset[offset][0].name
            raise ValueError(f"{reg.name} and {other} are both at {offset:#07x}")
        self._by_offset[offset] = (reg, index)

    def __iter__(self) -> Iterator[Register]:
        """Iterate in the order of declaration."""
        return iter(self._registers)

    def __len__(self) -> int:
        """Return how many registers there are; an array is one."""
        return len(self._registers)

    def __getitem__(self, name: str) -> Register:
        """Return the register of that name."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a register of that name."""
        return name in self._by_name

    def find(self, offset: int) -> tuple[Register, int] | None:
        """Return the register and the array index at an offset or an alias of it, else None."""
        return self._by_offset.get(offset)

    def canonical(self, offset: int) -> int | None:
        """Return the offset an alias stands for, the offset itself, or None: nothing is there."""
        found = self._by_offset.get(offset)
        return None if found is None else found[0].at(found[1])

    def name_of(self, offset: int) -> str:
        """Return ``TDT0``, ``RETA[3]``, or ``0x01234`` where nothing is declared."""
        found = self._by_offset.get(offset)
        if found is None:
            return f"{offset:#07x}"
        reg, index = found
        return reg.name if reg.count == 1 else f"{reg.name}[{index}]"
