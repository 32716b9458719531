"""Light-weight filters: modules between protocols and an NDIS 6 miniport, top to bottom.

A handler that a filter does not have is passed by. A filter may hold lists back, change them, or send and
indicate its own, which come back to it alone; OID requests it clones (``ndis.lwf_requests``). Source: "NDIS
Filter Drivers" (NDIS 6).
"""

from __future__ import annotations

import enum
from functools import partial
from typing import TYPE_CHECKING, Any

from ndis.events import Kind
from ndis.lwf_requests import FilterRequests
from ndis.packet import Owner
from ndis.status import Status
from ntos.errors import BugCheckError
from ntos.executive.contract import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.adapter import MiniportAdapter
    from ndis.nbl import NetBufferList
    from ndis.requests import Request


class FilterState(enum.Enum):
    """The states of a filter module."""

    DETACHED = enum.auto()
    PAUSED = enum.auto()
    RUNNING = enum.auto()
    PAUSING = enum.auto()


FILTER_TRANSITIONS: dict[tuple[FilterState, str], FilterState] = {
    (FilterState.DETACHED, "attach"): FilterState.PAUSED,
    (FilterState.PAUSED, "restart"): FilterState.RUNNING,
    (FilterState.RUNNING, "pause"): FilterState.PAUSING,
    (FilterState.PAUSING, "paused"): FilterState.PAUSED,
    (FilterState.PAUSED, "detach"): FilterState.DETACHED,
}


def _is_paused(module: FilterModule) -> bool:
    return module.state is FilterState.PAUSED


MANDATORY = ("attach", "detach", "restart", "pause")


class FilterModule:
    """One filter over one adapter, and the NdisF functions it calls (``FilterHandle``).

    Invariant: ``mine`` holds exactly the lists of its own that are still out.
    """

    def __init__(self, stack: FilterStack, name: str, create: Callable[[FilterModule], Any]) -> None:
        """Make the filter's object over this handle; it is not attached yet."""
        self.name = name
        self.state = FilterState.DETACHED
        self.mine: set[NetBufferList] = set()
        self._stack = stack
        self.driver = create(self)
        missing = [h for h in MANDATORY if not hasattr(self.driver, h)]
        if missing:
            raise BugCheckError(f"filter {name} has no {', '.join(missing)}")

    @property
    def adapter(self) -> MiniportAdapter:
        """The adapter below."""
        return self._stack.adapter

    def handler(self, name: str) -> Callable[..., Any] | None:
        """Return an optional handler; None when the filter is passed by."""
        found: Callable[..., Any] | None = getattr(self.driver, name, None)
        return found

    def move(self, event: str) -> None:
        """Change the state; a move that the table does not have is a bug."""
        try:
            self.state = FILTER_TRANSITIONS[self.state, event]
        except KeyError:
            raise BugCheckError(f"filter {self.name}: {event} while {self.state.name}") from None
        if self.adapter.observer is not None:
            self.adapter.emit(Kind.STATE, f"filter {event}", self, filter=self.name)

    def send(self, nbls: Sequence[NetBufferList]) -> None:
        """NdisFSendNetBufferLists: pass lists down, or send own ones."""
        for nbl in nbls:
            if nbl.source is None:
                nbl.source = self
                nbl.owner = Owner.NDIS
                self.mine.add(nbl)
        self._stack.down_from(self, list(nbls))

    def send_complete(self, nbls: Sequence[NetBufferList]) -> None:
        """NdisFSendNetBufferListsComplete: pass completions up. Own lists stay here."""
        if any(n.source is self for n in nbls):
            raise BugCheckError(f"filter {self.name} passes its own list's completion up")
        self._stack.completed_from(self, list(nbls))

    def indicate(self, nbls: Sequence[NetBufferList], *, resources: bool = False) -> None:
        """NdisFIndicateReceiveNetBufferLists: pass lists up, or indicate own ones."""
        for nbl in nbls:
            if nbl.source is None and nbl not in self.adapter.lists.indicated:
                nbl.source = self
                nbl.owner = Owner.NDIS
                self.mine.add(nbl)
        self._stack.up_from(self, list(nbls), resources=resources)

    def returned(self, nbls: Sequence[NetBufferList]) -> None:
        """NdisFReturnNetBufferLists: pass returned lists down. Own lists stay here."""
        if any(n.source is self for n in nbls):
            raise BugCheckError(f"filter {self.name} returns its own list to the driver below")
        self._stack.returned_from(self, list(nbls))

    def allocate_clone_oid_request(self, original: Request) -> Request:
        """NdisAllocateCloneOidRequest, of a request that ``oid_request`` got."""
        return self._stack.requests.clone(self, original)

    def free_clone_oid_request(self, clone: Request) -> None:
        """NdisFreeCloneOidRequest."""
        self._stack.requests.free(self, clone)

    def send_oid_request(self, request: Request) -> Status:
        """NdisFOidRequest: send a clone, or an own request, down; PENDING."""
        return self._stack.requests.send(self, request)

    def oid_request_complete(self, original: Request, status: Status) -> None:
        """NdisFOidRequestComplete: the answer to a request that ``oid_request`` got."""
        self._stack.requests.complete(self, original, status)

    def pause_complete(self) -> None:
        """NdisFPauseComplete."""
        self.move("paused")


