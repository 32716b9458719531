"""The NDIS protocol edge: which frames are whose, several transports on a card, turns, drained ends."""

# ruff: noqa: D101, D102, D103 - the names are sentences; doubles need no words

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from formats import ethernet, llc
from ndis.miniport import MiniportCharacteristics
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.status import Status
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.executive.virtual import VirtualExecutive
from protocols.interfaces.edge import EdgeDriver, EdgeLink, Wanted
from protocols.interfaces.edge.link import INBOX_LIMIT

if TYPE_CHECKING:
    from ndis.packet import Packet, PacketPool

A, B = bytes((2, 0, 0, 0, 0, 1)), bytes((2, 0, 0, 0, 0, 2))
NETBEUI = Wanted(saps=frozenset({llc.NETBIOS_SAP}))
APPLETALK = Wanted(snap=frozenset({(bytes((8, 0, 7)), 0x809B), (bytes(3), 0x80F3)}))
IPX = Wanted(frozenset({0x8137}), frozenset({llc.IPX_SAP}), frozenset({(bytes(3), 0x8137)}), is_raw=True)
IPV4 = Wanted(frozenset({ethernet.IPV4}))


def _typed(kind: int) -> bytes:
    return ethernet.header(B, A, kind) + bytes(46)


def _llc(dsap: int, information: bytes = bytes(43)) -> bytes:
    return llc.LlcFrame(B, A, dsap, dsap, llc.UI, information).emit()


def _snap(oui: bytes, kind: int) -> bytes:
    return _llc(llc.SNAP_SAP, oui + kind.to_bytes(2) + bytes(38))


RAW = ethernet.header(B, A, 46) + b"\xff\xff" + bytes(44)


@pytest.mark.parametrize(
    ("frame", "takers"),
    [
        (_typed(ethernet.IPV4), [IPV4]),
        (_typed(0x8137), [IPX]),
        (_llc(llc.NETBIOS_SAP), [NETBEUI]),
        (_llc(llc.IPX_SAP), [IPX]),
        (_snap(bytes(3), 0x8137), [IPX]),
        (_snap(bytes((8, 0, 7)), 0x809B), [APPLETALK]),
        (_snap(bytes(3), ethernet.IPV4), []),
        (RAW, [IPX]),
        (_typed(0x88F7), []),
        (ethernet.header(B, A, 46), []),
        (ethernet.header(B, A, 46) + b"\xaa\xaa\x03\x00", []),
        (ethernet.header(B, A, 0) + bytes(46), []),
        (b"short", []),
    ],
)
def test_a_frame_is_the_transports_that_wants_it(frame: bytes, takers: list[Wanted]) -> None:
    found = [one for one in (IPV4, IPX, NETBEUI, APPLETALK) if one.takes(frame)]

    assert found == takers


class Link(EdgeLink[bytes, bytes]):
    def prepare(self, frame: bytes) -> tuple[list[bytes], dict[Any, Any]]:
        return [frame], {}

    def received(self, packet: Packet) -> bytes:
        return bytes(packet.data)


class IpLink(Link):
    wanted = IPV4


class NbfLink(Link):
    wanted = NETBEUI


class Transport(EdgeDriver[Link]):
    """Keeps what comes, with the time."""

    kind: ClassVar[type[Link]] = IpLink
    name = "ip"

    def __init__(self, ndis: Ndis) -> None:
        super().__init__(ndis)
        self.frames: list[bytes] = []
        self.told: list[str] = []
        self.due_ns: int | None = None
        self.fired_ns: list[int] = []

    def make_link(self, name: str, pool: PacketPool) -> Link:
        return self.kind(name, pool, self.request_turn, self.reorder)

    def attach(self, link: Link, before: Link | None) -> None:
        self.told.append(f"attach {link.name}{' again' if before else ''}")

    def detach(self, link: Link) -> None:
        self.told.append(f"detach {link.name}")

    def state_changed(self, link: Link) -> None:
        self.told.append(f"{link.name} {'up' if link.up else 'down'}")

    def deliver(self, link: Link, frames: list[bytes], now_ns: int) -> None:
        del link, now_ns
        self.frames += frames

    def advance(self, now_ns: int) -> None:
        if self.due_ns is not None and self.due_ns <= now_ns:
            self.due_ns = None
            self.fired_ns.append(now_ns)

    def next_deadline(self) -> int | None:
        return self.due_ns


class Nbf(Transport):
    kind = NbfLink
    name = "nbf"


