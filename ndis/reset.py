"""CheckForHang and Reset: who may reset, in what order things are aborted, set again and resumed.

Source: MiniportCheckForHang, MiniportReset, NdisMResetComplete (NDIS 5.1).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from ndis.attributes import Attribute
from ndis.events import Kind
from ndis.oids import Oid
from ndis.ports import Border
from ndis.requests import InformationBuffer, Request, RequestKind
from ndis.status import Status
from ntos.errors import BugCheckError
from ntos.executive.contract import SECOND

if TYPE_CHECKING:
    from ndis.filter8023 import EthFilter
    from ndis.ports import Bound
    from ndis.request_queue import RequestQueue
    from ndis.sends import SendPath
    from ntos.executive.contract import Timer

DEFAULT_HANG_S = 2
OVERDUE_TICKS = 2  # a packet or request that survives this many ticks is judged hung


class Phase(enum.Enum):
    """Where a reset stands."""

    IDLE = enum.auto()
    RESETTING = enum.auto()  # the driver resets the card
    READDRESSING = enum.auto()  # NDIS sets filter, multicast list and lookahead again


TRANSITIONS: dict[tuple[Phase, str], Phase] = {
    (Phase.IDLE, "begin"): Phase.RESETTING,
    (Phase.RESETTING, "readdress"): Phase.READDRESSING,
    (Phase.RESETTING, "end"): Phase.IDLE,
    (Phase.READDRESSING, "end"): Phase.IDLE,
}


class ResetHost(Border, Protocol):
    """What a reset needs of its adapter."""

    filter: EthFilter
    sends: SendPath
    requests: RequestQueue

    def update_refusal(self) -> None:
        """Work out with which status sends are refused now; None when they are not."""

    def indicate_to_opens(self, status: Status) -> None:
        """Indicate a status of NDIS's own, and its completion."""

    def tell(self, oid: Oid, data: bytes) -> Status:
        """Set something in the driver and wait for its status."""


class Resets:
    """The reset sequence of one adapter."""

    def __init__(self, adapter: ResetHost) -> None:
        """No reset is going on."""
        self._adapter = adapter
        self._lock = adapter.executive.spin_lock("reset")
        self.phase = Phase.IDLE
        self.count = 0
        self._asked: list[Bound] = []
        self._status = Status.SUCCESS
        self._left = 0

    @property
    def active(self) -> bool:
        """Whether sends are refused and requests wait."""
        return self.phase is not Phase.IDLE

    def begin(self, reason: str, asked_by: Bound | None = None) -> Status:
        """NdisReset: PENDING, or RESET_IN_PROGRESS when one is going on already."""
        adapter = self._adapter
        self._lock.acquire()
        started = self.phase is Phase.IDLE
        if started:
            self._move("begin")
            self._asked = [asked_by] if asked_by is not None else []
        self._lock.release()
        if not started:
            return Status.RESET_IN_PROGRESS
        self.count += 1
        adapter.update_refusal()
        if adapter.observer is not None:
            adapter.emit(Kind.RESET_BEGIN, reason)
        adapter.indicate_to_opens(Status.RESET_START)
        adapter.requests.when_out(lambda: adapter.gate.post(self._call))
        return Status.PENDING

    def complete(self, status: Status, *, addressing: bool) -> None:
        """NdisMResetComplete."""
        adapter = self._adapter
        if adapter.observer is not None:
            adapter.emit(Kind.RESET_COMPLETE, status.name, None, addressing=addressing)
        if self.phase is not Phase.RESETTING:
            raise BugCheckError("a reset completed that does not pend")
        self._status = status
        adapter.sends.after_reset()
        adapter.requests.abort(Status.REQUEST_ABORTED)
        if addressing and status is Status.SUCCESS:
            self._move("readdress")
            self._readdress()
        else:
            self._end()

    def _call(self) -> None:
        adapter = self._adapter
        adapter.sends.abort_queued(Status.REQUEST_ABORTED)
        name = "reset_ex" if adapter.ndis6 else "reset"
        status, addressing = adapter.enter(name, adapter.handler(name))
        if status is not Status.PENDING:
            self.complete(status, addressing=addressing)

    def restore_filters(self) -> None:
        """Set filter, multicast list and lookahead again in a driver that has been started anew."""
        for oid, data in self._settings():
            self._adapter.tell(oid, data)

    def _settings(self) -> tuple[tuple[Oid, bytes], ...]:
        adapter = self._adapter
        return (
            (Oid.GEN_CURRENT_PACKET_FILTER, adapter.requests.filter_bytes()),
            (Oid.O802_3_MULTICAST_LIST, b"".join(adapter.filter.multicast)),
            (Oid.GEN_CURRENT_LOOKAHEAD, adapter.requests.lookahead_bytes()),
        )

    def _readdress(self) -> None:
        adapter = self._adapter
        settings = self._settings()
        self._left = len(settings)
        for oid, data in settings:
            request = Request(RequestKind.SET, oid, InformationBuffer(data=data), self._one_set)
            adapter.requests.submit_urgent(request)

    def _one_set(self, _request: Request, _status: Status) -> None:
        # A refused setting does not fail the reset: the card works, and the protocol may set it
        # again.
        self._left -= 1
        if self._left == 0:
            self._end()

    def _end(self) -> None:
        adapter = self._adapter
        self._move("end")
        adapter.update_refusal()
        if adapter.observer is not None:
            adapter.emit(Kind.RESET_END, self._status.name)
        adapter.indicate_to_opens(Status.RESET_END)
        for open_ in self._asked:
            open_.callout("reset_complete", self._status)
        adapter.sends.resume()
        adapter.requests.kick()

    def _move(self, event: str) -> None:
        self.phase = TRANSITIONS[self.phase, event]


