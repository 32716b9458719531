"""Which frames the receiver takes (datasheet, Receive, VLAN). It knows no ring.

A frame passes the VLAN filter and then one of the address filters; the answer names the filter, because
a trace wants it and because the descriptor says whether the match was exact (PIF).
"""

from __future__ import annotations

from typing import NamedTuple

from device.regs.nic import NIC
from device.regs.words import place

RCTL = place("RCTL")
_RAL, _MTA, _VFTA, _VET = place("RAL"), place("MTA"), place("VFTA"), place("VET")
_UPE, _MPE, _BAM = (NIC["RCTL"][name].mask for name in ("UPE", "MPE", "BAM"))
_VFE, _CFIEN, _CFI = (NIC["RCTL"][name].mask for name in ("VFE", "CFIEN", "CFI"))
_MO = NIC["RCTL"]["MO"]
_VALID, _ASEL = NIC["RAH"]["AV"].mask, NIC["RAH"]["ASEL"]
_COMPARED = NIC["RAH"].mask
_MTA_SHIFT = (4, 3, 2, 0)  # RCTL.MO: which 12 of the address's last 16 bits, 47:36, 46:35, 45:34, 43:32
_TCI_CFI = 1 << 12
_BROADCAST = b"\xff" * 6


class Decision(NamedTuple):
    """Whether the frame is taken, by which filter, and whether that one is exact."""

    accepted: bool
    reason: str
    exact: bool = True


def tagged(words: list[int], frame: bytes) -> bool:
    """Tell whether the frame has a VLAN tag of the type in VET."""
    return int.from_bytes(frame[12:14], "big") == words[_VET] and len(frame) >= 18


def decide(words: list[int], frame: bytes) -> Decision:
    """Ask the VLAN filter, then the address filters."""
    rctl = words[RCTL]
    if rctl & (_VFE | _CFIEN) and tagged(words, frame):
        tci = int.from_bytes(frame[14:16], "big")
        if rctl & _CFIEN and bool(tci & _TCI_CFI) != bool(rctl & _CFI):
            return Decision(accepted=False, reason="CFI")
        vid = tci & 0xFFF
        if rctl & _VFE and not words[_VFTA + (vid >> 5)] >> (vid & 31) & 1:
            return Decision(accepted=False, reason="VFTA")
    return _address(words, frame, rctl)


def _address(words: list[int], frame: bytes, rctl: int) -> Decision:  # noqa: PLR0911 - a return a filter
    destination = frame[:6]
    exact = _receive_address(words, destination, frame[6:12])
    if exact >= 0:
        return Decision(accepted=True, reason=f"RAL[{exact}]")
    if not destination[0] & 1:
        if rctl & _UPE:
            return Decision(accepted=True, reason="UPE", exact=False)
        return Decision(accepted=False, reason="no receive address")
    if destination == _BROADCAST and rctl & _BAM:
        return Decision(accepted=True, reason="BAM")
    if rctl & _MPE:
        return Decision(accepted=True, reason="MPE", exact=False)
    shift = _MTA_SHIFT[_MO.get(rctl)]
    index = int.from_bytes(destination[4:6], "little") >> shift & 0xFFF
    if words[_MTA + (index >> 5)] >> (index & 31) & 1:
        return Decision(accepted=True, reason="MTA", exact=False)
    return Decision(accepted=False, reason="MTA")


def _receive_address(words: list[int], destination: bytes, source: bytes) -> int:
    """Return which of RAL/RAH matches, -1 for none; ASEL = 1 compares the source address."""
    for address, select in ((destination, 0), (source, 1)):
        low = int.from_bytes(address[:4], "little")
        high = int.from_bytes(address[4:], "little") | _VALID | _ASEL.put(select)
        for index in range(16):
            where = _RAL + 2 * index
            if words[where] == low and words[where + 1] & _COMPARED == high:
                return index
    return -1
