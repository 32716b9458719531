"""What is known of differences: which side is right, why, and who says so. Data, and how it is looked up.

A check whose failure is listed here fails all the same: a verdict explains, a baseline excuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

OURS = "ours is right"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Patterns of check ids (blanks between), a pattern of targets that fail them, and the judgement."""

    checks: str
    targets: str
    right: str
    why: str
    source: str
    always: bool = True
    """Whether the target fails each time. False: it passes now and then, by when it looks at its cable."""


MODEL = "qtest:e1000e"


def _qemu(checks: str, why: str, source: str, *, always: bool = True) -> Verdict:
    return Verdict(checks, MODEL, OURS, why, source, always)


VERDICTS = (
    _qemu(
        "REG-RST-FLOP",
        "the opcode register resets to D801h; the model keeps zero",
        "datasheet, Register Descriptions, FLOP",
    ),
    _qemu(
        "REG-R*-TSPMT",
        "the register exists and resets to 01000400h; the model has none",
        "datasheet, Transmit Registers, TSPMT",
    ),
    _qemu(
        "REG-RW-TIDV REG-ALIAS-TIDV REG-ETHTOOL-TIDV",
        "TIDV reads back its 16 bits; the model reads zero",
        "e1000_reg_test in Linux's e1000e/ethtool.c",
    ),
    _qemu(
        "REG-ETHTOOL-TXCW",
        "TXCW reads back what is written; the model reads zero",
        "e1000_reg_test in Linux's e1000e/ethtool.c",
    ),
    _qemu(
        "REG-ETHTOOL-RAH",
        "reserved bits of RAH read zero; the model keeps them",
        "e1000_reg_test in Linux's e1000e/ethtool.c, mask 8003FFFFh",
    ),
    _qemu(
        "REG-CNT-FCRUC",
        "statistics are read-only to software; the model stores writes",
        "datasheet, Statistics Registers, FCRUC (RC)",
    ),
    _qemu(
        "REG-RO-?XSTMP?",
        "timestamps are read-only; the model stores writes",
        "datasheet, Time Sync Registers, TXSTMP and RXSTMP (RO)",
    ),
    _qemu(
        "REG-RO-RXSATR?",
        "captured sender addresses are read-only; the model stores writes",
        "datasheet, Time Sync Registers, RXSATR (RO)",
    ),
    _qemu(
        "REG-CTRL-ALIAS", "CTRL is also at 0004h; the model reads zero there", "datasheet, General Registers"
    ),
    _qemu(
        "RST-LINE",
        "a reset clears ICR and IMS, so nothing holds INTx; the model forgets to lower it",
        "datasheet, Initialization; e1000_reset_hw_82571 expects no interrupt",
    ),
    _qemu(
        "RST-PHY",
        "a PHY reset restores the PHY's registers; the model keeps them",
        "datasheet, General Registers, CTRL.PHY_RST",
    ),
    _qemu(
        "TX-FRAG-065 TX-FRAG-070 TX-FRAG-100",
        "the hardware has no limit of descriptors a frame; the model drops frames of more than 64",
        "datasheet, Transmit; CVE-2020-16092 made the limit",
    ),
    _qemu(
        "TX-BELLS*",
        "a packet ends with EOP, not with a doorbell; the model loses the first half",
        "datasheet, Transmit; TDT is written at any descriptor",
    ),
    _qemu(
        "TX-ZERO-*",
        "an empty descriptor adds nothing; the model drops the whole frame",
        "datasheet, Transmit",
    ),
    _qemu(
        "TX-PSP",
        "PSP pads to 64 bytes with FCS; the model sends short frames",
        "datasheet, Transmit Registers, TCTL.PSP",
    ),
    _qemu(
        "OFF-OFFSETS",
        "the context's offsets say where; the model looks for TCP or UDP",
        "datasheet, Transmit",
    ),
    _qemu("OFF-TUCSE", "TUCSE ends the sum; the model ignores it", "datasheet, Transmit"),
    _qemu(
        "OFF-POPTS-FIRST",
        "POPTS of the first data descriptor counts; the model takes the last one's",
        "datasheet, Transmit",
    ),
    _qemu(
        "OFF-LEGACY-IC",
        "a legacy descriptor's IC, CSO and CSS insert a checksum; the model ignores them",
        "datasheet, Transmit",
    ),
    _qemu(
        "OFF-BUFFER",
        "the card only reads transmit buffers; the model writes the checksum into the guest's memory",
        "datasheet, Transmit; found by conform --fuzz 2",
    ),
    _qemu(
        "OFF-BAD-IP",
        "the card judges no packet; the model drops what it cannot parse",
        "datasheet, Transmit; found running QEMU 11.1.3",
    ),
    _qemu(
        "TSO-FIN",
        "FIN and PSH stay in the last segment; the model clears PSH there",
        "datasheet, TCP Segmentation",
    ),
    _qemu(
        "TSO-FRAMES",
        "each segment is a frame; the model counts one",
        "datasheet, Statistics Registers, GPTC; e1000e_update_stats reads it",
    ),
    _qemu(
        "RX-SECRC-FCS",
        "the FCS that is kept is the frame's CRC-32; the model stores zeros",
        "IEEE 802.3, 3.2.9; DPDK's keep_crc",
    ),
    _qemu("RX-LEGACY-CSUM", "the packet checksum is computed; the model stores zero", "datasheet, Receive"),
    _qemu("FLT-MTA-?", "a match by hash sets PIF; the model never does", "datasheet, Receive, status PIF"),
    _qemu(
        "FLT-PAUSE*",
        "PAUSE frames are consumed and counted; the model passes them on",
        "datasheet, Receive Registers, RCTL.PMCF; Statistics Registers, XOFFRXC",
    ),
    _qemu(
        "BUF-RNBC BUF-SMALL",
        "frames wait in a buffer of PBA's size and are counted; the model leaves them outside, uncounted",
        "datasheet, PBA; Statistics Registers, RNBC and MPC",
    ),
    _qemu(
        "BUF-ORDER",
        "four descriptors take four frames; the model leaves the last one free while frames wait outside",
        "datasheet, Receive, Receive Descriptor Queue Structure",
        always=False,  # not when its main loop reads them only after the descriptors have come
    ),
    _qemu(
        "BUF-XO*",
        "the buffer's fullness pauses the link partner; the model sends no PAUSE frames",
        "8254x manual, 8.7.5, 13.4.23 and 13.4.24",
    ),
    _qemu(
        "INT-MASK-0[35]",
        "bits 3 and 5 can be unmasked; the model refuses them, and fails ethtool's self-test",
        "e1000_intr_test in Linux's e1000e/ethtool.c",
    ),
    _qemu(
        "INT-NOT-ASSERTED",
        "bit 31 says that an interrupt is asserted; the model sets it for masked causes, too",
        "datasheet, Interrupt Registers, INT_ASSERTED",
    ),
    _qemu(
        "INT-IAM-READ",
        "IAME masks IAM's causes when ICR is read; the model clears ICR first, then finds nothing",
        "datasheet, Interrupt Registers, IAM",
    ),
    _qemu(
        "TMR-ITR-ZERO",
        "ITR zero means no throttling; the model has a least interval of its own",
        "datasheet, Interrupt Registers, ITR",
    ),
    _qemu(
        "PHY-LINK",
        "a link at 1000 Mb/s has negotiated: BMSR bit 5; the model has it clear after power-on",
        "IEEE 802.3, 22.2.4.2.10 and 40.5.1",
    ),
    _qemu(
        "PHY-POWER", "a PHY that is powered down has no link; the model keeps it", "IEEE 802.3, 22.2.4.1.5"
    ),
    _qemu(
        "STAT-RX-0060 STAT-RX-0061 STAT-RX-0124 STAT-RX-0252 STAT-RX-0508 STAT-RX-1020",
        "size counters count the FCS; the model counts received frames without it",
        "datasheet, Statistics Registers: from destination address to CRC, inclusively",
    ),
    _qemu(
        "PTP-RUNS",
        "INCPERIOD counts a 25 MHz clock, 40 ns; the model divides by 16",
        "e1000e_get_base_timinca in Linux's netdev.c: stable 25 MHz for the 82574",
    ),
    _qemu(
        "PTP-SET",
        "SYSTIM can be written; the model ignores it",
        "datasheet, Time Sync Registers, SYSTIM (RW)",
    ),
    _qemu(
        "PTP-TX",
        "a frame with TS takes a timestamp; the model takes none",
        "datasheet, Time Sync Registers, TSYNCTXCTL",
    ),
    _qemu(
        "PTP-RX",
        "type 4 stamps every frame; the model stamps none of these",
        "datasheet, Time Sync Registers, TSYNCRXCTL; HWTSTAMP_FILTER_ALL in e1000e_config_hwtstamp",
    ),
    _qemu(
        "WAKE-MAGIC WAKE-EXACT WAKE-MULTICAST WAKE-BROADCAST WAKE-ARP WAKE-IPV*"
        " WAKE-FLEX-[0-3] WAKE-FLEX-BEYOND WAKE-KEPT WAKE-LINK WAKE-STATUS",
        "what WUFC asks for wakes a card in D3; the model compares no frame and no link with it",
        "datasheet, wake-up; e1000_set_wol in Linux's e1000e/ethtool.c offers all of it",
    ),
    _qemu(
        "NVM-GRANT NVM-PINS-*",
        "EECD leads to the EEPROM's pins; the model keeps the bits and grants nothing",
        "e1000e_acquire_nvm in Linux's e1000e/nvm.c",
    ),
    _qemu(
        "FLASH-PRO* FLASH-NARROW",
        "BAR1 is the flash; the model has nothing behind it",
        "datasheet, memory-mapped flash",
    ),
)


def verdict(check: str, target: str) -> Verdict | None:
    """Return the judgement of a check's failure on a target, or None: nobody has looked at it yet."""
    for one in VERDICTS:
        if fnmatchcase(target, one.targets) and any(fnmatchcase(check, p) for p in one.checks.split()):
            return one
    return None
