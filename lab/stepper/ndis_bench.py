"""Our miniport and NDIS over a card in this process, under the stepper: both halves of the rings can be seen.

Time is virtual, so a stop costs none of it; everything happens on one thread, so a stop stops it all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.engine.reference import ReferenceEngine
from device.trace.card import Journal, JournaledMemory
from device.trace.recording import About, Writer
from lab.conformance import frames
from lab.host.inprocess_stack import ADAPTERS, MAC, Stack
from lab.host.inspection import Inspected, register
from lab.host.inspection_gate import StopDesk
from lab.host.ndis_rigs import ISR_REGISTERS
from lab.stepper.hooks import Hooks
from lab.stepper.injection import HookedCard, HookedMemory, HookedSink
from lab.stepper.session import Session
from lab.stepper.views import Look
from miniport.hal.inprocess import ArenaMemory, InProcessBus
from ndis import inspect, journal
from ndis.events import Kind
from ndis.oids import Oid
from ndis.packet import PacketInfo
from ndis.status import Status
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.executive.virtual import VirtualExecutive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from device.card import InterruptSink
    from device.effects import FrameSent
    from device.engine.contract import Engine
    from lab.stepper.driver_side import ReceiveHalf, TransmitHalf
    from lab.stepper.scenario import Act
    from lab.stepper.session import Front, Stop
    from miniport.adapter import Adapter
    from miniport.adapter6 import Adapter6
    from ndis.miniport import Version
    from ndis.upcalls import Upcalls

PEER: Final = frames.PEER_MAC
SEGMENT_BYTES: Final = 1460
RING: Final = 16
SETTLE_NS: Final = 20_000_000
KINDS: Final[dict[str, tuple[Version, dict[str, object]]]] = {
    "serialized": ((5, 1), {"Deserialized": False}),
    "deserialized": ((5, 1), {"Deserialized": True}),
    "ndis6": ((6, 0), {}),
}
"""The three drivers, as ``--miniport`` names them."""

_TOLD: Final = frozenset(
    {
        Kind.ENTER,
        Kind.UPCALL,
        Kind.CALLOUT,
        Kind.SEND,
        Kind.SEND_COMPLETE,
        Kind.COMPLETED,
        Kind.INDICATE,
        Kind.RETURNED,
        Kind.REQUEST,
        Kind.REQUEST_COMPLETE,
        Kind.RESET_BEGIN,
        Kind.RESET_END,
        Kind.STATE,
        Kind.STATUS,
    }
)
"""The calls worth showing beside the card's events; registers and DMA are the card's own to tell."""


class MiniportSide:
    """``lab.stepper.driver_side.DriverSide`` of our miniport."""

    def __init__(self, kind: str, ndis: Ndis, log: journal.Journal) -> None:
        """Wait for NDIS to make the driver's object."""
        self._kind = kind
        self._ndis = ndis
        self._log = log
        self.driver: Adapter | Adapter6 | None = None

    def create(self, upcalls: Upcalls) -> object:
        """Make the driver's object, and keep it."""
        self.driver = ADAPTERS[KINDS[self._kind][0]](upcalls)
        return self.driver

    @property
    def tx(self) -> Sequence[TransmitHalf]:
        """Its transmit rings."""
        return self.driver.nic.transmit if self.driver is not None else []

    @property
    def rx(self) -> Sequence[ReceiveHalf]:
        """Its receive rings."""
        return self.driver.nic.receive if self.driver is not None else []

    def state(self) -> list[str]:
        """Return NDIS's view of the adapter, and what is under way."""
        if not self._ndis.adapters:
            return [f"our miniport, {self._kind}: MiniportInitialize has not returned, or it has halted"]
        told = [
            f"{one.adapter}: NDIS {one.ndis}, {one.mode}, {one.state}, power {one.power}, link {one.link};"
            f" holds {one.holds or 'nothing'}"
            for one in inspect.adapters(self._ndis)
        ]
        return told + inspect.table(inspect.pending(self._ndis)).splitlines()

    def calls(self, count: int) -> list[str]:
        """Return the last calls over NDIS's border."""
        told = [event for event in self._log.events if event.kind in _TOLD]
        return inspect.table(inspect.told(told[-count:], register)).splitlines()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the protocol above the driver noticed."""

    sent: int
    completed: int
    failed: int
    on_the_wire: int
    offered: int
    received: int
    resets: int
    reports: tuple[str, ...]

    def __str__(self) -> str:
        """Say it."""
        told = (
            f"sent {self.sent} packets: {self.completed} completed, {self.failed} failed,"
            f" {self.on_the_wire} frames on the wire; {self.offered} frames offered, {self.received}"
            f" received; {self.resets} resets; the verifier reports {len(self.reports) or 'nothing'}"
        )
        return "\n".join((told, *self.reports))


class _Open:
    """A front end at whose stops ``ringwalk ndis`` may look too."""

    def __init__(self, front: Front, desk: StopDesk) -> None:
        self._front = front
        self._desk = desk

    def stopped(self, session: Session, stop: Stop) -> None:
        with self._desk.stopped():
            self._front.stopped(session, stop)


class NdisBench:
    """A card, its session, and (once ``work`` began) the driver and NDIS on it."""

    def __init__(
        self,
        kind: str,
        front: Front,
        *,
        hooks: Hooks | None = None,
        write: Callable[[bytes], object] | None = None,
    ) -> None:
        """Power the card on; ``write`` takes a recording's bytes. KeyError: no such kind."""
        self.version, self._configuration = KINDS[kind]
        self.verifier = Verifier(isr_registers=ISR_REGISTERS)
        self.clock = VirtualExecutive()
        self._log = journal.Journal()
        self._desk = StopDesk()
        self._ndis = Ndis(self.clock, journal.Tee(self.verifier, self._log, self._desk))
        self.inspected = Inspected(self._ndis, self._desk, self._log, self.verifier)
        self.side = MiniportSide(kind, self._ndis, self._log)
        self._hooks = hooks or Hooks()
        self._journal = (
            Journal(Writer(write, About(MAC.hex(":"), comment=f"our miniport, {kind}"))) if write else None
        )
        self.bus = InProcessBus(self._engine, self.clock, MAC, card=self._card)
        self._sent = self._offered = self._on_the_wire = 0
        look = Look(self._reference, self._memory, self.side)
        self.session = Session(look, _Open(front, self._desk))
        self.session.now = self.bus.now_ns
        self._reference.observer = self.session.observe
        self._hooked.watch(self.session.observe)

    # -- the seams that the bus builds the card through ---------------------------------------------------

    def _engine(self, memory: ArenaMemory, /, *, offload: bool) -> Engine:
        self._memory = HookedMemory(memory, self._hooks)
        seen = JournaledMemory(self._memory, self._journal) if self._journal is not None else self._memory
        self._reference = self._memory.engine = ReferenceEngine(seen, offload=offload)
        return self._reference

    def _card(
        self, engine: Engine, mac: bytes, /, *, send: Callable[[FrameSent], None], sink: InterruptSink
    ) -> HookedCard:
        passing = HookedSink(sink, self._hooks)
        card = HookedCard(engine, mac, send=send, sink=passing, journal=self._journal, hooks=self._hooks)
        passing.later = self._memory.later = card.later
        self._hooked = card
        return card

    # -- the work ------------------------------------------------------------------------------

    def work(self, acts: Iterable[Act]) -> Outcome:
        """Initialize, do a scenario, halt; end the recording, if there is one."""
        configuration = {"*TransmitBuffers": RING, "*ReceiveBuffers": RING} | self._configuration
        self.stack = Stack(
            self.clock,
            self.bus,
            version=self.version,
            configuration=configuration,
            ndis=self._ndis,
            create=self.side.create,
        )
        self._settle()
        for act in acts:
            act.do(self)
        self._settle()
        resets = self.stack.adapter.resets.count
        self.stack.halt()
        if self._journal is not None:
            self._journal.close()
        recorder = self.stack.recorder
        statuses = [status for _, status in recorder.sent]
        good = sum(status is Status.SUCCESS for status in statuses)
        return Outcome(
            sent=self._sent,
            completed=good,
            failed=len(statuses) - good,
            on_the_wire=self._on_the_wire,
            offered=self._offered,
            received=len(recorder.received),
            resets=resets,
            reports=tuple(map(str, self.verifier.reports)),
        )

    def _settle(self) -> None:
        self.clock.run()
        self.clock.advance(SETTLE_NS)
        self._on_the_wire += len(self.bus.drain())

    # -- lab.stepper.scenario.Station ----------------------------------------------------------------

    def send(self, count: int, length: int) -> None:
        """NdisSendPackets of ``count`` frames."""
        first, self._sent = self._sent, self._sent + count
        self.stack.send(*(_frame(first + n, length, to=PEER, sender=MAC) for n in range(count)))
        self._settle()

    def large(self, length: int) -> None:
        """NdisSendPackets of one TCP segment that the card is to cut; the offload is switched on first."""
        offer = self.stack.query(Oid.TCP_TASK_OFFLOAD)
        self.stack.set(Oid.TCP_TASK_OFFLOAD, offer.buffer.answer)
        frame = PEER + MAC + frames.segmentable(length).frame[12:]
        self._sent += 1
        self.stack.send(frame, info={PacketInfo.TCP_LARGE_SEND: SEGMENT_BYTES})
        self._settle()

    def receive(self, count: int, length: int) -> None:
        """Put frames for our card on the cable, one after the other."""
        for _ in range(count):
            self.bus.receive(_frame(self._offered, length, to=MAC, sender=PEER))
            self._offered += 1
        self._settle()

    def plug(self, *, present: bool) -> None:
        """Plug the cable in or out."""
        self.bus.plug(present=present)
        self._settle()

    def reset(self) -> None:
        """NdisReset, and its end."""
        self.stack.open.reset()
        self._settle()

    def wait(self, duration_ms: int) -> None:
        """Let time pass."""
        self.clock.advance(duration_ms * 1_000_000)
        self._settle()


def _frame(number: int, length: int, *, to: bytes, sender: bytes) -> bytes:
    """Return a numbered frame."""
    return frames.ethernet(number.to_bytes(4, "big"), to=to, sender=sender).ljust(
        length, bytes([number & 0xFF])
    )
