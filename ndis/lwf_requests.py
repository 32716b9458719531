"""OID requests through light-weight filters: from the top down, cloned by each filter that has a handler.

A filter may not pass a request on as it is: it makes a clone over the same information buffer, sends that
down, and completes the original when the clone has come back. Source: "Filter Module OID Requests",
NdisAllocateCloneOidRequest, NdisFOidRequest, NdisFOidRequestComplete (NDIS 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.events import Kind
from ndis.requests import Request
from ndis.status import Status
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from ndis.lwf import FilterModule, FilterStack


class FilterRequests:
    """The requests that are with one adapter's filters.

    Invariants: ``held`` has every request that a filter got and has not completed; ``clones`` every clone
    that is not freed, and whose it is; ``below`` those of them, and of the filters' own, that are under way.
    """

    def __init__(self, stack: FilterStack) -> None:
        self._stack = stack
        self.held: dict[Request, FilterModule] = {}
        self.clones: dict[Request, FilterModule] = {}
        self.below: dict[Request, FilterModule] = {}

    def submit(self, request: Request) -> None:
        """Take a request from NDIS: in at the top."""
        self._down(0, request)

    def clone(self, module: FilterModule, original: Request) -> Request:
        """NdisAllocateCloneOidRequest: the same OID and the same buffer."""
        if self.held.get(original) is not module:
            raise BugCheckError(f"filter {module.name} clones {original!r}, which it has not got")
        made = Request(original.kind, original.oid, original.driver_buffer)
        self.clones[made] = module
        return made

    def free(self, module: FilterModule, clone: Request) -> None:
        """NdisFreeCloneOidRequest."""
        if self.clones.get(clone) is not module:
            raise BugCheckError(f"filter {module.name} frees {clone!r}, which is no clone of its own")
        if clone in self.below:
            raise BugCheckError(f"filter {module.name} frees the clone {clone!r}, which is still below")
        del self.clones[clone]

    def send(self, module: FilterModule, request: Request) -> Status:
        """NdisFOidRequest: a clone, or an own request; ``oid_request_complete`` tells its end."""
        if request in self.held:
            raise BugCheckError(f"filter {module.name} passes {request!r} on without a clone")
        if request in self.below:
            raise BugCheckError(f"filter {module.name} sends {request!r} down twice")
        self.below[request] = module
        request.status = Status.PENDING
        request.at_ns = self._stack.adapter.executive.now_ns()
        request.done = self._came_back
        self._down(self._stack.modules.index(module) + 1, request)
        return Status.PENDING

    def complete(self, module: FilterModule, request: Request, status: Status) -> None:
        """NdisFOidRequestComplete."""
        if self.held.get(request) is not module:
            raise BugCheckError(f"filter {module.name} completes {request!r}, which it has not got")
        del self.held[request]
        adapter = self._stack.adapter
        if adapter.observer is not None:
            adapter.emit(Kind.STATE, f"filter request {status.name}", request, filter=module.name)
        adapter.requests.deliver(request, status)

    def of(self, module: FilterModule) -> list[Request]:
        """Return what a filter may not leave behind when it is detached."""
        return [
            one for account in (self.held, self.below) for one, owner in account.items() if owner is module
        ]

    def _down(self, at: int, request: Request) -> None:
        for module in self._stack.modules[at:]:
            handler = module.handler("oid_request")
            if handler is not None:
                self.held[request] = module
                status = handler(request)
                if status is not Status.PENDING:
                    self.complete(module, request, status)
                return
        self._stack.adapter.requests.enqueue(request)

    def _came_back(self, request: Request, status: Status) -> None:
        module = self.below.pop(request)
        handler = module.handler("oid_request_complete")
        if handler is None:
            raise BugCheckError(f"filter {module.name} sent {request!r} down and has no handler for its end")
        handler(request, status)
