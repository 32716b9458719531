"""The NVM (64 words with a checksum) and the flash it lies in (datasheet chapter 6). It knows no register."""

from __future__ import annotations

from typing import Any, Final

from device.eeprom import SpiEeprom
from device.pci.function import DEVICE, FLASH_SIZE, SUBSYSTEM, VENDOR

WORDS: Final = 64
CHECKSUM_WORD: Final = 0x3F
CHECKSUM: Final = 0xBABA
"""What all 64 words sum to (datasheet, NVM Map; e1000e_validate_nvm_checksum_generic of Linux)."""

ERASED: Final = 0xFF
SECTOR: Final = 4096

# Word -> value of the words that drivers read; the others are erased (0xFFFF).
_IMAGE: Final = {
    0x03: 0x0420,  # compatibility
    0x04: 0xF746,  # LEDs of `ethtool -p`: the default (ID_LED_RESERVED_F746, e1000_valid_led_default_82571)
    0x05: 0x2010,  # image version 2.1.0
    0x08: 0xE469,  # printed board assembly number
    0x09: 0x8103,
    0x0A: 0x026B,  # initialisation control 1: load the subsystem IDs
    0x0B: SUBSYSTEM,
    0x0C: VENDOR,
    0x0D: DEVICE,
    0x0F: 0x8059,  # initialisation control 2; bit 0 clear makes Linux warn of DSPD (e1000_eeprom_checks)
    0x10: 0x0000,
    0x1A: 0x078E,  # PCIe control: ASPM as the hardware advertises it
    0x24: 0xC601,  # initialisation control 3, port 0
}


class Nvm:
    """The words, the pins that lead to them, and the flash image whose first bytes they are."""

    byte_count = 2 * WORDS

    def __init__(self, mac: bytes) -> None:
        """Hold an image for that address, with a valid checksum."""
        if len(mac) != 6:
            raise ValueError(f"an address of {len(mac)} bytes")
        self.flash = bytearray([ERASED]) * FLASH_SIZE
        self._words = [0xFFFF] * WORDS
        for place, value in _IMAGE.items():
            self._words[place] = value
        for place in range(3):
            self._words[place] = int.from_bytes(mac[2 * place : 2 * place + 2], "little")
        self._words[CHECKSUM_WORD] = (CHECKSUM - sum(self._words[:CHECKSUM_WORD])) & 0xFFFF
        self.commit()
        self.eeprom = SpiEeprom(self)

    def save(self) -> dict[str, object]:
        """Return words and flash; of the flash, up to where nothing but erased bytes follows."""
        flash = bytes(self.flash).rstrip(bytes([ERASED])).hex()
        return {"words": self._words, "flash": flash, "eeprom": self.eeprom.save()}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take a saved state over; KeyError, TypeError or ValueError when it is not one."""
        words, flash = [int(word) & 0xFFFF for word in saved["words"]], bytes.fromhex(saved["flash"])
        if len(words) != WORDS or len(flash) > FLASH_SIZE:
            raise ValueError("an NVM of another card")
        self.eeprom.restore(saved["eeprom"])
        self._words, self.flash = words, bytearray(flash.ljust(FLASH_SIZE, bytes([ERASED])))

    @property
    def mac(self) -> bytes:
        """The address in words 0 to 2."""
        return b"".join(word.to_bytes(2, "little") for word in self._words[:3])

    @property
    def valid(self) -> bool:
        """Whether the words sum to 0xBABA."""
        return sum(self._words) & 0xFFFF == CHECKSUM

    def read(self, address: int) -> int:
        """Return a word; beyond the end there is nothing but erased bits."""
        return self._words[address] if address < WORDS else 0xFFFF

    def write(self, address: int, value: int) -> None:
        """Store a word in the shadow RAM; ``commit`` takes it to the flash. Beyond the end: nothing."""
        if address < WORDS:
            self._words[address] = value & 0xFFFF

    def read_byte(self, address: int) -> int:
        """Return a byte as the EEPROM has it: a word's low half first."""
        return self._words[address // 2] >> 8 * (address % 2) & 0xFF

    def write_byte(self, address: int, value: int) -> None:
        """Store a byte of a word."""
        shift = 8 * (address % 2)
        self._words[address // 2] = self._words[address // 2] & ~(0xFF << shift) | (value & 0xFF) << shift

    def commit(self) -> None:
        """Copy the shadow RAM into the flash (EECD.FLUPD)."""
        image = b"".join(word.to_bytes(2, "little") for word in self._words)
        self.flash[: len(image)] = image

    def read_flash(self, offset: int, count: int) -> bytes:
        """Return flash bytes; beyond the end they read as erased."""
        return bytes(self.flash[offset : offset + count]).ljust(count, bytes([ERASED]))

    def program(self, offset: int, data: bytes) -> None:
        """Clear bits of the flash, which is all that programming can do."""
        for at, byte in enumerate(data, offset):
            if at < len(self.flash):
                self.flash[at] &= byte

    def erase(self, offset: int) -> None:
        """Erase the sector that holds an offset."""
        start = offset % len(self.flash) // SECTOR * SECTOR
        self.flash[start : start + SECTOR] = bytes([ERASED]) * SECTOR
