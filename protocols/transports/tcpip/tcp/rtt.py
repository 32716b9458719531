"""The retransmission timer's value (RFC 6298). Nanoseconds."""

from __future__ import annotations

GRANULARITY = 1_000_000


class RttEstimator:
    """Smoothed round trip time and its variation, and the timeout made of them."""

    __slots__ = ("_base", "backoff", "maximum", "minimum", "minimum_rtt", "rto", "srtt", "variation")

    def __init__(self, initial: int, minimum: int, maximum: int) -> None:
        self._base = initial
        self.rto = min(initial, maximum)
        """The timeout, with the back-off of earlier timeouts (RFC 6298 5.5)."""
        self.minimum = minimum
        self.maximum = maximum
        self.srtt: int | None = None
        self.variation = 0
        self.backoff = 0
        self.minimum_rtt: int | None = None

    def sample(self, rtt: int) -> None:
        """Take a measurement of a segment that was sent once (Karn)."""
        if self.srtt is None:
            self.srtt = rtt
            self.variation = rtt // 2
        else:
            self.variation += (abs(self.srtt - rtt) - self.variation) // 4
            self.srtt += (rtt - self.srtt) // 8
        if self.minimum_rtt is None or rtt < self.minimum_rtt:
            self.minimum_rtt = rtt
        base = self.srtt + max(GRANULARITY, 4 * self.variation)
        self._base = min(max(base, self.minimum), self.maximum)
        self.rto = min(self._base << self.backoff, self.maximum)

    def timed_out(self) -> None:
        """Double the timeout."""
        if self._base << self.backoff < self.maximum:
            self.backoff += 1
            self.rto = min(self._base << self.backoff, self.maximum)

    def progressed(self) -> None:
        """End the back-off: new data was acknowledged (as Linux and BSD do)."""
        self.backoff = 0
        self.rto = min(self._base, self.maximum)
