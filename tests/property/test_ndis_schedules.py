"""Seeded interleavings of send, interrupt, DPC, request and reset: no invariant breaks.

``RINGWALK_NDIS_SCHEDULES`` sets how many schedules are run for each mode (300; the long run is 100000).
"""

from __future__ import annotations

# ruff: noqa: D101, D102, D107 - doubles implement handlers that the contract documents
import os
import random
from collections import deque
from typing import TYPE_CHECKING

import pytest

from lab.interleave import Interleaver
from ndis.events import Event, Kind
from ndis.miniport import Attribute, Medium, MiniportCharacteristics
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

SCHEDULES = int(os.environ.get("RINGWALK_NDIS_SCHEDULES", "300"))
SLOTS = 3


class Card(Script):
    """A driver with a ring of three, its own lock, and a DPC that completes and receives."""

    deserialized = False

    def __init__(self, ndis: Upcalls) -> None:
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
        flag = Attribute.DESERIALIZE if self.deserialized else Attribute.NONE
        self.ndis.set_attributes(flag)
        return Status.SUCCESS, media[0]

    def send_packets(self, packets: list[Packet]) -> None:
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
        self.ring.append(packet)
        self.wire.append(int.from_bytes(packet.data[14:18], "big"))

    def fill(self) -> None:
        while self.fifo and len(self.ring) < SLOTS:
            self.post(self.fifo.popleft())

    def dpc(self) -> None:
        with self.lock:
            done = [self.ring.popleft() for _ in range(len(self.ring))]
            self.fill()
        for packet in done:
            self.ndis.send_complete(packet, Status.SUCCESS)
        with self.lock:
            packet = self.rx.allocate(frame(0, ADDRESS))
        self.ndis.indicate_receive_packets([packet])
        if not self.deserialized and packet.status is not Status.PENDING:
            self.return_packet(packet)

    def return_packet(self, packet: Packet) -> None:
        with self.lock:
            self.rx.free(packet)

    def reset(self) -> tuple[Status, bool]:
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
        if oid == Oid.GEN_XMIT_OK:
            with self.lock:
                assert not self.asked
                self.asked = True
                epoch = self.epoch
            buffer.write(bytes(4))
            self.ndis.schedule_work_item(lambda: self.answer(epoch))
            return Status.PENDING
        return super().query_information(oid, buffer)

    def answer(self, epoch: int) -> None:
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
    deserialized = True


class Inside:
    """Watches who is in the driver: the observer of a schedule."""

    def __init__(self, interleaver: Interleaver) -> None:
        self.interleaver = interleaver
        self.verifier = Verifier()
        self.now: dict[int, int] = {}
        self.most = 0

    def __call__(self, event: Event) -> None:
        self.verifier(event)
        unlocked = event.name in {"work_item", "isr"}
        if event.kind is Kind.ENTER and not unlocked:
            self.now[event.context] = self.now.get(event.context, 0) + 1
            self.most = max(self.most, sum(1 for n in self.now.values() if n))
        elif event.kind is Kind.EXIT and not unlocked:
            self.now[event.context] -= 1
        self.interleaver.observe(event)


@pytest.fixture(scope="module")
def interleaver() -> Iterator[Interleaver]:
    """One set of threads for all schedules."""
    made = Interleaver(random.Random(0))
    yield made


class World:
    """One schedule: two senders, three interrupts, two requests, perhaps a reset."""

    def __init__(self, interleaver: Interleaver, card: type[Card], seed: int) -> None:
        self.interleaver = interleaver
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
        driver = self.adapter.driver
        assert isinstance(driver, Card)
        return driver

    def sender(self, first: int) -> None:
        for start in (first, first + 3):
            array = [Packet(number=n) for n in range(start, start + 3)]
            for packet in array:
                packet.owner = Owner.PROTOCOL
                packet.reinitialize()
                packet.chain_buffer_at_back(Buffer(frame(packet.number)))
            self.packets += array
            self.open.send_packets(array)

    def interrupt(self) -> None:
        self.adapter.gate.post(lambda: self.adapter.enter("handle_interrupt", self.card.dpc))

    def asker(self) -> None:
        request = Request.query(Oid.GEN_XMIT_OK)
        self.requests.append(request)
        self.open.request(request)

    def resetter(self) -> None:
        self.open.reset()

    def returner(self) -> None:
        while self.client.held:
            self.open.return_packets([self.client.held.pop()])

    def play(self, *, reset: bool) -> None:
        spawn = self.interleaver.spawn
        spawn("send a", lambda: self.sender(0))
        spawn("send b", lambda: self.sender(100))
        for number in range(3):
            spawn(f"interrupt {number}", self.interrupt)
        spawn("request a", self.asker)
        spawn("request b", self.asker)
        spawn("return", self.returner)
        if reset:
            spawn("reset", self.resetter)
        self.interleaver.run()
        for _ in range(8):  # the rest of the interrupts, until all is home
            self.interrupt()
            self.interleaver.run()
        self.returner()
        self.interleaver.run()

    def check(self, *, reset: bool) -> None:
        statuses = [s for _, s in self.client.sent]
        assert len(self.client.sent) == len(self.packets) == 12
        assert {p for p, _ in self.client.sent} == set(self.packets)
        assert {p.owner for p in self.packets} == {Owner.PROTOCOL}
        assert not self.adapter.sends.outstanding
        assert self.card.rx.in_use == 0
        assert all(r.status is not Status.PENDING for r in self.requests)
        for flow in (range(10), range(100, 110)):
            mine = [n for n in self.card.wire if n in flow]
            assert mine == sorted(mine)
        assert [str(r) for r in self.inside.verifier.reports] == []
        if not reset:
            assert set(statuses) == {Status.SUCCESS}
        if not self.card.deserialized:
            assert self.inside.most == 1


@pytest.mark.parametrize("card", [Card, FreeCard], ids=["serialized", "deserialized"])
def test_no_schedule_breaks_an_invariant(interleaver: Interleaver, card: type[Card]) -> None:
    """Every packet comes back once, order per flow holds, one context inside a serialized driver."""
    most = 0
    for seed in range(SCHEDULES):
        world = World(interleaver, card, seed)
        world.play(reset=seed % 3 == 0)
        try:
            world.check(reset=seed % 3 == 0)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
        most = max(most, world.inside.most)

    assert most == 1 if card is Card else most > 1


def test_the_same_seed_gives_the_same_schedule(interleaver: Interleaver) -> None:
    """What the wire saw and the order of completions are equal."""
    runs = []
    for seed in (7, 7, 8):
        world = World(interleaver, FreeCard, seed)
        world.play(reset=False)
        runs.append((world.card.wire, [p.number for p, _ in world.client.sent]))

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
