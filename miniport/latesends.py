"""Giving sent packets back without an interrupt for each: by the next interrupt, a full ring, or a timer.

An answer to what was sent interrupts anyway, and the DPC looks at every ring; an interrupt of the send's own
would delay the answer. So the cause of completed sends is masked (``interrupt.Plan.withheld``) while less
than half of a ring is taken, and a timer bounds how long a packet waits. It knows no packets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniport import interrupt

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniport.nic import Nic


class LateSends:
    """Sees to it that ``reap`` is called for what was sent, at the latest after ``completion_ms``.

    Does nothing where every completed send interrupts.
    """

    def __init__(self, nic: Nic, reap: Callable[[], bool]) -> None:
        """Take a timer from NDIS."""
        self._nic = nic
        self._reap = reap
        self._is_late = bool(nic.plan.withheld)
        self._timer = nic.ndis.timer(self._look)
        self._told = False

    def sent(self) -> None:
        """Take note that frames were handed to the card. At DISPATCH_LEVEL."""
        if not self._is_late:
            return
        if not self._timer.is_set:
            self._timer.set(self._nic.settings.completion_ms)
        if not self._told:
            self.reaped()

    def reaped(self) -> None:
        """Take note that the rings were looked at, and perhaps filled again: ask again if need be."""
        if not self._is_late:
            return
        tell = False
        for ring in self._nic.transmit:
            if ring.free < ring.count // 2:
                tell = True
        if tell or self._told:
            self._tell(tell=tell)

    def stop(self) -> None:
        """Forget the timer: the adapter halts."""
        self._timer.cancel()

    def _tell(self, *, tell: bool) -> None:
        nic, before = self._nic, self._told
        self._told = tell
        if not tell:
            interrupt.withhold_sends(nic.hardware, nic.plan)
        elif not (before and nic.plan.clears_itself):  # else the interrupt has masked it again
            interrupt.tell_of_sends(nic.hardware, nic.plan)

    def _look(self) -> None:
        self._reap()
        if any(ring.busy for ring in self._nic.transmit):
            self._timer.set(self._nic.settings.completion_ms)
