"""The card's counters, which clear when they are read, added up into numbers that only grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniport import registers as r

if TYPE_CHECKING:
    from miniport.hardware import Hardware

NARROW = (
    *("CRCERRS", "ALGNERRC", "SYMERRS", "RXERRC", "MPC", "SCC", "ECOL", "MCC", "LATECOL", "DC", "TNCRS"),
    *("RLEC", "GPRC", "BPRC", "MPRC", "GPTC", "RNBC", "RUC", "RFC", "ROC", "RJC", "TPR", "TPT", "MPTC"),
    *("BPTC", "TSCTC"),
)
WIDE = ("GORC", "GOTC")

_NARROW = tuple((name, r.offset(name)) for name in NARROW)
_WIDE = tuple((name, r.offset(f"{name}L"), r.offset(f"{name}H")) for name in WIDE)


class Statistics:
    """Counters by the datasheet's names."""

    def __init__(self) -> None:
        self._totals = dict.fromkeys((*NARROW, *WIDE), 0)
        self.send_errors = 0  # frames that the driver itself refused
        self.no_buffer = 0  # frames dropped for want of a packet

    def gather(self, hardware: Hardware) -> None:
        """Read every counter; call before an answer, and often enough that none wraps."""
        totals = self._totals
        for name, offset in _NARROW:
            totals[name] += hardware.read(offset)
        for name, low, high in _WIDE:
            totals[name] += hardware.read(low) | hardware.read(high) << 32

    def __getitem__(self, name: str) -> int:
        """Return a counter."""
        return self._totals[name]