class World:
    """Two cards on a cable; both transports over each."""

    def __init__(self) -> None:
        self.executive = VirtualExecutive()
        self.verifier = Verifier()
        self.ndis = Ndis(self.executive, self.verifier)
        cable = Cable()
        self.adapters = [
            self.ndis.add_adapter(
                self.ndis.register_miniport(MiniportCharacteristics.of(LoopbackAdapter)),
                f"card{number}",
                None,
                {"Cable": cable, "NetworkAddress": mac},
            )
            for number, mac in enumerate((A, B), 1)
        ]
        self.transports = [Transport(self.ndis), Nbf(self.ndis)]
        self.protocols = [self.ndis.register_protocol(one.name, one) for one in self.transports]
        self.opens = {
            (protocol.name, adapter.name): self.ndis.bind(protocol, adapter)
            for protocol in self.protocols
            for adapter in self.adapters
        }
        self.run()

    def run(self, time_ns: int = 1_000_000) -> None:
        self.executive.advance(time_ns)

    def reports(self) -> list[str]:
        return [str(one) for one in self.verifier.reports]


def test_two_transports_on_one_card_each_get_their_own_frames() -> None:
    world = World()
    ip, nbf = world.transports

    ip.links["card1"].send([_typed(ethernet.IPV4), _typed(0x88F7)])
    nbf.links["card1"].send([_llc(llc.NETBIOS_SAP)])
    world.run()

    assert ip.frames == [_typed(ethernet.IPV4)]
    assert nbf.frames == [_llc(llc.NETBIOS_SAP)]
    assert ip.links["card2"].counters["not_ours"] == 2
    assert world.reports() == []


def test_one_transport_parts_and_the_other_goes_on() -> None:
    world = World()
    ip, nbf = world.transports

    world.ndis.unbind(world.opens["ip", "card2"])
    ip.links["card1"].send([_typed(ethernet.IPV4)])
    nbf.links["card1"].send([_llc(llc.NETBIOS_SAP)])
    world.run()

    assert (ip.frames, len(nbf.frames)) == ([], 1)
    assert ip.told[-1] == "detach card2"
    assert world.reports() == []


def test_a_card_that_is_bound_again_is_attached_with_the_link_before() -> None:
    world = World()
    ip = world.transports[0]

    world.ndis.unbind(world.opens["ip", "card1"])
    world.ndis.bind(world.protocols[0], world.adapters[0])

    assert ip.told == ["attach card1", "attach card2", "detach card1", "attach card1 again"]
    assert all(pool.in_use == 0 for pool in world.ndis.pools)


def test_nothing_is_sent_once_a_link_has_stopped() -> None:
    world = World()
    link = world.transports[0].links["card1"]

    world.ndis.unbind(world.opens["ip", "card1"])
    link.send([_typed(ethernet.IPV4)])
    link.set_multicast(frozenset({B}))
    link.status(Status.MEDIA_CONNECT, None)
    world.run()

    assert (list(link.waiting), link.up, link.is_idle) == ([], False, True)
    assert "card1 up" not in world.transports[0].told


def test_the_cable_is_told_once() -> None:
    world = World()
    ip = world.transports[0]
    link = ip.links["card1"]

    link.status(Status.MEDIA_DISCONNECT, None)
    link.status(Status.MEDIA_DISCONNECT, None)
    world.run()
    ip.request_turn()
    world.run()

    assert ip.told[-1:] == ["card1 down"]
    assert ip.told.count("card1 down") == 1


def test_the_timer_follows_the_earliest_deadline() -> None:
    world = World()
    ip = world.transports[0]
    now = ip.now_ns()

    ip.due_ns = now + 9_000_000
    ip.request_turn()
    world.run(1_000_000)
    ip.due_ns = now + 3_000_000
    ip.request_turn()
    for _ in range(10):
        world.run(1_000_000)

    assert ip.fired_ns == [now + 3_000_000]


def test_an_inbox_that_nobody_empties_is_bounded() -> None:
    world = World()
    link = world.transports[0].links["card1"]
    pool = world.ndis.packet_pool(1)
    packet = pool.allocate([])

    link.inbox = [b""] * INBOX_LIMIT
    link.wanted = None
    taken = link.receive_packet(packet)
    pool.free(packet)

    assert (taken, len(link.inbox), link.counters["inbox_overflow"]) == (0, INBOX_LIMIT, 1)
    link.inbox = []


def test_a_driver_that_is_stopped_has_no_timer() -> None:
    world = World()
    ip = world.transports[0]
    ip.due_ns = ip.now_ns() + 1_000_000
    ip.request_turn()
    world.run(10_000)

    ip.stop()
    world.run(5_000_000)

    assert ip.fired_ns == []
