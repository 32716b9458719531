"""Hosts on a virtual wire: ARP, ND, DAD, autoconfiguration, ICMP, groups, forwarding, UDP, path MTU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from formats import ethernet, ipv4
from formats.transport import ICMP, ICMPV6, IGMP, TCP, UDP
from lab.host.virtual_wire import Network
from lab.trials.tcpip.streams import Transfer
from protocols.transports.tcpip import addresses, arp, icmp, nd, slaac
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.icmp import ErrorKind
from protocols.transports.tcpip.interface import MAX_CORRESPONDENTS, AddressState, Interface, InterfaceAddress
from protocols.transports.tcpip.ip import SendOptions
from protocols.transports.tcpip.link import RxFrame, TxFrame
from protocols.transports.tcpip.stack import Stack, StackConfig
from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler
from protocols.transports.tcpip.tcp.states import State
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.ping import EchoResult
    from protocols.transports.tcpip.udp import Datagram

A, B = parse("10.0.0.1"), parse("10.0.0.2")
A6, B6 = parse("fd00::1"), parse("fd00::2")


def host(net: Network, config: StackConfig | None = None) -> Stack:
    """Return a host that the network drives."""
    return net.add(Stack(net.entropy, net.now, config))


def pair(config: StackConfig | None = None, mtu: int = 1500) -> tuple[Network, Stack, Stack]:
    """Return two hosts with both versions' addresses, after duplicate address detection."""
    net = Network()
    one, two = host(net, config), host(net, config)
    for stack, v4, v6 in ((one, A, A6), (two, B, B6)):
        interface = net.join(stack, mtu=mtu)
        stack.add_address(interface, v4, 24)
        stack.add_address(interface, v6, 64)
    net.run(limit=5 * SECOND)
    return net, one, two


def ping(net: Network, stack: Stack, to: bytes, **options: int) -> EchoResult:
    """Return how one echo request ended."""
    results: list[EchoResult] = []
    stack.ping(to, results.append, **options)  # type: ignore[arg-type]  # only ints are passed here
    assert net.run(lambda: bool(results), 10 * SECOND)
    return results[0]


def frames(net: Network, kind: int) -> list[bytes]:
    """Return the logged frames of one Ethernet type."""
    assert net.log is not None
    return [data for _, _, data in net.log if ethernet.ethertype(data) == kind]


@pytest.mark.parametrize("to", [B, B6])
def test_echo_is_answered_with_its_own_data(to: bytes) -> None:
    """RFC 1122 3.2.2.6, RFC 4443 4.2."""
    net, one, _ = pair()

    result = ping(net, one, to)

    assert (result.source, result.error) == (to, None)
    assert result.data == b"abcdefghijklmnopqrstuvwabcdefghi"


def test_calls_after_a_long_silence_begin_now_and_not_at_the_last_turn() -> None:
    """A ping's time is its own, and none of its timers is due (RFC 6298 2.1: a SYN again after 1 s)."""
    net, near, far = pair(StackConfig(ipv6=False))
    near.context.timers.clock = lambda: net.now
    results: list[EchoResult] = []
    far.tcp_listen(80, lambda _connection: ConnectionHandler())
    connections: list[Connection] = []
    net.run(limit=SECOND)
    net.log = []

    def call() -> None:
        near.ping(parse("10.0.0.2"), results.append)
        connections.append(near.tcp_connect(parse("10.0.0.2"), 80, ConnectionHandler()))
        near.flush()

    net.at(net.now + 20 * SECOND, call)
    net.run(lambda: bool(results and connections[0].state is State.ESTABLISHED), 60 * SECOND)

    syns = [raw for raw in frames(net, ethernet.IPV4) if raw[23] == TCP and raw[47] == 0x02]
    assert [result.source for result in results] == [parse("10.0.0.2")]
    assert results[0].rtt < SECOND // 100
    assert len(syns) == 1
    assert connections[0].rtt.rto < SECOND