class FilterStack:
    """The filters of one adapter, top first. With none, lists pass straight."""

    def __init__(self, adapter: MiniportAdapter) -> None:
        self.adapter = adapter
        self.modules: list[FilterModule] = []
        self.requests = FilterRequests(self)

    def attach(self, name: str, create: Callable[[FilterModule], Any], at: int | None = None) -> FilterModule:
        """FilterAttach and FilterRestart, with the adapter paused meanwhile.

        ``at``: place from the top.
        """
        if not self.adapter.ndis6:
            raise BugCheckError("light-weight filters need an NDIS 6 miniport")
        module = FilterModule(self, name, create)
        self.pause()
        status = module.driver.attach()
        if status is Status.SUCCESS:
            module.move("attach")
            self.modules.insert(len(self.modules) if at is None else at, module)
        self.restart()
        if status is not Status.SUCCESS:
            raise BugCheckError(f"filter {name} refuses to attach: {status.name}")
        return module

    def detach(self, module: FilterModule) -> None:
        """FilterPause and FilterDetach; a request that it still has is a bug."""
        self.pause()
        module.move("detach")
        module.driver.detach()
        left = self.requests.of(module)
        if left:
            raise BugCheckError(f"filter {module.name} detached with {len(left)} OID requests", left[0])
        self.modules.remove(module)
        self.restart()

    def pause(self) -> None:
        """Pause from the top down: first the filters, then the driver."""
        if self.adapter.is_started:
            for module in self.modules:
                module.move("pause")
                if module.driver.pause() is not Status.PENDING:
                    module.pause_complete()
                executive = self.adapter.executive
                expect(executive, partial(_is_paused, module), f"filter {module.name} to pause")
            self.adapter.pause()

    def restart(self) -> None:
        """Restart from the bottom up: first the driver, then the filters."""
        self.adapter.restart()
        for module in reversed(self.modules):
            module.driver.restart()
            module.move("restart")

    def send(self, nbls: list[NetBufferList]) -> None:
        """Send from the protocols: in at the top."""
        self._down(0, nbls)

    def send_completed(self, nbls: list[NetBufferList]) -> None:
        """Complete lists from the driver: in at the bottom."""
        self._completed(len(self.modules) - 1, nbls)

    def receive(self, nbls: list[NetBufferList], *, resources: bool) -> None:
        """Indicate lists from the driver: in at the bottom."""
        self._up(len(self.modules) - 1, nbls, resources=resources)

    def returned(self, nbls: list[NetBufferList]) -> None:
        """Return lists from the protocols: in at the top."""
        self._returned(0, nbls)

    def down_from(self, module: FilterModule, nbls: list[NetBufferList]) -> None:
        """Send on, below ``module``."""
        self._down(self.modules.index(module) + 1, nbls)

    def completed_from(self, module: FilterModule, nbls: list[NetBufferList]) -> None:
        """Complete on, above ``module``."""
        self._completed(self.modules.index(module) - 1, nbls)

    def up_from(self, module: FilterModule, nbls: list[NetBufferList], *, resources: bool) -> None:
        """Indicate on, above ``module``."""
        self._up(self.modules.index(module) - 1, nbls, resources=resources)

    def returned_from(self, module: FilterModule, nbls: list[NetBufferList]) -> None:
        """Return on, below ``module``."""
        self._returned(self.modules.index(module) + 1, nbls)

    def _down(self, at: int, nbls: list[NetBufferList]) -> None:
        for module in self.modules[at:]:
            handler = module.handler("send_net_buffer_lists")
            if handler is not None:
                handler(nbls)
                return
        self.adapter.lists.to_driver(nbls)

    def _completed(self, at: int, nbls: list[NetBufferList]) -> None:
        rest = nbls
        while rest and at >= 0:
            module = self.modules[at]
            at -= 1
            own = [n for n in rest if n.source is module]
            rest = [n for n in rest if n.source is not module]
            handler = module.handler("send_net_buffer_lists_complete")
            if own:
                self._own_home(module, own)
            if handler is not None and rest:
                handler(rest)
                return
        for nbl in rest:
            self.adapter.lists.list_done(nbl)

    def _up(self, at: int, nbls: list[NetBufferList], *, resources: bool) -> None:
        for module in reversed(self.modules[: at + 1]):
            handler = module.handler("receive_net_buffer_lists")
            if handler is not None:
                handler(nbls, resources)
                return
        self.adapter.lists.to_protocols(nbls, resources=resources)

    def _returned(self, at: int, nbls: list[NetBufferList]) -> None:
        rest = nbls
        for module in self.modules[at:]:
            own = [n for n in rest if n.source is module]
            rest = [n for n in rest if n.source is not module]
            if own:
                self._own_home(module, own)
            handler = module.handler("return_net_buffer_lists")
            if handler is not None and rest:
                handler(rest)
                return
        if rest:
            self.adapter.lists.return_to_driver(rest)

    def _own_home(self, module: FilterModule, own: list[NetBufferList]) -> None:
        """Give a filter its own lists: with ``own_lists_complete``, when it has that handler."""
        for nbl in own:
            module.mine.discard(nbl)
            self.adapter.lists.outstanding_lists.pop(nbl, None)
            nbl.source = None
            nbl.owner = Owner.PROTOCOL
        handler = module.handler("own_lists_complete")
        if handler is not None:
            handler(own)
