"""Every declared register: its reset value, what a write leaves in it, its second address.

The checks are made from ``device.regs.nic``; a register that does something when it is accessed is left to
the topic that knows what. A register with named fields is judged by those alone: the
rest is reserved.
"""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from device.regs.bank import WORD, Access, Register
from device.regs.nic import (
    FIFO,
    GENERAL,
    INTERRUPT,
    MANAGEMENT,
    NIC,
    RECEIVE,
    STATISTICS,
    TIME_SYNC,
    TRANSMIT,
)
from lab.conformance.check import SDM, Check, Topic, expect, is_true

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("registers", "datasheet, Register Descriptions")

SECTIONS = (
    (GENERAL, "datasheet, General Registers, general registers"),
    (INTERRUPT, "datasheet, Interrupt Registers, interrupt registers"),
    (RECEIVE, "datasheet, Receive Registers, receive registers"),
    (TRANSMIT, "datasheet, Transmit Registers, transmit registers"),
    (STATISTICS, "datasheet, Statistics Registers, statistic registers"),
    (MANAGEMENT, "datasheet, Wake-up Registers, management registers"),
    (TIME_SYNC, "datasheet, Time Sync Registers, time sync registers"),
    (FIFO, "datasheet, Register Descriptions, diagnostic registers"),
)

# Registers whose value right after reset is the NVM's, the PHY's or the clock's, not a constant.
UNSTEADY = {
    "CTRL": "bits are loaded from the NVM",
    "CTRL_EXT": "bits are loaded from the NVM",
    "STATUS": "shows the link",
    "EECD": "shows the NVM",
    "EERD": "shows the last access",
    "EEWR": "shows the last access",
    "MDIC": "shows the last access",
    "FLSWCTL": "shows the flash",
    "RAL": "element 0 is loaded from the NVM",
    "RAH": "element 0 is loaded from the NVM",
    "SWSM": "a read takes the semaphore",
    "SWSM2": "a read takes the semaphore",
    "EXTCNF_CTRL": "bits are loaded from the NVM",
    "EXTCNF_SIZE": "loaded from the NVM",
    "LEDCTL": "loaded from the NVM",
    "POEMB": "loaded from the NVM",
    "WUC": "APME is loaded from the NVM",
    "FWSM": "shows the firmware",
    "FACTPS": "shows the function's power state",
    "FLA": "shows the flash",
    "EEMNGCTL": "shows the management's NVM access",
    "GCR": "bits are loaded from the NVM",
    "MANC": "bits are loaded from the NVM",
    "SYSTIML": "the clock",
    "SYSTIMH": "the clock",
    "PBM": "memory without a reset value",
    "MTA": "memory without a reset value",
    "VFTA": "memory without a reset value",
    "FFMT": "memory without a reset value",
    "FTFT": "memory without a reset value",
    "FFVT": "memory without a reset value",
    "RSSRK": "memory without a reset value",
    "RETA": "memory without a reset value",
    "WUPM": "memory without a reset value",
    "KMRNCTRLSTA": "shows the last access",
}

# Registers that act when they are written, or that hardware writes: patterns would tell nothing.
ACTING = {
    *("CTRL", "CTRL_EXT", "EECD", "EERD", "EEWR", "FLA", "MDIC", "FLSWCTL", "FLSWDATA", "FLSWCNT"),
    *("KMRNCTRLSTA", "EXTCNF_CTRL", "SWSM", "SWSM2", "WUC", "WUS", "ICR", "ICS", "IMS", "IMC", "RCTL"),
    *("TCTL", "SYSTIML", "SYSTIMH", "TIMADJH", "TIMADJL", "PBACLR", "PBS", "PBECCSTS", "EEARBC", "HICR"),
    *("SW_FW_SYNC", "FWSM", "GCR", "GCR2", "GSCL_1", "GSCL_2", "GSCL_3", "GSCL_4", "GSCN", "EEMNGCTL"),
    *("FLOP", "FLOL", "FLASHT", "POEMB", "SCTL", "EXTCNF_SIZE", "TSYNCTXCTL", "TSYNCRXCTL", "MANC"),
    *("MANC2H", "MFVAL", "KABGTXD", "TCTL_EXT", "PBA", "IPAV", "ERT", "TXCW"),
}

PATTERNS = (0x5A5A_5A5A, 0xA5A5_A5A5, 0x0000_0000, 0xFFFF_FFFF)  # reg_pattern_test in e1000e/ethtool.c


def section(register: Register) -> str:
    """Return where the datasheet describes a register."""
    return next(source for bank, source in SECTIONS if register in bank)


def judged(register: Register) -> int:
    """Return the bits that a pattern is judged by."""
    fields = 0
    for field in register.fields:
        fields |= field.mask
    return (fields or WORD) & register.mask


