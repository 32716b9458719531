"""What callout drivers call (fwpkclnt.sys): callouts, flow contexts, pending, clones, injection.

A ``CalloutDriver`` is one driver, the device object of its FwpsCalloutRegister. What it injects, its own
callouts are not asked about; others are, and see who it was. Everything that goes into the stack waits for
the stack's next turn: a classifyFn may call all of it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from protocols.transports.tcpip.classify import Endpoint, Point
from protocols.wfp.errors import FwpError, FwpFailure
from protocols.wfp.verifier import Rule

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from protocols.transports.tcpip.classify import Subject
    from protocols.wfp.callout import Callout, Incoming
    from protocols.wfp.verifier import ContractVerifier

MOST_CLONES = 4096
"""Of one driver, out at one time."""
MOST_PENDED = 1024
MOST_PORT = 0xFFFF
PENDABLE = frozenset((Point.ALE_CONNECT, Point.ALE_ACCEPT))


class InjectionState(enum.Enum):
    """FWPS_PACKET_INJECTION_STATE."""

    NOT_INJECTED = enum.auto()
    INJECTED_BY_SELF = enum.auto()
    INJECTED_BY_OTHER = enum.auto()


class Place(enum.Enum):
    """Where a clone goes in."""

    NETWORK_SEND = enum.auto()
    NETWORK_RECEIVE = enum.auto()
    TRANSPORT_SEND = enum.auto()
    TRANSPORT_RECEIVE = enum.auto()
    MAC_SEND = enum.auto()
    MAC_RECEIVE = enum.auto()


@dataclass(slots=True, eq=False)
class Clone:
    """A NET_BUFFER_LIST of FwpsAllocateCloneNetBufferList: a copy that may be changed and injected once."""

    subject: Subject
    data: bytes
    """From where the layer's data begin: the IP, the transport or the Ethernet header."""
    is_injected: bool = False
    is_freed: bool = False


@dataclass(slots=True, eq=False)
class Pended:
    """The completion context of FwpsPendOperation."""

    subject: Subject
    resume: Callable[[bool], None] | None = None
    verdict: bool | None = None
    is_done: bool = False


class Stackward(Protocol):
    """The engine, as far as drivers need it."""

    verifier: ContractVerifier

    def register(self, driver: CalloutDriver, key: UUID, callout: Callout) -> int:
        """Have a callout asked from now on."""

    def unregister(self, number: int) -> None:
        """Have it asked no more; its flow contexts are deleted."""

    def associate(self, flow: int, number: int, context: object) -> None:
        """Keep a context."""

    def dissociate(self, flow: int, number: int) -> None:
        """Delete a context."""

    def later(self, work: Callable[[], None]) -> None:
        """Do it in the stack's next turn."""

    def inject(self, driver: CalloutDriver, clone: Clone, place: Place) -> bool:
        """Put a packet into the stack; False: it cannot be sent."""

    def inject_stream(self, flow: int, data: bytes, *, is_inbound: bool) -> bool:
        """Insert data; False: the flow is gone."""

    def complete(self, pended: Pended) -> None:
        """Let a pended operation go on."""


