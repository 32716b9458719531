"""Routes, several cards, Nagle, MLD and UDP's checksum: rules of the RFCs that no other file has."""

from __future__ import annotations

import random

import pytest

from formats import ethernet, ipv4
from formats.transport import ICMP, ICMPV6, UDP
from lab.host.virtual_wire import Network
from lab.trials.tcpip.script import App, OurTarget, Send, run
from lab.trials.tcpip.scripts import accepted
from protocols.transports.tcpip import addresses, icmp, mld
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.ip import SendOptions
from protocols.transports.tcpip.link import Offload
from protocols.transports.tcpip.stack import Stack, StackConfig
from protocols.transports.tcpip.timers import SECOND

MAC = bytes((2, 0, 0, 0, 0, 0x77))


def host(net: Network, *, ipv6: bool = False) -> Stack:
    """Return a host that the network drives."""
    return net.add(Stack(net.entropy, net.now, StackConfig(ipv6=ipv6)))


def two_cards() -> tuple[Network, Stack]:
    """Return a host with 10.0.0.1/24 on one wire and 10.1.0.1/16 on another."""
    net = Network()
    stack = host(net)
    for wire, address, bits in (("one", "10.0.0.1", 24), ("two", "10.1.0.1", 16)):
        stack.add_address(net.join(stack, wire), parse(address), bits)
    net.run(limit=SECOND)
    return net, stack


# Routing table, several cards


@pytest.mark.parametrize(
    ("destination", "interface", "gateway"),
    [
        ("10.0.0.9", 1, None),
        ("10.1.2.3", 2, None),
        ("10.1.9.9", 1, "10.0.0.254"),
        ("192.0.2.1", 2, "10.1.0.254"),
    ],
)
def test_the_longest_prefix_that_matches_is_the_route(
    destination: str, interface: int, gateway: str | None
) -> None:
    """RFC 1812 5.2.4.3, RFC 1122 3.3.1.2: then the gateway is the next hop, else the destination."""
    _, stack = two_cards()
    stack.add_route("0.0.0.0/0", stack.interfaces[2], parse("10.1.0.254"))
    stack.add_route("10.1.9.0/24", stack.interfaces[1], parse("10.0.0.254"))

    path = stack.ip.resolve(parse(destination))

    assert path.interface is stack.interfaces[interface]
    assert path.next_hop == parse(gateway or destination)


def test_of_equal_routes_the_smaller_metric_is_taken_until_its_cable_is_pulled() -> None:
    """RFC 1812 5.2.4.3 (5); a route by an interface that is down is none."""
    _, stack = two_cards()
    stack.add_route("0.0.0.0/0", stack.interfaces[1], parse("10.0.0.254"), metric=5)
    stack.add_route("0.0.0.0/0", stack.interfaces[2], parse("10.1.0.254"), metric=50)

    before = stack.ip.resolve(parse("192.0.2.1"))
    stack.set_link_state(stack.interfaces[1], up=False)
    after = stack.ip.resolve(parse("192.0.2.1"))

    assert (before.next_hop, after.next_hop) == (parse("10.0.0.254"), parse("10.1.0.254"))


def test_a_source_address_binds_to_its_own_card() -> None:
    """The strong host model of RFC 1122 3.3.4.2, as Windows has it since Vista."""
    _, stack = two_cards()
    stack.add_route("0.0.0.0/0", stack.interfaces[2], parse("10.1.0.254"))

    with pytest.raises(NetworkError) as error:
        stack.ip.resolve(parse("192.0.2.1"), parse("10.0.0.1"))

    assert error.value.failure is Failure.NET_UNREACHABLE


def test_a_packet_for_another_cards_address_is_not_taken() -> None:
    """RFC 1122 3.3.4.2: the strong model's other half; nothing answers, and nothing is forwarded."""
    net, stack = two_cards()
    echo = icmp.build4(icmp.ECHO_REQUEST, 0, 1, b"x")
    net.log = []
    mac = stack.interfaces[1].mac

    for to in ("10.1.0.1", "10.0.0.1"):
        head = ipv4.build(parse("10.0.0.9"), parse(to), ICMP, len(echo), ttl=64)
        net.inject(ethernet.header(mac, MAC, ethernet.IPV4) + head + echo, "one")
        net.run(limit=SECOND)

    asked = [raw for _, who, raw in net.log if who != "outside" and raw[12:14] == b"\x08\x06"]
    assert stack.counters["icmpv4.in_messages"] == 1
    assert {raw[38:42] for raw in asked} == {parse("10.0.0.9")}, "only the right one is to be answered"


# Nagle


BYTES = [App("write", 1)] * 3


