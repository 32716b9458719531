"""What TCP asks of a congestion controller. Windows in bytes, times in nanoseconds."""

from __future__ import annotations

from typing import Protocol


class CongestionControl(Protocol):
    """Owns ``cwnd`` and ``ssthresh``; fast recovery itself (RFC 6582, 6675) is TCP's."""

    cwnd: int
    ssthresh: int
    mss: int

    def acknowledged(self, acked: int, now: int, srtt: int | None) -> None:
        """Hear of newly acknowledged bytes while the window was what held us back."""

    def lost(self, flight: int, now: int) -> None:
        """Enter fast recovery: set ``ssthresh`` and ``cwnd``."""

    def timed_out(self, flight: int, now: int) -> None:
        """Retransmission timeout: back to one segment (RFC 5681 3.1)."""

    def recovered(self, now: int) -> None:
        """Fast recovery is over."""

    def idle(self) -> None:
        """Nothing was sent for an RTO: restart from the initial window (RFC 5681 4.1)."""
