"""One adapter: the miniport block.

Which joins a driver's handlers with queues, filter, reset and interrupts.

It owns no policy of its own: serialization is in ``serialized``/``deserialized``, order of aborts
in ``reset``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ndis import offload6
from ndis.attributes import Attribute
from ndis.deserialized import DeserializedSends, OpenGate
from ndis.errors import NdisError
from ndis.events import Event, Kind
from ndis.filter8023 import EthFilter
from ndis.hardware import Resources
from ndis.lifecycle import INITIALIZED, MAY_INDICATE, TRANSITIONS, AdapterState
from ndis.miniport import HANDLERS, HANDLERS_6, Medium
from ndis.nblpath import ListSends
from ndis.offload import NOTHING
from ndis.oids import MacOption, Oid, PowerState
from ndis.packet import Owner, Packet
from ndis.receive import Receives
from ndis.request_queue import RequestQueue
from ndis.requests import InformationBuffer, Request, RequestKind
from ndis.reset import HangCheck, Resets
from ndis.serialized import SerializedGate, SerializedSends
from ndis.status import Status
from ndis.timers import WorkItems
from ndis.upcalls import Upcalls
from ntos.errors import BugCheckError
from ntos.executive.contract import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ndis.events import Observer
    from ndis.hardware import Hardware
    from ndis.interrupts import Interrupt
    from ndis.miniport import MiniportCharacteristics
    from ndis.packet import PacketPool
    from ndis.ports import Bound, Gate
    from ndis.protocol import PnPEvent
    from ndis.sends import SendPath
    from ntos.executive.contract import Executive
    from ntos.executive.irql import IrqlModel

_DESERIALIZE, _NO_LOOPBACK = int(Attribute.DESERIALIZE), int(MacOption.NO_LOOPBACK)
MEDIA = (Medium.M802_3, Medium.CO_WAN, Medium.ATM, Medium.WAN)


class Wrapper(Protocol):
    """What an adapter needs of NDIS, which made it."""

    executive: Executive
    irql: IrqlModel
    observer: Observer | None

    def packet_pool(self, size: int, holder: Owner = Owner.PROTOCOL) -> PacketPool:
        """NdisAllocatePacketPool."""

    def pnp_event(self, adapter: MiniportAdapter, event: PnPEvent) -> list[tuple[Bound, Status]]:
        """ProtocolPnPEvent of every open; return what each said."""

    def remove_adapter(self, adapter: MiniportAdapter) -> None:
        """Unbind everything from the adapter, then MiniportHalt."""


class MiniportAdapter:
    """NDIS_MINIPORT_BLOCK."""

    def __init__(
        self,
        ndis: Wrapper,
        characteristics: MiniportCharacteristics,
        name: str,
        hardware: Hardware | None,
        configuration: Mapping[str, object],
    ) -> None:
        """Make the block and the driver's object; touch no hardware yet."""
        self.ndis = ndis
        self.name = name
        self.characteristics = characteristics
        self.configuration = configuration
        self.executive = ndis.executive
        self.irql = ndis.irql
        self.observer = ndis.observer
        self.ndis6 = characteristics.version >= (6, 0)
        self.state = AdapterState.HALTED
        self.is_initialized = False
        """Whether Initialize has succeeded and Halt has not begun."""
        self.is_started = False
        """Whether data flows."""
        self.may_indicate = False
        """Whether the driver may indicate frames.

        An NDIS 5 driver does not know of pauses: it may until its Halt has returned.
        """
        self.power = PowerState.D0
        self.is_gone = False  # surprise removed: the hardware answers no more
        self.attributes = Attribute.NONE
        self.medium = Medium.M802_3
        self.opens: tuple[Bound, ...] = ()
        self.interrupts: list[Interrupt] = []
        self.refusal: Status | None = Status.ADAPTER_NOT_READY
        self.mac_options = MacOption(0)
        self.max_send_packets = 1
        self.max_total_size = 1514
        self.media_connected = True
        self.offload = NOTHING
        self.filter = EthFilter()
        self.resources = Resources(self, hardware)
        self.work_items = WorkItems(self)
        self.resets = Resets(self)
        self.hang_check = HangCheck(self)
        self.upcalls = Upcalls(self)
        self.driver = characteristics.create(self.upcalls)
        table = HANDLERS_6 if self.ndis6 else HANDLERS
        self.handlers: dict[str, Callable[..., Any]] = {
            row.name: getattr(self.driver, row.name)
            for row in table
            if row.name in characteristics.handlers and row.since <= characteristics.version
        }
        self.gate: Gate = SerializedGate(self.executive, self.irql)
        self.requests = RequestQueue(self)
        self.receives = Receives(self)
        self.sends: SendPath = SerializedSends(self)
        self.lists = ListSends(self)

    @property
    def serialized(self) -> bool:
        """Whether NDIS queues and locks for this driver."""
        return not (self.ndis6 or int(self.attributes) & _DESERIALIZE)

    @property
    def is_asleep(self) -> bool:
        """Whether the device is in a low-power state."""
        return self.power is not PowerState.D0

    # Crossings of the driver's border, which an observer sees.

    def emit(self, kind: Kind, name: str, subject: object = None, **details: object) -> None:
        """Tell the observer. Callers check first that there is one: making an event costs."""
        if self.observer is not None:
            executive = self.executive
            context = executive.context()
            details["block"] = self
            irql = self.irql.of(context)
            self.observer(Event(kind, executive.now_ns(), context, irql, self.name, name, subject, details))

    def enter(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - each handler has its own types
        """Call one handler of the driver."""
        if self.observer is None:
            return call(*arguments)
        self.emit(Kind.ENTER, name, None, arguments=arguments)
        result = None
        try:
            result = call(*arguments)
        finally:
            self.emit(Kind.EXIT, name, None, result=result, arguments=arguments)
        return result

    def upcall(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - each function has its own types
        """Run one NDIS function that the driver called."""
        if self.observer is None:
            return call(*arguments)
        self.emit(Kind.UPCALL, name, None, arguments=arguments)
        try:
            return call(*arguments)
        finally:
            self.emit(Kind.UPCALL_END, name)

    def handler(self, name: str) -> Callable[..., Any]:
        """Return a handler that registration has checked is there."""
        try:
            return self.handlers[name]
        except KeyError:
            raise BugCheckError(f"{self.characteristics.name} has no {name}") from None

    # Down.

    def send_packets(self, open_: Bound, packets: list[Packet]) -> None:
        """NdisSendPackets: every packet comes back by ProtocolSendComplete."""
        for packet in packets:
            if packet.owner is not Owner.PROTOCOL:
                packet.transfer(Owner.PROTOCOL, Owner.NDIS)  # which raises
            packet.owner = Owner.NDIS
            packet.ndis_reserved = open_
        if self.observer is not None:
            for packet in packets:
                self.emit(Kind.SUBMIT, "submit", packet, open=open_)
        refusal = self.refusal  # read once: a reset may end on another CPU meanwhile
        if refusal is not None:
            for packet in packets:
                self.sends.give_back(packet, Owner.NDIS, refusal)
            return
        if int(self.mac_options) & _NO_LOOPBACK:
            packets = self.receives.loop_back(open_, packets)
        if packets:
            self.sends.submit(packets)

    def cancel_sends(self, cancel_id: object) -> None:
        """NdisCancelSendPackets."""
        if self.observer is not None:
            self.emit(Kind.CANCEL, "cancel", cancel_id, outstanding=list(self.sends.outstanding))
        self.sends.cancel(cancel_id)

    # Up.

    def indicate_status(self, status: Status, data: object = None) -> None:
        """NdisMIndicateStatus from the driver; media and power states are remembered."""
        if self.observer is not None:
            self.emit(Kind.STATUS, status.name, data)
        if status is Status.MEDIA_CONNECT:
            self.media_connected = True
        elif status is Status.MEDIA_DISCONNECT:
            self.media_connected = False
        elif status is Status.TASK_OFFLOAD_CURRENT_CONFIG and isinstance(data, bytes):
            self.offload = offload6.parse(data)
        for open_ in self.opens:
            open_.callout("status", status, data)

    def indicate_to_opens(self, status: Status) -> None:
        """Indicate a status of NDIS's own, and its completion."""
        for open_ in self.opens:
            open_.callout("status", status, None)
            open_.callout("status_complete")

    # The life of the adapter.

    def move(self, event: str) -> None:
        """Change the state; a move that the table does not have is a bug."""
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise BugCheckError(f"{event} while {self.state.name}", self) from None
        self.is_initialized = self.state in INITIALIZED
        self.is_started = self.state in MAY_INDICATE
        self.may_indicate = self.is_started if self.ndis6 else self.is_initialized
        self.update_refusal()
        if self.observer is not None:
            self.emit(Kind.STATE, event, self.state)

    def update_refusal(self) -> None:
        """Work out with which status sends are refused now; None when they are not."""
        if self.is_gone:
            self.refusal = Status.ADAPTER_REMOVED
        elif not self.is_initialized:
            self.refusal = Status.ADAPTER_NOT_READY
        elif self.state is not AdapterState.RUNNING:
            self.refusal = Status.PAUSED
        elif self.is_asleep:
            self.refusal = Status.LOW_POWER_STATE
        elif self.resets.active:
            self.refusal = Status.RESET_IN_PROGRESS
        else:
            self.refusal = None

    def initialize(self) -> None:
        """Run MiniportInitialize; raises NdisError with the driver's status when it fails."""
        self.move("initialize")
        status = self.gate.exclusive(self._initialize)
        if status is not Status.SUCCESS:
            self.move("failed")
            raise NdisError(status, f"{self.characteristics.name} could not initialize {self.name}")
        if not self.serialized:
            self.gate = OpenGate(self.irql)
            self.sends = ListSends(self) if self.ndis6 else DeserializedSends(self)
            if isinstance(self.sends, ListSends):
                self.lists = self.sends
        self.move("initialized")
        self._learn()
        self.restart()
        self.hang_check.start()

    def _initialize(self) -> Status:
        if self.ndis6:
            result = self.enter("initialize_ex", self.handler("initialize_ex"))
            return Status(result)
        status, medium = self.enter("initialize", self.handler("initialize"), MEDIA)
        self.medium = Medium(medium)
        return Status(status)

    def restart(self) -> None:
        """Let data flow: MiniportRestart for NDIS 6. Raises NdisError when the driver cannot."""
        self.move("restart")
        if self.ndis6:
            status = self.enter("restart", self.handler("restart"))
            if status is Status.PENDING:
                expect(self.executive, lambda: self.state is not AdapterState.RESTARTING, "MiniportRestart")
                return
            if status is not Status.SUCCESS:
                self.move("failed")
                raise NdisError(status, f"{self.name} could not restart")
        self.move("restarted")

    def pause(self) -> None:
        """Stop the flow: MiniportPause for NDIS 6; wait until sends and receives have come home."""
        self.move("pause")
        if not self.ndis6:
            expect(self.executive, self._is_drained, "sends and receives before a pause")
            self.move("drained")
            return
        status = self.enter("pause", self.handler("pause"))
        if status is Status.SUCCESS:
            self.pause_completed()
        else:
            expect(self.executive, lambda: self.state is AdapterState.PAUSED, "MiniportPause")

    def pause_completed(self) -> None:
        """NdisMPauseComplete, or SUCCESS from MiniportPause."""
        if self.observer is not None:
            self.emit(
                Kind.STATE,
                "pause complete",
                self.state,
                sends=list(self.lists.outstanding_lists),
                receives=list(self.lists.indicated),
            )
        self.move("drained")

    def halt(self) -> None:
        """MiniportHalt: after this the driver holds nothing."""
        self.hang_check.stop()
        if self.state is AdapterState.RUNNING:
            self.sends.abort_queued(Status.REQUEST_ABORTED)
            self._wait_home()
            self.pause()
        expect(self.executive, lambda: self.work_items.pending == 0, "work items before a halt")
        name = "halt_ex" if self.ndis6 else "halt"
        self.gate.exclusive(lambda: self._halt(name))

    def _halt(self, name: str) -> None:
        self.enter(name, self.handler(name))
        self.move("halt")
        if self.resources.held:
            kinds = sorted({r.kind for r in self.resources.held})
            raise BugCheckError(f"{self.name} halted and still holds {', '.join(kinds)}", self)

    def _wait_home(self) -> None:
        if not self.is_gone:
            expect(self.executive, lambda: not self.sends.outstanding, "sends before a halt")

    def _is_drained(self) -> bool:
        return not (self.sends.outstanding or self.sends.queued or self.receives.taken)

    # What NDIS asks the driver for itself.

    def ask(self, oid: Oid, length: int = 256) -> bytes | None:
        """Query the driver and wait; None when it does not know."""
        done: list[Status] = []
        request = Request(RequestKind.QUERY, oid, InformationBuffer(length), lambda _r, s: done.append(s))
        self.requests.submit_urgent(request)
        expect(self.executive, lambda: bool(done), f"the answer to {oid.name}")
        return request.buffer.answer if done[0] is Status.SUCCESS else None

    def tell(self, oid: Oid, data: bytes) -> Status:
        """Set something in the driver and wait for its status."""
        done: list[Status] = []
        request = Request(RequestKind.SET, oid, InformationBuffer(data=data), lambda _r, s: done.append(s))
        self.requests.submit_urgent(request)
        expect(self.executive, lambda: bool(done), f"the setting of {oid.name}")
        return done[0]

    def ask_number(self, oid: Oid, default: int) -> int:
        """Query a 32-bit number, with what to believe when the driver does not know."""
        raw = self.ask(oid, 4)
        return int.from_bytes(raw, "little") if raw else default

    def _learn(self) -> None:
        self.filter.address = self.ask(Oid.O802_3_CURRENT_ADDRESS, 6) or bytes(6)
        self.filter.list_size = self.ask_number(Oid.O802_3_MAXIMUM_LIST_SIZE, 32)
        self.mac_options = MacOption(self.ask_number(Oid.GEN_MAC_OPTIONS, 0))
        self.max_send_packets = max(1, self.ask_number(Oid.GEN_MAXIMUM_SEND_PACKETS, 1))
        self.max_total_size = self.ask_number(Oid.GEN_MAXIMUM_TOTAL_SIZE, 1514)
        self.media_connected = self.ask_number(Oid.GEN_MEDIA_CONNECT_STATUS, 0) == 0