def test_small_segments_wait_while_one_is_on_its_way() -> None:
    """RFC 9293 3.7.4 (Nagle): the second and third byte leave together, with the acknowledgment."""
    victim = OurTarget(random.Random(1).randbytes, Offload(), StackConfig(ipv6=False))
    handshake = accepted()

    answers = run(victim, [*handshake, *BYTES, Send(".", 1, 2)])

    assert answers[len(handshake) :] == [["P. seq 1 ack 1 len 1"], [], [], ["P. seq 2 ack 1 len 2"]]


def test_no_delay_switches_nagle_off() -> None:
    """RFC 9293 3.7.4 (MUST-17): an application can have each byte leave at once."""
    victim = OurTarget(random.Random(1).randbytes, Offload(), StackConfig(ipv6=False))
    run(victim, accepted())
    assert victim.connection is not None
    victim.connection.set_no_delay(enabled=True)

    answers = run(victim, [*BYTES])

    assert [len(lines) for lines in answers] == [1, 1, 1]


# MLD


def membership(version: int) -> list[bytes]:
    """Join a group, have a querier of a version ask, leave; return the ICMPv6 messages that leave."""
    net = Network()
    router, stack = host(net, ipv6=True), host(net, ipv6=True)
    for one in (router, stack):
        net.join(one)
    net.run(limit=5 * SECOND)
    endpoint = stack.udp_bind(5000, lambda _datagram: None, addresses.IPV6_ANY)
    endpoint.join(parse("ff05::123"), stack.interfaces[1])
    stack.flush()
    net.run(limit=5 * SECOND)
    net.log = []
    source = next(one for one in router.interfaces[1].addresses if addresses.is_link_local(one))
    path = router.ip.resolve(addresses.IPV6_ALL_NODES, source, router.interfaces[1])
    body = bytes(16) + (bytes(4) if version == 2 else b"")
    query = icmp.build6(mld.QUERY, 0, 100 << 16, body, (source, addresses.IPV6_ALL_NODES))
    router.ip.send(path, ICMPV6, query, [], SendOptions(ttl=1))
    router.flush()
    net.run(limit=3 * SECOND)
    endpoint.leave(parse("ff05::123"), stack.interfaces[1])
    stack.flush()
    net.run(limit=5 * SECOND)
    mac = stack.interfaces[1].mac
    mine = [raw for _, _, raw in net.log if raw[6:12] == mac and raw[12:14] == b"\x86\xdd"]
    return [raw[62:] for raw in mine if raw[20] == 0 and raw[54] == ICMPV6]


def test_an_mld_query_is_answered_and_a_leave_is_told() -> None:
    """RFC 3810 5.2 and 6.2: MODE_IS_EXCLUDE for the query, CHANGE_TO_INCLUDE at the end."""
    told = membership(2)

    group = parse("ff05::123")
    about = [raw for raw in told if raw[0] == mld.REPORT_V2 and raw[12:28] == group]
    assert [raw[8] for raw in about] == [2] + [3] * (len(about) - 1)
    assert len(about) > 1
    assert {raw[0] for raw in told} == {mld.REPORT_V2}


def test_a_version_1_querier_is_spoken_to_in_version_1() -> None:
    """RFC 3810 8.2.1, RFC 2710 3: reports and Done, whose body is the group."""
    told = membership(1)

    mine = [raw[0] for raw in told if raw[8:24] == parse("ff05::123")]
    assert mine == [mld.REPORT_V1, mld.DONE]


# UDP


def test_a_udp_checksum_of_zero_is_none_in_ipv4_and_an_error_in_ipv6() -> None:
    """RFC 768; RFC 8200 8.1: IPv6 receivers must discard it."""
    net = Network()
    stack = host(net, ipv6=True)
    interface = net.join(stack)
    stack.add_address(interface, parse("10.0.0.1"), 24)
    net.run(limit=5 * SECOND)
    own6 = next(one for one in interface.addresses if len(one) == 16)
    got: list[bytes] = []
    stack.udp_bind(5000, lambda datagram: got.append(bytes([len(datagram.source)])))
    udp = (7).to_bytes(2) + (5000).to_bytes(2) + (9).to_bytes(2) + bytes(2) + b"x"

    four = ipv4.build(parse("10.0.0.9"), parse("10.0.0.1"), UDP, len(udp), ttl=64)
    six = b"\x60\0\0\0" + len(udp).to_bytes(2) + bytes((UDP, 64)) + parse("fe80::9") + own6
    net.inject(ethernet.header(interface.mac, MAC, ethernet.IPV4) + four + udp)
    net.inject(ethernet.header(interface.mac, MAC, ethernet.IPV6) + six + udp)
    net.run(limit=SECOND)

    assert got == [b"\4"]