def test_echo_larger_than_the_mtu_crosses_in_fragments() -> None:
    """Both ways: the request and the reply are reassembled."""
    net, one, two = pair()
    results: list[EchoResult] = []
    data = bytes(range(256)) * 30

    one.ping(B, results.append, data=data)
    one.ping(B6, results.append, data=data)
    net.run(lambda: len(results) == 2, 5 * SECOND)

    assert [r.data for r in results] == [data, data]
    assert two.counters["ip.reassembly_ok"] == 2


def test_one_arp_request_serves_a_burst() -> None:
    """RFC 1122 2.3.2.1 and 2.3.2.2: no flood, and the packets wait."""
    net, one, two = pair(StackConfig(ipv6=False))
    net.log = []
    got: list[bytes] = []
    two.udp_bind(9, lambda d: got.append(bytes(d.data)))
    sender = one.udp_bind(0, lambda _d: None)

    for number in range(10):
        sender.send(bytes((number,)), B, 9)
    net.run(limit=SECOND)

    assert got == [bytes((n,)) for n in range(10)]
    requests = [m for f in frames(net, ethernet.ARP) if (m := arp.parse(f)) and m.operation == arp.REQUEST]
    assert [(m.sender_ip, m.target_ip) for m in requests] == [(A, B)]


def test_an_address_that_two_hosts_keep_is_defended_once_in_ten_seconds() -> None:
    """RFC 5227 2.4 (c): else each defence is a conflict for the other, without end."""
    net = Network()
    net.log = []
    one, two = host(net, StackConfig(ipv6=False)), host(net, StackConfig(ipv6=False))
    for stack in (one, two):
        stack.add_address(net.join(stack), A, 24)

    net.run(limit=50 * SECOND)

    announced = [m for f in frames(net, ethernet.ARP) if (m := arp.parse(f)) and m.sender_ip == A]
    assert 2 <= len(announced) <= 12
    assert one.counters["arp.conflicts"] > 0


def test_a_flood_of_conflicts_is_answered_once() -> None:
    """A hostile neighbour has no amplifier in us, and takes no address away."""
    net, one, _ = pair(StackConfig(ipv6=False))
    thief = bytes((2, 0, 0, 0, 0, 0x66))
    claim = addresses.MAC_BROADCAST + thief + ethernet.ARP.to_bytes(2)
    claim += arp.build(arp.ArpMessage(arp.REQUEST, thief, A, bytes(6), A))
    net.log = []

    for _ in range(1000):
        one.receive(one.interfaces[1], [RxFrame(claim)], net.now)
    net.run(limit=SECOND)

    told = [m for f in frames(net, ethernet.ARP) if (m := arp.parse(f)) and m.operation == arp.REQUEST]
    assert [(m.sender_ip, m.target_ip) for m in told] == [(A, A)]
    assert one.counters["arp.conflicts"] == 1000
    assert one.interfaces[1].owns(A)


def test_a_silent_neighbour_is_host_unreachable() -> None:
    """Three requests, a second apart, then the sender is told."""
    net, one, _ = pair(StackConfig(ipv6=False))

    result = ping(net, one, parse("10.0.0.77"))

    assert result.error is ErrorKind.HOST_UNREACHABLE
    assert one.counters["neighbour.failed"] == 1


def test_an_unused_neighbour_goes_stale_and_is_confirmed_by_unicast() -> None:
    """RFC 4861 7.3.2, for ARP too."""
    net, one, _ = pair(StackConfig(ipv6=False))
    ping(net, one, B)
    entry = one.interfaces[1].neighbours4.entries[B]
    net.run(limit=40 * SECOND)
    assert entry.state.name == "STALE"
    net.log = []

    ping(net, one, B)
    net.run(limit=8 * SECOND)

    asked = [f for f in frames(net, ethernet.ARP) if f[:6] != addresses.MAC_BROADCAST]
    assert len(asked) >= 2, "a request to the known MAC, and its reply"
    assert entry.state.name == "REACHABLE"


