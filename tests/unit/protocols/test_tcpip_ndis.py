"""TCP/IP as an NDIS protocol: over the sample miniport and over the 82574L's, verifier on."""

# ruff: noqa: D102, D103 - the names are sentences; doubles need no words

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from device.engine.reference import ReferenceEngine
from formats.checksum import ones_sum_of, pseudo_sum
from lab.host.inprocess_stack import ADAPTERS
from miniport.hal.inprocess import InProcessBus
from ndis.miniport import MiniportCharacteristics
from ndis.offload import PacketChecksum
from ndis.oids import Oid
from ndis.packet import Owner, PacketInfo, PacketPool
from ndis.protocol import OpenState
from ndis.requests import Request
from ndis.rsc import CoalescingStatistics
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.status import Status
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.executive.virtual import VirtualExecutive
from protocols.transports.tcpip import Stack, StackConfig, TxFrame
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.interface import AddressState
from protocols.transports.tcpip.ndis_edge import NdisLink, TcpipDriver, offloads
from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.ping import EchoResult

DATA = bytes(range(256)) * 400
RSC: dict[str, object] = {"*RscIPv4": True, "*RscIPv6": True}


class Sender(ConnectionHandler):
    """Sends all of ``DATA`` and closes."""

    def __init__(self) -> None:
        self.sent = 0

    def connected(self, connection: Connection) -> None:
        self.writable(connection)

    def writable(self, connection: Connection) -> None:
        while self.sent < len(DATA) and (taken := connection.send(DATA[self.sent :])):
            self.sent += taken
        if self.sent == len(DATA):
            connection.close()


class Keeper(ConnectionHandler):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.data = b""

    def readable(self, connection: Connection) -> None:
        self.data += connection.receive()

    def remote_closed(self, connection: Connection) -> None:
        connection.close()


class Pair:
    """Two hosts on one wire and one clock; ``serve`` moves what the cards hold."""

    def __init__(
        self, card: str, *, registry: dict[str, object] | None = None, forwards: bool = False
    ) -> None:
        self.executive = VirtualExecutive()
        self.impair: Callable[[list[bytes]], list[bytes]] = list
        self.verifier = Verifier()
        self.ndis = Ndis(self.executive, self.verifier)
        self.drivers: list[TcpipDriver] = []
        self.buses: list[InProcessBus] = []
        self.carried: list[bytes] = []
        cable = Cable()
        for number in (1, 2):
            mac = bytes((2, 0, 0, 0, 0, number))
            if card == "sample":
                kind = MiniportCharacteristics.of(LoopbackAdapter)
                settings: dict[str, object] = {"Cable": cable, "NetworkAddress": mac}
                adapter = self.ndis.add_adapter(
                    self.ndis.register_miniport(kind), f"card{number}", None, settings
                )
            else:
                version = (6, 0) if card == "82574L ndis 6" else (5, 1)
                bus = InProcessBus(ReferenceEngine, self.executive, mac)
                self.buses.append(bus)
                kind = MiniportCharacteristics.of(ADAPTERS[version], version)
                settings = {"Deserialized": card == "82574L deserialized", **(registry or {})}
                adapter = self.ndis.add_adapter(
                    self.ndis.register_miniport(kind), f"card{number}", bus, settings
                )
            config = StackConfig(forwarding=forwards)
            stack = Stack(random.Random(number).randbytes, self.executive.now_ns(), config)
            driver = TcpipDriver(self.ndis, stack)
            self.open = self.ndis.bind(self.ndis.register_protocol(f"tcpip{number}", driver), adapter)
            link = next(iter(driver.links.values()))
            stack.add_address(link.interface, parse(f"10.0.0.{number}"), 24)
            self.drivers.append(driver)
        self.run(3_000_000_000)  # duplicate address detection, link training

    def run(self, for_ns: int = 100_000_000) -> None:
        for driver in self.drivers:
            driver.stack.request_turn()
        end = self.executive.now_ns() + for_ns
        while self.executive.now_ns() < end:
            self.executive.advance(500_000)
            for bus in self.buses:
                for frame in self.impair(bus.drain()):
                    self.carried.append(frame)
                    for other in self.buses:
                        if other is not bus:
                            other.receive(frame)
            self.executive.run()


