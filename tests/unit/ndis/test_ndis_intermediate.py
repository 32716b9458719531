"""Intermediate drivers: passing through, capture, VLANs, fault tolerance, load balancing, LACP."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import pytest
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceDescription

from ndis.filter8023 import PacketFilter
from ndis.im.edge import LowerBinding
from ndis.im.lacp import DESTINATION, Bits, LacpPort, Receive, lacpdu, parse_lacpdu, select
from ndis.im.lbfo import Lbfo, Mode, flow_hash
from ndis.im.mux import Mux, Vlan, insert_tag, strip_tag
from ndis.im.passthru import Capture, Passthru
from ndis.im.span import Span, Stations
from ndis.miniport import MiniportCharacteristics
from ndis.oids import Oid
from ndis.packet import PacketInfo
from ndis.requests import Request
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.status import Status
from ndis.suite.bench import EVERYTHING, Recorder, Transport
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.executive.contract import SECOND
from ntos.executive.virtual import VirtualExecutive

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter
    from ndis.im.edge import Intermediate
    from ndis.open import Open


def mac(number: int) -> bytes:
    """Return the address of card ``number``."""
    return bytes([2, 0, 0, 0, 0, number])


class Far:
    """The station at the other end of a cable: it records, and says what it is told."""

    def __init__(self, cable: Cable) -> None:
        self.cable = cable
        self.heard: list[bytes] = []
        cable.stations.append(self)

    def frame_arrives(self, frame: bytes) -> None:
        """Record."""
        self.heard.append(frame)

    def say(self, frame: bytes) -> None:
        """Send."""
        self.cable.carry(self, frame)


class Office:
    """A machine with some cards, each with a cable to a far station; everything is verified."""

    def __init__(self, cards: int) -> None:
        self.verifier = Verifier()
        self.executive = VirtualExecutive()
        self.ndis = Ndis(self.executive, self.verifier)
        driver = self.ndis.register_miniport(MiniportCharacteristics.of(LoopbackAdapter))
        self.fars: list[Far] = []
        self.cards: list[MiniportAdapter] = []
        for number in range(1, cards + 1):
            cable = Cable()
            self.fars.append(Far(cable))
            settings = {"Cable": cable, "NetworkAddress": mac(number), "Deserialized": True}
            self.cards.append(self.ndis.add_adapter(driver, f"card{number}", None, settings))
        self.pool = self.ndis.packet_pool(64)

    def join(self, driver: Intermediate) -> None:
        """Bind an intermediate driver to every card."""
        for card in self.cards:
            self.ndis.bind(driver.protocol, card)
        self.executive.run()

    def listen(self, adapter: MiniportAdapter) -> tuple[Open, Recorder]:
        """Bind a transport to a virtual adapter."""
        client = Recorder()
        protocol = self.ndis.register_protocol(adapter.name, Transport(client))
        open_ = self.ndis.bind(protocol, adapter)
        request = Request.set(Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", EVERYTHING))
        open_.request(request)
        return open_, client

    def send(self, open_: Open, frame: bytes, **info: int) -> None:
        """Send one frame with per-packet information, and let everything run."""
        packet = self.pool.allocate(frame)
        packet.info.update({PacketInfo[name]: value for name, value in info.items()})
        open_.send_packets([packet])
        self.executive.advance(1_000_000)

    def hear(self, far: int, frame: bytes) -> None:
        """Let a far station say something."""
        self.fars[far].say(frame)
        self.executive.advance(1_000_000)

    def unplug(self, card: int) -> None:
        """Take the link of a card away."""
        self.cards[card].upcalls.indicate_status(Status.MEDIA_DISCONNECT)

    def plug(self, card: int) -> None:
        """Give the link back."""
        self.cards[card].upcalls.indicate_status(Status.MEDIA_CONNECT)


def data(to: bytes, number: int = 0, source: bytes = bytes(6)) -> bytes:
    """Make a frame of 60 bytes."""
    return (to + source + b"\x88\xb5" + number.to_bytes(4, "big")).ljust(60, b"\0")


def test_a_passthru_adapter_is_the_card_to_those_above() -> None:
    """Address, filter, multicast list, frames both ways, completions; nothing breaks a rule."""
    office = Office(1)
    driver = Passthru(office.ndis)
    office.join(driver)
    open_, client = office.listen(driver.adapters[0])
    open_.request(Request.set(Oid.O802_3_MULTICAST_LIST, b"\x01\0\x5e\0\0\x01"))

    office.send(open_, data(b"\x02\0\0\0\0\x63", 1))
    office.hear(0, data(mac(1), 2))
    office.hear(0, data(b"\x01\0\x5e\0\0\x01", 3))
    office.hear(0, data(b"\x01\0\x5e\0\0\x02", 4))

    assert office.fars[0].heard == [data(b"\x02\0\0\0\0\x63", 1)]
    assert client.received == [data(mac(1), 2), data(b"\x01\0\x5e\0\0\x01", 3)]
    assert [s for _, s in client.sent] == [Status.SUCCESS]
    assert office.cards[0].filter.packet_filter == EVERYTHING
    assert [str(r) for r in office.verifier.reports] == []


def test_requests_go_to_the_card_below() -> None:
    """What the virtual adapter does not know itself."""
    office = Office(1)
    driver = Passthru(office.ndis)
    office.join(driver)
    open_, client = office.listen(driver.adapters[0])

    open_.request(Request.query(Oid.GEN_LINK_SPEED, 4))
    open_.request(Request.query(Oid.GEN_VENDOR_DESCRIPTION, 4))

    (speed, ok), (vendor, short) = client.requests[-2:]
    assert (ok, speed.buffer.answer) == (Status.SUCCESS, struct.pack("<I", 10_000_000))
    assert (short, vendor.buffer.bytes_needed) == (Status.INVALID_LENGTH, 26)


def test_unbinding_takes_the_virtual_adapter_away() -> None:
    """And the transport above it is closed first."""
    office = Office(1)
    driver = Passthru(office.ndis)
    office.join(driver)
    _open, client = office.listen(driver.adapters[0])

    office.ndis.deregister_protocol(driver.protocol)

    assert (driver.adapters, driver.virtuals, driver.lowers) == ([], [], [])
    assert office.cards[0].opens == ()
    assert client.log == []


def test_the_capture_is_pcapng_that_others_read() -> None:
    """python-pcapng sees interface, directions, times and bytes."""
    office = Office(1)
    written = bytearray()
    driver = Capture(office.ndis, written.extend)
    office.join(driver)
    open_, _client = office.listen(driver.adapters[0])

    office.send(open_, data(b"\x02\0\0\0\0\x63", 1))
    office.hear(0, data(mac(1), 2)[:57])

    blocks = list(FileScanner(io.BytesIO(bytes(written))))
    packets = [b for b in blocks if isinstance(b, EnhancedPacket)]
    (interface,) = [b for b in blocks if isinstance(b, InterfaceDescription)]
    assert interface.options["if_name"] == "card1"
    assert [p.packet_data for p in packets] == [data(b"\x02\0\0\0\0\x63", 1), data(mac(1), 2)[:57]]
    assert [p.timestamp for p in packets] == [0.0, 0.001]
    assert len(bytes(written)) % 4 == 0


def test_a_mux_puts_each_adapter_into_its_vlan() -> None:
    """Tags go in on the way down and out on the way up; others' frames do not arrive."""
    office = Office(1)
    driver = Mux(office.ndis, [Vlan("plain"), Vlan("ten", 10, mac(10)), Vlan("twenty", 20, mac(20))])
    office.join(driver)
    (plain, p), (ten, t), (twenty, w) = (office.listen(a) for a in driver.adapters)
    everybody = b"\xff" * 6

    office.send(plain, data(mac(9), 1))
    office.send(ten, data(mac(9), 2))
    office.send(twenty, data(mac(9), 3), IEEE_8021Q=0xA000)
    office.hear(0, data(everybody, 4))
    office.hear(0, insert_tag(data(everybody, 5), 10))
    office.hear(0, insert_tag(data(everybody, 6), 0x6000))

    heard = [strip_tag(f) for f in office.fars[0].heard]
    assert heard == [
        (None, data(mac(9), 1)),
        (10, data(mac(9), 2)),
        (0xA000 | 20, data(mac(9), 3)),
    ]
    assert (p.received, t.received, w.received) == (
        [data(everybody, 4), data(everybody, 6)],
        [data(everybody, 5)],
        [],
    )
    assert len({v.address for v in driver.virtuals}) == 3
    assert driver.virtuals[0].address[0] & 2


