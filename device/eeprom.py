"""The serial EEPROM as its four pins see it: what a driver reaches by the SK, CS, DI and DO bits of EECD.

SPI mode 0: DI is taken when SK rises, DO changes when SK falls, most significant bit first; a command lasts
while CS is low and takes effect when it rises. The commands are those of the 25010 family (1 Kbit; AT25010's
datasheet; NVM_READ_OPCODE_SPI and its kin in Linux's e1000e/hw.h or defines.h): one address byte, pages of
8 bytes. A write cycle takes no time here, so the status never says busy.

It knows no register: ``device.control`` drives the pins, ``device.nvm`` keeps the bytes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final, Protocol

PAGE_BYTES: Final = 8
WRITE_ENABLED, PROTECTION, WPEN = 1 << 1, 3 << 2, 1 << 7
"""Of the status: WREN was obeyed; which part is protected; the WP pin counts (it is wired high)."""

_BY_WRSR: Final = PROTECTION | WPEN  # what WRSR sets, and what outlives power
_ANY_A8: Final = 0xF7  # bit 3 of an opcode is address bit 8 of a larger part, and ignored by this one
_FREE_QUARTERS: Final = (4, 3, 2, 0)  # by BP1 and BP0: how much, from the bottom, may be written


class Cells(Protocol):
    """The bytes behind the pins."""

    @property
    def byte_count(self) -> int:
        """How many there are: a multiple of four pages."""

    def read_byte(self, address: int) -> int:
        """Return one; the address is below ``byte_count``."""

    def write_byte(self, address: int, value: int) -> None:
        """Store one."""


class Phase(enum.Enum):
    """What the bits that come now mean."""

    STANDBY = "standby"  # nothing more is expected until CS falls again
    OPCODE = "opcode"
    READ_ADDRESS = "read address"
    WRITE_ADDRESS = "write address"
    READ = "read"
    WRITE = "write"
    STATUS = "status"
    NEW_STATUS = "new status"
    ENABLE = "enable"
    DISABLE = "disable"


_COMMANDS: Final = {
    0x01: Phase.NEW_STATUS,  # WRSR
    0x02: Phase.WRITE_ADDRESS,
    0x03: Phase.READ_ADDRESS,
    0x04: Phase.DISABLE,  # WRDI
    0x05: Phase.STATUS,  # RDSR
    0x06: Phase.ENABLE,  # WREN
}
_AFTER_ADDRESS: Final = {Phase.READ_ADDRESS: Phase.READ, Phase.WRITE_ADDRESS: Phase.WRITE}
_TALKING: Final = frozenset({Phase.READ, Phase.STATUS})


@dataclass(slots=True)
class _Command:
    """What has passed since CS fell."""

    phase: Phase = Phase.STANDBY
    bits: int = 0  # of the byte that comes in
    shifted: int = 0
    address: int = 0
    page: tuple[int | None, ...] = (None,) * PAGE_BYTES  # what WRITE brought
    new_status: int | None = None
    leaving: int = 0  # the byte that goes out, shifted up as it goes
    left: int = 0  # bits of it


class SpiEeprom:
    """The chip between the pins and its cells."""

    def __init__(self, cells: Cells) -> None:
        """Power on: nothing protected, writing disabled, not selected."""
        self._cells = cells
        self._status = 0
        self._selected = False
        self._clock = False
        self._command = _Command()
        self.output = False
        """DO; low while the chip does not drive it."""

    def drive(self, *, select: bool, clock: bool, data: bool) -> None:
        """Set the pins. ``select`` is CS pulled low; SK does not count while CS moves."""
        if select != self._selected:
            if not select:
                self._obey()
            self._command = _Command(Phase.OPCODE if select else Phase.STANDBY)
            self.output = False
        elif select and clock != self._clock:
            self._rise(data=data) if clock else self._fall()
        self._selected, self._clock = select, clock

    def release(self) -> None:
        """Let go of the pins in the middle of whatever goes on, as a reset does: nothing is written."""
        self._command = _Command()
        self._selected = self._clock = self.output = False

    # -- edges of SK ------------------------------------------------------------------------------------

    def _rise(self, *, data: bool) -> None:
        command = self._command
        command.shifted = (command.shifted << 1 | data) & 0xFF
        command.bits = (command.bits + 1) % 8
        if not command.bits:
            self._take(command, command.shifted)

    def _fall(self) -> None:
        command = self._command
        if command.phase not in _TALKING:
            return
        if not command.left:
            command.left = 8
            if command.phase is Phase.STATUS:
                command.leaving = self._status
            else:
                command.leaving = self._cells.read_byte(command.address)
                command.address = (command.address + 1) % self._cells.byte_count
        self.output = bool(command.leaving & 0x80)
        command.leaving = command.leaving << 1 & 0xFF
        command.left -= 1

    def _take(self, command: _Command, value: int) -> None:
        """Take a byte that is whole."""
        phase = command.phase
        if phase is Phase.OPCODE:
            command.phase = _COMMANDS.get(value & _ANY_A8, Phase.STANDBY)
        elif phase in _AFTER_ADDRESS:
            command.address = value % self._cells.byte_count
            command.phase = _AFTER_ADDRESS[phase]
        elif phase is Phase.WRITE:  # beyond the page's end it begins again
            page, at = divmod(command.address, PAGE_BYTES)
            command.page = (*command.page[:at], value, *command.page[at + 1 :])
            command.address = page * PAGE_BYTES + (at + 1) % PAGE_BYTES
        elif phase is Phase.NEW_STATUS:
            command.new_status = value
        elif phase not in _TALKING:
            command.phase = Phase.STANDBY  # a byte too many: not obeyed

    # -- CS rises ---------------------------------------------------------------------------------------

    def _obey(self) -> None:
        """Do what the command asks for; not if it ends within a byte."""
        command = self._command
        if command.bits:
            return
        if command.phase is Phase.ENABLE:
            self._status |= WRITE_ENABLED
        elif command.phase is Phase.DISABLE:
            self._status &= ~WRITE_ENABLED
        elif command.phase in {Phase.WRITE, Phase.NEW_STATUS} and self._status & WRITE_ENABLED:
            self._status &= ~WRITE_ENABLED
            self._program(command)

    def _program(self, command: _Command) -> None:
        if command.new_status is not None:
            self._status = command.new_status & _BY_WRSR
        free = self._cells.byte_count // 4 * _FREE_QUARTERS[(self._status & PROTECTION) >> 2]
        first = command.address // PAGE_BYTES * PAGE_BYTES
        for address, value in enumerate(command.page, first):
            if value is not None and address < free:
                self._cells.write_byte(address, value)

    # -- state ------------------------------------------------------------------------------------------

    def save(self) -> dict[str, object]:
        """Return the whole state, a command that is half through included."""
        command = self._command
        return {
            "status": self._status,
            "pins": [self._selected, self._clock, self.output],
            "phase": command.phase.value,
            "shift": [command.bits, command.shifted, command.address, command.leaving, command.left],
            "page": list(command.page),
            "new_status": command.new_status,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take a saved state over; KeyError, TypeError or ValueError when it is not one."""
        bits, shifted, address, leaving, left = (int(value) & 0xFF for value in saved["shift"])
        page = tuple(None if value is None else int(value) & 0xFF for value in saved["page"])
        if len(page) != PAGE_BYTES or address >= self._cells.byte_count:
            raise ValueError("an EEPROM of another size")
        new = saved["new_status"]
        self._command = _Command(
            phase=Phase(saved["phase"]),
            bits=bits % 8,
            shifted=shifted,
            address=address,
            page=page,
            new_status=None if new is None else int(new) & 0xFF,
            leaving=leaving,
            left=min(left, 8),
        )
        self._status = int(saved["status"]) & (_BY_WRSR | WRITE_ENABLED)
        self._selected, self._clock, self.output = (bool(pin) for pin in saved["pins"])
