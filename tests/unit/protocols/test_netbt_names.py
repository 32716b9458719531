"""NetBIOS' name service (RFC 1001, 1002): claims, defence, answers, questions; scapy is the outside peer."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import pytest
from scapy.layers import netbios

from lab.host.virtual import VirtualHosts
from protocols.apis.winsock import WinsockError
from protocols.apis.winsock.constants import Ns
from protocols.interfaces.tdi.address import internet
from protocols.transports.netbt import MessageError, NetbiosName, message
from protocols.transports.netbt.message import Kind, Message, Opcode
from protocols.transports.netbt.names import PORT, State
from protocols.transports.tcpip.addresses import parse, text

if TYPE_CHECKING:
    from protocols.transports.tcpip.udp import Datagram, UdpEndpoint

ANNA = NetbiosName("ANNA")
BROADCAST = parse("10.0.0.255")
WORKSTATION = int.from_bytes(b"AA")
"""Suffix 00 as scapy shows it in a question: encoded."""


class Link:
    """Two hosts of ours, and a third whose port 137 is the test's: what it hears, it has scapy read."""

    def __init__(self) -> None:
        """Join them; nobody has claimed anything."""
        self.net = VirtualHosts(3)
        self.anna, self.bert, outside = self.net.hosts
        self.heard: list[bytes] = []
        self.outside: UdpEndpoint = outside.stack.udp_bind(PORT, self._hear)
        self.outside.broadcast = True

    def _hear(self, datagram: Datagram) -> None:
        self.heard.append(bytes(datagram.data))

    def say(self, packet: netbios.NBNSHeader, to: bytes = BROADCAST) -> list[netbios.NBNSHeader]:
        """Send a packet of scapy's; return what comes back."""
        self.heard.clear()
        self.outside.send(bytes(packet), to, PORT)
        self.net.run(2)
        return [netbios.NBNSHeader(raw) for raw in self.heard]


@pytest.fixture
def link() -> Link:
    return Link()


def test_a_host_claims_its_names_thrice_and_then_owns_them(link: Link) -> None:
    """RFC 1002 5.1.1.1, as scapy reads it: requests, 250 ms apart, then the overwrite demand."""
    link.anna.netbt.start("anna")
    link.net.run(0.6)
    before = {owned.state for owned in link.anna.netbt.names.values()}
    link.net.run(1)

    requests = [netbios.NBNSHeader(raw)[netbios.NBNSRegistrationRequest] for raw in link.heard]
    flags = [int.from_bytes(raw[2:4]) for raw in link.heard]
    assert before == {State.CLAIMING}
    assert {str(one.name): one.state for one in link.anna.netbt.names.values()} == {
        "ANNA<00>": State.OWNED,
        "ANNA<20>": State.OWNED,
        "WORKGROUP<00>": State.OWNED,
    }
    assert [(r.QUESTION_NAME.strip(), r.SUFFIX, r.NB_ADDRESS) for r in requests[:1]] == [
        (b"ANNA", WORKSTATION, "10.0.0.1")
    ]
    assert sorted(flags) == [0x2810] * 3 + [0x2910] * 9
    assert {(r.QUESTION_NAME.strip(), r.G) for r in requests} == {(b"ANNA", 0), (b"WORKGROUP", 1)}


def test_a_query_by_scapy_is_answered_with_the_address(link: Link) -> None:
    link.anna.netbt.start("anna")
    link.net.run(2)

    (answer,) = link.say(
        netbios.NBNSHeader(NAME_TRN_ID=7, NM_FLAGS=0x11, QDCOUNT=1)
        / netbios.NBNSQueryRequest(QUESTION_NAME=b"ANNA")
    )

    response = answer[netbios.NBNSQueryResponse]
    assert (answer.NAME_TRN_ID, answer.RESPONSE, answer.RCODE) == (7, 1, 0)
    assert response.RR_NAME.strip() == b"ANNA"
    assert [entry.NB_ADDRESS for entry in response.ADDR_ENTRY] == ["10.0.0.1"]


