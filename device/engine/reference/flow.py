"""Flow control frames that the card sends (IEEE 802.3 annex 31B; 8254x manual, 8.7.5 and 13.4.23 f.).

The packet buffer says how full it is. FCRTH and FCRTL are thresholds in it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from device import statistics
from device.effects import FrameSent
from device.regs.nic import NIC
from device.regs.words import place

if TYPE_CHECKING:
    from device.engine.reference.core import Core

_CTRL, _TCTL = place("CTRL"), place("TCTL")
_FCRTL, _FCRTH, _FCTTV = place("FCRTL"), place("FCRTH"), place("FCTTV")
_FCAL, _FCT, _RAL = place("FCAL"), place("FCT"), place("RAL")
_TFCE = NIC["CTRL"]["TFCE"].mask
_RTH, _RTL, _XONE = NIC["FCRTH"]["RTH"].mask, NIC["FCRTL"]["RTL"].mask, NIC["FCRTL"]["XONE"].mask
_PAUSE = 1


class Partner(enum.IntEnum):
    """What the link partner was told."""

    SENDS = 0
    STOPPED = 1
    STOPPED_TWICE = 2
    """And a frame was lost all the same."""


class FlowControl:
    """Whether the partner was told to stop."""

    def __init__(self, core: Core) -> None:
        """Start with the partner sending."""
        self._core = core
        self.partner = Partner.SENDS

    def filled(self, held: int) -> None:
        """Send XOFF when the buffer's fullness reaches FCRTH, if the driver enabled it (CTRL.TFCE)."""
        words = self._core.words
        high = words[_FCRTH] & _RTH
        if self.partner is Partner.SENDS and words[_CTRL] & _TFCE and 0 < high <= held:
            self.partner = Partner.STOPPED
            self.send(words[_FCTTV])

    def overflowed(self) -> None:
        """Send one more XOFF: the first did not reach the partner (8254x manual, 8.7.5)."""
        if self.partner is Partner.STOPPED:
            self.partner = Partner.STOPPED_TWICE
            self.send(self._core.words[_FCTTV])

    def drained(self, held: int) -> None:
        """Send XON when the fullness is down to FCRTL after an XOFF, if the driver wants it (XONE)."""
        low = self._core.words[_FCRTL]
        if self.partner is Partner.SENDS or held > low & _RTL:
            return
        self.partner = Partner.SENDS
        if low & _XONE:
            self.send(0)

    def send(self, quanta: int) -> None:
        """Send a PAUSE frame; of 0 quanta it is an XON. Nothing leaves without a link or in a loop."""
        core = self._core
        words = core.words
        if not core.link or core.looped():
            return
        frame = (
            words[_FCAL].to_bytes(4, "little")
            + (words[_FCAL + 1] & 0xFFFF).to_bytes(2, "little")
            + words[_RAL].to_bytes(4, "little")
            + (words[_RAL + 1] & 0xFFFF).to_bytes(2, "little")
            + (words[_FCT] & 0xFFFF).to_bytes(2, "big")
            + _PAUSE.to_bytes(2, "big")
            + (quanta & 0xFFFF).to_bytes(2, "big")
        ).ljust(60, b"\0")
        statistics.count(words, statistics.XOFFTXC if quanta else statistics.XONTXC)
        core.effects.append(FrameSent(frame))