CARDS = ["sample", "82574L", "82574L deserialized"]


@pytest.mark.parametrize("card", CARDS)
def test_a_ping_and_a_transfer_cross_two_cards_and_the_verifier_is_silent(card: str) -> None:
    pair = Pair(card)
    echoes: list[EchoResult] = []
    keeper = Keeper()
    pair.drivers[1].stack.tcp_listen(80, lambda _c: keeper)

    pair.drivers[0].stack.ping(parse("10.0.0.2"), echoes.append)
    pair.drivers[0].stack.tcp_connect(parse("10.0.0.2"), 80, Sender())
    pair.run(1_500_000_000)

    assert [echo.source for echo in echoes] == [parse("10.0.0.2")]
    assert keeper.data == DATA
    assert [str(r) for r in pair.verifier.reports] == []


def test_the_82574l_cuts_large_sends_and_sums() -> None:
    pair = Pair("82574L")
    keeper = Keeper()
    link = pair.drivers[0].links["card1"]
    largest: list[int] = []
    send = link.send
    pair.drivers[1].stack.tcp_listen(80, lambda _c: keeper)

    def watch(frames: list[TxFrame]) -> None:
        largest.extend(len(f) for f in frames)
        send(frames)

    link.send = watch  # type: ignore[method-assign, assignment]  # the test looks at what TCP/IP hands over
    pair.drivers[0].stack.tcp_connect(parse("10.0.0.2"), 80, Sender())
    pair.run(1_500_000_000)

    assert link.offload.lso_v4_max_bytes == 0xFE00
    assert link.offload.tx_tcp_checksum
    assert max(largest) > 1514
    assert max(map(len, pair.carried)) <= 1514
    assert keeper.data == DATA
    assert pair.drivers[1].stack.counters.get("tcp.in_checksum_errors", 0) == 0


def test_a_large_sends_sum_is_made_without_the_length() -> None:
    source, destination = parse("10.0.0.1"), parse("10.0.0.2")
    tcp = bytearray(20 + 3000)
    tcp[12] = 0x50
    whole = pseudo_sum(source, destination, 6) + len(tcp)
    tcp[16:18] = (whole % 0xFFFF).to_bytes(2)
    frame = TxFrame([bytes(12) + b"\x08\x00" + bytes(20) + bytes(tcp[:20]), bytes(tcp[20:])])
    frame.checksum_start, frame.checksum_offset, frame.lso_mss = 34, 16, 1460

    first = bytes(offloads.buffers(frame)[0])

    assert int.from_bytes(first[50:52]) % 0xFFFF == pseudo_sum(source, destination, 6) % 0xFFFF
    assert offloads.packet_info(frame)[PacketInfo.TCP_LARGE_SEND] == 1460
    assert ones_sum_of((first[50:52],)) != whole % 0xFFFF


def test_what_a_card_calls_failed_is_summed_again() -> None:
    answered = int(PacketChecksum.RX_IP_SUCCEEDED | PacketChecksum.RX_TCP_FAILED)

    packet = PacketPool(1, Owner.MINIPORT).allocate([])
    packet.info[PacketInfo.TCP_IP_CHECKSUM] = answered

    frame = offloads.received(packet)

    assert (frame.ip_verified, frame.l4_verified) == (True, False)


@pytest.mark.parametrize("card", CARDS[1:])
def test_an_unbinding_waits_for_what_was_sent(card: str) -> None:
    """The verifier's V31: an adapter is closed when all packets are back."""
    pair = Pair(card)
    driver = pair.drivers[1]
    for _ in range(5):
        driver.stack.ping(parse("10.0.0.1"), lambda _result: None)
    driver.stack.flush()
    link = next(iter(driver.links.values()))
    was_idle = link.is_idle

    pair.ndis.unbind(pair.open)

    assert (was_idle, link.is_idle) == (False, True)
    assert [str(r) for r in pair.verifier.reports] == []


