"""CUBIC (RFC 9438): the window grows with the cube of the time since the last loss."""

from __future__ import annotations

from protocols.transports.tcpip.tcp.congestion.newreno import NewReno
from protocols.transports.tcpip.timers import SECOND

C = 0.4  # RFC 9438 5: segments per second cubed
BETA = 0.7
ALPHA = 3 * (1 - BETA) / (1 + BETA)  # equation 4's Reno-friendly increase


class Cubic(NewReno):
    """CUBIC's congestion avoidance and multiplicative decrease on slow start of RFC 5681."""

    def __init__(self, mss: int) -> None:
        super().__init__(mss)
        self._w_max = 0.0  # segments
        self._k = 0.0  # seconds
        self._epoch: int | None = None
        self._w_est = 0.0
        self._fraction = 0.0

    def lost(self, flight: int, now: int) -> None:
        """Fall to seven tenths; remember where (with fast convergence, RFC 9438 4.7)."""
        del now
        window = self.cwnd / self.mss
        self._w_max = window * (1 + BETA) / 2 if window < self._w_max else window
        self.ssthresh = max(int(flight * BETA), 2 * self.mss)
        self.cwnd = self.ssthresh
        self._epoch = None

    def _avoid(self, acked: int, now: int, srtt: int | None) -> None:
        window = self.cwnd / self.mss
        if self._epoch is None:
            self._epoch = now
            self._w_est = window
            self._w_max = max(self._w_max, window)
            self._k = ((self._w_max - window) / C) ** (1 / 3)
        # Equation 1, one round trip ahead; at most half a window more in that time (4.2).
        when = (now - self._epoch + (srtt or 0)) / SECOND - self._k
        target = min(max(C * when**3 + self._w_max, window), 1.5 * window)
        segments = acked / self.mss
        alpha = 1.0 if self._w_est >= self._w_max else ALPHA
        self._w_est += alpha * segments / window
        if self._w_est > target:
            self._fraction += (self._w_est - window) * self.mss
        else:
            self._fraction += (target - window) / window * segments * self.mss
        whole = int(self._fraction)
        if whole > 0:
            self.cwnd += whole
        self._fraction -= whole