def test_the_neighbour_cache_is_bounded() -> None:
    """A sweep over a /16 leaves no more entries than the limit."""
    net = Network()
    one = host(net, StackConfig(ipv6=False, neighbour_entries=50))
    interface = net.join(one)
    one.add_address(interface, parse("10.0.0.1"), 16)
    sender = one.udp_bind(0, lambda _d: None)

    for number in range(2, 400):
        sender.send(b"x", bytes((10, 0, number >> 8, number & 255)), 9)

    assert len(interface.neighbours4.entries) == 50


def test_a_duplicate_ipv6_address_is_not_used() -> None:
    """RFC 4862 5.4.5."""
    net = Network()
    one, two = host(net), host(net)
    first, second = net.join(one), net.join(two)
    one.add_address(first, A6, 64)
    net.run(limit=5 * SECOND)

    two.add_address(second, A6, 64)
    net.run(limit=5 * SECOND)

    assert first.addresses[A6].state is AddressState.PREFERRED
    assert second.addresses[A6].state is AddressState.DUPLICATE
    assert not second.owns(A6)


def advertise(net: Network, router: Interface, *, lifetime: int, valid: int, preferred: int) -> None:
    """Send a router advertisement for 2001:db8:1::/64 with a DNS server, from an interface."""
    source = next(a for a in router.addresses if addresses.is_link_local(a))
    prefix = slaac.PREFIX.pack(3, 4, 64, 0xC0, valid, preferred, 0, parse("2001:db8:1::"))
    mtu = bytes((5, 1, 0, 0)) + (1400).to_bytes(4)
    dns = bytes((25, 3, 0, 0)) + (600).to_bytes(4) + parse("2001:db8::53")
    body = bytes(8) + prefix + mtu + dns + bytes((1, 1)) + router.mac
    to = addresses.IPV6_ALL_NODES
    raw = icmp.build6(nd.ROUTER_ADVERTISEMENT, 0, 33 << 24 | lifetime, body, (source, to))
    port = next(p for p in net.ports.values() if p.interface is router)
    path = port.stack.ip.resolve(to, source, router)
    port.stack.ip.send(path, ICMPV6, raw, [], SendOptions(ttl=255))
    port.stack.flush()
    net.run(limit=4 * SECOND)


def test_a_router_advertisement_configures_the_host() -> None:
    """RFC 4862 5.5.3, RFC 4861 6.3.4, RFC 8106: address, default route, MTU, hop limit, DNS."""
    net = Network()
    router, one = host(net, StackConfig(forwarding=True)), host(net)
    theirs, ours = net.join(router), net.join(one)
    net.run(limit=5 * SECOND)

    advertise(net, theirs, lifetime=1800, valid=7200, preferred=3600)

    made = parse("2001:db8:1::")[:8] + addresses.eui64(ours.mac)
    assert ours.addresses[made].state is AddressState.PREFERRED
    default = one.ip.routes.lookup(parse("2001:db8:99::1"))
    assert default is not None
    assert default.gateway == addresses.IPV6_LINK_LOCAL_PREFIX + addresses.eui64(theirs.mac)
    assert (ours.mtu6, ours.hop_limit6) == (1400, 33)
    assert one.dns_servers() == [parse("2001:db8::53")]


def test_lifetimes_deprecate_then_remove_and_the_router_expires() -> None:
    """RFC 4862 5.5.4, RFC 4861 6.3.4."""
    net = Network()
    router, one = host(net, StackConfig(forwarding=True)), host(net)
    theirs, ours = net.join(router), net.join(one)
    net.run(limit=5 * SECOND)
    advertise(net, theirs, lifetime=60, valid=8000, preferred=100)
    made = parse("2001:db8:1::")[:8] + addresses.eui64(ours.mac)

    net.run(limit=120 * SECOND)
    assert ours.addresses[made].state is AddressState.DEPRECATED
    assert one.ip.routes.lookup(parse("2001:db8:99::1")) is None
    net.run(limit=8000 * SECOND)

    assert made not in ours.addresses


