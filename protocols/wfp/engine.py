"""The filter engine at TCP/IP's classify points: asks the base filtering engine's filters and the callouts.

It is put into the stack when there is a filter and taken out with the last one. Two are never inside one
another: what a callout starts is done in ``run``, in the stack's turn.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from formats import ethernet
from formats.transport import TCP
from protocols.transports.tcpip.classify import Action, Endpoint, Engine, Point, Subject
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.link import RxFrame
from protocols.transports.tcpip.packet import Packet
from protocols.transports.tcpip.tcp.classified import ClassifiedConnection
from protocols.transports.tcpip.tcp.connection import FourTuple
from protocols.wfp import packets
from protocols.wfp.arbitration import ClassifyOut, CompiledLayer, Verdict, arbitrate
from protocols.wfp.callout import Incoming, StreamIo
from protocols.wfp.errors import FwpError, FwpFailure
from protocols.wfp.flows import Flows
from protocols.wfp.kernel import CalloutDriver, Clone, Pended, Place
from protocols.wfp.layers import Flags, Layer
from protocols.wfp.objects import ActionType, Filter
from protocols.wfp.streams import StreamEditor
from protocols.wfp.values import layer_of, values_of
from protocols.wfp.verifier import SLOW_NS, ContractVerifier, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from formats.checksum import Buffer
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.stack import Stack
    from protocols.wfp.bfe import Bfe, Change, Object
    from protocols.wfp.callout import Callout

OF_FLOWS = frozenset((Point.INBOUND_TRANSPORT, Point.OUTBOUND_TRANSPORT, Point.OUTBOUND_IPPACKET))
POINTS: Mapping[Place, Point] = {
    Place.NETWORK_SEND: Point.OUTBOUND_IPPACKET,
    Place.NETWORK_RECEIVE: Point.INBOUND_IPPACKET,
    Place.TRANSPORT_SEND: Point.OUTBOUND_TRANSPORT,
    Place.TRANSPORT_RECEIVE: Point.INBOUND_TRANSPORT,
    Place.MAC_SEND: Point.OUTBOUND_MAC_FRAME,
    Place.MAC_RECEIVE: Point.INBOUND_MAC_FRAME,
}
"""Where a clone goes in, and its driver is not asked."""
PACKET_CALLOUTS = frozenset((Point.INBOUND_IPPACKET, Point.INBOUND_TRANSPORT))
MOST_WORK = 4096
"""What is done in one run; the rest waits for the next."""
NOTHING = CompiledLayer()


@dataclass(frozen=True, slots=True)
class NetEvent:
    """FWPM_NET_EVENT: a drop by a filter (CLASSIFY_DROP), or a veto of a hard permit."""

    kind: str
    time_ns: int
    layer: str
    filter: str
    number: int
    subject: Subject


@dataclass(slots=True)
class Registered:
    """A callout that a driver has registered."""

    number: int
    driver: CalloutDriver
    key: UUID
    callout: Callout


class FilterEngine(Engine):
    """One host's filter engine. Invariant: it is the stack's classifier exactly while there are filters."""

    def __init__(self, bfe: Bfe, stack: Stack) -> None:
        self.bfe = bfe
        self.verifier = ContractVerifier()
        self.flows = Flows(self)
        self.streams = StreamEditor(self)
        self._stack = stack
        self._callouts: dict[UUID, Registered] = {}
        self._numbers = 0
        self._work: deque[Callable[[], None]] = deque()
        self._pending: dict[Subject, Pended] = {}
        self._is_in_place = False
        self._points: frozenset[Point] = frozenset()
        bfe.changed = self._policy_changed
        bfe.subscribers.append(self._object_changed)
        if bfe.layers:
            self._policy_changed()

    # Engine: what the stack calls

    @property
    def points(self) -> frozenset[Point]:
        """Where there are filters."""
        return self._points

    def classify(self, subject: Subject) -> Action:
        """Decide by the filters of the subject's layer."""
        layer = layer_of(subject)
        pended = self._pending.get(replace(subject, data=b"")) if self._pending else None
        if pended is not None:
            return Action.PEND  # sent again while it waits
        incoming, verdict = self.ask(layer, subject)
        if incoming.pended is not None:
            return Action.PEND
        of_flow = self.bfe.layers.get(layer, NOTHING).is_of_flows and not verdict.asked_callouts
        if subject.point is Point.INBOUND_IPPACKET:
            if verdict.blocks:
                return Action.BLOCK
            return Action.PERMIT_PAIR if of_flow else Action.PERMIT
        if subject.point in OF_FLOWS and of_flow and subject.injected_by is None:
            return Action.BLOCK_FLOW if verdict.blocks else Action.PERMIT_FLOW
        return Action.BLOCK if verdict.blocks else Action.PERMIT

    def run(self) -> None:
        """Inject packets and complete operations: what waits now, not what that starts."""
        for _ in range(min(len(self._work), MOST_WORK)):
            self._work.popleft()()
        self._take_place()

    def edit(self, subject: Subject) -> Buffer | None:
        """STREAM: have callouts edit it."""
        return self.streams.edit(subject)

    def redirect(self, subject: Subject) -> Endpoint | None:
        """Have callouts name another end."""
        incoming, _verdict = self.ask(layer_of(subject), subject)
        return incoming.redirected

    def pend(self, subject: Subject, resume: Callable[[bool], None]) -> None:
        """Keep how a pended operation goes on."""
        pended = self._pending.get(subject)
        if pended is not None and pended.resume is None:
            pended.resume = resume
            if pended.is_done:
                self.complete(pended)

    def flow_ended(self, subject: Subject) -> None:
        """Delete the flow and its contexts."""
        self.flows.ended(subject)
        self.streams.forget(subject)

    def stop(self) -> None:
        """Leave the stack for good: the driver is unloaded."""
        self.bfe.changed = lambda: None
        self.bfe.subscribers.remove(self._object_changed)
        self._points = frozenset()
        self._release_streams()
        self._leave()
        for pended in list(self._pending.values()):  # nobody is left to decide
            pended.is_done, pended.verdict = True, False
            self.complete(pended)

    def flow_of(self, subject: Subject) -> int:
        """Return a flow's number; 0 where there is none."""
        return self.flows.of(subject)

    # Classification

    def ask(
        self, layer: Layer, subject: Subject, *, stream: StreamIo | None = None, flags: Flags = Flags.NONE
    ) -> tuple[Incoming, Verdict]:
        """Arbitrate; report what is blocked, and show it to the discard layer."""
        compiled = self.bfe.layers.get(layer, NOTHING)
        incoming = Incoming(
            layer,
            values_of(subject, layer, flags),
            subject,
            self.flows.of(subject),
            stream,
            is_reauthorization=Flags.IS_REAUTHORIZE in flags,
        )
        verdict = arbitrate(compiled, incoming.values, Asked(self, incoming))
        if incoming.pended is not None:
            self._pending[replace(subject, data=b"")] = incoming.pended
        elif verdict.blocks:
            self._blocked(incoming, verdict)
        return incoming, verdict

    def _blocked(self, incoming: Incoming, verdict: Verdict) -> None:
        one = verdict.filter
        if verdict.is_absorbed or incoming.stream is not None or one is None:
            return
        kind = "VETO" if verdict.is_veto else "CLASSIFY_DROP"
        subject = replace(incoming.subject, data=bytes(incoming.subject.data[:64]))
        now = self._stack.context.now
        self.bfe.report(NetEvent(kind, now, incoming.layer.name, one.name, one.number, subject))
        discard = replace(incoming.layer, is_discard=True)
        compiled = self.bfe.layers.get(discard)
        if compiled is not None:
            shown = Incoming(discard, incoming.values, incoming.subject, incoming.flow)
            arbitrate(compiled, shown.values, Asked(self, shown))

    def call(self, one: Filter, incoming: Incoming, out: ClassifyOut) -> bool:
        """Call a filter's callout and watch it; False: nobody has registered it."""
        found = self._callouts.get(one.callout) if one.callout is not None else None
        if found is None:
            return False
        driver = found.driver
        if incoming.subject.injected_by is driver:
            out.close()
            return True  # its own: it is not asked again
        incoming.filter = one
        incoming.flow_context = self.flows.context(incoming.flow, found.number)
        out.on_late = partial(self.verifier.report, Rule.LATE_RETURN, driver.name, incoming.layer.name)
        before, had_right, began = out.action, out.may_write, self._now()
        found.callout.classify(incoming, out)
        out.close()
        if self._now() - began > SLOW_NS:
            self.verifier.report(Rule.SLOW_RETURN, driver.name, incoming.layer.name)
        self._check(one, driver, out, before, had_right=had_right)
        return True

    def _check(
        self,
        one: Filter,
        driver: CalloutDriver,
        out: ClassifyOut,
        before: ActionType | None,
        *,
        had_right: bool,
    ) -> None:
        decides = out.is_written and out.action in {ActionType.PERMIT, ActionType.BLOCK}
        wrong = {
            ActionType.CALLOUT_TERMINATING: not decides and had_right,
            ActionType.CALLOUT_INSPECTION: decides,
        }
        if wrong.get(one.action, False):
            self.verifier.report(Rule.WRONG_ACTION, driver.name, f"{one.action.name} at {one.layer.name}")
        if decides and not had_right and out.action is not before and out.action is not ActionType.BLOCK:
            self.verifier.report(Rule.NO_RIGHT, driver.name, one.layer.name)

    def _now(self) -> int:
        clock = self._stack.context.timers.clock
        return clock() if clock is not None else self._stack.context.now

    # Policy

    def _policy_changed(self) -> None:
        layers = [
            layer for layer, found in self.bfe.layers.items() if not layer.is_discard and not found.is_empty
        ]
        points = frozenset(layer.point for layer in layers)
        callouts = {
            one.layer.point
            for layer in layers
            for filters in self.bfe.layers[layer].sublayers
            for one in filters
            if one.action.is_callout
        }
        self.wants_single_packets = bool(callouts & PACKET_CALLOUTS)
        self._points = points
        self._take_place()
        if self._is_in_place:
            self._stack.policy_changed()
        if self.streams.kept():
            self.later(self._release_streams)
        if points & {Point.ALE_CONNECT, Point.ALE_ACCEPT}:
            self.later(self._reauthorize)

    def _take_place(self) -> None:
        """Be the stack's classifier while there is a filter, or something to finish."""
        is_wanted = bool(self._points or self._work or self._pending)
        if is_wanted is not self._is_in_place:
            if is_wanted:
                self._is_in_place = True
                self._stack.set_classifier(self)
            else:
                self._leave()

    def _leave(self) -> None:
        """Be nobody's classifier: flows end unseen from now on, so they end now."""
        self._is_in_place = False
        self._stack.set_classifier(None)
        self.flows.clear()

    def _release_streams(self) -> None:
        """Show again what waits for more data, by the policy of now, and pass on what comes of it."""
        for subject in self.streams.kept():
            key = FourTuple(
                subject.local or b"", subject.local_port, subject.remote or b"", subject.remote_port
            )
            connection = self._stack.tcp.connections.get(key)
            edited = self.streams.edit(subject)
            if not isinstance(connection, ClassifiedConnection):
                continue
            if edited is None:
                connection.abort()
            elif subject.is_inbound:
                connection.insert_inbound(edited)
            else:
                connection.insert_outbound(edited)

    def _reauthorize(self) -> None:
        """Ask again about every connection there is; those that may not be end, in silence."""
        tcp = self._stack.tcp
        for connection in list(tcp.connections.values()):
            point = Point.ALE_ACCEPT if connection.passive else Point.ALE_CONNECT
            subject = Subject(point, TCP, *connection.key, is_inbound=connection.passive)
            _incoming, verdict = self.ask(layer_of(subject), subject, flags=Flags.IS_REAUTHORIZE)
            if verdict.blocks:
                tcp.delete(connection, Failure.PROHIBITED)

    def _object_changed(self, change: Change, one: Object) -> None:
        if isinstance(one, Filter) and one.callout in self._callouts:
            self._callouts[one.callout].callout.notify(change, one)

    # Stackward: what callout drivers call

    def register(self, driver: CalloutDriver, key: UUID, callout: Callout) -> int:
        """Have a callout asked from now on. FwpError(ALREADY_EXISTS)."""
        if key in self._callouts:
            raise FwpError(FwpFailure.ALREADY_EXISTS, str(key))
        self._numbers += 1
        self._callouts[key] = Registered(self._numbers, driver, key, callout)
        self._forget()
        return self._numbers

    def unregister(self, number: int) -> None:
        """Have it asked no more; its flow contexts are deleted."""
        found = self.registered(number)
        self.flows.forget(number)
        del self._callouts[found.key]
        self._forget()

    def registered(self, number: int) -> Registered:
        """Return a callout. FwpError(CALLOUT_NOT_FOUND)."""
        for one in self._callouts.values():
            if one.number == number:
                return one
        raise FwpError(FwpFailure.CALLOUT_NOT_FOUND, str(number))

    def _forget(self) -> None:
        """Forget verdicts: filters with this callout speak otherwise now."""
        if self._is_in_place:
            self._stack.policy_changed()
        if self.streams.kept():
            self.later(self._release_streams)

    def associate(self, flow: int, number: int, context: object) -> None:
        """Keep a context."""
        self.flows.associate(flow, number, context)

    def dissociate(self, flow: int, number: int) -> None:
        """Delete a context."""
        self.flows.dissociate(flow, number)

    def later(self, work: Callable[[], None]) -> None:
        """Do it in the stack's next turn."""
        self._work.append(work)
        self._take_place()
        self._stack.request_turn()

    def complete(self, pended: Pended) -> None:
        """Let a pended operation go on, when the stack has said how."""
        resume, verdict = pended.resume, bool(pended.verdict)
        if resume is None:
            return
        self._pending.pop(replace(pended.subject, data=b""), None)
        self.later(lambda: resume(verdict))

    def inject_stream(self, flow: int, data: bytes, *, is_inbound: bool) -> bool:
        """Insert data into a flow's stream."""
        if self.streams.takes(flow, data, is_inbound=is_inbound):
            return True

        def insert() -> None:
            connection = self._stack.tcp.connections.get(self.flows.key(flow))
            if isinstance(connection, ClassifiedConnection):
                insert_ = connection.insert_inbound if is_inbound else connection.insert_outbound
                insert_(data)

        self.later(insert)
        return True

    def inject(self, driver: CalloutDriver, clone: Clone, place: Place) -> bool:
        """Put a packet into the stack; False: it cannot be sent."""
        classification = self._stack.context.classification
        if classification is not None:
            classification.injecting = POINTS[place], driver
        try:
            INJECT[place](self, driver, clone)
        except NetworkError:
            return False
        finally:
            if classification is not None:
                classification.injecting = None
        return True

    # The six ways in

    def network_send(self, driver: CalloutDriver, clone: Clone) -> None:
        """Send an IP packet."""
        source, destination = packets.ends(clone.data)
        path = self._stack.ip.resolve(destination, source)
        for packet in packets.cut(packets.finished(clone.data), path.interface.mtu):
            self._stack.ip.transmit(path, packets.InjectedFrame(packet, driver, Point.OUTBOUND_IPPACKET))

    def network_receive(self, _driver: CalloutDriver, clone: Clone) -> None:
        """Receive an IP packet."""
        interface = self._interface(clone)
        packet = packets.finished(clone.data)
        head = ethernet.header(interface.mac, interface.mac, packets.ethertype(packet))
        self._stack.ip.receive(interface, RxFrame(head + packet))

    def transport_send(self, driver: CalloutDriver, clone: Clone) -> None:
        """Send a transport header and what is behind it."""
        subject = clone.subject
        source, destination = subject.local or b"", subject.remote or b""
        packet = packets.finished(packets.wrapped(source, destination, subject.protocol, clone.data))
        path = self._stack.ip.resolve(destination, source)
        if len(packet) > path.interface.mtu and subject.protocol == TCP:
            self.network_send(driver, Clone(subject, packet))
            return
        at = len(packet) - len(clone.data)
        self._stack.ip.send(path, subject.protocol, packet[at:], [])

    def transport_receive(self, _driver: CalloutDriver, clone: Clone) -> None:
        """Have a transport receive it."""
        subject = clone.subject
        source, destination = subject.remote or b"", subject.local or b""
        raw = packets.finished(packets.wrapped(source, destination, subject.protocol, clone.data))
        view = memoryview(raw)
        payload = view[len(raw) - len(clone.data) :]
        interface = self._interface(clone)
        packet = Packet(
            interface, source, destination, subject.protocol, payload=payload, raw=view, ttl=packets.TTL
        )
        self._stack.ip.deliver(packet)

    def mac_send(self, driver: CalloutDriver, clone: Clone) -> None:
        """Send a frame."""
        self._interface(clone).outbox.append(
            packets.InjectedFrame(clone.data, driver, Point.OUTBOUND_MAC_FRAME)
        )

    def mac_receive(self, _driver: CalloutDriver, clone: Clone) -> None:
        """Receive a frame, above the MAC layer."""
        self._stack.ip.receive(self._interface(clone), RxFrame(clone.data))

    def _interface(self, clone: Clone) -> Interface:
        return self._stack.interfaces[clone.subject.interface]


INJECT: Mapping[Place, Callable[[FilterEngine, CalloutDriver, Clone], None]] = {
    Place.NETWORK_SEND: FilterEngine.network_send,
    Place.NETWORK_RECEIVE: FilterEngine.network_receive,
    Place.TRANSPORT_SEND: FilterEngine.transport_send,
    Place.TRANSPORT_RECEIVE: FilterEngine.transport_receive,
    Place.MAC_SEND: FilterEngine.mac_send,
    Place.MAC_RECEIVE: FilterEngine.mac_receive,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The callouts, for one classification."""

    engine: FilterEngine
    incoming: Incoming

    def call(self, one: Filter, out: ClassifyOut) -> bool:
        """Call classifyFn."""
        return self.engine.call(one, self.incoming, out)
