"""One schedule: a driver with a ring of three, senders, interrupts, requests, resets; and what must hold.

The executive is ``ntos.executive.interleaved``: a seed is a schedule. Nothing here looks at a clock.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from ndis.attributes import Attribute
from ndis.events import Event, Kind
from ndis.miniport import Medium, MiniportCharacteristics
from ndis.oids import Oid
from ndis.packet import Buffer, Owner, Packet
from ndis.requests import InformationBuffer, Request
from ndis.samples.scripted import ADDRESS, Script
from ndis.status import Status
from ndis.suite.bench import Recorder, Transport, frame
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ndis.upcalls import Upcalls
    from ntos.executive.interleaved import InterleavedExecutive

SLOTS = 3
ARRAY = 3
FLOWS = (0, 100)
"""The first packet number of each sender; each sends two arrays."""
LATE_INTERRUPTS = 8
_FRAMES = {first + n: frame(first + n) for first in FLOWS for n in range(2 * ARRAY)}
_ARRIVING = frame(0, ADDRESS)
_OUTSIDE_THE_LOCK = frozenset({"work_item", "isr"})


class Card(Script):
    """A driver with a ring of three, its own lock, and a DPC that completes and receives."""

    deserialized = False

    def __init__(self, ndis: Upcalls) -> None:
        """Start with an empty ring."""
        super().__init__(ndis)
        self.lock = ndis.spin_lock("card")
        self.ring: deque[Packet] = deque()
        self.fifo: deque[Packet] = deque()
        self.wire: list[int] = []
        self.rx = ndis.packet_pool(64)
        self.epoch = 0
        self.asked = False  # a query pends
        self.answering = False  # and its completion is under way
        self.reset_waits = False

    def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
        """MiniportInitialize."""
        flag = Attribute.DESERIALIZE if self.deserialized else Attribute.NONE
        self.ndis.set_attributes(flag)
        return Status.SUCCESS, media[0]

    def send_packets(self, packets: list[Packet]) -> None:
        """MiniportSendPackets."""
        with self.lock:
            for packet in packets:
                packet.status = Status.PENDING
                if self.deserialized:
                    self.fifo.append(packet)
                elif len(self.ring) < SLOTS:
                    self.post(packet)
                else:
                    packet.status = Status.RESOURCES
                    break
            self.fill()

    def post(self, packet: Packet) -> None:
        """Put a packet into the ring; the wire has it from now on."""
        self.ring.append(packet)
        self.wire.append(int.from_bytes(packet.data[14:18], "big"))

    def fill(self) -> None:
        """Move waiting packets into the ring."""
        while self.fifo and len(self.ring) < SLOTS:
            self.post(self.fifo.popleft())

    def dpc(self) -> None:
        """MiniportHandleInterrupt: complete the ring, indicate one frame."""
        with self.lock:
            done = [self.ring.popleft() for _ in range(len(self.ring))]
            self.fill()
        for packet in done:
            self.ndis.send_complete(packet, Status.SUCCESS)
        with self.lock:
            packet = self.rx.allocate(_ARRIVING)
        self.ndis.indicate_receive_packets([packet])
        if not self.deserialized and packet.status is not Status.PENDING:
            self.return_packet(packet)

    def return_packet(self, packet: Packet) -> None:
        """MiniportReturnPacket."""
        with self.lock:
            self.rx.free(packet)

    def reset(self) -> tuple[Status, bool]:
        """MiniportReset: pends while an answer is under way."""
        with self.lock:
            lost = [*self.ring, *self.fifo]
            self.ring.clear()
            self.fifo.clear()
            self.asked = False
            self.epoch += 1
            self.reset_waits = self.answering
            waits = self.reset_waits
        if self.deserialized:
            for packet in lost:
                self.ndis.send_complete(packet, Status.REQUEST_ABORTED)
        return (Status.PENDING if waits else Status.SUCCESS), True

    def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportQueryInformation: one OID is answered later, by a work item."""
        if oid == Oid.GEN_XMIT_OK:
            with self.lock:
                require(not self.asked, "a second query while one pends")
                self.asked = True
                epoch = self.epoch
            buffer.write(bytes(4))
            self.ndis.schedule_work_item(lambda: self.answer(epoch))
            return Status.PENDING
        return super().query_information(oid, buffer)

    def answer(self, epoch: int) -> None:
        """Complete the query, unless a reset came between; a reset that waited ends."""
        with self.lock:
            mine = self.asked and epoch == self.epoch
            self.answering = self.answering or mine
            self.asked = self.asked and not mine
        if not mine:
            return
        self.ndis.query_information_complete(Status.SUCCESS)
        with self.lock:
            self.answering = False
            ends, self.reset_waits = self.reset_waits, False
        if ends:
            self.ndis.reset_complete(Status.SUCCESS, addressing_reset=True)


class FreeCard(Card):
    """The same, deserialized."""

    deserialized = True


CARDS: dict[str, type[Card]] = {"serialized": Card, "deserialized": FreeCard}


class InvariantError(Exception):
    """A schedule broke what must hold."""