def test_a_router_that_turns_host_is_no_default_router_any_more() -> None:
    """RFC 4861 7.2.5: IsRouter went from TRUE to FALSE."""
    net = Network()
    router, one = host(net, StackConfig(forwarding=True)), host(net)
    theirs, ours = net.join(router), net.join(one)
    net.run(limit=5 * SECOND)
    advertise(net, theirs, lifetime=1800, valid=7200, preferred=3600)
    source = next(a for a in theirs.addresses if addresses.is_link_local(a))
    assert one.ip.routes.lookup(parse("2001:db8:99::1")) is not None

    body = source + bytes((nd.TARGET_LINK_ADDRESS, 1)) + theirs.mac
    to = next(a for a in ours.addresses if addresses.is_link_local(a))
    raw = icmp.build6(nd.NEIGHBOUR_ADVERTISEMENT, 0, nd.FLAG_OVERRIDE, body, (source, to))
    router.ip.send(router.ip.resolve(to, source, theirs), ICMPV6, raw, [], SendOptions(ttl=255))
    net.run(limit=1 * SECOND)

    assert one.ip.routes.lookup(parse("2001:db8:99::1")) is None


def test_nobody_can_cut_an_address_life_below_two_hours() -> None:
    """RFC 4862 5.5.3 e."""
    net = Network()
    router, one = host(net, StackConfig(forwarding=True)), host(net)
    theirs, ours = net.join(router), net.join(one)
    net.run(limit=5 * SECOND)
    advertise(net, theirs, lifetime=60, valid=86400, preferred=100)
    made = parse("2001:db8:1::")[:8] + addresses.eui64(ours.mac)

    advertise(net, theirs, lifetime=60, valid=10, preferred=0)

    left = (ours.addresses[made].valid_until or 0) - net.now
    assert 7100 * SECOND < left <= 7200 * SECOND


def routed(config: StackConfig | None = None, mtu: int = 1500) -> tuple[Network, Stack, Stack, Stack]:
    """Return two hosts with a router between them; ``mtu`` is what the router sends to the far link."""
    net = Network()
    one, two = host(net, config), host(net, config)
    router = host(net, StackConfig(forwarding=True))
    left, right = net.join(one, "left"), net.join(two, "right")
    one.add_address(left, parse("10.1.0.1"), 24)
    one.add_address(left, parse("fd01::1"), 64)
    two.add_address(right, parse("10.2.0.1"), 24)
    two.add_address(right, parse("fd02::1"), 64)
    for segment, v4, v6, size in (
        ("left", "10.1.0.254", "fd01::ff", 1500),
        ("right", "10.2.0.254", "fd02::ff", mtu),
    ):
        interface = net.join(router, segment, mtu=size)
        router.add_address(interface, parse(v4), 24)
        router.add_address(interface, parse(v6), 64)
    one.add_route("0.0.0.0/0", left, parse("10.1.0.254"))
    one.add_route("::/0", left, parse("fd01::ff"))
    two.add_route("0.0.0.0/0", right, parse("10.2.0.254"))
    two.add_route("::/0", right, parse("fd02::ff"))
    net.run(limit=5 * SECOND)
    return net, one, router, two


@pytest.mark.parametrize("to", ["10.2.0.1", "fd02::1"])
def test_a_router_forwards_and_takes_one_hop(to: str) -> None:
    """RFC 1812 5.3.1."""
    net, one, router, _ = routed()

    result = ping(net, one, parse(to))

    assert (result.source, result.error) == (parse(to), None)
    assert result.ttl == (127 if "." in to else 63)
    assert router.counters["ipv4.forwarded" if "." in to else "ipv6.forwarded"] >= 2


@pytest.mark.parametrize(("to", "hop"), [("10.2.0.1", "10.1.0.254"), ("fd02::1", "fd01::ff")])
def test_a_hop_limit_that_runs_out_names_the_router(to: str, hop: str) -> None:
    """What tracert lives on (RFC 792, RFC 4443 3.3)."""
    net, one, _, _ = routed()

    result = ping(net, one, parse(to), ttl=1)

    assert (result.source, result.error) == (parse(hop), ErrorKind.HOPS_EXCEEDED)