def test_the_card_below_a_mux_is_promiscuous_only_while_somebody_listens() -> None:
    """PROMISCUOUS iff any upper filter is not zero."""
    office = Office(1)
    driver = Mux(office.ndis, [Vlan("a"), Vlan("b", 2)])
    office.join(driver)
    card = office.cards[0].filter
    before = card.packet_filter

    open_, _ = office.listen(driver.adapters[1])
    during = card.packet_filter
    office.ndis.unbind(open_)

    filters = (PacketFilter.NONE, PacketFilter.PROMISCUOUS, PacketFilter.NONE)
    assert (before, during, card.packet_filter) == filters


def test_one_adapter_spans_several_cards_and_learns_who_is_where() -> None:
    """To a group and to a stranger by every card; to a known station by its card; one completion each."""
    office = Office(3)
    driver = Span(office.ndis)
    office.join(driver)
    (adapter,) = driver.adapters
    open_, client = office.listen(adapter)
    ours, station, stranger = adapter.filter.address, mac(0x51), mac(0x52)

    office.send(open_, b"\xff" * 6 + ours + b"\x88\xb5all".ljust(48, b"\0"))
    office.fars[1].say(ours + station + b"\x88\xb5here".ljust(48, b"\0"))
    office.executive.advance(1_000_000)
    office.send(open_, station + ours + b"\x88\xb5one".ljust(48, b"\0"))
    office.send(open_, stranger + ours + b"\x88\xb5who".ljust(48, b"\0"))
    heard = [[frame[14:17] for frame in far.heard] for far in office.fars]
    office.executive.advance(301 * SECOND)
    office.send(open_, station + ours + b"\x88\xb5old".ljust(48, b"\0"))

    assert heard == [[b"all", b"who"], [b"all", b"one", b"who"], [b"all", b"who"]]
    assert [frame[14:18] for frame in client.received] == [b"all\0", b"here"]  # the first by NDIS's loopback
    assert [far.heard[-1][14:17] for far in office.fars] == [b"old"] * 3
    assert [status for _, status in client.sent] == [Status.SUCCESS] * 4
    assert office.verifier.reports == []


