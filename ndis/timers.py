"""A driver's timers and work items.

Timers fire through the gate; work items run beside it at PASSIVE_LEVEL.

Source: NdisMInitializeTimer, NdisMSetTimer, NdisMSetPeriodicTimer, NdisMCancelTimer,
NdisScheduleWorkItem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ndis.hardware import Resource
from ndis.ports import Border
from ntos.executive.contract import MILLISECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.hardware import Resources
    from ntos.executive.contract import Timer


class TimerHost(Border, Protocol):
    """What a timer needs of its adapter."""

    resources: Resources


class MiniportTimer:
    """NDIS_MINIPORT_TIMER. Cancelled or fired, never both: ``_set`` changes with every setting."""

    def __init__(self, adapter: TimerHost, routine: Callable[[], None]) -> None:
        """Make a timer that is not set. ``routine`` runs at DISPATCH_LEVEL, through the gate."""
        self._adapter = adapter
        self._routine = routine
        self._below: Timer | None = None
        self._set: Resource | None = None
        self.is_set = False
        """Whether it will fire."""
        self._period_ms = 0
        self._lock = adapter.executive.spin_lock("timer")

    def set(self, delay_ms: int) -> None:
        """NdisMSetTimer: once, after ``delay_ms``. A timer already set is set anew."""
        self.cancel()
        self._period_ms = 0
        self._arm(delay_ms)

    def set_periodic(self, period_ms: int) -> None:
        """NdisMSetPeriodicTimer."""
        self.cancel()
        self._period_ms = period_ms
        self._arm(period_ms)

    def cancel(self) -> bool:
        """NdisMCancelTimer: True when it was set and will not fire."""
        mine = self._set
        if mine is None or not self._claim(mine):
            return False
        if self._below is not None:
            self._below.cancel()
        return True

    def _arm(self, delay_ms: int) -> None:
        executive = self._adapter.executive
        mine = Resource("timer", self)
        self._set = mine
        self.is_set = True
        self._adapter.resources.take(mine)
        due_ns = executive.now_ns() + delay_ms * MILLISECOND
        self._below = executive.call_at(due_ns, "timer", lambda: self._fire(mine))

    def _fire(self, mine: Resource) -> None:
        self._adapter.gate.post(lambda: self._run(mine))

    def _run(self, mine: Resource) -> None:
        if not self._claim(mine):  # cancelled, or set anew, while it waited for the lock
            return
        if self._period_ms:
            self._arm(self._period_ms)
        self._adapter.enter("timer", self._routine)

    def _claim(self, mine: Resource) -> bool:
        """Decide between firing and cancelling: True for whoever comes first."""
        self._lock.acquire()
        first = self._set is mine
        if first:
            self._set = None
            self.is_set = False
        self._lock.release()
        if first:
            self._adapter.resources.give(mine)
        return first


class WorkItems:
    """Work items of one adapter.

    ``pending`` counts those that have not ended: Halt waits for them.
    """

    def __init__(self, adapter: Border) -> None:
        self._adapter = adapter
        self._pending: set[object] = set()

    @property
    def pending(self) -> int:
        """Items scheduled or running."""
        return len(self._pending)

    def schedule(self, routine: Callable[[], None]) -> None:
        """NdisScheduleWorkItem: run ``routine`` at PASSIVE_LEVEL, outside the miniport lock."""
        token = object()
        self._pending.add(token)

        def run() -> None:
            try:
                self._adapter.enter("work_item", routine)
            finally:
                self._pending.discard(token)

        self._adapter.executive.queue_work_item("work item", run)