def test_no_route_is_reported_by_the_router() -> None:
    """RFC 1812 5.2.7.1."""
    net, one, _, _ = routed()

    result = ping(net, one, parse("192.168.9.9"))

    assert (result.source, result.error) == (parse("10.1.0.254"), ErrorKind.NET_UNREACHABLE)


@pytest.mark.parametrize("to", ["10.2.0.1", "fd02::1"])
def test_tcp_finds_the_path_mtu(to: str) -> None:
    """RFC 1191, RFC 8201: the router says what fits, and the stream goes on in such pieces."""
    net, one, _, two = routed(mtu=1280)
    data = bytes(range(256)) * 400
    peers: list[Transfer] = []

    def accept(_connection: object) -> Transfer:
        peers.append(Transfer())
        return peers[-1]

    two.tcp_listen(80, accept)
    client = Transfer(data)
    connection = one.tcp_connect(parse(to), 80, client)

    assert net.run(lambda: client.done, 60 * SECOND)

    assert bytes(peers[0].received) == data
    assert one.ip.paths.mtu(connection.path) == 1280


def test_udp_to_a_closed_port_comes_back_as_an_error() -> None:
    """RFC 1122 4.1.3.1."""
    net, one, _ = pair()
    errors: list[ErrorKind] = []
    endpoint = one.udp_bind(0, lambda _d: None)
    endpoint.on_error = lambda report: errors.append(report.kind)

    endpoint.send(b"anyone?", B, 9)
    endpoint.send(b"anyone?", B6, 9)
    net.run(limit=SECOND)

    assert errors == [ErrorKind.PORT_UNREACHABLE] * 2


def test_udp_delivers_to_the_most_specific_endpoint() -> None:
    """A connected endpoint before a bound one before a wildcard."""
    net, one, two = pair()
    got: list[str] = []
    wildcard = two.udp_bind(7, lambda _d: got.append("wildcard"), share=True)
    two.udp_bind(7, lambda _d: got.append("bound"), B, share=True)
    connected = two.udp_bind(7, lambda _d: got.append("connected"), B, share=True)
    sender = one.udp_bind(1234, lambda _d: None)
    other = one.udp_bind(0, lambda _d: None)
    connected.connect(A, 1234)

    sender.send(b"", B, 7)
    other.send(b"", B, 7)
    net.run(limit=SECOND)
    two.udp.unbind(connected)
    wildcard.close()
    sender.send(b"", B, 7)
    net.run(limit=SECOND)

    assert got == ["connected", "bound", "bound"]


def test_a_port_is_given_out_once() -> None:
    """Unless all who have it agreed to share it."""
    _, one, _ = pair()
    one.udp_bind(5, lambda _d: None)

    with pytest.raises(NetworkError) as refused:
        one.udp_bind(5, lambda _d: None, A)

    assert refused.value.failure is Failure.ADDRESS_IN_USE


def test_multicast_reaches_those_who_joined() -> None:
    """And the joins are reported: IGMPv3 and MLDv2."""
    net, one, two = pair()
    group, group6 = parse("239.1.2.3"), parse("ff05::123")
    got: list[bytes] = []

    def hear(datagram: Datagram) -> None:
        got.append(bytes(datagram.data))

    receiver = two.udp_bind(5000, hear)
    receiver6 = two.udp_bind(5001, hear, addresses.IPV6_ANY)
    sender = one.udp_bind(0, lambda _d: None)
    sender.multicast_interface = one.interfaces[1]
    net.log = []
    sender.send(b"too early", group, 5000)
    one.flush()
    net.run(limit=SECOND)
    receiver.join(group, two.interfaces[1])
    receiver6.join(group6, two.interfaces[1])
    two.flush()
    sender.send(b"four", group, 5000)
    sender.send(b"six", group6, 5001)
    one.flush()
    net.run(limit=3 * SECOND)
    receiver.leave(group, two.interfaces[1])
    sender.send(b"too late", group, 5000)
    net.run(limit=3 * SECOND)

    assert got == [b"four", b"six"]
    igmp_frames = [f for f in frames(net, ethernet.IPV4) if f[23] == IGMP]
    kinds = [(f[38], f[46]) for f in igmp_frames]
    assert kinds[0] == (0x22, 4), "a version 3 report, change to EXCLUDE"
    assert kinds[-1] == (0x22, 3), "and on leaving, change to INCLUDE"
    assert all(f[22] == 1 and f[34:38] == b"\x94\x04\x00\x00" for f in igmp_frames), "TTL 1, router alert"


