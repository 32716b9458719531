"""Winsock datagrams and names, and the layers that a call passes."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import pytest

from lab.host.systems import osi_map
from lab.host.virtual import VirtualHosts
from protocols.apis.winsock import WinsockError
from protocols.apis.winsock.constants import Af, IpOption, Ns, So, Sock, Sol
from protocols.apis.winsock.namespace import Hints, Lookup, NamespaceProvider
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse

FAR = internet(parse("10.0.0.2"), 4000)


def test_a_datagram_that_is_too_long_leaves_its_beginning_and_wsaemsgsize() -> None:
    net = VirtualHosts()
    near, far = (host.process() for host in net.hosts)
    near.startup()
    far.startup()
    sender, receiver = near.socket(Af.INET, Sock.DGRAM), far.socket(Af.INET, Sock.DGRAM)
    far.bind(receiver, internet(bytes(4), 4000))
    buffer = bytearray(4)

    near.sendto(sender, b"abcdef", FAR)
    with pytest.raises(WinsockError, match="MSGSIZE"):
        far.recvfrom(receiver, buffer)

    assert bytes(buffer) == b"abcd"


def test_a_port_that_nobody_has_resets_the_next_receive() -> None:
    net = VirtualHosts()
    near = net.hosts[0].process()
    near.startup()
    sender = near.socket(Af.INET, Sock.DGRAM)
    near.connect(sender, FAR)

    near.send(sender, b"anybody?")

    with pytest.raises(WinsockError, match="CONNRESET"):
        near.recv(sender, bytearray(10))


def test_a_broadcast_wants_so_broadcast() -> None:
    net = VirtualHosts()
    near = net.hosts[0].process()
    near.startup()
    sender = near.socket(Af.INET, Sock.DGRAM)
    everybody = internet(parse("10.0.0.255"), 4000)

    with pytest.raises(WinsockError, match="WSAEACCES"):
        near.sendto(sender, b"x", everybody)
    near.setsockopt(sender, Sol.SOCKET, So.BROADCAST, 1)

    assert near.sendto(sender, b"x", everybody) == 1


def test_a_group_is_heard_by_those_who_joined() -> None:
    net = VirtualHosts(3)
    group = internet(parse("239.1.2.3"), 4000)
    processes = [host.process() for host in net.hosts]
    numbers = []
    for process in processes:
        process.startup()
        numbers.append(process.socket(Af.INET, Sock.DGRAM))
        process.bind(numbers[-1], internet(bytes(4), 4000))
    processes[1].setsockopt(numbers[1], Sol.IP, IpOption.ADD_MEMBERSHIP, (group.address, 0))

    processes[0].sendto(numbers[0], b"all", group)
    net.run()
    joined = processes[1].select([numbers[1]], [], [], 0)[0]
    others = processes[2].select([numbers[2]], [], [], 0)[0]

    assert (joined, others) == ([numbers[1]], [])


def test_the_second_providers_answer_waits_for_the_first() -> None:
    class Slow:
        namespace = Ns.DNS
        name = "slow"

        def __init__(self) -> None:
            self.done = lambda _found: None

        def lookup(self, name: str, done: object) -> None:
            del name
            self.done = done  # type: ignore[assignment]  # the test calls it later

    first, second = Slow(), Slow()
    providers: list[NamespaceProvider] = [first, second]
    lookup = Lookup(providers, "host")

    second.done([FAR])  # type: ignore[no-untyped-call]  # see above
    early = lookup.decided
    first.done([])  # type: ignore[no-untyped-call]  # see above

    assert (early, lookup.decided, lookup.addresses) == (False, True, [FAR])


def test_a_send_passes_the_layers_in_the_order_of_the_osi_map() -> None:
    net = VirtualHosts()
    host = net.hosts[0]
    process = host.process()
    process.startup()
    number = process.socket(Af.INET, Sock.DGRAM)
    process.bind(number, internet(bytes(4), 0))
    hops = ["winsock"]
    host.io.trace = lambda driver, _irp: hops.append(driver)

    process.sendto(number, b"x", FAR)

    assert hops == ["winsock", "afd", "udp"]
    assert osi_map().describe(hops) == "winsock(7/6/5) -> afd(5) -> udp(4)"


def test_getaddrinfo_finds_a_name_of_the_link_by_llmnr() -> None:
    net = VirtualHosts()
    near, far = net.hosts
    far.stack.llmnr.start(far.stack.interfaces[1])

    (found,) = near.names.getaddrinfo("HOST2", 4000, Hints(kind=Sock.DGRAM))

    assert found.address == FAR
    assert near.names.lookup("host2", Ns.LLMNR) == [FAR.with_port(0)]
    with pytest.raises(WinsockError, match="SERVICE_NOT_FOUND"):
        near.names.lookup("host2", Ns.DNS)
