"""The EEPROM at its pins: commands, protection, and a state that is kept in the middle of a command."""

from __future__ import annotations

import json

import pytest

from device.eeprom import PROTECTION, WRITE_ENABLED, SpiEeprom
from device.nvm import Nvm

WRSR, WRITE, READ, WRDI, RDSR, WREN = range(1, 7)
MAC = bytes.fromhex("525400123456")


class Master:
    """Clocks bytes in and out, in SPI mode 0."""

    def __init__(self) -> None:
        """Hold an NVM with CS high."""
        self.nvm = Nvm(MAC)
        self.chip: SpiEeprom = self.nvm.eeprom

    def out(self, *values: int, bits: int = 8) -> None:
        """Shift bytes out; of each its first ``bits``."""
        for value in values:
            for at in range(7, 7 - bits, -1):
                for clock in (False, True, False):
                    self.chip.drive(select=True, clock=clock, data=bool(value >> at & 1))

    def into(self) -> int:
        """Shift a byte in."""
        value = 0
        for _ in range(8):
            self.chip.drive(select=True, clock=True, data=False)
            value = value << 1 | self.chip.output
            self.chip.drive(select=True, clock=False, data=False)
        return value

    def end(self) -> None:
        """Raise CS."""
        self.chip.drive(select=False, clock=False, data=False)

    def command(self, *values: int, answer: int = 0) -> bytes:
        """Run one command."""
        self.chip.drive(select=True, clock=False, data=False)
        self.out(*values)
        taken = bytes(self.into() for _ in range(answer))
        self.end()
        return taken

    def words(self) -> list[int]:
        """Return the words."""
        return [self.nvm.read(address) for address in range(64)]


def test_a_read_runs_on_and_wraps() -> None:
    """READ is not bound to a page, nor to the end."""
    master = Master()

    taken = master.command(READ, 126, answer=4)

    assert taken == master.nvm.read(63).to_bytes(2, "little") + MAC[:2]


def test_address_bit_8_in_the_opcode_is_ignored() -> None:
    """A8 belongs to larger parts (NVM_A8_OPCODE_SPI)."""
    assert Master().command(READ | 8, 0, answer=6) == MAC


def test_a_page_is_written_and_its_end_leads_to_its_beginning() -> None:
    """Ten bytes into a page of eight: the last two overwrite the first two."""
    master = Master()
    master.command(WREN)

    master.command(WRITE, 0x70, *range(10))

    assert master.command(READ, 0x70, answer=8) == bytes((8, 9, 2, 3, 4, 5, 6, 7))


@pytest.mark.parametrize("first", [(), (WREN, 0), (WRDI,), (0xFF,)])
def test_nothing_is_written_that_was_not_enabled(first: tuple[int, ...]) -> None:
    """No WREN, one with a byte too many, WRDI, and a command there is not."""
    master = Master()
    before = master.words()
    if first:
        master.command(*first)

    master.command(WRITE, 0, 1, 2)

    assert master.words() == before


def test_a_write_that_ends_within_a_byte_is_not_done() -> None:
    """CS rises after four bits of the data."""
    master = Master()
    before = master.words()
    master.command(WREN)

    master.chip.drive(select=True, clock=False, data=False)
    master.out(WRITE, 0)
    master.out(0xF0, bits=4)
    master.end()

    assert master.words() == before


@pytest.mark.parametrize(("protection", "free"), [(0, 128), (1, 96), (2, 64), (3, 0)])
def test_protection_covers_a_part_from_the_top(protection: int, free: int) -> None:
    """BP1 and BP0: none, a quarter, half, all."""
    master = Master()
    master.command(WREN)
    master.command(WRSR, protection << 2)
    before = master.command(READ, 0, answer=128)

    for page in range(0, 128, 8):
        master.command(WREN)
        master.command(WRITE, page, *(byte ^ 0xFF for byte in before[page : page + 8]))

    changed = [at for at, byte in enumerate(master.command(READ, 0, answer=128)) if byte != before[at]]
    assert changed == list(range(free))


def test_the_status_says_what_is_enabled_and_protected() -> None:
    """RDSR repeats for as long as it is clocked."""
    master = Master()
    master.command(WREN)
    enabled = master.command(RDSR, answer=2)

    master.command(WRSR, 0xFF)

    assert enabled == bytes((WRITE_ENABLED, WRITE_ENABLED))
    assert master.command(RDSR, answer=1)[0] == PROTECTION | 0x80


def test_a_state_is_kept_in_the_middle_of_a_command() -> None:
    """Saved after half a byte of a READ's address, gone on with in another card."""
    master, other = Master(), Master()
    master.chip.drive(select=True, clock=False, data=False)
    master.out(READ)
    master.out(0x00, bits=4)

    other.nvm.restore(json.loads(json.dumps(master.nvm.save())))
    other.out(0x00, bits=4)

    assert bytes(other.into() for _ in range(6)) == MAC


@pytest.mark.parametrize(
    "wrong", [{"shift": [0, 0, 200, 0, 0]}, {"page": []}, {"phase": "flying"}, {"pins": [0]}]
)
def test_a_state_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    """A size of another chip, a phase there is not."""
    nvm = Nvm(MAC)
    saved = nvm.save()

    with pytest.raises((ValueError, KeyError, TypeError)):
        nvm.restore(saved | {"eeprom": {**nvm.eeprom.save(), **wrong}})