def test_a_query_is_answered_for_every_group() -> None:
    """RFC 3376 5.2; a version 2 query makes us speak version 2 (7.2.1)."""
    net, one, two = pair(StackConfig(ipv6=False))
    endpoint = two.udp_bind(5000, lambda _d: None)
    for last in (1, 2):
        endpoint.join(bytes((239, 0, 0, last)), two.interfaces[1])
    net.run(limit=5 * SECOND)
    net.log = []
    query = bytes((0x11, 10, 0xEE, 0xF5, 0, 0, 0, 0))
    path = one.ip.resolve(addresses.IPV4_ALL_HOSTS, None, one.interfaces[1])

    one.ip.send(path, IGMP, query, [], SendOptions(ttl=1))
    one.flush()
    net.run(limit=3 * SECOND)

    reports = {f[42:46] for f in frames(net, ethernet.IPV4) if f[23] == IGMP and f[38] == 0x16}
    assert reports == {bytes((239, 0, 0, 1)), bytes((239, 0, 0, 2))}


def test_loopback_serves_both_versions_and_own_addresses() -> None:
    """Nothing of it appears on the wire."""
    net, one, _ = pair()
    net.log = []

    results = [ping(net, one, parse(to)) for to in ("127.0.0.1", "::1", "10.0.0.1", "fd00::1")]

    assert [r.error for r in results] == [None] * 4
    assert not net.log


def test_a_connection_to_ourselves_moves_data() -> None:
    """TCP over loopback, with a 64 KB MTU."""
    net, one, _ = pair()
    data = bytes(300_000)
    peer = Transfer()
    one.tcp_listen(80, lambda _c: peer)
    client = Transfer(data)

    one.tcp_connect(parse("127.0.0.1"), 80, client)
    assert net.run(lambda: client.done, 10 * SECOND)

    assert peer.received == data


