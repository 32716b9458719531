"""DHCP, link-local addresses, DNS and LLMNR, against small servers on the virtual wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.host.virtual_wire import Network
from protocols.transports.tcpip import addresses, dns_message
from protocols.transports.tcpip import dhcp_message as dhcp
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.dhcp import DhcpState, mask_length
from protocols.transports.tcpip.paths import Path
from protocols.transports.tcpip.stack import Stack, StackConfig
from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.udp import Datagram

SERVER = parse("10.0.0.1")
LEASED = parse("10.0.0.50")
V4_ONLY = StackConfig(ipv6=False)


class DhcpServer:
    """A server of one address, which can be told to fall silent or to refuse."""

    def __init__(self, stack: Stack, interface: Interface, lease_seconds: int = 1000) -> None:
        self.stack = stack
        self.interface = interface
        self.lease_seconds = lease_seconds
        self.silent = False
        self.refuse = False
        self.heard: list[tuple[int, bytes]] = []
        stack.udp_bind(67, self.receive)

    def receive(self, datagram: Datagram) -> None:
        """Answer DISCOVER and REQUEST."""
        message = dhcp.parse(datagram.data)
        assert message is not None
        self.heard.append((message.kind, datagram.source))
        if self.silent or message.kind not in (dhcp.DISCOVER, dhcp.REQUEST):
            return
        kind = dhcp.OFFER if message.kind == dhcp.DISCOVER else dhcp.ACK
        reply = dhcp.DhcpMessage(dhcp.REPLY_OP, message.xid, message.mac, your=LEASED)
        if kind == dhcp.ACK and self.refuse:
            kind = dhcp.NAK
        reply.options = {
            dhcp.MESSAGE_TYPE: bytes((kind,)),
            dhcp.SERVER_ID: SERVER,
            dhcp.LEASE_TIME: self.lease_seconds.to_bytes(4),
            dhcp.SUBNET_MASK: b"\xff\xff\xff\x00",
            dhcp.ROUTER: SERVER,
            dhcp.DNS_SERVERS: SERVER + parse("10.0.0.3"),
            dhcp.DOMAIN_NAME: b"example.test",
        }
        unicast = not addresses.is_unspecified(message.client)
        to = message.client if unicast else addresses.IPV4_BROADCAST
        path = Path(self.interface, SERVER, to, to, self.stack.ip.paths.generation)
        self.stack.udp.transmit(path, 67, 68, reply.build())


def dhcp_pair(lease_seconds: int = 1000) -> tuple[Network, Stack, Interface, DhcpServer]:
    """Return a client without an address and a server."""
    net = Network()
    server, client = (
        net.add(Stack(net.entropy, net.now, V4_ONLY)),
        net.add(Stack(net.entropy, net.now, V4_ONLY)),
    )
    theirs, ours = net.join(server), net.join(client)
    server.add_address(theirs, SERVER, 24)
    return net, client, ours, DhcpServer(server, theirs, lease_seconds)


def test_a_lease_configures_everything() -> None:
    """RFC 2131 3.1: discover, offer, request, ack, probe, bound."""
    net, client, ours, server = dhcp_pair()

    lease = client.start_dhcp(ours)
    net.run(lambda: lease.state is DhcpState.BOUND, 30 * SECOND)

    assert [kind for kind, _ in server.heard] == [dhcp.DISCOVER, dhcp.REQUEST]
    assert ours.owns(LEASED)
    assert client.dns_servers() == [SERVER, parse("10.0.0.3")]
    assert lease.domain == "example.test"
    route = client.ip.routes.lookup(parse("192.0.2.1"))
    assert route is not None
    assert route.gateway == SERVER


def test_a_lease_is_renewed_by_unicast_at_half_its_life() -> None:
    """RFC 2131 4.4.5."""
    net, client, ours, server = dhcp_pair(1000)
    lease = client.start_dhcp(ours)
    net.run(lambda: lease.state is DhcpState.BOUND, 30 * SECOND)
    server.heard.clear()

    net.run(limit=510 * SECOND)

    assert server.heard == [(dhcp.REQUEST, LEASED)]
    assert lease.state is DhcpState.BOUND
    assert (lease.lease_until or 0) > net.now + 900 * SECOND


def test_a_lease_that_nobody_renews_is_rebound_then_given_up() -> None:
    """RFC 2131 4.4.5: at T2 to everybody, at the end no address."""
    net, client, ours, server = dhcp_pair(1000)
    lease = client.start_dhcp(ours)
    net.run(lambda: lease.state is DhcpState.BOUND, 30 * SECOND)
    server.silent = True

    net.run(limit=900 * SECOND)
    assert lease.state.name == "REBINDING"
    assert ours.owns(LEASED)
    net.run(limit=110 * SECOND)

    assert not ours.owns(LEASED)
    assert lease.state.name == "SELECTING"


def test_a_refused_request_starts_again() -> None:
    """RFC 2131 3.1.5."""
    net, client, ours, server = dhcp_pair()
    server.refuse = True
    lease = client.start_dhcp(ours)
    net.run(limit=5 * SECOND)
    assert client.counters["dhcp.naks"] >= 1

    server.refuse = False
    net.run(lambda: lease.state is DhcpState.BOUND, 60 * SECOND)

    assert ours.owns(LEASED)


def test_an_address_that_somebody_has_is_declined() -> None:
    """RFC 2131 3.1 step 5, RFC 5227."""
    net, client, ours, server = dhcp_pair()
    squatter = net.add(Stack(net.entropy, net.now, V4_ONLY))
    squatter.add_address(net.join(squatter), LEASED, 24)

    client.start_dhcp(ours)
    net.run(lambda: any(kind == dhcp.DECLINE for kind, _ in server.heard), 30 * SECOND)

    assert server.heard[-1][0] == dhcp.DECLINE
    assert not ours.owns(LEASED)


def test_release_gives_the_address_back() -> None:
    """RFC 2131 4.4.6."""
    net, client, ours, server = dhcp_pair()
    lease = client.start_dhcp(ours)
    net.run(lambda: lease.state is DhcpState.BOUND, 30 * SECOND)

    lease.release()
    net.run(limit=SECOND)

    assert server.heard[-1] == (dhcp.RELEASE, LEASED)
    assert not ours.owns(LEASED)


def test_without_a_server_two_hosts_find_link_local_addresses() -> None:
    """RFC 3927; and the server, when it comes, wins."""
    net, client, ours, server = dhcp_pair()
    server.silent = True
    other = net.add(Stack(net.entropy, net.now, V4_ONLY))
    theirs = net.join(other)

    lease = client.start_dhcp(ours)
    other.start_dhcp(theirs)
    net.run(limit=60 * SECOND)
    mine = client.link_local[ours.index].address
    yours = other.link_local[theirs.index].address
    assert mine is not None
    assert yours is not None
    assert mine != yours
    assert addresses.is_link_local(mine)
    answers: list[object] = []
    client.ping(yours, lambda r: answers.append(r.error))
    net.run(lambda: bool(answers), 5 * SECOND)
    assert answers == [None]

    server.silent = False
    net.run(lambda: lease.state is DhcpState.BOUND, 120 * SECOND)

    assert ours.owns(LEASED)
    assert not ours.owns(mine)


def test_a_link_local_conflict_moves_to_another_address() -> None:
    """RFC 3927 2.2.1."""
    net, client, ours, server = dhcp_pair()
    server.silent = True
    client.start_dhcp(ours)
    net.run(limit=60 * SECOND)
    first = client.link_local[ours.index].address
    assert first is not None
    client.link_local[ours.index].stop()
    squatter = net.add(Stack(net.entropy, net.now, V4_ONLY))
    squatter.add_address(net.join(squatter), first, 16)

    client.link_local[ours.index].start()
    net.run(limit=30 * SECOND)

    second = client.link_local[ours.index].address
    assert second is not None
    assert second != first


@pytest.mark.parametrize(
    ("mask", "length"), [("255.255.255.0", 24), ("128.0.0.0", 1), ("255.255.255.255", 32)]
)
def test_the_length_of_a_mask_is_its_leading_ones(mask: str, length: int) -> None:
    """The number of leading ones."""
    assert mask_length(parse(mask)) == length


class DnsServer(ConnectionHandler):
    """Answers A questions from a table; may truncate, stay silent, lie, or fail."""

    def __init__(self, stack: Stack, table: dict[str, bytes]) -> None:
        """Listen on port 53, UDP and TCP."""
        self.table = table
        self.truncate = False
        self.silent = False
        self.rcode = 0
        self.wrong_ident = False
        self.questions: list[tuple[str, int]] = []
        self.endpoint = stack.udp_bind(53, self.receive)
        stack.tcp_listen(53, lambda _c: self)

    def answer(self, raw: bytes, *, tcp: bool) -> bytes:
        """Return the reply to a question."""
        asked = dns_message.parse(raw)
        self.questions.append((asked.name, asked.kind))
        found = self.table.get(asked.name)
        records = [(dns_message.A, found)] if found and asked.kind == dns_message.A else []
        if self.truncate and not tcp:
            records = []
        reply = bytearray(dns_message.response(asked, records, 60))
        if self.truncate and not tcp:
            reply[2] |= 2
        reply[3] |= self.rcode
        if self.wrong_ident:
            reply[0] ^= 0xFF
        return bytes(reply)

    def receive(self, datagram: Datagram) -> None:
        """Answer by UDP."""
        if not self.silent:
            self.endpoint.send(
                self.answer(bytes(datagram.data), tcp=False), datagram.source, datagram.source_port
            )

    def readable(self, connection: Connection) -> None:
        """Answer by TCP."""
        raw = connection.receive()
        reply = self.answer(raw[2:], tcp=True)
        connection.send(len(reply).to_bytes(2) + reply)
        connection.shutdown()


def dns_pair(table: dict[str, bytes]) -> tuple[Network, Stack, DnsServer]:
    """Return a resolver and a server that it knows."""
    net = Network()
    server, client = (
        net.add(Stack(net.entropy, net.now, V4_ONLY)),
        net.add(Stack(net.entropy, net.now, V4_ONLY)),
    )
    server.add_address(net.join(server), SERVER, 24)
    client.add_address(net.join(client), parse("10.0.0.2"), 24)
    client.dns.servers = [SERVER]
    return net, client, DnsServer(server, table)


def look_up(net: Network, stack: Stack, name: str) -> list[bytes]:
    """Return what a name resolves to."""
    results: list[list[bytes]] = []
    stack.resolve(name, results.append)
    assert net.run(lambda: bool(results), 60 * SECOND)
    return results[0]


def test_a_name_is_looked_up_once_while_its_ttl_lasts() -> None:
    """RFC 1035 7.4, RFC 2308."""
    net, client, server = dns_pair({"www.example.test": parse("192.0.2.7")})

    assert look_up(net, client, "WWW.example.test.") == [parse("192.0.2.7")]
    assert look_up(net, client, "www.example.test") == [parse("192.0.2.7")]
    assert len(server.questions) == 2, "A and AAAA, once"
    net.run(limit=61 * SECOND)
    look_up(net, client, "www.example.test")

    assert len(server.questions) == 4


def test_a_truncated_answer_is_asked_again_by_tcp() -> None:
    """RFC 7766 5."""
    net, client, server = dns_pair({"big.example.test": parse("192.0.2.8")})
    server.truncate = True

    assert look_up(net, client, "big.example.test") == [parse("192.0.2.8")]

    assert client.counters["dns.tcp_queries"] == 2


def test_a_name_that_does_not_exist_is_remembered() -> None:
    """RFC 2308 5."""
    net, client, server = dns_pair({})
    server.rcode = dns_message.NAME_ERROR

    assert look_up(net, client, "no.example.test") == []
    assert look_up(net, client, "no.example.test") == []

    assert len(server.questions) == 2


def test_an_answer_with_the_wrong_identifier_is_ignored() -> None:
    """RFC 5452 9.1: the resolver waits, asks again, and gives up in the end."""
    net, client, server = dns_pair({"www.example.test": parse("192.0.2.7")})
    server.wrong_ident = True

    assert look_up(net, client, "www.example.test") == []

    assert client.counters["dns.mismatches"] == 6


def test_the_second_server_is_asked_when_the_first_is_silent() -> None:
    """RFC 1035 7.2."""
    net, client, server = dns_pair({"www.example.test": parse("192.0.2.7")})
    client.dns.servers = [parse("10.0.0.99"), SERVER]

    assert look_up(net, client, "www.example.test") == [parse("192.0.2.7")]

    assert server.questions


def test_a_single_label_is_asked_of_the_link() -> None:
    """RFC 4795, over both versions of IP."""
    net = Network()
    one = net.add(Stack(net.entropy, net.now, host_name="alpha"))
    two = net.add(Stack(net.entropy, net.now, host_name="beta"))
    for stack, address in ((one, "10.0.0.1"), (two, "10.0.0.2")):
        interface = net.join(stack)
        stack.add_address(interface, parse(address), 24)
        stack.llmnr.start(interface)
    net.run(limit=5 * SECOND)

    found = look_up(net, one, "BETA")

    assert parse("10.0.0.2") in found
    assert look_up(net, one, "gamma") == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(12),
        bytes.fromhex("000080000001000000000000c00c00010001"),
        bytes.fromhex("00008000000100000000000041") + b"x" * 20,
        bytes.fromhex("000080000001000100000000") + b"\0\0\1\0\1" + b"\0\0\1\0\1\0\0\0\0\xff\xff",
        bytes.fromhex("000080000001ffff00000000") + b"\0\0\1\0\1",
    ],
)
def test_a_malformed_dns_message_is_refused(raw: bytes) -> None:
    """Short, looping, overrunning: an exception of its own, and no more."""
    with pytest.raises(dns_message.DnsError):
        dns_message.parse(raw)


def test_a_cname_is_followed_within_the_answer() -> None:
    """RFC 1034 3.6.2."""
    name = dns_message.encode_name("real.example.test")
    asked = dns_message.parse(dns_message.query(7, "alias.example.test", dns_message.A))
    raw = bytearray(dns_message.response(asked, [(dns_message.CNAME, name)], 60))
    raw[6:8] = (2).to_bytes(2)
    raw += name + dns_message.RECORD.pack(dns_message.A, 1, 30, 4) + parse("192.0.2.9")
    net, client, server = dns_pair({})
    server.answer = lambda question, **_: bytes(question[:2]) + bytes(raw[2:])  # type: ignore[method-assign]  # one fixed answer
    results: list[list[bytes]] = []

    client.dns.resolve("alias.example.test", results.append, [SERVER], (dns_message.A,))
    net.run(lambda: bool(results), 10 * SECOND)

    assert results == [[parse("192.0.2.9")]]
