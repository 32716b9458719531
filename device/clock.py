"""The IEEE 1588 clock (datasheet, Time Sync): SYSTIM, TIMINCA, TIMADJ. It knows no frame.

SYSTIM grows by INCVALUE every INCPERIOD clocks of 25 MHz (40 ns; Linux's e1000e_get_base_timinca). The
card's time is monotonic nanoseconds, given by the caller; SYSTIM is computed when somebody looks.
"""

from __future__ import annotations

CLOCK_NS = 40
_MASK = (1 << 64) - 1
_SIGN = 1 << 31


class SystemTime:
    """A 64-bit counter that runs at TIMINCA's pace."""

    def __init__(self) -> None:
        """Stand still at 0: TIMINCA is 0 after reset."""
        self.base = 0
        self.since_ns = 0
        self.timinca = 0

    def value(self, now_ns: int) -> int:
        """Return SYSTIM."""
        increment, period = self.timinca & 0xFF_FFFF, self.timinca >> 24
        if not period:
            return self.base
        periods = (now_ns - self.since_ns) // (CLOCK_NS * period)
        return (self.base + periods * increment) & _MASK

    def set_value(self, value: int, now_ns: int) -> None:
        """Set SYSTIM."""
        self.base = value & _MASK
        self.since_ns = now_ns

    def set_pace(self, timinca: int, now_ns: int) -> None:
        """Set TIMINCA; what has passed so far has passed at the old pace."""
        self.set_value(self.value(now_ns), now_ns)
        self.timinca = timinca

    def adjust(self, low: int, high: int, now_ns: int) -> None:
        """Add TIMADJ once, or subtract it when the sign bit of its high half is set."""
        amount = (high & ~_SIGN) << 32 | low
        self.set_value(self.value(now_ns) + (-amount if high & _SIGN else amount), now_ns)