def test_a_span_tags_goes_on_without_a_card_and_ends_with_the_last() -> None:
    """Frames of other VLANs stay below; a card that is unbound takes its stations along."""
    office = Office(2)
    driver = Span(office.ndis, vlan=7)
    office.join(driver)
    open_, client = office.listen(driver.adapters[0])
    frame = driver.adapters[0].filter.address + mac(0x51) + b"\x88\xb5x".ljust(48, b"\0")
    office.fars[0].say(insert_tag(frame, 7))
    office.fars[0].say(insert_tag(frame, 8))
    office.fars[0].say(frame)
    office.executive.advance(1_000_000)

    first, second = list(driver.protocol.opens)
    office.ndis.unbind(first)
    office.send(open_, mac(0x51) + frame[:6] + frame[12:])
    left = list(driver.adapters)
    office.ndis.unbind(second)

    assert client.received == [frame]
    assert [len(far.heard) for far in office.fars] == [0, 1]
    assert strip_tag(office.fars[1].heard[0])[0] == 7
    assert (len(left), driver.adapters) == (1, [])
    assert office.verifier.reports == []


def test_the_stations_known_are_bounded() -> None:
    """A flood of invented addresses costs no more than the table."""
    lower = LowerBinding.__new__(LowerBinding)
    stations = Stations(most=100)

    for number in range(1000):
        stations.heard(number.to_bytes(6, "big"), lower, number)

    assert len(stations) == 100
    assert stations.find((999).to_bytes(6, "big"), 999) is lower
    assert stations.find((899).to_bytes(6, "big"), 999) is None


def test_traffic_goes_on_by_the_other_card_when_a_link_is_pulled() -> None:
    """Fault tolerance: back to the first when it returns; MEDIA_DISCONNECT only when none is left."""
    office = Office(2)
    team = Lbfo(office.ndis, Mode.FAILOVER)
    office.join(team)
    open_, client = office.listen(team.adapters[0])

    office.send(open_, data(mac(9), 1))
    office.unplug(0)
    office.send(open_, data(mac(9), 2))
    office.hear(1, data(mac(1), 3))
    office.unplug(1)
    office.send(open_, data(mac(9), 4))
    office.plug(0)
    office.send(open_, data(mac(9), 5))

    assert office.fars[0].heard == [data(mac(9), 1), data(mac(9), 5)]
    assert office.fars[1].heard == [data(mac(9), 2)]
    assert client.received == [data(mac(1), 3)]
    ok, down = Status.SUCCESS, Status.MEDIA_DISCONNECTED
    assert [s for _, s in client.sent] == [ok, ok, down, ok]
    assert client.statuses == [Status.MEDIA_DISCONNECT, Status.MEDIA_CONNECT]


def test_balancing_uses_all_cards_and_keeps_a_flow_on_one() -> None:
    """Flows by address; the frames of each in order."""
    office = Office(2)
    team = Lbfo(office.ndis, Mode.BALANCE)
    office.join(team)
    open_, _client = office.listen(team.adapters[0])

    for number in range(60):
        office.send(open_, data(mac(100 + number % 6), number))

    heard = [[f[:6] for f in far.heard] for far in office.fars]
    assert all(heard)
    assert not set(heard[0]) & set(heard[1])
    for far in office.fars:
        numbers = [int.from_bytes(f[14:18], "big") for f in far.heard]
        assert numbers == sorted(numbers)


