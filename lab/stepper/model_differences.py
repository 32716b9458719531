"""What is known to differ between our engine and QEMU's e1000e, when both serve one driver. Data.

The judgements that checks were made of are in ``lab.conformance.known``; here is how they show in a recording
of a driver that does not look for them. "core" is QEMU's hw/net/e1000e_core.c, "common" its e1000x_common.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC

if TYPE_CHECKING:
    from lab.stepper.against import Apart

ALL_BITS: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Known:
    """Patterns of ``Apart.what`` (with | between), the bits that it is about, and the judgement."""

    what: str
    why: str
    source: str
    bits: int = ALL_BITS

    def fits(self, apart: Apart) -> bool:
        """Tell whether the whole of a difference is this one."""
        return not apart.bits & ~self.bits and any(
            fnmatchcase(apart.what, one) for one in self.what.split("|")
        )


def _bits(register: str, *fields: str) -> int:
    mask = 0
    for field in fields:
        mask |= NIC[register][field].mask
    return mask


_PIF, _IXSM, _ACK = 1 << 7, 1 << 2, 1 << 15

KNOWN: Final = (
    Known("read EERD", "each has an NVM of its own", "device.nvm; e1000e_eeprom_template in QEMU's e1000e.c"),
    Known(
        "read EECD",
        "the NVM is a serial EEPROM that a driver may ask for by REQ and reach by the pins; the model neither"
        " names its address size nor grants it (NVM-GRANT)",
        "device.eeprom; e1000_init_nvm_params_82571 and e1000e_acquire_nvm in Linux's e1000e",
    ),
    Known(
        "read MDIC",
        "the PHYs differ in identity, abilities and in what a reset restores (PHY-LINK, RST-PHY)",
        "device.phy; e1000e_reset_phy_reg in core",
        bits=0xFFFF,
    ),
    Known(
        "read STATUS|read CTRL",
        "negotiation ends at another time: 500 ms in the model, which has a link before it, too, and then"
        " turns flow control on by itself, which is the driver's to do",
        "e1000x_restart_autoneg in common, e1000e_update_flowctl_status in core; datasheet 10.2.2.1",
        bits=_bits("STATUS", "LU") | _bits("CTRL", "RFCE", "TFCE"),
    ),
    Known(
        "read ICR",
        "and so LSC comes at another time",
        "the same",
        bits=_bits("ICS", "LSC", "OTHER") | NIC["ICR"]["INT_ASSERTED"].mask,
    ),
    Known(
        "read GCR|read LEDCTL|read MANC|read SWSM",
        "reset values that no driver depends on; SMBI is taken by reading it, and the model had a reset",
        "device.regs.nic; e1000e_mac_reg_init in core",
    ),
    Known(
        "read SYSTIM?",
        "INCPERIOD counts a 25 MHz clock from 0; the model divides by 16, cannot be set (PTP-RUNS, -SET)",
        "e1000e_get_base_timinca in Linux's netdev.c; e1000x_timestamp in common",
    ),
    Known(
        "frame: padding",
        "TCTL.PSP pads to 64 bytes with FCS; the model sends short frames (TX-PSP)",
        "datasheet 10.2.6, TCTL.PSP",
    ),
    Known(
        "frame: TCP flags",
        "FIN and PSH stay in the last segment; the model clears PSH there (TSO-FIN)",
        "datasheet 7.3.6",
    ),
    Known(
        "PAUSE frame|read XO?TXC|read XOFFTXC",
        "the card sends XOFF when what waits for descriptors reaches FCRTH; the model never does (BUF-XOFF)",
        "8254x manual, 8.7.5; device.engine.reference.flow",
    ),
    Known(
        "read GPTC|read TPT|read PTC*|read MPTC|read BPTC|read GOTC?|read TOT?",
        "each segment is a frame, and what is padded counts; the model counts one (TSO-FRAMES), unpadded",
        "datasheet 10.2.7, GPTC",
    ),
    Known(
        "read RUC",
        "a short frame off a virtual wire was padded by its sender; the model counts it as undersized",
        "device.engine.reference.receive; e1000e_receive_internal in core",
    ),
    Known(
        "read PRC*|read GORC?|read TOR?",
        "sizes count the FCS; the model's size counters do not (STAT-RX)",
        "datasheet 10.2.7",
    ),
    Known(
        "rx?.desc* status",
        "without a checksum that was looked at, IXSM says so, the model leaves it clear; a match by hash sets"
        " PIF, which the model never does (FLT-MTA)",
        "datasheet 7.1.4.4; e1000e_build_rx_metadata in core",
        bits=_PIF | _IXSM,
    ),
    Known(
        "rx?.desc* status",
        "with RFCTL.ACK_DIS ours says nothing of TCP ACKs, the model still sets ACK; who is right is open,"
        " the datasheet names the interrupt alone",
        "datasheet 10.2.5.17, RFCTL; e1000e_build_rx_metadata in core",
        bits=_PIF | _IXSM | _ACK,
    ),
)


def known(apart: Apart) -> Known | None:
    """Return the judgement of a difference; None: nobody has looked at it yet."""
    return next((one for one in KNOWN if one.fits(apart)), None)