@dataclass(eq=False)
class CalloutDriver:
    """One callout driver of a host."""

    name: str
    engine: Stackward
    clones: set[Clone] = field(default_factory=set)
    pended: set[Pended] = field(default_factory=set)
    numbers: list[int] = field(default_factory=list)

    # Callouts

    def callout_register(self, key: UUID, callout: Callout) -> int:
        """FwpsCalloutRegister: return the calloutId. FwpError(ALREADY_EXISTS)."""
        number = self.engine.register(self, key, callout)
        self.numbers.append(number)
        return number

    def callout_unregister_by_id(self, number: int) -> None:
        """FwpsCalloutUnregisterById. FwpError(CALLOUT_NOT_FOUND)."""
        if number not in self.numbers:
            raise FwpError(FwpFailure.CALLOUT_NOT_FOUND, str(number))
        self.numbers.remove(number)
        self.engine.unregister(number)

    def unload(self) -> None:
        """DriverUnload: take all back, and report what should have been given back before."""
        for number in list(self.numbers):
            self.callout_unregister_by_id(number)
        for _clone in self.clones:
            self._report(Rule.KEPT_CLONE, f"{len(self.clones)} of them")
            break
        self.clones.clear()
        for one in list(self.pended):
            self._report(Rule.KEPT_OPERATION, one.subject.point.name)
            self.complete_operation(one, is_permitted=False)

    # Flows

    def flow_associate_context(self, flow: int, number: int, context: object) -> None:
        """FwpsFlowAssociateContext. FwpError(NOT_FOUND: no such flow, ALREADY_EXISTS)."""
        self.engine.associate(flow, number, context)

    def flow_remove_context(self, flow: int, number: int) -> None:
        """FwpsFlowRemoveContext: flowDeleteFn is called. FwpError(NOT_FOUND)."""
        self.engine.dissociate(flow, number)

    # Pending

    def pend_operation(self, incoming: Incoming) -> Pended:
        """FwpsPendOperation, FwpsPendClassify: hold a connect or an accept; block and absorb it in ``out``.

        FwpError(CANNOT_PEND): another layer, a reauthorization, or too many.
        """
        is_possible = incoming.subject.point in PENDABLE and not incoming.is_reauthorization
        if not is_possible or incoming.is_pended or len(self.pended) >= MOST_PENDED:
            raise FwpError(FwpFailure.CANNOT_PEND, incoming.layer.name)
        incoming.is_pended = True
        found = Pended(incoming.subject)
        self.pended.add(found)
        incoming.pended = found
        return found

    def complete_operation(self, one: Pended, *, is_permitted: bool) -> None:
        """FwpsCompleteOperation, FwpsCompleteClassify: say what becomes of it; once."""
        if one.is_done:
            self._report(Rule.DOUBLE_COMPLETE, one.subject.point.name)
            return
        one.is_done, one.verdict = True, is_permitted
        self.pended.discard(one)
        self.engine.complete(one)

    # Packets

    def clone(self, incoming: Incoming) -> Clone:
        """FwpsAllocateCloneNetBufferList. FwpError(OUT_OF_BOUNDS): too many are out."""
        if len(self.clones) >= MOST_CLONES:
            raise FwpError(FwpFailure.OUT_OF_BOUNDS, f"{MOST_CLONES} clones")
        found = Clone(incoming.subject, bytes(incoming.subject.data))
        self.clones.add(found)
        return found

    def free_clone(self, clone: Clone) -> None:
        """FwpsFreeCloneNetBufferList, for what is not injected; a completed injection frees by itself."""
        clone.is_freed = True
        self.clones.discard(clone)

    def inject_network_send_async(
        self, clone: Clone, completed: Callable[[bool], None] | None = None
    ) -> None:
        """FwpsInjectNetworkSendAsync: the data begin at the IP header; lengths and checksums are made."""
        self._inject(clone, Place.NETWORK_SEND, completed)

    def inject_network_receive_async(
        self, clone: Clone, completed: Callable[[bool], None] | None = None
    ) -> None:
        """FwpsInjectNetworkReceiveAsync."""
        self._inject(clone, Place.NETWORK_RECEIVE, completed)

    def inject_transport_send_async(
        self, clone: Clone, completed: Callable[[bool], None] | None = None
    ) -> None:
        """FwpsInjectTransportSendAsync: the data begin at the transport header; its checksum is made."""
        self._inject(clone, Place.TRANSPORT_SEND, completed)

    def inject_transport_receive_async(
        self, clone: Clone, completed: Callable[[bool], None] | None = None
    ) -> None:
        """FwpsInjectTransportReceiveAsync."""
        self._inject(clone, Place.TRANSPORT_RECEIVE, completed)

    def inject_mac_send_async(self, clone: Clone, completed: Callable[[bool], None] | None = None) -> None:
        """FwpsInjectMacSendAsync: the data are the frame."""
        self._inject(clone, Place.MAC_SEND, completed)

    def inject_mac_receive_async(self, clone: Clone, completed: Callable[[bool], None] | None = None) -> None:
        """FwpsInjectMacReceiveAsync."""
        self._inject(clone, Place.MAC_RECEIVE, completed)

    def stream_inject_async(self, flow: int, data: bytes, *, is_inbound: bool) -> None:
        """FwpsStreamInjectAsync: in a classifyFn data go where the stream stands, else behind what passed."""
        self.engine.inject_stream(flow, data, is_inbound=is_inbound)

    def query_packet_injection_state(self, incoming: Incoming) -> InjectionState:
        """FwpsQueryPacketInjectionState."""
        by = incoming.subject.injected_by
        if by is None:
            return InjectionState.NOT_INJECTED
        return InjectionState.INJECTED_BY_SELF if by is self else InjectionState.INJECTED_BY_OTHER

    # Redirection

    def apply_modified_layer_data(self, incoming: Incoming, address: bytes, port: int) -> None:
        """FwpsApplyModifiedLayerData: at a REDIRECT layer, use that end.

        FwpError(LAYER_NOT_FOUND: another layer, OUT_OF_BOUNDS: no port, or of the other IP version).
        """
        if incoming.subject.point not in {Point.CONNECT_REDIRECT, Point.BIND_REDIRECT}:
            raise FwpError(FwpFailure.LAYER_NOT_FOUND, incoming.layer.name)
        if len(address) != (16 if incoming.layer.version == 6 else 4) or not 0 <= port <= MOST_PORT:
            raise FwpError(FwpFailure.OUT_OF_BOUNDS, f"{address.hex()} port {port}")
        incoming.redirected = Endpoint(address, port)

    # Inside

    def _inject(self, clone: Clone, place: Place, completed: Callable[[bool], None] | None) -> None:
        if clone.is_injected or clone.is_freed:
            self._report(Rule.DOUBLE_INJECT, place.name)
            raise FwpError(FwpFailure.ALREADY_COMPLETED, place.name)
        clone.is_injected = True

        def inject() -> None:
            went = self.engine.inject(self, clone, place)
            self.free_clone(clone)
            if completed is not None:
                completed(went)

        self.engine.later(inject)

    def _report(self, rule: Rule, detail: str) -> None:
        self.engine.verifier.report(rule, self.name, detail)
