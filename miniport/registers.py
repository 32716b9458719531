"""Offsets and bits that the driver uses, taken from the register bank by name. Data only."""

from __future__ import annotations

from typing import Final

from device.regs.nic import NIC


def offset(name: str) -> int:
    """Return the offset of a register, or of ``NAME[i]``."""
    base, _, index = name.partition("[")
    return NIC[base].at(int(index[:-1]) if index else 0)


def mask(register: str, *fields: str) -> int:
    """Return the bits of some fields of a register."""
    value = 0
    for field in fields:
        value |= NIC[register][field].mask
    return value


CTRL, STATUS, CTRL_EXT = offset("CTRL"), offset("STATUS"), offset("CTRL_EXT")
EECD, EERD, MDIC = offset("EECD"), offset("EERD"), offset("MDIC")
RCTL, TCTL, RFCTL, RXCSUM = offset("RCTL"), offset("TCTL"), offset("RFCTL"), offset("RXCSUM")
ICR, ICS, IMS, IMC, ITR = (offset(name) for name in ("ICR", "ICS", "IMS", "IMC", "ITR"))
EIAC, IVAR, EITR0, IAM = offset("EIAC"), offset("IVAR"), offset("EITR[0]"), offset("IAM")
MRQC, RETA0, RSSRK0 = offset("MRQC"), offset("RETA[0]"), offset("RSSRK[0]")
MTA0, VFTA0, TIPG = offset("MTA[0]"), offset("VFTA[0]"), offset("TIPG")
WUC, WUFC, WUS = offset("WUC"), offset("WUFC"), offset("WUS")
RDTR, RADV, TIDV, TADV = (offset(name) for name in ("RDTR", "RADV", "TIDV", "TADV"))

CTRL_RST, CTRL_SLU = mask("CTRL", "RST"), mask("CTRL", "SLU")
CTRL_ASDE, CTRL_VME = mask("CTRL", "ASDE"), mask("CTRL", "VME")
CTRL_FORCED = mask("CTRL", "FRCSPD", "FRCDPLX")
CTRL_GIO_MASTER_DISABLE = mask("CTRL", "GIO_MASTER_DISABLE")
CTRL_FLOW = mask("CTRL", "RFCE", "TFCE")
STATUS_LU = mask("STATUS", "LU")
STATUS_GIO_MASTER_ENABLE = mask("STATUS", "GIO_MASTER_ENABLE")
STATUS_SPEED: Final = NIC["STATUS"]["SPEED"]
EECD_AUTO_RD = mask("EECD", "AUTO_RD")
EERD_START, EERD_DONE = mask("EERD", "START"), mask("EERD", "DONE")
CTRL_EXT_DRV_LOAD, CTRL_EXT_IAME = mask("CTRL_EXT", "DRV_LOAD"), mask("CTRL_EXT", "IAME")
CTRL_EXT_PBA_SUPPORT = mask("CTRL_EXT", "PBA_SUPPORT")

RCTL_EN, RCTL_UPE, RCTL_MPE, RCTL_BAM, RCTL_LPE, RCTL_SECRC = (
    mask("RCTL", name) for name in ("EN", "UPE", "MPE", "BAM", "LPE", "SECRC")
)
TCTL_EN, TCTL_PSP, TCTL_RTLC = (mask("TCTL", name) for name in ("EN", "PSP", "RTLC"))
TCTL_COLLISIONS = NIC["TCTL"]["CT"].put(15) | NIC["TCTL"]["COLD"].put(63)
RFCTL_EXTEN, RFCTL_ACK_DIS, RXCSUM_PCSD = (
    mask("RFCTL", "EXTEN"),
    mask("RFCTL", "ACK_DIS"),
    mask("RXCSUM", "PCSD"),
)
RXCSUM_OFFLOAD = mask("RXCSUM", "IPOFL", "TUOFL")
RAH_AV = mask("RAH", "AV")
TXDCTL_NEEDED = mask("TXDCTL0", "COUNT_DESC", "GRAN")
"""Bit 22 must be one on the 82574 (errata; e1000_initialize_hw_bits_82571 of Linux's e1000e/82571.c)."""

ICR_TXDW, ICR_LSC, ICR_RXDMT0, ICR_RXO, ICR_RXT0 = (
    mask("ICR", name) for name in ("TXDW", "LSC", "RXDMT0", "RXO", "RXT0")
)
ICR_RXQ = (mask("ICR", "RXQ0"), mask("ICR", "RXQ1"))
ICR_TXQ = (mask("ICR", "TXQ0"), mask("ICR", "TXQ1"))
ICR_OTHER, ICR_ASSERTED = mask("ICR", "OTHER"), mask("ICR", "INT_ASSERTED")
ALL = 0xFFFF_FFFF

MRQC_RSS = NIC["MRQC"]["ENABLE"].put(1)
