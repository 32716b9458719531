"""Drives the EEPROM's pins by EECD, as e1000e_write_nvm_spi and its kin in Linux's e1000e/nvm.c do.

It knows the four bits and SPI, no check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from device.regs.nic import NIC
from lab.conformance.bench import RefusedError
from lab.conformance.check import is_true

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

EECD = NIC["EECD"]
SK, CS, DI = (EECD[name].mask for name in ("SK", "CS", "DI"))
WRSR, WRITE, READ, WRDI, RDSR, WREN = range(1, 7)
TWO_ADDRESS_BYTES: Final = 2  # of EECD.NVADDS; 3: a flash


class Pins:
    """The EEPROM of a card, granted to software for as long as the block lasts."""

    def __init__(self, card: Subject) -> None:
        self._card = card
        self._rest = 0

    def __enter__(self) -> Self:
        """Ask for the pins and wait for them (``MismatchError`` if in vain); CS high."""
        card = self._card
        card.set("EECD", REQ=1)
        is_true("EECD.GNT", card.until(lambda: bool(card.field("EECD", "GNT"))))
        self._rest = card.read("EECD") & ~(SK | DI) | CS
        card.write("EECD", self._rest)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the pins back."""
        self._card.write("EECD", self._rest & ~EECD["REQ"].mask)

    @property
    def address_bytes(self) -> int:
        """How many bytes an address has."""
        return 2 if self._card.field("EECD", "NVADDS") == TWO_ADDRESS_BYTES else 1

    def command(self, opcode: int, *sent: int, answer: int = 0, bits: int = 8) -> bytes:
        """Select, send the opcode and bytes (the last of ``bits`` bits), take ``answer`` bytes, deselect."""
        self._set(0)
        out = (opcode, *sent)
        for at, byte in enumerate(out):
            self._shift_out(byte, bits if at == len(out) - 1 else 8)
        taken = bytes(self._shift_in() for _ in range(answer))
        self._set(CS)
        return taken

    def at(self, address: int) -> tuple[int, ...]:
        """Return an address as the bytes that are sent."""
        return tuple(address.to_bytes(self.address_bytes, "big"))

    def read(self, address: int, count: int) -> bytes:
        """Read bytes from an address on."""
        return self.command(READ, *self.at(address), answer=count)

    def write(self, address: int, data: bytes) -> None:
        """Write up to a page, enabled just before, and wait until it is done."""
        self.command(WREN)
        self.command(WRITE, *self.at(address), *data)
        if not self._card.until(lambda: not self.status() & 1):
            raise RefusedError("the EEPROM's status stays busy")

    def status(self) -> int:
        """Read the status register."""
        return self.command(RDSR, answer=1)[0]

    def _set(self, pins: int) -> None:
        self._card.write("EECD", self._rest & ~(SK | CS | DI) | pins)

    def _shift_out(self, byte: int, bits: int) -> None:
        for at in range(7, 7 - bits, -1):
            data = DI if byte >> at & 1 else 0
            for clock in (0, SK, 0):
                self._set(data | clock)

    def _shift_in(self) -> int:
        value = 0
        for _ in range(8):
            self._set(SK)
            value = value << 1 | self._card.field("EECD", "DO")
            self._set(0)
        return value
