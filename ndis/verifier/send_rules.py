"""Rules about packets on their way down."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ndis.events import Event, Kind
from ndis.nbl import NetBufferList
from ndis.offload import PacketChecksum
from ndis.oids import PowerState
from ndis.packet import Owner, Packet, PacketInfo
from ndis.status import Status
from ndis.verifier.rule import Actor, Rule, block
from ntos.executive.contract import SECOND
from ntos.executive.irql import Irql

if TYPE_CHECKING:
    from ndis.verifier.rule import Watch

SEND_LIMIT_NS = 30 * SECOND
PROGRESS_LIMIT_NS = 22 * SECOND
MAX_ORDER = 4096  # frames remembered for a wire that nobody taps


class CompletedTwice(Rule):
    """A completion of what the driver does not have."""

    NUMBER = "V01"
    TITLE = "send completed twice, or never accepted"
    KINDS = frozenset({Kind.SEND_COMPLETE})

    def see(self, event: Event) -> str | None:
        """Look into the account of outstanding sends."""
        subject = event.subject
        if isinstance(subject, NetBufferList):
            known = subject in block(event).lists.outstanding_lists
            known = known and subject.owner is Owner.MINIPORT
        else:
            known = subject in block(event).sends.outstanding
        return None if known else f"{subject!r} completed, but it is not with the driver"


class NotOwned(Rule):
    """A look into a packet that belongs to somebody else."""

    NUMBER = "V02"
    TITLE = "packet touched while not owned"
    KINDS = frozenset({Kind.TOUCH})

    def see(self, event: Event) -> str | None:
        """Compare whose code runs with who owns the packet."""
        packet = event.subject
        if not isinstance(packet, Packet):
            return None
        actor = self.verifier.actor(event.context)
        received = packet.pool is not None and packet.pool.holder is Owner.MINIPORT
        if actor is Actor.MINIPORT and packet.owner is not Owner.MINIPORT and not received:
            return f"the driver looks into {packet!r}"
        if actor is Actor.PROTOCOL and packet.owner is not Owner.PROTOCOL:
            return f"a protocol looks into {packet!r}"
        return None


class WireOrder(Rule):
    """Frames that overtake others: of the adapter when serialized, of a binding when not."""

    NUMBER = "V03"
    TITLE = "send order on the wire differs from the order of submission"
    KINDS = frozenset({Kind.SUBMIT, Kind.COMPLETED, Kind.WIRE})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._flows: dict[object, deque[tuple[object, bytes]]] = {}

    def see(self, event: Event) -> str | None:
        """Follow each frame from submission to the wire."""
        subject = event.subject
        if event.kind is Kind.SUBMIT and isinstance(subject, Packet):
            flow = event.adapter if block(event).serialized else event.details["open"]
            queue = self._flows.setdefault(flow, deque(maxlen=MAX_ORDER))
            queue.append((subject, subject.snapshot()))
        elif event.kind is Kind.COMPLETED and event.name != "SUCCESS":
            self._forget(subject)
        elif event.kind is Kind.WIRE and isinstance(subject, bytes):
            return self._on_wire(subject)
        return None

    def _forget(self, subject: object) -> None:
        for queue in self._flows.values():
            for entry in [e for e in queue if e[0] is subject]:
                queue.remove(entry)

    def _on_wire(self, frame: bytes) -> str | None:
        for queue in self._flows.values():
            for at, (_packet, data) in enumerate(queue):
                if frame.startswith(data):
                    del queue[at]
                    return f"a frame left before {at} older ones" if at else None
        return None


class StatusOfDeserialized(Rule):
    """A deserialized driver queues for itself and completes later, always."""

    NUMBER = "V04"
    TITLE = "deserialized driver returned RESOURCES or a final status"
    KINDS = frozenset({Kind.SEND_STATUS})

    def see(self, event: Event) -> str | None:
        """Allow nothing but PENDING."""
        if block(event).serialized or event.name == Status.PENDING.name:
            return None
        return f"{event.name} for {event.subject!r}"


class Stalled(Rule):
    """RESOURCES is a promise to say when there is room."""

    NUMBER = "V05"
    TITLE = "RESOURCES and then neither SendComplete nor SendResourcesAvailable for two hang periods"
    KINDS = frozenset({Kind.REQUEUE, Kind.SEND_COMPLETE, Kind.UPCALL, Kind.TIMER_TICK})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._ticks: dict[str, int] = {}

    def see(self, event: Event) -> str | None:
        """Count ticks since the last RESOURCES without news."""
        name = event.adapter
        if event.kind is Kind.REQUEUE:
            self._ticks.setdefault(name, 0)
        elif event.kind is Kind.TIMER_TICK and name in self._ticks:
            self._ticks[name] += 1
            waiting = block(event).sends.queued
            if self._ticks[name] > 2 and waiting:
                del self._ticks[name]
                return f"{len(waiting)} packets wait in NDIS's queue"
        elif event.kind is Kind.SEND_COMPLETE or event.name == "send_resources_available":
            self._ticks.pop(name, None)
        return None


class SendTooLong(Rule):
    """A packet that a driver sits on."""

    NUMBER = "V18"
    TITLE = "send takes longer than 30 s (0x9200D)"
    KINDS = frozenset({Kind.TIMER_TICK})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._said: set[object] = set()

    def see(self, event: Event) -> str | None:
        """Look at the oldest outstanding send."""
        adapter = block(event)
        for account in (adapter.sends.outstanding, adapter.lists.outstanding_lists):
            for subject, since_ns in account.items():
                late = event.at_ns - since_ns > SEND_LIMIT_NS
                if late and subject not in self._said:
                    self._said.add(subject)
                    return f"{subject!r} since {since_ns / 1e9:.1f} s"
        return None


class NoProgress(Rule):
    """A driver whose transmitter stands still."""

    NUMBER = "V19"
    TITLE = "no send completed for 22 s while some pend (0x9200F)"
    KINDS = frozenset({Kind.TIMER_TICK, Kind.SEND_COMPLETE, Kind.COMPLETED, Kind.SEND})

    def __init__(self, verifier: Watch) -> None:
        """Know of no progress yet."""
        super().__init__(verifier)
        self._last_ns: dict[str, int] = {}

    def see(self, event: Event) -> str | None:
        """Compare now with the last completion, or the first send after an empty ring."""
        adapter = block(event)
        pending = len(adapter.sends.outstanding) + len(adapter.lists.outstanding_lists)
        if event.kind is not Kind.TIMER_TICK:
            if event.kind is not Kind.SEND or pending <= 1:
                self._last_ns[event.adapter] = event.at_ns
            return None
        last_ns = self._last_ns.get(event.adapter, event.at_ns)
        if pending and event.at_ns - last_ns > PROGRESS_LIMIT_NS:
            self._last_ns[event.adapter] = event.at_ns
            return f"{pending} sends pend, the last completion was at {last_ns / 1e9:.1f} s"
        return None


class Cancelled(Rule):
    """A cancelled packet is completed once: aborted, or SUCCESS if the card had it already."""

    NUMBER = "V30"
    TITLE = "cancelled send not completed with REQUEST_ABORTED"
    KINDS = frozenset({Kind.CANCEL, Kind.SEND_COMPLETE, Kind.TIMER_TICK})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._waiting: dict[object, int] = {}

    def see(self, event: Event) -> str | None:
        """Follow the packets of a cancelled id."""
        if event.kind is Kind.CANCEL:
            for packet in event.details["outstanding"]:
                if packet.cancel_id == event.subject:
                    self._waiting[packet] = 0
        elif event.kind is Kind.SEND_COMPLETE and event.subject in self._waiting:
            del self._waiting[event.subject]
            if event.name not in {"SUCCESS", "REQUEST_ABORTED"}:
                return f"{event.subject!r} completed {event.name}"
        elif event.kind is Kind.TIMER_TICK:
            for packet in list(self._waiting):
                self._waiting[packet] += 1
                if self._waiting[packet] > 2:
                    del self._waiting[packet]
                    return f"{packet!r} is still with the driver"
        return None


class Offloads(Rule):
    """A packet that asks for work the card was not told to do."""

    NUMBER = "V37"
    TITLE = "checksum or large send requested though the offload is off"
    KINDS = frozenset({Kind.SUBMIT})

    def see(self, event: Event) -> str | None:
        """Compare per-packet information with the current configuration."""
        subject = event.subject
        if not isinstance(subject, Packet | NetBufferList):
            return None
        offload = block(event).offload
        asked = PacketChecksum(subject.info.get(PacketInfo.TCP_IP_CHECKSUM, 0))
        if not offload.allows(asked):
            return f"{subject!r} asks for {asked!r}"
        if subject.info.get(PacketInfo.TCP_LARGE_SEND) and not offload.large_send_bytes:
            return f"{subject!r} asks for a large send"
        return None


class Asleep(Rule):
    """Nothing but configuration space works below D0."""

    NUMBER = "V33"
    TITLE = "send or register access in a low-power state"
    KINDS = frozenset({Kind.SEND, Kind.MMIO})

    def see(self, event: Event) -> str | None:
        """Allow registers while the driver handles OID_PNP_SET_POWER."""
        power = block(event).power
        inside = self.verifier.handlers(event.context)
        changing = {"set_information", "oid_request", "halt", "halt_ex"} & set(inside)
        if power is PowerState.D0 or changing:
            return None
        return f"{event.kind.name} {event.name} in {power.name}"


class LockHeld(Rule):
    """An upcall may come back into the driver: with its lock held that is a deadlock."""

    NUMBER = "V07"
    TITLE = "driver lock held on an upcall"
    KINDS = frozenset({Kind.UPCALL})

    def see(self, event: Event) -> str | None:
        """Look at the locks of this context."""
        held = self.verifier.locks.get(event.context)
        return f"{event.name} with {', '.join(held)} held" if held else None


class Levels(Rule):
    """Levels at entries, at upcalls, and that an entry leaves the level as it was."""

    NUMBER = "V08"
    TITLE = "wrong IRQL"
    KINDS = frozenset({Kind.ENTER, Kind.EXIT, Kind.UPCALL})
    PASSIVE = frozenset({"initialize", "halt", "initialize_ex", "halt_ex", "pause", "restart"})
    DEVICE = frozenset({"isr", "disable_interrupt", "enable_interrupt"})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._entered: dict[int, list[Irql]] = {}

    def see(self, event: Event) -> str | None:
        """Compare with what the documentation allows."""
        level = event.irql
        if event.kind is Kind.UPCALL:
            return f"{event.name} called at {level.name}" if level > Irql.DISPATCH else None
        stack = self._entered.setdefault(event.context, [])
        if event.kind is Kind.EXIT:
            before = stack.pop()
            if level is not before:
                return f"{event.name} entered at {before.name}, left at {level.name}"
            return None
        stack.append(level)
        if event.name in self.PASSIVE:
            wrong = level > Irql.PASSIVE
        elif event.name in self.DEVICE:
            wrong = level < Irql.DEVICE
        else:
            wrong = level > Irql.DISPATCH
        return f"{event.name} entered at {level.name}" if wrong else None


class Concurrent(Rule):
    """NDIS's own promise to a serialized driver, and a driver's that calls itself."""

    NUMBER = "V06"
    TITLE = "two contexts inside a serialized driver"
    KINDS = frozenset({Kind.ENTER, Kind.EXIT})
    BESIDE = frozenset({"isr", "work_item", "disable_interrupt", "enable_interrupt"})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._inside: dict[str, list[tuple[int, str]]] = {}

    def see(self, event: Event) -> str | None:
        """Count who is inside."""
        if event.name in self.BESIDE:
            return None
        inside = self._inside.setdefault(event.adapter, [])
        if event.kind is Kind.EXIT:
            inside.remove((event.context, event.name))
            return None
        others = [name for context, name in inside if context != event.context]
        inside.append((event.context, event.name))
        if others and block(event).serialized:
            return f"{event.name} while {', '.join(others)} runs on another CPU"
        return None


SEND_RULES: tuple[type[Rule], ...] = (
    CompletedTwice,
    NotOwned,
    WireOrder,
    StatusOfDeserialized,
    Stalled,
    Concurrent,
    LockHeld,
    Levels,
    SendTooLong,
    NoProgress,
    Cancelled,
    Asleep,
    Offloads,
)