def test_a_name_that_is_not_ours_is_not_answered(link: Link) -> None:
    link.anna.netbt.start("anna")
    link.net.run(2)

    asked = netbios.NBNSHeader(QDCOUNT=1) / netbios.NBNSQueryRequest(QUESTION_NAME=b"carl")

    assert link.say(asked) == []


def test_a_name_of_ours_is_defended_against_a_claim(link: Link) -> None:
    """RFC 1002 4.2.6: a negative response with ACT_ERR; a group of both is no conflict."""
    link.anna.netbt.start("anna")
    link.net.run(2)
    header = netbios.NBNSHeader(NAME_TRN_ID=9, OPCODE=5, NM_FLAGS=0x11, QDCOUNT=1, ARCOUNT=1)

    stolen = link.say(header / netbios.NBNSRegistrationRequest(QUESTION_NAME=b"ANNA"))
    shared = link.say(header / netbios.NBNSRegistrationRequest(QUESTION_NAME=b"WORKGROUP", G=1))

    assert [(one.NAME_TRN_ID, one.RESPONSE, one.OPCODE, one.RCODE) for one in stolen] == [(9, 1, 5, 6)]
    assert shared == []


def test_the_second_host_of_a_name_learns_of_the_conflict(link: Link) -> None:
    link.anna.netbt.start("anna")
    link.net.run(2)

    link.bert.netbt.start("anna")
    link.net.run(2)

    assert link.anna.netbt.names[ANNA].state is State.OWNED
    assert link.bert.netbt.names[ANNA].state is State.CONFLICT
    assert link.bert.names.lookup("anna", Ns.NETBT) == [internet(parse("10.0.0.1"))]


def test_a_forged_conflict_or_release_silences_nobody(link: Link) -> None:
    link.anna.netbt.start("anna")
    link.net.run(2)
    claim = netbios.NBNSRegistrationRequest(QUESTION_NAME=b"ANNA")

    link.say(netbios.NBNSHeader(OPCODE=6, QDCOUNT=1, ARCOUNT=1) / claim)
    link.say(netbios.NBNSHeader(OPCODE=5, RESPONSE=1, RCODE=7, QDCOUNT=1, ARCOUNT=1) / claim)

    assert link.anna.netbt.names[ANNA].state is State.OWNED


def test_a_status_question_of_scapy_is_answered_with_names_and_address(link: Link) -> None:
    link.anna.netbt.start("anna")
    link.net.run(2)

    (answer,) = link.say(
        netbios.NBNSHeader(NAME_TRN_ID=3, QDCOUNT=1) / netbios.NBNSNodeStatusRequest(), parse("10.0.0.1")
    )

    response = answer[netbios.NBNSNodeStatusResponse]
    names = [(one.NETBIOS_NAME.strip(), one.SUFFIX) for one in response.NODE_NAME]
    assert names == [(b"ANNA", 0), (b"ANNA", 0x20), (b"WORKGROUP", 0)]
    assert response.MAC_ADDRESS == "02:00:00:00:00:01"


def test_the_namespace_provider_asks_the_link_and_lists_after_llmnr(link: Link) -> None:
    link.bert.netbt.start("bert")
    link.net.run(2)

    found = link.anna.names.lookup("bert", Ns.NETBT)

    assert found == [internet(parse("10.0.0.2"))]
    assert [name for _, name in link.anna.names.enumerate()] == ["hosts", "Tcpip", "llmnr", "NetBT"]


def test_a_lookup_service_tells_each_providers_answer_in_the_catalogs_order(link: Link) -> None:
    """WSALookupServiceBegin, Next until WSA_E_NO_MORE, End."""
    link.bert.netbt.start("host2")
    link.net.run(2)
    link.bert.stack.llmnr.start(link.bert.stack.interfaces[1])
    names = link.anna.names

    begun = names.lookup_service_begin("host2")
    told = [names.lookup_service_next(begun) for _ in range(2)]
    with pytest.raises(WinsockError, match="WSA_E_NO_MORE"):
        names.lookup_service_next(begun)
    names.lookup_service_end(begun)

    assert [one.namespace for one in told] == [Ns.LLMNR, Ns.NETBT]
    assert {one.addresses for one in told} == {(internet(parse("10.0.0.2")),)}
    with pytest.raises(WinsockError, match="WSA_INVALID_HANDLE"):
        names.lookup_service_next(begun)
    with pytest.raises(WinsockError, match="WSAEINVAL"):
        names.lookup_service_begin("host2", 77)


