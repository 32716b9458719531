"""Flows: numbers for TCP connections, and the contexts that callouts keep with them.

A flow is there from the first classification of its connection until the connection is gone. Only TCP's have
numbers: UDP has nothing that ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from formats.transport import TCP
from protocols.transports.tcpip.classify import Point
from protocols.transports.tcpip.tcp.connection import FourTuple
from protocols.wfp.errors import FwpError, FwpFailure

if TYPE_CHECKING:
    from protocols.transports.tcpip.classify import Subject
    from protocols.wfp.callout import Callout

MOST_FLOWS = 65_536
NUMBERED = frozenset((Point.FLOW_ESTABLISHED, Point.STREAM))
"""Where a flow is numbered when it is not yet."""


class Found(Protocol):
    """A registered callout."""

    callout: Callout


class Registry(Protocol):
    """Who finds callouts by their numbers."""

    def registered(self, number: int) -> Found:
        """Return a callout. FwpError(CALLOUT_NOT_FOUND)."""


class Flows:
    """One host's flows."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._numbers: dict[FourTuple, int] = {}
        self._keys: dict[int, FourTuple] = {}
        self._contexts: dict[int, dict[int, object]] = {}
        self._last = 0

    def of(self, subject: Subject) -> int:
        """Return the flow's number; 0 where there is none."""
        if subject.protocol != TCP or subject.local is None or subject.remote is None:
            return 0
        key = FourTuple(subject.local, subject.local_port, subject.remote, subject.remote_port)
        number = self._numbers.get(key, 0)
        if not number and subject.point in NUMBERED and len(self._numbers) < MOST_FLOWS:
            self._last += 1
            number = self._numbers[key] = self._last
            self._keys[number] = key
        return number

    def key(self, flow: int) -> FourTuple:
        """Return the connection's name; one that no connection has when the flow is gone."""
        return self._keys.get(flow, FourTuple(b"", 0, b"", 0))

    def context(self, flow: int, callout: int) -> object:
        """Return what a callout has associated; None when nothing."""
        return self._contexts.get(flow, {}).get(callout)

    def associate(self, flow: int, callout: int, context: object) -> None:
        """Keep a context. FwpError(NOT_FOUND, ALREADY_EXISTS)."""
        if flow not in self._keys:
            raise FwpError(FwpFailure.NOT_FOUND, f"flow {flow}")
        kept = self._contexts.setdefault(flow, {})
        if callout in kept:
            raise FwpError(FwpFailure.ALREADY_EXISTS, f"flow {flow}")
        kept[callout] = context

    def dissociate(self, flow: int, callout: int) -> None:
        """Delete a context. FwpError(NOT_FOUND)."""
        kept = self._contexts.get(flow, {})
        if callout not in kept:
            raise FwpError(FwpFailure.NOT_FOUND, f"flow {flow}")
        self._deleted(flow, callout, kept.pop(callout))

    def forget(self, callout: int) -> None:
        """Delete all contexts of a callout."""
        for flow in [flow for flow, kept in self._contexts.items() if callout in kept]:
            self.dissociate(flow, callout)

    def ended(self, subject: Subject) -> None:
        """Delete a flow and its contexts."""
        if subject.local is None or subject.remote is None:
            return
        key = FourTuple(subject.local, subject.local_port, subject.remote, subject.remote_port)
        flow = self._numbers.pop(key, 0)
        self._keys.pop(flow, None)
        for callout, context in self._contexts.pop(flow, {}).items():
            self._deleted(flow, callout, context)

    def clear(self) -> None:
        """Delete all flows and their contexts."""
        self._numbers.clear()
        self._keys.clear()
        contexts, self._contexts = self._contexts, {}
        for flow, kept in contexts.items():
            for callout, context in kept.items():
                self._deleted(flow, callout, context)

    def _deleted(self, flow: int, callout: int, context: object) -> None:
        self._registry.registered(callout).callout.flow_deleted(flow, context)
