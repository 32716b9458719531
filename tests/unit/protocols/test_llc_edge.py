"""LLC over NDIS: a station a card, turns and timers of the executive, and cards that go."""

# ruff: noqa: D101, D102, D103 - the names are sentences; doubles need no words

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.miniport import MiniportCharacteristics
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.executive.contract import SECOND
from ntos.executive.virtual import VirtualExecutive
from protocols.interfaces.llc import (
    DataAcknowledged,
    DataReceived,
    DownReason,
    Event,
    Link,
    LinkDown,
    LinkParameters,
    LinkUp,
    Sap,
)
from protocols.interfaces.llc.edge import LlcDriver, LlcLink

if TYPE_CHECKING:
    from ndis.open import Open

A, B = bytes((2, 0, 0, 0, 0, 1)), bytes((2, 0, 0, 0, 0, 2))
SAP = 0x04


class Transport(LlcDriver):
    name = "llctest"
    saps = frozenset({SAP})

    def __init__(self, ndis: Ndis) -> None:
        super().__init__(ndis)
        self.open_saps: dict[str, Sap] = {}
        self.events: list[Event] = []

    def card_came(self, link: LlcLink) -> None:
        self.open_saps[link.name] = link.station.open_sap(SAP, listens=True)

    def card_went(self, link: LlcLink) -> None:
        self.events += self.open_saps.pop(link.name).take(self.now_ns())

    def served(self, now_ns: int) -> None:
        for sap in self.open_saps.values():
            self.events += sap.take(now_ns)


class World:
    """Two cards on a cable, a transport over each."""

    def __init__(self) -> None:
        self.executive = VirtualExecutive()
        self.verifier = Verifier()
        self.ndis = Ndis(self.executive, self.verifier)
        cable = Cable()
        self.transports: list[Transport] = []
        self.opens: list[Open] = []
        for number, mac in enumerate((A, B), 1):
            card = {"Cable": cable, "NetworkAddress": mac}
            miniport = self.ndis.register_miniport(MiniportCharacteristics.of(LoopbackAdapter))
            adapter = self.ndis.add_adapter(miniport, f"card{number}", None, card)
            transport = Transport(self.ndis)
            protocol = self.ndis.register_protocol(f"llctest{number}", transport)
            self.transports.append(transport)
            self.opens.append(self.ndis.bind(protocol, adapter))
        self.run()

    def run(self, time_ns: int = SECOND) -> None:
        self.executive.advance(time_ns)

    def connected(self) -> Link:
        near = self.transports[0]
        link = near.open_saps["card1"].connect(B, SAP, near.now_ns())
        near.request_turn()
        self.run()
        return link


def test_a_link_carries_data_between_two_cards() -> None:
    world = World()
    near, far = world.transports
    link = world.connected()

    link.send(b"over NDIS", near.now_ns())
    near.request_turn()
    world.run()

    assert near.events == [LinkUp(link, is_incoming=False), DataAcknowledged(link, 1)]
    assert [type(one) for one in far.events] == [LinkUp, DataReceived]
    assert isinstance(far.events[1], DataReceived)
    assert far.events[1].data == b"over NDIS"
    assert [str(one) for one in world.verifier.reports] == []


def test_a_card_that_is_unbound_takes_its_links_down_and_the_peer_finds_out() -> None:
    world = World()
    near, far = world.transports
    link = world.connected()

    world.ndis.unbind(world.opens[0])
    limits = LinkParameters()
    world.run(limits.ti_ns + 2 * limits.n2 * limits.t1_ns + SECOND)

    assert near.events[-1] == LinkDown(link, DownReason.UNBOUND, 0)
    last = far.events[-1]
    assert isinstance(last, LinkDown)
    assert last.reason is DownReason.NO_ANSWER
    assert [str(one) for one in world.verifier.reports] == []
