"""NVM: by EERD and EEWR, by the EEPROM's pins, by the flash BAR; and the semaphores around it."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from typing import TYPE_CHECKING

from device.regs.nic import NIC
from lab.conformance.bench import Capability
from lab.conformance.check import Topic, expect, is_true
from lab.conformance.eeprom_pins import TWO_ADDRESS_BYTES, WRDI, WREN, WRITE, WRSR, Pins

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("NVM and flash", "datasheet, NVM chapter")
FLASH_BAR = 1

# -- NVM ---------------------------------------------------------------------------------------------


@TOPIC.check("NVM-CHECKSUM", "datasheet, NVM Map; e1000e_validate_nvm_checksum_generic in Linux's nvm.c")
def nvm_checksum(card: Subject) -> None:
    """Words 00h to 3Fh add up to BABAh."""
    expect("the sum", sum(card.nvm_read(word) for word in range(0x40)) & 0xFFFF, 0xBABA)


@TOPIC.check("NVM-DONE", "datasheet, General Registers, EERD")
def eerd_done(card: Subject) -> None:
    """EERD shows DONE and the address that was read."""
    card.nvm_read(5)
    value = card.read("EERD")
    expect("DONE and address", (value >> 1 & 1, value >> 2 & 0x3FFF), (1, 5))


@TOPIC.check("NVM-TWICE", "datasheet, General Registers, EERD")
def the_same_word_twice(card: Subject) -> None:
    """A word reads the same twice."""
    expect("word 0Fh", card.nvm_read(0x0F), card.nvm_read(0x0F))


@TOPIC.check("NVM-PRESENT", "datasheet, General Registers, EECD")
def nvm_is_there(card: Subject) -> None:
    """EECD says that an NVM is present and was read."""
    expect("PRES, AUTO_RD", (card.field("EECD", "PRES"), card.field("EECD", "AUTO_RD")), (1, 1))


@TOPIC.check(
    "NVM-GRANT", "datasheet, General Registers, EECD.REQ and GNT; e1000e_acquire_nvm in Linux's nvm.c"
)
def nvm_is_granted(card: Subject) -> None:
    """EECD.REQ is answered by GNT."""
    card.set("EECD", REQ=1)
    is_true("GNT", card.until(lambda: bool(card.field("EECD", "GNT"))))
    card.set("EECD", REQ=0)


@TOPIC.check(
    "NVM-WRITE",
    "datasheet, Register Descriptions, EEWR; e1000_write_nvm_eewr_82571 in Linux's 82571.c",
    destructive=True,
)
def nvm_write(card: Subject) -> None:
    """A word written by EEWR reads back by EERD."""
    before = card.nvm_read(0x3A)
    for value in (before ^ 0xFFFF, before):
        card.write("EEWR", value << 16 | 0x3A << 2 | 1)
        card.until(lambda: bool(card.read("EEWR") & 2))
        expect("word 3Ah", card.nvm_read(0x3A), value)


@TOPIC.check("NVM-INIT1", "datasheet, NVM Map: word 0Fh; e1000_get_variants_82571 reads it")
def the_word_is_not_erased(card: Subject) -> None:
    """Words 0Ah and 0Fh, the initialization control words, are programmed."""
    expect("erased words", [word for word in (0x0A, 0x0F) if card.nvm_read(word) == 0xFFFF], [])


# -- semaphores ---------------------------------------------------------------------------------------


@TOPIC.check(
    "SEM-SMBI", "datasheet, Register Descriptions, SWSM.SMBI; e1000_get_hw_semaphore_82571 in Linux's 82571.c"
)
def smbi_is_taken_by_a_read(card: Subject) -> None:
    """SMBI reads 0 once, then 1, until software writes 0."""
    card.write("SWSM", 0)
    seen = [card.field("SWSM", "SMBI"), card.field("SWSM", "SMBI")]
    card.write("SWSM", 0)
    expect("SMBI", [*seen, card.field("SWSM", "SMBI")], [0, 1, 0])


@TOPIC.check("SEM-SWESMBI", "datasheet, Register Descriptions, SWSM.SWESMBI; e1000_get_hw_semaphore_82571")
def swesmbi_sticks(card: Subject) -> None:
    """SWESMBI, set by software, reads back: the semaphore was granted."""
    card.set("SWSM", SWESMBI=1)
    expect("SWESMBI", card.field("SWSM", "SWESMBI"), 1)


@TOPIC.check(
    "SEM-MDIO", "datasheet, General Registers, EXTCNF_CTRL; e1000_get_hw_semaphore_82573 in Linux's 82571.c"
)
def mdio_ownership(card: Subject) -> None:
    """MDIO_SW_OWNERSHIP, set by software, reads back, and goes again."""
    card.set("EXTCNF_CTRL", MDIO_SW_OWNERSHIP=1)
    taken = card.field("EXTCNF_CTRL", "MDIO_SW_OWNERSHIP")
    card.set("EXTCNF_CTRL", MDIO_SW_OWNERSHIP=0)
    expect("ownership", [taken, card.field("EXTCNF_CTRL", "MDIO_SW_OWNERSHIP")], [1, 0])


# -- the EEPROM's pins -----------------------------------------------------------------------------------

PINS = "datasheet, EECD: SK, CS, DI, DO; e1000_ready_nvm_eeprom and e1000e_write_nvm_spi in Linux's nvm.c"
SCRATCH_WORD = 0x38


def image(card: Subject, first: int, words: int) -> bytes:
    """Return words as EERD has them, low byte first."""
    return b"".join(card.nvm_read(word).to_bytes(2, "little") for word in range(first, first + words))


@TOPIC.check("NVM-PINS-READ", PINS)
def the_pins_read_what_eerd_reads(card: Subject) -> None:
    """READ by the pins returns the bytes that EERD does, one after another."""
    want = image(card, 0, 8)
    with Pins(card) as pins:
        expect("bytes 0 to 15", pins.read(0, 16), want)


@TOPIC.check("NVM-PINS-RDSR", PINS)
def the_status_is_ready(card: Subject) -> None:
    """RDSR says that no write runs and, at first, that none is enabled."""
    with Pins(card) as pins:
        expect("status, bits 0 and 1", pins.status() & 3, 0)


@TOPIC.check("NVM-PINS-WREN", PINS + "; AT25010, WREN and WRDI")
def enabling_shows_in_the_status(card: Subject) -> None:
    """WREN sets the status bit 1, WRDI clears it."""
    with Pins(card) as pins:
        pins.command(WREN)
        enabled = pins.status() & 2
        pins.command(WRDI)
        expect("bit 1 after WREN, after WRDI", (enabled, pins.status() & 2), (2, 0))


@TOPIC.check("NVM-PINS-NO-REQ", "e1000_acquire_eeprom in U-Boot's drivers/net/e1000.c: no REQ on an 82574")
def the_pins_read_without_a_grant(card: Subject) -> None:
    """Without REQ the pins read, too, while nobody else uses the EEPROM; GNT stays 0."""
    want = image(card, 0, 1)
    card.set("EECD", REQ=0, CS=1, SK=0)
    for byte in (0x03, 0x00):
        for at in range(7, -1, -1):
            for clock in (0, 1, 0):
                card.set("EECD", CS=0, SK=clock, DI=byte >> at & 1)
    seen = 0
    for _ in range(16):
        card.set("EECD", SK=1)
        seen = seen << 1 | card.field("EECD", "DO")
        card.set("EECD", SK=0)
    granted = card.field("EECD", "GNT")
    card.set("EECD", CS=1)
    expect("GNT, bytes 0 and 1", (granted, seen.to_bytes(2, "big")), (0, want))


@TOPIC.check("NVM-PINS-ABANDONED", "e1000_standby_nvm in Linux's nvm.c: toggling CS flushes a command")
def a_command_that_ends_within_a_byte(card: Subject) -> None:
    """A command that CS cuts short within a byte does nothing, and the next one is understood."""
    want = image(card, 0, 1)
    with Pins(card) as pins:
        pins.command(WREN, bits=5)
        expect("bit 1 of the status", pins.status() & 2, 0)
        expect("bytes 0 and 1", pins.read(0, 2), want)


@TOPIC.check("NVM-PINS-WRITE", PINS, destructive=True)
def the_pins_write(card: Subject) -> None:
    """WREN and WRITE store a word, which EERD reads, and the enabling is used up."""
    before = card.nvm_read(SCRATCH_WORD)
    with Pins(card) as pins:
        pins.write(2 * SCRATCH_WORD, (before ^ 0x5A3C).to_bytes(2, "little"))
        left = pins.status() & 2
    after = card.nvm_read(SCRATCH_WORD)
    with Pins(card) as pins:
        pins.write(2 * SCRATCH_WORD, before.to_bytes(2, "little"))
    expect("the word, bit 1 of the status", (after, left), (before ^ 0x5A3C, 0))
    expect("the word put back", card.nvm_read(SCRATCH_WORD), before)


@TOPIC.check("NVM-PINS-DISABLED", PINS, destructive=True)
def a_write_that_was_not_enabled(card: Subject) -> None:
    """WRITE without WREN changes nothing."""
    before = card.nvm_read(SCRATCH_WORD)
    with Pins(card) as pins:
        pins.command(WRITE, *pins.at(2 * SCRATCH_WORD), 0x12, 0x34)
    expect("the word", card.nvm_read(SCRATCH_WORD), before)


@TOPIC.check(
    "NVM-PINS-PAGE", "nvm->page_size in e1000_init_nvm_params_82571; AT25010, Write", destructive=True
)
def a_write_stays_in_its_page(card: Subject) -> None:
    """What WRITE brings beyond the end of a page begins that page again."""
    size = 32 if card.field("EECD", "NVADDS") == TWO_ADDRESS_BYTES else 8
    first = 2 * SCRATCH_WORD
    before = image(card, SCRATCH_WORD, size // 2)
    with Pins(card) as pins:
        pins.write(first + size - 2, b"\x11\x22\x33")
        after = pins.read(first, size)
        pins.write(first, before)
    expect("the page", after, b"\x33" + before[1 : size - 2] + b"\x11\x22")


@TOPIC.check("NVM-PINS-PROTECT", "AT25010, WRSR: BP1 and BP0", destructive=True)
def a_protected_part(card: Subject) -> None:
    """With both protection bits set nothing can be written; without, it can."""
    before = card.nvm_read(SCRATCH_WORD)
    with Pins(card) as pins:
        pins.command(WREN)
        pins.command(WRSR, 0x0C)
        protection = pins.status() & 0x0C
        pins.write(2 * SCRATCH_WORD, b"\x00\x00")
        kept = int.from_bytes(pins.read(2 * SCRATCH_WORD, 2), "little")
        pins.command(WREN)
        pins.command(WRSR, 0)
        open_again = pins.status() & 0x0C
    expect("protection, the word, protection", (protection, kept, open_again), (0x0C, before, 0))


# -- the flash ---------------------------------------------------------------------------------------------

FLASH = "datasheet, EECD.FWE and the memory-mapped flash (BAR1)"
FLASH_SPOT = 0x8000  # behind everything that an NVM image uses
ERASE_SECTOR = 2
ONES = 0xFFFF_FFFF


@TOPIC.check("FLASH-READ", FLASH, needs=Capability.FLASH)
def the_flash_reads_in_every_width(card: Subject) -> None:
    """A doubleword of BAR1 is the same read whole, by halves and by bytes."""
    read = card.bench.read
    whole = read(0, 4, FLASH_BAR)
    halves = read(0, 2, FLASH_BAR) | read(2, 2, FLASH_BAR) << 16
    expect(
        "by halves, by bytes", (halves, sum(read(n, 1, FLASH_BAR) << 8 * n for n in range(4))), (whole, whole)
    )


def erased(card: Subject) -> None:
    """Erase the sector of ``FLASH_SPOT`` by a software command: every bit is 1 then."""
    flswctl = NIC["FLSWCTL"]
    card.set("EECD", FWE=2)
    card.write("FLSWCTL", flswctl["CMDV"].mask | flswctl["CMD"].put(ERASE_SECTOR) | FLASH_SPOT)
    card.until(lambda: bool(card.field("FLSWCTL", "DONE")))
    expect("the flash, erased", card.bench.read(FLASH_SPOT, 4, FLASH_BAR), ONES)


@TOPIC.check("FLASH-PROTECTED", FLASH, needs=Capability.FLASH, destructive=True)
def the_flash_is_protected(card: Subject) -> None:
    """With FWE not 2, writes to BAR1 change nothing."""
    erased(card)
    for value in (0, 1, 3):
        card.set("EECD", FWE=value)
        card.bench.write(FLASH_SPOT, 0, 4, FLASH_BAR)
        expect(f"the flash with FWE {value}", card.bench.read(FLASH_SPOT, 4, FLASH_BAR), ONES)


@TOPIC.check("FLASH-PROGRAM", FLASH, needs=Capability.FLASH, destructive=True)
def the_flash_is_programmed(card: Subject) -> None:
    """With FWE 2 a write clears bits and sets none."""
    erased(card)
    for value in (0xFFFF_0F0F, 0xF0F0_FFFF):
        card.bench.write(FLASH_SPOT, value, 4, FLASH_BAR)
    expect("the doubleword", card.bench.read(FLASH_SPOT, 4, FLASH_BAR), 0xF0F0_0F0F)


@TOPIC.check("FLASH-NARROW", FLASH, needs=Capability.FLASH, destructive=True)
def one_byte_is_programmed(card: Subject) -> None:
    """A write of a byte programs that byte alone."""
    erased(card)
    card.bench.write(FLASH_SPOT + 1, 0x3C, 1, FLASH_BAR)
    expect("the doubleword", card.bench.read(FLASH_SPOT, 4, FLASH_BAR), 0xFFFF_3CFF)