def test_a_flow_is_addresses_and_ports() -> None:
    """TCP ports count, those of a fragment do not."""
    head = mac(1) + mac(2) + b"\x08\x00\x45" + bytes(5)

    def tcp(port: int, fragment: int = 0) -> bytes:
        rest = fragment.to_bytes(2, "big") + b"\x40\x06\0\0" + bytes(8)
        return head + rest + port.to_bytes(2, "big") + b"\0\x50"

    assert flow_hash(tcp(1)) == flow_hash(tcp(1))
    assert flow_hash(tcp(1)) != flow_hash(tcp(2))
    assert flow_hash(tcp(1, 0x2000)) == flow_hash(tcp(2, 0x2000))


def talk(a: LacpPort, b: LacpPort, start_ns: int, seconds: int, *, cut: bool = False) -> int:
    """Let two ports exchange frames, ten steps a second; return the time after."""
    now_ns = start_ns
    for _ in range(seconds * 10):
        for here, there in ((a, b), (b, a)):
            for frame in here.step(now_ns):
                if not cut:
                    there.received(frame, now_ns)
            select([there])
        now_ns += SECOND // 10
    return now_ns


def port(number: int) -> LacpPort:
    """Make a port whose link is up."""
    made = LacpPort(mac(number), 7, number, mac(number))
    made.link(0, up=True)
    return made


def test_two_ports_agree_and_part_when_the_wire_is_cut() -> None:
    """Distributing within four seconds; EXPIRED after three silent ones, then DEFAULTED."""
    a, b = port(1), port(2)

    now_ns = talk(a, b, 0, 4)
    joined = (a.distributing, b.distributing, a.partner.system)
    now_ns = talk(a, b, now_ns, 4, cut=True)
    expired = (a.receive_state, a.distributing)
    talk(a, b, now_ns, 4, cut=True)

    assert joined == (True, True, mac(2))
    assert expired == (Receive.EXPIRED, False)
    assert a.receive_state is Receive.DEFAULTED
    assert a.actor.state & Bits.DEFAULTED


def test_a_port_sends_at_most_three_frames_a_second() -> None:
    """However much there is to tell."""
    a = port(1)
    sent = 0

    for at in range(100):
        a.received(lacpdu(mac(2), port(2 + at % 3).actor, a.partner), at * 10_000)
        sent += len(a.step(at * 10_000))

    assert sent == 3


def test_ports_to_another_partner_are_left_out() -> None:
    """An aggregation has one partner."""
    ports = [port(1), port(2)]
    for mine, partner in zip(ports, (3, 4), strict=True):
        mine.received(lacpdu(mac(partner), port(partner).actor, mine.actor), 0)

    select(ports)

    assert [p.selected for p in ports] == [True, False]


@pytest.mark.parametrize("raw", [b"", DESTINATION, DESTINATION + bytes(6) + b"\x88\x09\x01\x01"])
def test_what_is_no_lacpdu_is_left_alone(raw: bytes) -> None:
    """Short frames, other slow protocols."""
    assert parse_lacpdu(raw) is None
    whole = lacpdu(mac(1), port(1).actor, port(2).actor)
    assert parse_lacpdu(whole) == (port(1).actor, port(2).actor)
    assert (len(whole), whole[:6]) == (124, DESTINATION)


def test_an_lacp_team_uses_the_cards_the_partner_aggregates() -> None:
    """The partner answers on both cards; then one wire is cut and the other carries all."""
    office = Office(2)
    team = Lbfo(office.ndis, Mode.LACP)
    office.join(team)
    open_, client = office.listen(team.adapters[0])
    partners = [LacpPort(mac(99), 5, n, mac(99)) for n in (1, 2)]
    for partner in partners:
        partner.link(0, up=True)

    def partner_steps(seconds: int, wires: tuple[int, ...]) -> None:
        for _ in range(seconds * 4):
            select(partners)
            for at in wires:
                far, partner = office.fars[at], partners[at]
                for frame in far.heard:
                    partner.received(frame, office.executive.now_ns())
                far.heard.clear()
                for frame in partner.step(office.executive.now_ns()):
                    far.say(frame)
            office.executive.advance(SECOND // 4)

    office.send(open_, data(mac(9), 0))
    partner_steps(5, (0, 1))
    both = len(team.usable)
    partner_steps(5, (1,))
    office.fars[1].heard.clear()
    office.send(open_, data(mac(9), 1))

    assert client.sent[0][1] is Status.MEDIA_DISCONNECTED
    assert both == 2
    assert [low.name for low in team.usable] == ["card2"]
    assert data(mac(9), 1) in office.fars[1].heard
    assert client.received == []
