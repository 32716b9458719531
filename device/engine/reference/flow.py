"""Flow control frames that the card sends (IEEE 802.3 annex 31B; datasheet, Flow Control).

The model has no FIFO to fill up: a frame that finds no descriptor stands for the high threshold, new
descriptors for the low one.
"""

from __future__ import annotations

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
_XON_ENABLE = 1 << 31  # FCRTL.XONE
_PAUSE = 1


class FlowControl:
    """Whether the partner was told to stop."""

    def __init__(self, core: Core) -> None:
        """Start with the partner sending."""
        self._core = core
        self.stopped = False

    def missed(self) -> None:
        """Send XOFF once, if the driver enabled it (CTRL.TFCE, FCRTH)."""
        words = self._core.words
        if words[_CTRL] & _TFCE and words[_FCRTH] and not self.stopped:
            self.stopped = True
            self.send(words[_FCTTV])

    def replenished(self) -> None:
        """Send XON after an XOFF, if the driver enabled it (FCRTL bit 31)."""
        if not self.stopped:
            return
        self.stopped = False
        if self._core.words[_FCRTL] & _XON_ENABLE:
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
