"""Delays, loses and limits packets above the card: a bad network for one program's traffic.

A clone of each packet waits in a queue until its time; what does not fit is lost. ``choose`` says what is
lost besides (a fraction's dice, a script): nothing is random here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocols.wfp.callout import Callout

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.timers import Timer, TimerQueue
    from protocols.wfp.arbitration import ClassifyOut
    from protocols.wfp.callout import Incoming
    from protocols.wfp.kernel import CalloutDriver, Clone

SECOND = 1_000_000_000
BITS = 8


def _none(_packet: bytes) -> bool:
    return False


@dataclass(slots=True)
class Shaper(Callout):
    """At OUTBOUND_IPPACKET. ``delay_ns`` for each packet, then ``rate_bps`` (0: no limit), in order."""

    driver: CalloutDriver
    timers: TimerQueue
    delay_ns: int = 0
    rate_bps: int = 0
    most_packets: int = 1000
    is_lost: Callable[[bytes], bool] = _none
    lost: int = 0
    passed: int = 0
    _queue: deque[tuple[int, Clone]] = field(default_factory=deque)
    _free_at: int = 0
    _timer: Timer | None = None

    def classify(self, incoming: Incoming, out: ClassifyOut) -> None:
        """Take the packet; lose it or queue a clone of it."""
        out.block(absorb=True)
        if len(self._queue) >= self.most_packets or self.is_lost(bytes(incoming.subject.data)):
            self.lost += 1
            return
        clone = self.driver.clone(incoming)
        begins = max(self.timers.now + self.delay_ns, self._free_at)
        spent = len(clone.data) * BITS * SECOND // self.rate_bps if self.rate_bps else 0
        self._free_at = begins + spent
        self._queue.append((self._free_at, clone))
        self._wait()

    def drain(self) -> None:
        """Send what is due."""
        while self._queue and self._queue[0][0] <= self.timers.now:
            _due, clone = self._queue.popleft()
            self.driver.inject_network_send_async(clone)
            self.passed += 1
        self._wait()

    def stop(self) -> None:
        """Free what waits: before the driver unloads."""
        for _due, clone in self._queue:
            self.driver.free_clone(clone)
        self._queue.clear()
        if self._timer is not None:
            self._timer.stop()

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.timers.timer(self.drain)
        if self._queue:
            self._timer.start_unless_running(max(self._queue[0][0] - self.timers.now, 0))