class HangHost(Border, Protocol):
    """What the check for a hang needs of its adapter."""

    attributes: Attribute
    is_started: bool
    sends: SendPath
    requests: RequestQueue
    resets: Resets

    @property
    def is_asleep(self) -> bool:
        """Whether the device is in a low-power state."""


class HangCheck:
    """The tick that calls CheckForHang, and NDIS's own judgement of overdue sends and requests."""

    def __init__(self, adapter: HangHost) -> None:
        self._adapter = adapter
        self._timer: Timer | None = None
        self.period_s = DEFAULT_HANG_S

    def start(self) -> None:
        """Tick every ``period_s`` seconds from now on."""
        executive = self._adapter.executive
        due_ns = executive.now_ns() + self.period_s * SECOND
        self._timer = executive.call_at(due_ns, "check for hang", self._tick)

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        if self._timer is None:
            return
        self.start()
        self._adapter.gate.post(self._check)

    def _check(self) -> None:
        adapter = self._adapter
        if adapter.observer is not None:
            adapter.emit(Kind.TIMER_TICK, "check for hang")
        if not adapter.is_started or adapter.resets.active or adapter.is_asleep:
            return
        name = "check_for_hang_ex" if adapter.ndis6 else "check_for_hang"
        ask = adapter.handlers.get(name)
        if ask is not None and adapter.enter(name, ask):
            adapter.resets.begin("the driver's CheckForHang says so")
        elif reason := self._overdue():
            adapter.resets.begin(reason)

    def _overdue(self) -> str | None:
        adapter = self._adapter
        limit_ns = adapter.executive.now_ns() - OVERDUE_TICKS * self.period_s * SECOND
        if not adapter.attributes & Attribute.IGNORE_PACKET_TIMEOUT:
            oldest = min(adapter.sends.outstanding.values(), default=None)
            if oldest is not None and oldest <= limit_ns:
                return "a send is overdue"
        request = adapter.requests.current
        late = request is not None and request.at_ns <= limit_ns
        if late and not adapter.attributes & Attribute.IGNORE_REQUEST_TIMEOUT:
            return f"{request!r} is overdue"
        return None