def test_a_pulled_cable_reaches_the_interface() -> None:
    pair = Pair("82574L")
    link: NdisLink = pair.drivers[0].links["card1"]

    link.status(Status.MEDIA_DISCONNECT, None)
    pair.run(1_000_000)
    down = link.interface.up
    link.status(Status.MEDIA_CONNECT, None)
    pair.run(1_000_000)

    assert (down, link.interface.up) == (False, True)


@pytest.mark.parametrize("card", CARDS)
def test_no_host_takes_its_own_solicitation_for_a_duplicate(card: str) -> None:
    pair = Pair(card)

    states = [
        entry.state
        for driver in pair.drivers
        for link in driver.links.values()
        for entry in link.interface.addresses.values()
    ]

    assert set(states) == {AddressState.PREFERRED}
    assert len(states) == 4


def test_an_interface_stays_down_while_its_card_is_unbound() -> None:
    pair = Pair("sample")
    interface = pair.drivers[1].links["card2"].interface

    pair.ndis.unbind(pair.open)
    pair.run(1000)

    assert not interface.up


def test_unbinding_closes_and_leaves_no_packet_out() -> None:
    pair = Pair("sample")

    pair.ndis.unbind(pair.open)
    pair.run(1_000_000)

    assert pair.open.state is OpenState.CLOSED
    assert all(pool.in_use == 0 for pool in pair.ndis.pools)
    assert [str(r) for r in pair.verifier.reports] == []


def statistics(pair: Pair) -> CoalescingStatistics:
    """Ask the second card by OID_TCP_RSC_STATISTICS."""
    request = Request.query(Oid.TCP_RSC_STATISTICS, 64)
    pair.open.request(request)
    return CoalescingStatistics.parse(request.buffer.answer)


def transfer(pair: Pair, for_ns: int) -> Keeper:
    """Send ``DATA`` from the first host to the second."""
    keeper = Keeper()
    pair.drivers[1].stack.tcp_listen(80, lambda _c: keeper)
    pair.drivers[0].stack.tcp_connect(parse("10.0.0.2"), 80, Sender())
    pair.run(for_ns)
    return keeper


@pytest.mark.parametrize("card", ["82574L", "82574L deserialized"])
def test_segments_come_coalesced_and_the_verifier_is_silent(card: str) -> None:
    pair = Pair(card, registry=RSC)

    keeper = transfer(pair, 1_000_000_000)

    counted = statistics(pair)
    assert keeper.data == DATA
    assert [str(r) for r in pair.verifier.reports] == []
    assert pair.drivers[1].links["card2"].coalescing
    assert 0 < counted.events < counted.packets // 2
    assert pair.drivers[1].stack.counters["tcp.in_segments"] < len(DATA) // 1460


@pytest.mark.parametrize("seed", range(4))
def test_coalescing_survives_loss_duplication_and_reordering(seed: int) -> None:
    pair = Pair("82574L", registry=RSC)
    choose = random.Random(seed)

    def impair(frames: list[bytes]) -> list[bytes]:
        found = [frame for frame in frames if choose.random() > 0.03]
        found += [frame for frame in found if choose.random() < 0.03]
        for at in range(len(found) - 1):
            if choose.random() < 0.1:
                found[at], found[at + 1] = found[at + 1], found[at]
        return found

    pair.impair = impair
    keeper = transfer(pair, 20_000_000_000)

    assert keeper.data == DATA
    assert [str(r) for r in pair.verifier.reports] == []
    assert statistics(pair).events > 0


def test_a_host_that_forwards_has_nothing_coalesced() -> None:
    pair = Pair("82574L", registry=RSC, forwards=True)

    keeper = transfer(pair, 1_000_000_000)

    assert keeper.data == DATA
    assert not pair.drivers[1].links["card2"].coalescing
    assert statistics(pair) == CoalescingStatistics()