@pytest.mark.parametrize("name", ["nobody", "a.label.too.much", "sixteen-letters!"])
def test_a_name_that_nobody_has_or_can_have_is_not_found(link: Link, name: str) -> None:
    with pytest.raises(WinsockError, match="WSASERVICE_NOT_FOUND"):
        link.anna.names.lookup(name, Ns.NETBT)


def test_a_host_that_goes_releases_its_names(link: Link) -> None:
    link.anna.netbt.start("anna")
    link.net.run(2)
    link.heard.clear()

    link.anna.netbt.stop()
    link.anna.stack.flush()
    link.net.run(1)

    assert {message.parse(raw).opcode for raw in link.heard} == {Opcode.RELEASE}
    assert len(link.heard) == 3
    with pytest.raises(WinsockError):
        link.bert.names.lookup("anna", Ns.NETBT)


def test_an_answer_counts_from_port_137_with_the_right_number_only(link: Link) -> None:
    """Anybody else's guess is no answer."""
    found: list[list[bytes]] = []
    link.anna.netbt.query(NetbiosName("CARL"), found.append)
    link.anna.stack.flush()
    link.net.run(0.05)
    ident = message.parse(link.heard[0]).ident
    record = message.Record(NetbiosName("CARL"), Kind.NB, 9, message.ENTRY.pack(0, parse("10.0.0.9")))
    for number, name in ((ident ^ 1, "CARL"), (ident, "EVIL")):
        guess = Message(
            number,
            0,
            message.Flags.RESPONSE,
            record=message.Record(NetbiosName(name), Kind.NB, 9, record.data),
        )
        link.outside.send(guess.emit(), parse("10.0.0.1"), PORT)
    link.net.run(0.1)
    before = list(found)

    answer = netbios.NBNSHeader(NAME_TRN_ID=ident, RESPONSE=1, ANCOUNT=1) / netbios.NBNSQueryResponse(
        RR_NAME=b"CARL", ADDR_ENTRY=[netbios.NBNS_ADD_ENTRY(NB_ADDRESS="10.0.0.9")]
    )
    link.outside.send(bytes(answer), parse("10.0.0.1"), PORT)
    link.net.run(2)

    assert (before, [list(map(text, one)) for one in found]) == ([], [["10.0.0.9"]])


@pytest.mark.parametrize("seed", range(4))
def test_hostile_packets_are_refused_or_read_and_nothing_else(link: Link, seed: int) -> None:
    """RFC 1002's own layouts, cut and changed: MessageError is the only complaint."""
    link.anna.netbt.start("anna")
    link.net.run(2)
    choose = random.Random(seed)
    good = [*link.heard, Message(5, 0, question=message.ANY, question_kind=Kind.NBSTAT).emit()]
    for _ in range(2000):
        raw = bytearray(choose.choice(good))
        for _ in range(choose.randrange(6)):
            raw[choose.randrange(len(raw))] = choose.choice((0, 0xC0, 0xFF, choose.randrange(256)))
        raw = raw[: choose.randrange(len(raw) + 1)] if choose.random() < 0.3 else raw
        with contextlib.suppress(MessageError):
            message.parse(bytes(raw))
        if choose.random() < 0.1:
            link.outside.send(bytes(raw), BROADCAST, PORT)
    link.net.run(1)

    assert link.bert.names.lookup("anna", Ns.NETBT) == [internet(parse("10.0.0.1"))]


def test_a_pointer_to_itself_ends() -> None:
    """A label pointer may point to the question's name only."""
    looping = message.HEADER.pack(1, 0, 1, 0, 0, 0) + bytes((0xC0, 12)) + message.QUESTION.pack(0x20, 1)

    with pytest.raises(MessageError):
        message.parse(looping)