def require(ok: object, why: str) -> None:
    """Raise InvariantError unless ``ok``."""
    if not ok:
        raise InvariantError(why)


class Inside:
    """Watches who is in the driver: the observer of a schedule. ``most`` were inside at once."""

    def __init__(self, interleaver: InterleavedExecutive) -> None:
        """Pass every event on to a verifier, and offer it to the scheduler as a place to switch."""
        self.verifier = Verifier()
        self.most = 0
        self._now: dict[int, int] = {}
        self._preempt = interleaver.preempt

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self.verifier(event)
        kind = event.kind
        if (kind is Kind.ENTER or kind is Kind.EXIT) and event.name not in _OUTSIDE_THE_LOCK:
            depth = self._now.get(event.context, 0) + (1 if kind is Kind.ENTER else -1)
            if depth:
                self._now[event.context] = depth
                self.most = max(self.most, len(self._now))
            else:
                del self._now[event.context]
        self._preempt()


class World:
    """One schedule: two senders, three interrupts, two requests, perhaps a reset."""

    def __init__(self, interleaver: InterleavedExecutive, card: type[Card], seed: int) -> None:
        """Seed the choices, put the stack together, set the filter."""
        self.interleaver = interleaver
        self.reset = seed % 3 == 0
        interleaver.forget_timers()
        interleaver.choice.seed(seed)
        self.inside = Inside(interleaver)
        self.ndis = Ndis(interleaver, None)
        self.client = Recorder(keep=1)
        driver = self.ndis.register_miniport(MiniportCharacteristics.of(card))
        self.adapter = self.ndis.add_adapter(driver, "card0")
        self.open = self.ndis.bind(self.ndis.register_protocol("test", Transport(self.client)), self.adapter)
        self.open.request(Request.set(Oid.GEN_CURRENT_PACKET_FILTER, b"\x01\0\0\0"))
        interleaver.run()
        self.adapter.observer = self.inside
        self.packets: list[Packet] = []
        self.requests: list[Request] = []

    @property
    def card(self) -> Card:
        """The driver's object."""
        driver = self.adapter.driver
        if not isinstance(driver, Card):
            raise TypeError(f"{driver!r} is no Card")
        return driver

    def play(self) -> None:
        """Run the schedule to its end. Raises what the stack raised."""
        spawn = self.interleaver.spawn
        for first in FLOWS:
            spawn(f"send {first}", partial(self._sender, first))
        for number in range(3):
            spawn(f"interrupt {number}", self._interrupt)
        spawn("request a", self._asker)
        spawn("request b", self._asker)
        spawn("return", self._returner)
        if self.reset:
            spawn("reset", self._resetter)
        self.interleaver.run()
        for _ in range(LATE_INTERRUPTS):  # the rest of the interrupts, until all is home
            if not (self.adapter.sends.outstanding or self.adapter.sends.queued):
                break
            self._interrupt()
            self.interleaver.run()
        self._returner()
        self.interleaver.run()

    def check(self) -> None:
        """Raise InvariantError for the first invariant that does not hold."""
        for what, holds in self._invariants():
            require(holds, what)

    def _invariants(self) -> Iterator[tuple[str, object]]:
        sent = self.client.sent
        total = len(FLOWS) * 2 * ARRAY
        yield f"{len(sent)} of {total} sends completed", len(sent) == len(self.packets) == total
        yield "a packet came back twice", {p for p, _ in sent} == set(self.packets)
        yield "a packet is not the protocol's", all(p.owner is Owner.PROTOCOL for p in self.packets)
        yield "sends are outstanding", not self.adapter.sends.outstanding
        yield f"{self.card.rx.in_use} receive packets are out", self.card.rx.in_use == 0
        yield "a request pends", all(r.status is not Status.PENDING for r in self.requests)
        for first in FLOWS:
            mine = [n for n in self.card.wire if first <= n < first + 2 * ARRAY]
            yield f"flow {first} left as {mine}", mine == sorted(mine)
        reports = self.inside.verifier.reports
        yield "; ".join(f"{r.rule}: {r.what}" for r in reports), not reports
        if not self.reset:
            yield "a send failed without a reset", all(s is Status.SUCCESS for _, s in sent)
        if not self.card.deserialized:
            yield f"{self.inside.most} were inside a serialized driver", self.inside.most == 1

    def _sender(self, first: int) -> None:
        for start in (first, first + ARRAY):
            array = [Packet(number=n) for n in range(start, start + ARRAY)]
            for packet in array:
                packet.owner = Owner.PROTOCOL
                packet.chain_buffer_at_back(Buffer(_FRAMES[packet.number]))
            self.packets += array
            self.open.send_packets(array)

    def _interrupt(self) -> None:
        self.adapter.gate.post(lambda: self.adapter.enter("handle_interrupt", self.card.dpc))

    def _resetter(self) -> None:
        self.open.reset()

    def _asker(self) -> None:
        request = Request.query(Oid.GEN_XMIT_OK)
        self.requests.append(request)
        self.open.request(request)

    def _returner(self) -> None:
        while self.client.held:
            self.open.return_packets([self.client.held.pop()])
