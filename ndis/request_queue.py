"""OID requests to one adapter: one at a time to the driver, the rest wait in order.

Packet filter, multicast list and lookahead of single opens are merged here before the driver sees
them, and answered here when an open asks. Source: NdisRequest, NdisMQueryInformationComplete (NDIS
5.1).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from ndis.errors import NdisError
from ndis.events import Kind
from ndis.filter8023 import split_addresses
from ndis.offload import Offload
from ndis.oids import Oid, ProtocolOption, oid_name
from ndis.ports import Border
from ndis.requests import InformationBuffer, Request, RequestKind
from ndis.status import Status
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.filter8023 import EthFilter
    from ndis.ports import Filtered
    from ndis.requests import Requester


class Resetting(Protocol):
    """Whether a reset is going on."""

    @property
    def active(self) -> bool:
        """Whether sends are refused and requests wait."""


class RequestHost(Border, Protocol):
    """What the queue needs of its adapter."""

    filter: EthFilter
    offload: Offload
    is_gone: bool

    @property
    def lists(self) -> Filtered:
        """The path with the light-weight filters, which see requests first."""

    @property
    def resets(self) -> Resetting:
        """The adapter's reset."""


Intercept = tuple[RequestKind, int]


class RequestQueue:
    """Requests to one adapter, in order.

    Invariant: at most one request, ``current``, is with the driver.
    """

    def __init__(self, adapter: RequestHost) -> None:
        self._adapter = adapter
        self._lock = adapter.executive.spin_lock("requests")
        self._waiting: deque[Request] = deque()
        self._urgent: deque[Request] = deque()
        self.current: Request | None = None
        self._calls = 0  # CPUs that are inside the driver with a request
        self._when_out: Callable[[], None] | None = None
        self._intercepts: dict[Intercept, Callable[[Requester, Request], Status | None]] = {
            (RequestKind.SET, Oid.GEN_CURRENT_PACKET_FILTER): self._set_filter,
            (RequestKind.SET, Oid.O802_3_MULTICAST_LIST): self._set_multicast,
            (RequestKind.SET, Oid.GEN_CURRENT_LOOKAHEAD): self._set_lookahead,
            (RequestKind.SET, Oid.GEN_PROTOCOL_OPTIONS): self._set_options,
            (RequestKind.SET, Oid.TCP_TASK_OFFLOAD): self._set_offload,
            (RequestKind.QUERY, Oid.GEN_CURRENT_PACKET_FILTER): self._query_filter,
            (RequestKind.QUERY, Oid.O802_3_MULTICAST_LIST): self._query_multicast,
            (RequestKind.QUERY, Oid.GEN_CURRENT_LOOKAHEAD): self._query_lookahead,
        }

    @property
    def waiting(self) -> list[Request]:
        """Requests that the driver has not seen yet, those with filters first."""
        stack = self._adapter.lists.stack
        held = stack.requests.held if stack is not None else ()
        return [*held, *self._urgent, *self._waiting]

    def submit(self, request: Request, open_: Requester | None = None) -> Status:
        """NdisRequest. PENDING, or the final status when NDIS itself knew the answer."""
        if self._adapter.observer is not None:
            pending = request is self.current or request in self.waiting
            self._adapter.emit(Kind.SUBMIT, "request", request, open=open_, pending=pending)
        request.open = open_
        request.status = Status.PENDING
        request.at_ns = self._adapter.executive.now_ns()
        if open_ is not None:
            intercept = self._intercepts.get((request.kind, request.oid))
            answer = intercept(open_, request) if intercept else None
            if answer is not None:
                request.status = answer
                return answer
        stack = self._adapter.lists.stack
        if stack is not None and stack.modules:
            stack.requests.submit(request)
        else:
            self.enqueue(request)
        return Status.PENDING

    def enqueue(self, request: Request) -> None:
        """Queue a request that has passed all filters."""
        self._waiting.append(request)
        self.kick()

    def submit_urgent(self, request: Request) -> None:
        """Queue a request of NDIS's own that goes first, also during a reset."""
        request.at_ns = self._adapter.executive.now_ns()
        self._urgent.append(request)
        self.kick()

    def kick(self) -> None:
        """Give the driver the next request if it has none."""
        self._adapter.gate.post(self._pump)

    def complete(self, status: Status) -> None:
        """NdisMQueryInformationComplete, NdisMSetInformationComplete, NdisMOidRequestComplete."""
        request = self.current
        if self._adapter.observer is not None:
            self._adapter.emit(Kind.REQUEST_COMPLETE, status.name, request)
        if request is None:
            raise BugCheckError("an OID request completed that does not pend (0x91002)")
        if self._finish(request, status):
            self.kick()

    def when_out(self, then: Callable[[], None]) -> None:
        """Call ``then`` as soon as no CPU is inside the driver with a request: perhaps now.

        A reset must not overtake a request that is on its way in: the driver would get it after it
        has forgotten all others, and NDIS would abort it while the driver works on it.
        """
        self._lock.acquire()
        now = self._calls == 0
        if not now:
            self._when_out = then
        self._lock.release()
        if now:
            then()

    def abort(self, status: Status) -> None:
        """Complete the request that is with the driver, which has lost it by a reset."""
        request = self.current
        if request is not None:
            self._finish(request, status)

    def _pump(self) -> None:
        while (request := self._next()) is not None:
            status = self._call(request)
            if status is Status.PENDING:
                self._out()
                return
            if self.current is not request:
                raise BugCheckError(f"{request!r} completed, then {status.name} returned", request)
            if self._adapter.observer is not None:
                self._adapter.emit(Kind.REQUEST_COMPLETE, status.name, request)
            self._finish(request, status)
            self._out()

    def _out(self) -> None:
        self._lock.acquire()
        self._calls -= 1
        then = self._when_out if self._calls == 0 else None
        if then is not None:
            self._when_out = None
        self._lock.release()
        if then is not None:
            then()

    def _next(self) -> Request | None:
        self._lock.acquire()
        try:
            if self.current is not None:
                return None
            if self._urgent:
                self.current = self._urgent.popleft()
            elif self._waiting and not self._adapter.resets.active:
                self.current = self._waiting.popleft()
            if self.current is not None:
                self._calls += 1
            return self.current
        finally:
            self._lock.release()

    def _call(self, request: Request) -> Status:
        adapter = self._adapter
        if adapter.observer is not None:
            adapter.emit(Kind.REQUEST, request.kind.value, request)
        if adapter.is_gone:
            return Status.ADAPTER_REMOVED
        buffer = request.driver_buffer
        if adapter.ndis6:
            name = "oid_request"
            arguments: tuple[object, ...] = (request.kind.value, request.oid, buffer)
        else:
            name = f"{request.kind.value}_information"
            arguments = (request.oid, buffer)
        return Status(adapter.enter(name, adapter.handler(name), *arguments))

    def _finish(self, request: Request, status: Status) -> bool:
        # A driver may complete a request on one CPU while a reset's end aborts it on another: who takes it
        # from `current` delivers it, the other comes too late.
        self._lock.acquire()
        taken = self.current is request
        if taken:
            self.current = None
        self._lock.release()
        if taken:
            self.deliver(request, status)
        return taken

    def deliver(self, request: Request, status: Status) -> None:
        """Give an answer to who asked: a transport, a filter, or NDIS itself."""
        if status is not Status.SUCCESS and request.undo is not None:
            request.undo()
        if request.driver_buffer is not request.buffer:
            request.buffer.bytes_read = request.buffer.length
        request.status = status
        accepted = status is Status.SUCCESS and request.kind is RequestKind.SET
        if accepted and request.oid == Oid.TCP_TASK_OFFLOAD:
            self._adapter.offload = Offload.parse(request.buffer.data)
        if request.done is not None:
            request.done(request, status)
        elif request.open is not None:
            request.open.callout("request_complete", request, status)
        if request.open is not None:
            request.open.check_closed()

    # What NDIS answers, or rewrites, for single opens. None: go on to the driver.

    def _set_filter(self, open_: Requester, request: Request) -> Status | None:
        value = request.buffer.read_number()
        if value is None:
            return Status.INVALID_LENGTH
        library = self._adapter.filter
        union = library.packet_filter
        try:
            before = library.set_packet_filter(open_, value)
        except NdisError as error:
            return error.status
        request.undo = lambda: library.set_packet_filter(open_, before)
        return self._if_changed(request, union, library.packet_filter, self.filter_bytes())

    def _set_multicast(self, open_: Requester, request: Request) -> Status | None:
        library = self._adapter.filter
        union = library.multicast
        try:
            before = library.set_multicast(open_, split_addresses(request.buffer.data))
        except NdisError as error:
            return error.status
        request.undo = lambda: library.set_multicast(open_, before)
        return self._if_changed(request, union, library.multicast, b"".join(library.multicast))

    def _set_lookahead(self, open_: Requester, request: Request) -> Status | None:
        value = request.buffer.read_number()
        if value is None:
            return Status.INVALID_LENGTH
        library = self._adapter.filter
        union = library.lookahead
        library.of(open_).lookahead = value
        return self._if_changed(request, union, library.lookahead, self.lookahead_bytes())

    def _set_options(self, open_: Requester, request: Request) -> Status | None:
        value = request.buffer.read_number()
        if value is None:
            return Status.INVALID_LENGTH
        open_.options = ProtocolOption(value)
        return Status.SUCCESS

    def _set_offload(self, _open: Requester, request: Request) -> Status | None:
        try:
            Offload.parse(request.buffer.data)
        except NdisError as error:
            return error.status
        return None

    def _query_filter(self, open_: Requester, request: Request) -> Status | None:
        return request.buffer.write_number(self._adapter.filter.of(open_).packet_filter)

    def _query_multicast(self, open_: Requester, request: Request) -> Status | None:
        return request.buffer.write(b"".join(self._adapter.filter.of(open_).multicast))

    def _query_lookahead(self, open_: Requester, request: Request) -> Status | None:
        mine = self._adapter.filter.of(open_).lookahead
        return request.buffer.write_number(mine) if mine else None

    def _if_changed(self, request: Request, old: Any, new: Any, data: bytes) -> Status | None:  # noqa: ANN401 - filters, lists and numbers are compared alike
        if old == new:
            request.buffer.bytes_read = request.buffer.length
            return Status.SUCCESS
        if self._adapter.observer is not None:
            self._adapter.emit(Kind.FILTER, oid_name(request.oid), data)
        request.driver_buffer = InformationBuffer(data=data)
        return None

    def filter_bytes(self) -> bytes:
        """Return the union of the packet filters as a driver reads it."""
        return int(self._adapter.filter.packet_filter).to_bytes(4, "little")

    def lookahead_bytes(self) -> bytes:
        """Return the largest lookahead as a driver reads it."""
        return self._adapter.filter.lookahead.to_bytes(4, "little")
