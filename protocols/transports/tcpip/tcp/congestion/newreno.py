"""Slow start and congestion avoidance of RFC 5681, with byte counting (RFC 3465)."""

from __future__ import annotations


def initial_window(mss: int) -> int:
    """Return RFC 6928's initial window."""
    return min(10 * mss, max(2 * mss, 14600))


class NewReno:
    """AIMD. Also the base of CUBIC, which changes only how the window grows and by what it falls."""

    def __init__(self, mss: int) -> None:
        """Start with the initial window and no threshold."""
        self.mss = mss
        self.cwnd = initial_window(mss)
        self.ssthresh = 1 << 40
        self._counted = 0

    def acknowledged(self, acked: int, now: int, srtt: int | None) -> None:
        """Grow: by what was acknowledged below ssthresh, by a segment a window above."""
        if self.cwnd < self.ssthresh:
            grown = min(acked, self.ssthresh - self.cwnd)
            self.cwnd += grown
            acked -= grown
        if acked > 0:
            self._avoid(acked, now, srtt)

    def lost(self, flight: int, now: int) -> None:
        """Halve (RFC 5681 equation 4)."""
        del now
        self.ssthresh = max(flight // 2, 2 * self.mss)
        self.cwnd = self.ssthresh

    def timed_out(self, flight: int, now: int) -> None:
        """Start slowly again."""
        self.lost(flight, now)
        self.cwnd = self.mss

    def recovered(self, now: int) -> None:
        """Go on at the threshold."""
        del now
        self.cwnd = max(self.ssthresh, 2 * self.mss)

    def idle(self) -> None:
        """Restart from the initial window at most."""
        self.cwnd = min(self.cwnd, initial_window(self.mss))

    def _avoid(self, acked: int, now: int, srtt: int | None) -> None:
        del now, srtt
        self._counted += acked
        if self._counted >= self.cwnd:
            self._counted -= self.cwnd
            self.cwnd += self.mss