def test_errors_are_rate_limited() -> None:
    """RFC 4443 2.4 f, RFC 1812 4.3.2.8."""
    net, one, two = pair(StackConfig(ipv6=False, icmp_errors_per_second=10))
    sender = one.udp_bind(0, lambda _d: None)
    ping(net, one, B)

    for _ in range(100):
        sender.send(b"x", B, 9)
    net.run(limit=SECOND // 2)

    assert two.counters["icmp.out_port_unreachable"] <= 16
    assert two.counters["icmp.out_rate_limited"] >= 84


def test_a_source_routed_packet_is_dropped() -> None:
    """RFC 7126 4.3."""
    net, one, two = pair(StackConfig(ipv6=False))
    ping(net, one, B)
    path = one.ip.resolve(B)
    body = icmp.build4(icmp.ECHO_REQUEST, 0, 1, b"x")
    option = bytes((ipv4.OPTION_LSRR, 7, 4)) + A + b"\0"

    one.ip.send(path, ICMP, body, [], SendOptions(ip_options=option))
    one.flush()
    net.run(limit=SECOND)

    assert two.counters["ipv4.in_source_routed"] == 1


def test_spoofed_sources_are_refused() -> None:
    """Our own address, loopback and multicast cannot come from a wire (RFC 1122 3.2.1.3)."""
    net, _, two = pair(StackConfig(ipv6=False))
    end = next(e for e, p in net.ports.items() if p.stack is two)
    body = icmp.build4(icmp.ECHO_REQUEST, 0, 1, b"x")
    before = two.counters.get("ipv4.in_address_errors", 0)

    for source in (B, parse("127.0.0.1"), parse("224.0.0.1"), parse("255.255.255.255"), parse("10.0.0.255")):
        head = ipv4.build(source, B, ICMP, len(body), ttl=64)
        net.inject(ethernet.header(end.mac, b"\x02" * 6, ethernet.IPV4) + head + body)
    net.run(limit=SECOND)

    assert two.counters["ipv4.in_address_errors"] - before == 5
    assert two.counters.get("icmpv4.in_messages", 0) == 0


def test_pulling_the_cable_forgets_neighbours_and_routes() -> None:
    """What NDIS reports as media disconnect."""
    net, one, _ = pair(StackConfig(ipv6=False))
    ping(net, one, B)
    interface = one.interfaces[1]

    one.set_link_state(interface, up=False)

    assert not interface.neighbours4.entries
    with pytest.raises(NetworkError):
        one.ip.resolve(B)
    one.set_link_state(interface, up=True)
    assert ping(net, one, B).error is None


def test_a_priority_tagged_frame_is_ours() -> None:
    """802.1Q: VLAN 0 is no VLAN; any other is not for this interface."""
    net, _, two = pair(StackConfig(ipv6=False))
    end = next(e for e, p in net.ports.items() if p.stack is two)
    body = icmp.build4(icmp.ECHO_REQUEST, 0, 1, b"x")
    ip = ipv4.build(A, B, ICMP, len(body), ttl=64) + body

    for tag in (0xE000, 0xE005):
        tagged = b"\x81\x00" + tag.to_bytes(2) + b"\x08\x00"
        net.inject(end.mac + b"\x02" * 6 + tagged + ip)
    net.run(limit=SECOND)

    assert two.counters["icmpv4.in_messages"] == 1
    assert two.counters["ethernet.in_other_vlan"] == 1


def test_removing_an_address_ends_its_connections() -> None:
    """The application hears why."""
    net, one, two = pair(StackConfig(ipv6=False))
    two.tcp_listen(80, lambda _c: Transfer(keep_open=True))
    client = Transfer(keep_open=True)
    one.tcp_connect(B, 80, client)
    net.run(lambda: "connected" in client.events)

    one.remove_address(one.interfaces[1], A)
    one.flush()

    assert client.failure is Failure.ADDRESS_REMOVED
    assert not one.tcp.connections


def test_a_known_correspondent_is_judged_again_when_addresses_change() -> None:
    """It is not heard at an address that was taken away, nor as the owner of one that is ours now."""
    net, one, _ = pair(StackConfig(ipv6=False))
    ours, stranger = one.interfaces[1], parse("10.0.0.9")
    one.add_address(ours, parse("10.0.0.7"), 24)
    udp = b"\0\x09\0\x09\0\x08\0\0"
    head = ipv4.build(stranger, A, UDP, len(udp), ttl=9)
    refused = []
    changes: list[Callable[[], None]] = [
        lambda: None,
        lambda: one.remove_address(ours, A),
        lambda: one.add_address(ours, A, 24),
        lambda: ours.add_address(InterfaceAddress(stranger, 24)),
    ]

    for change in changes:
        change()
        before = one.context.counters["ipv4.in_address_errors"]
        net.inject(ethernet.header(ours.mac, b"\x02" * 6, ethernet.IPV4) + head + udp)
        net.run(limit=SECOND // 1000)
        refused.append(one.context.counters["ipv4.in_address_errors"] - before)

    assert refused == [0, 1, 0, 1]


def test_no_more_correspondents_are_remembered_than_the_limit() -> None:
    """RFC 4732 2.1: what strangers send must not fill memory."""
    net, one, two = pair(StackConfig(ipv6=False))
    ping(net, two, A)
    seen = set()

    for number in range(3 * MAX_CORRESPONDENTS):
        udp = bytes(8)
        head = ipv4.build(parse(f"10.1.{number >> 8}.{number & 255}"), A, UDP, len(udp), ttl=9)
        net.inject(ethernet.header(one.interfaces[1].mac, b"\x02" * 6, ethernet.IPV4) + head + udp)
        net.run(limit=SECOND // 1000)
        seen.add(len(one.interfaces[1].correspondents))

    assert max(seen) == MAX_CORRESPONDENTS


def test_a_raw_endpoint_speaks_its_own_protocol() -> None:
    """And an unknown protocol without one is answered with an error."""
    net, one, two = pair(StackConfig(ipv6=False))
    got: list[bytes] = []
    two.raw_open(4, 253, lambda p: got.append(bytes(p.payload)))
    raw = one.raw_open(4, 253, lambda _p: None)
    other = one.raw_open(4, 254, lambda _p: None)

    raw.send(b"experiment", B)
    other.send(b"experiment", B)
    net.run(limit=SECOND)

    assert got == [b"experiment"]
    assert two.counters["icmp.out_protocol_unreachable"] == 1


def test_an_emitted_frame_has_room_for_no_more_than_its_metadata_says() -> None:
    """Checksum metadata counts from the frame's first byte, Ethernet header included."""
    net = Network()
    one = host(net, StackConfig(ipv6=False))
    interface = net.join(one)
    frame = TxFrame([b"\x45" + bytes(27)])
    frame.checksum_start, frame.checksum_offset = 20, 6

    interface.emit(addresses.MAC_BROADCAST, ethernet.IPV4, frame)

    assert (frame.checksum_start, len(frame)) == (34, 42)


def test_neighbour_discovery_from_afar_is_ignored() -> None:
    """RFC 4861 7.1: a hop limit below 255 was forwarded, so it is no neighbour's."""
    net, one, two = pair()
    cache = two.interfaces[1].neighbours6
    before = two.counters.get("nd.in_errors", 0)
    to = addresses.solicited_node(B6)
    body = B6 + bytes((nd.SOURCE_LINK_ADDRESS, 1)) + b"\x02\x66\x66\x66\x66\x66"
    for number, hops in enumerate((254, 255)):
        source = parse(f"fd00::66:{number}")
        raw = icmp.build6(nd.NEIGHBOUR_SOLICITATION, 0, 0, body, (source, to))
        path = one.ip.resolve(to, A6, one.interfaces[1])._replace(source=source)
        one.ip.send(path, ICMPV6, raw, [], SendOptions(ttl=hops))
    one.flush()

    net.run(limit=SECOND)

    assert two.counters["nd.in_errors"] - before == 1
    assert parse("fd00::66:0") not in cache.entries
    assert parse("fd00::66:1") in cache.entries


def test_no_error_answers_a_multicast_packet() -> None:
    """RFC 1122 3.2.2: or one packet would bring a storm."""
    net, one, two = pair(StackConfig(ipv6=False))
    path = one.ip.resolve(addresses.IPV4_ALL_HOSTS, None, one.interfaces[1])

    one.ip.send(path, 253, b"unknown protocol", [], SendOptions(ttl=1))
    one.flush()
    net.run(limit=SECOND)

    assert two.counters["ip.in_unknown_protocols"] == 1
    assert "icmp.out_protocol_unreachable" not in two.counters


def test_a_cable_that_comes_back_in_the_middle_of_duplicate_detection_begins_it_anew() -> None:
    """The check that was under way ends: two ends of one check were a crash."""
    network = Network(1)
    stack = network.add(Stack(network.entropy, network.now, StackConfig(), "host"))
    interface = network.join(stack)

    network.run(lambda: False, SECOND // 2)
    stack.set_link_state(interface, up=False)
    stack.set_link_state(interface, up=True)
    network.run(lambda: False, 5 * SECOND)

    assert [entry.state.name for entry in interface.addresses.values()] == ["PREFERRED"]