def samples(register: Register) -> tuple[int, ...]:
    """Return the elements of an array that are looked at: the first, one inside, the last."""
    return tuple(sorted({0, register.count // 2, register.count - 1}))


def has_reset_value(register: Register, card: Subject) -> None:
    """The register reads its documented value after power-on."""
    mask = WORD
    if register.fields and register.access is Access.RW:
        mask = judged(register)
    for index in samples(register):
        expect(
            f"{register.name}[{index}] after reset",
            card.read(register.name, index) & mask,
            register.reset & mask,
        )


def keeps_patterns(register: Register, card: Subject) -> None:
    """The register reads back what was written, through its mask."""
    mask = judged(register)
    for index in samples(register):
        for pattern in PATTERNS:
            card.write(register.name, pattern & mask, index)
            got = card.read(register.name, index) & (mask if register.fields else WORD)
            expect(f"{register.name}[{index}] after {pattern & mask:#x}", got, pattern & mask)


def ignores_writes(register: Register, card: Subject) -> None:
    """A write to a read-only register changes nothing."""
    for index in samples(register):
        before = card.read(register.name, index)
        card.write(register.name, ~before & WORD, index)
        expect(f"{register.name}[{index}] after a write", card.read(register.name, index), before)


def counts_from_zero(register: Register, card: Subject) -> None:
    """The counter is zero after power-on, and a write does not set it."""
    expect(f"{register.name} after reset", card.read(register.name), 0)
    card.write(register.name, 0x1234_5678)
    expect(f"{register.name} after a write", card.read(register.name), 0)


def has_second_address(register: Register, alias: int, card: Subject) -> None:
    """The register of the older cards' address is the same register."""
    mask = judged(register)
    value = 0x5A5A_5A5A & mask
    card.bench.write(alias, value)
    expect(f"{register.name} written at {alias:#x}", card.read(register.name) & mask, value)
    value = 0xA5A5_A5A5 & mask
    card.write(register.name, value)
    expect(f"{register.name} read at {alias:#x}", card.bench.read(alias) & mask, value)


def _declare() -> None:
    for register in NIC:
        name, source = register.name, section(register)
        if register.access in (Access.RC, Access.RC64L, Access.RC64H):
            TOPIC.add(
                Check(
                    f"REG-CNT-{name}",
                    f"{name} ({register.doc}) starts at zero and ignores writes.",
                    source,
                    partial(counts_from_zero, register),
                )
            )
            continue
        if name not in UNSTEADY and register.access in (Access.RW, Access.RO):
            TOPIC.add(
                Check(
                    f"REG-RST-{name}",
                    f"{name} ({register.doc}) is {register.reset:#x} after power-on.",
                    source,
                    partial(has_reset_value, register),
                )
            )
        if register.access is Access.RW and name not in ACTING:
            TOPIC.add(
                Check(
                    f"REG-RW-{name}",
                    f"{name} reads back what is written, through {judged(register):#010x}.",
                    source,
                    partial(keeps_patterns, register),
                )
            )
        if register.access is Access.RO and name not in ("STATUS", "FACTPS"):
            TOPIC.add(
                Check(
                    f"REG-RO-{name}",
                    f"{name} ({register.doc}) ignores writes.",
                    source,
                    partial(ignores_writes, register),
                )
            )
        if name not in ACTING and register.access is Access.RW:
            for alias in register.aliases[:1]:
                TOPIC.add(
                    Check(
                        f"REG-ALIAS-{name}",
                        f"{name} is also at {alias:#06x}, where the 82542 and its successors had it.",
                        "datasheet, table of alias addresses; e1000e_mmio_map of QEMU's e1000e_core.c",
                        partial(has_second_address, register, alias),
                    )
                )


_declare()


@TOPIC.check("REG-ICS-READ", f"{SDM}, Interrupt Cause Set Register (W): what a read gives is not said")
def reading_ics_changes_nothing(card: Subject) -> None:
    """A read of ICS, which is there to be written, clears no cause."""
    card.quiet()
    card.write("ICS", card.causes("LSC"))
    card.read("ICS")
    expect("ICR.LSC", card.read("ICR") & card.causes("LSC"), card.causes("LSC"))


@TOPIC.check("REG-IMC-READ", "datasheet, Interrupt Registers, IMC")
def imc_reads_zero(card: Subject) -> None:
    """IMC is write-only: it reads zero even when causes are unmasked."""
    card.write("IMS", card.causes("LSC", "TXDW"))
    expect("IMC", card.read("IMC"), 0)


@TOPIC.check("REG-CTRL-ALIAS", "datasheet, General Registers, CTRL: the copy at 0x0004")
def ctrl_has_a_copy(card: Subject) -> None:
    """The device control register is also at 0x0004."""
    expect("0x0004", card.bench.read(4), card.read("CTRL"))


@TOPIC.check("REG-HOLE-READ", "datasheet, Register Summary: reserved addresses")
def holes_are_harmless(card: Subject) -> None:
    """Reserved addresses can be read and written, and the card answers on."""
    holes = (0x000C, 0x00BC, 0x0200, 0x2000, 0x3000, 0x4FFC, 0x5FFC, 0x7000, 0xA000, 0xFFFC)
    for hole in holes:
        card.bench.read(hole)
        card.bench.write(hole, 0xFFFF_FFFF)
    card.write("FCTTV", 0x1357)
    expect("FCTTV", card.read("FCTTV"), 0x1357)


@TOPIC.check("REG-BAR-END", "datasheet, Register Access: the memory BAR is 128 KiB")
def the_last_word_answers(card: Subject) -> None:
    """The last word of the 128 KiB register BAR can be accessed."""
    card.bench.read(0x1FFFC)
    card.bench.write(0x1FFFC, 0xFFFF_FFFF)
    is_true("STATUS is not all ones", card.read("STATUS") != WORD)


@TOPIC.check("REG-STATUS-WRITE", "reg_test in Linux's e1000e/ethtool.c: STATUS under mask 0x7FFFF033")
def status_ignores_writes(card: Subject) -> None:
    """A write to STATUS leaves all that ethtool's self-test compares."""
    mask = 0x7FFF_F033
    before = card.read("STATUS") & mask
    card.write("STATUS", WORD & ~0x400)
    expect("STATUS", card.read("STATUS") & mask, before)


# e1000_reg_test: name, how many elements, mask that must be read back, bits that are written.
ETHTOOL = (
    ("FCAL", 1, WORD, WORD),
    ("FCAH", 1, 0xFFFF, WORD),
    ("FCT", 1, 0xFFFF, WORD),
    ("VET", 1, 0xFFFF, WORD),
    ("RDTR", 1, 0xFFFF, WORD),
    ("RDBAH0", 1, WORD, WORD),
    ("RDLEN0", 1, 0xFFF80, 0xFFFFF),
    ("RDH0", 1, 0xFFFF, 0xFFFF),
    ("RDT0", 1, 0xFFFF, 0xFFFF),
    ("FCRTH", 1, 0xFFF8, 0xFFF8),
    ("FCTTV", 1, 0xFFFF, 0xFFFF),
    ("TIPG", 1, 0x3FFF_FFFF, 0x3FFF_FFFF),
    ("TDBAH0", 1, WORD, WORD),
    ("TDLEN0", 1, 0xFFF80, 0xFFFFF),
    ("RDBAL0", 1, 0xFFFF_FFF0, WORD),
    ("TDBAL0", 1, 0xFFFF_FFF0, WORD),
    ("TXCW", 1, 0xC000_FFFF, 0x0000_FFFF),
    ("TIDV", 1, 0xFFFF, 0xFFFF),
    ("RAL", 15, WORD, WORD),
    ("RAH", 15, 0x8003_FFFF, WORD),
    ("MTA", 128, WORD, WORD),
)


def passes_ethtool(name: str, count: int, mask: int, write: int, card: Subject) -> None:
    """reg_pattern_test of ethtool's offline self-test, whole words compared."""
    for index in range(count):
        for pattern in (0x5A5A_5A5A, 0xA5A5_A5A5, 0, WORD):
            value = pattern & write
            card.write(name, value, index)
            expect(f"{name}[{index}] after {value:#x}", card.read(name, index), value & mask)


def set_and_check(name: str, mask: int, write: int, card: Subject) -> None:
    """reg_set_and_check of ethtool's offline self-test."""
    card.write(name, write & mask)
    expect(f"{name} after {write & mask:#x}", card.read(name) & mask, write & mask)


for _name, _count, _mask, _write in ETHTOOL:
    TOPIC.add(
        Check(
            f"REG-ETHTOOL-{_name}",
            f"{_name} passes the patterns of ethtool's offline self-test, reserved bits reading zero.",
            "e1000_reg_test, reg_pattern_test in Linux's e1000e/ethtool.c",
            partial(passes_ethtool, _name, _count, _mask, _write),
        )
    )
for _id, _name, _mask, _write in (
    ("RCTL_OFF", "RCTL", WORD, 0),
    ("RCTL_ON", "RCTL", 0x06DF_B3FE, 0x003F_FFFB),
    ("RCTL_ALL", "RCTL", 0x06DF_B3FE, WORD),
    ("TCTL_OFF", "TCTL", WORD, 0),
):
    TOPIC.add(
        Check(
            f"REG-ETHTOOL-{_id}",
            f"{_name} holds {_write & _mask:#x}, as ethtool's offline self-test asks, with a ring"
            " of garbage.",
            "e1000_reg_test, reg_set_and_check in Linux's e1000e/ethtool.c",
            partial(set_and_check, _name, _mask, _write),
        )
    )
