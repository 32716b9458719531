"""AppleTalk packet by packet: addresses, datagrams, echo, names, routers and zones."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from formats.appletalk import (
    STARTUP,
    Aarp,
    AarpFunction,
    Datagram,
    DdpType,
    NodeAddress,
    checksum,
)
from ntos.executive.contract import SECOND
from protocols.transports.appletalk.nbp import EntityName, Function, Packet, matches
from protocols.transports.appletalk.parameters import AppletalkError, AppletalkParameters
from protocols.transports.appletalk.zones import GET_ZONE_LIST
from tests.support.appletalk_lan import MULTICAST, Lan, RouterEnd

if TYPE_CHECKING:
    from protocols.transports.appletalk.atp import Request
    from protocols.transports.appletalk.nbp import Entry

PRINTER = EntityName(b"Laser", b"LaserWriter")


@pytest.fixture
def lan() -> Lan:
    made = Lan()
    made.run()
    return made


def _look_up(lan: Lan, name: EntityName, at: int = 0) -> list[Entry]:
    found: list[list[Entry]] = []
    lan.nodes[at].names.look_up(name, found.append)
    lan.run()
    assert len(found) == 1
    return found[0]


def _register(lan: Lan, name: EntityName, at: int = 1) -> tuple[int, list[bool]]:
    told: list[bool] = []
    socket = lan.nodes[at].open_socket(0, lambda _datagram: None)
    lan.nodes[at].names.register(name, socket, told.append)
    lan.run()
    return socket, told


def test_a_packet_of_aarp_is_the_book_s() -> None:
    packet = Aarp(
        AarpFunction.PROBE, bytes(5) + b"\1", NodeAddress(0xFF01, 7), bytes(6), NodeAddress(0xFF01, 7)
    )

    raw = packet.emit()

    assert raw.hex() == "0001809b06040003" + "000000000001" + "00ff0107" + "00" * 6 + "00ff0107"
    assert Aarp.parse(raw + bytes(18)) == packet


def test_the_checksum_is_turned_with_each_byte_and_never_zero() -> None:
    assert (checksum(b""), checksum(b"\x00"), checksum(b"\x01"), checksum(b"\x01\x02")) == (
        0xFFFF,
        0xFFFF,
        2,
        8,
    )
    assert checksum(b"\x80" + bytes(8)) == 1


def test_a_datagram_with_a_wrong_checksum_or_length_is_none() -> None:
    datagram = Datagram(NodeAddress(1, 2), NodeAddress(1, 3), 4, 0x80, DdpType.AEP, b"\1hello")
    raw = datagram.emit()

    assert Datagram.parse(raw + bytes(30)) == datagram
    assert Datagram.parse(raw[:-1]) is None
    assert Datagram.parse(raw[:-1] + b"O") is None
    assert Datagram.parse(datagram.emit(is_checked=False)) == datagram


def test_a_node_probes_ten_times_and_has_an_address_of_the_startup_range() -> None:
    lan = Lan(1)

    lan.run()

    probes = lan.aarp()
    assert [one.function for one in probes] == [AarpFunction.PROBE] * 10
    assert {one.wanted for one in probes} == {lan.address(0)}
    assert STARTUP[0] <= lan.address(0).network <= STARTUP[1]


def test_who_has_an_address_defends_it_and_the_newcomer_takes_another(lan: Lan) -> None:
    taken = lan.address(0)

    lan.nodes[1].aarp.acquire(lan.now_ns, STARTUP, taken)
    lan.run()

    assert lan.address(0) == taken != lan.address(1)
    assert lan.nodes[1].aarp.counters["conflicts"] == 1


def test_two_that_try_for_one_address_at_once_both_look_further() -> None:
    lan = Lan()
    wanted = NodeAddress(0xFF10, 9)
    for node in lan.nodes:
        node.aarp.acquire(lan.now_ns, STARTUP, wanted)

    lan.run(8 * SECOND)

    assert lan.address(0) != lan.address(1)
    assert wanted not in (lan.address(0), lan.address(1))


def test_echo_comes_back(lan: Lan) -> None:
    got: list[Datagram] = []
    near = lan.nodes[0]
    socket = near.open_socket(0, got.append)

    near.send(lan.address(1), 4, socket, DdpType.AEP, b"\1are you there")
    lan.run()

    assert [(one.data, one.source, one.from_socket) for one in got] == [
        (b"\2are you there", lan.address(1), 4)
    ]


def test_nobody_is_asked_for_beyond_the_limits() -> None:
    lan = Lan(1, parameters=AppletalkParameters(pending_limit=2, held_limit=2))
    lan.run()
    node = lan.nodes[0]

    for number in (1, 1, 1, 2, 3):
        node.send(NodeAddress(0xFF77, number), 4, 0x80, DdpType.AEP, b"\1")
    lan.run(5 * SECOND)

    assert node.aarp.counters == {"conflicts": 0, "unresolved": 3, "held_overflow": 2, "malformed": 0}
    assert node.next_deadline() is None


def test_a_datagram_too_long_or_before_there_is_an_address_is_refused() -> None:
    node = Lan(1).nodes[0]

    with pytest.raises(AppletalkError, match="no address"):
        node.send(NodeAddress(0, 255), 4, 0x80, DdpType.AEP, b"")
    with pytest.raises(AppletalkError, match="587"):
        node.send(NodeAddress(0, 255), 4, 0x80, DdpType.AEP, bytes(587))


def test_a_name_is_registered_found_confirmed_and_taken_back(lan: Lan) -> None:
    socket, told = _register(lan, PRINTER)
    found = _look_up(lan, EntityName(b"=", b"laserWRITER"))
    confirmed: list[list[Entry]] = []
    lan.nodes[0].names.confirm(PRINTER, lan.address(1), socket, confirmed.append)
    lan.run()

    assert told == [True]
    assert [(one.name, one.address, one.socket) for one in found] == [(PRINTER, lan.address(1), socket)]
    assert confirmed == [found]
    assert lan.nodes[1].names.deregister(PRINTER, socket)
    assert _look_up(lan, PRINTER) == []


def test_a_name_that_another_node_has_cannot_be_had(lan: Lan) -> None:
    _register(lan, PRINTER)

    _socket, told = _register(lan, EntityName(b"LASER", b"laserwriter"), at=0)

    assert told == [False]


def test_a_closed_socket_has_no_name(lan: Lan) -> None:
    socket, _told = _register(lan, PRINTER)

    lan.nodes[1].close_socket(socket)

    assert _look_up(lan, PRINTER) == []


@pytest.mark.parametrize(
    ("pattern", "name", "is_meant"),
    [
        (b"=", b"anything", True),
        (b"La\xc5er", b"laser", True),
        (b"La\xc5", b"LA", True),
        (b"Las\xc5ser", b"laser", False),
        (b"lase", b"laser", False),
    ],
)
def test_patterns_of_names(pattern: bytes, name: bytes, is_meant: bool) -> None:  # noqa: FBT001 - a table's column
    assert matches(pattern, name) is is_meant


def test_a_lookup_in_another_s_name_is_not_answered_to_everybody(lan: Lan) -> None:
    _register(lan, PRINTER)
    count = len(lan.datagrams())
    asked = Packet(Function.LOOKUP, 1, ())
    raw = bytes((asked.function << 4 | 1, 1)) + b"\0\0\xff\2\0" + EntityName(b"=", b"=").emit()

    lan.nodes[0].send(lan.address(1), 2, 2, DdpType.NBP, raw)
    lan.run()

    assert len(lan.datagrams()) == count + 1


def test_a_router_gives_network_zone_and_multicast_and_is_asked_for_names() -> None:
    lan = Lan()
    router = RouterEnd(lan.nodes[1], (100, 110))
    lan.run(3 * SECOND)
    lan.run(5 * SECOND)
    router.announce()
    lan.run(6 * SECOND)
    node = lan.nodes[0]

    assert 100 <= lan.address(0).network <= 110
    assert (node.zones.zone, node.networks) == (b"Twilight", (100, 110))
    assert MULTICAST in node.multicasts
    assert node.router is not None
    assert node.router.address == lan.address(1)
    node.names.look_up(PRINTER, lambda _found: None)
    lan.run(SECOND)
    asked = [Packet.parse(one.data) for one in lan.datagrams() if one.kind == DdpType.NBP]
    assert [one.function for one in asked if one is not None][-1] is Function.BROADCAST_REQUEST


def test_a_silent_router_is_forgotten_after_50_s() -> None:
    lan = Lan()
    router = RouterEnd(lan.nodes[1], (100, 110))
    lan.run(8 * SECOND)
    router.announce()
    lan.run(SECOND)

    assert lan.nodes[0].router is not None
    lan.run(50 * SECOND)
    assert lan.nodes[0].router is None


def test_a_list_of_zones_is_read_page_by_page() -> None:
    lan = Lan()
    router = RouterEnd(lan.nodes[1], (100, 110))
    zones = [b"Zone %d" % number for number in range(5)]

    def answer(request: Request) -> None:
        first = int.from_bytes(request.user[2:4]) - 1
        page = zones[first : first + 2]
        user = bytes((first + 2 >= len(zones), 0)) + len(page).to_bytes(2)
        data = b"".join(bytes((len(one),)) + one for one in page)
        lan.nodes[1].transactions.respond(request, [(user, data)])

    lan.nodes[1].transactions.responders[6] = answer
    lan.run(8 * SECOND)
    router.announce()
    lan.run(8 * SECOND)
    told: list[list[bytes] | None] = []
    lan.nodes[0].zones.read(GET_ZONE_LIST, told.append)
    lan.run()

    assert told == [zones]


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="impossible"):
        AppletalkParameters(probes=0)
