"""Dual-mode sockets: an AF_INET6 socket with IPV6_V6ONLY off serves IPv4 by mapped addresses."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocols.apis.winsock import Winsock, WinsockError, Wsae
from protocols.apis.winsock.constants import Af, IpOption, So, Sock, Sol
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip import StackConfig
from protocols.transports.tcpip.addresses import parse
from tests.support.addresses import inet
from tests.support.nt_world import SERVER, World, received

if TYPE_CHECKING:
    from collections.abc import Iterator

MAPPED = internet(parse("::ffff:10.0.0.2"), 80)
ANY6 = internet(bytes(16), 80)


@pytest.fixture
def world() -> Iterator[World]:
    made = World(config=StackConfig())
    yield made
    assert made.reports() == []


def dual(process: Winsock, kind: Sock = Sock.STREAM) -> int:
    number = process.socket(Af.INET6, kind)
    process.setsockopt(number, Sol.IPV6, IpOption.V6ONLY, 0)
    return number


def test_one_listener_accepts_both_families(world: World) -> None:
    listener = dual(world.server)
    world.server.bind(listener, ANY6)
    world.server.listen(listener, 5)
    four = world.client.socket(Af.INET, Sock.STREAM)
    six = world.client.socket(Af.INET6, Sock.STREAM)
    link_local = next(a for a in world.net.hosts[1].stack.interfaces[1].addresses if len(a) == 16)

    told = []
    for number, address in ((four, SERVER), (six, internet(link_local, 80, 1))):
        world.client.connect(number, address)
        far, peer = world.server.accept(listener)
        world.client.send(number, b"hello")
        told.append(
            (inet(peer).address.startswith(parse("::ffff:0.0.0.0")[:12]), received(world.server, far, 9))
        )
        if number == four:
            names = world.server.getsockname(far), world.server.getpeername(far)

    assert told == [(True, b"hello"), (False, b"hello")]
    assert [inet(one).address for one in names] == [parse("::ffff:10.0.0.2"), parse("::ffff:10.0.0.1")]


def test_a_dual_mode_client_connects_to_a_mapped_address(world: World) -> None:
    listener = world.listener()
    near = dual(world.client)

    world.client.connect(near, MAPPED)
    _far, peer = world.server.accept(listener)

    assert inet(peer).address == parse("10.0.0.1")
    assert world.client.getpeername(near) == MAPPED
    assert world.client.getsockname(near) == internet(parse("::ffff:10.0.0.1"), inet(peer).port)


def test_dual_mode_datagrams_go_both_ways(world: World) -> None:
    far = dual(world.server, Sock.DGRAM)
    world.server.bind(far, ANY6)
    near = world.client.socket(Af.INET, Sock.DGRAM)
    buffer = bytearray(10)

    world.client.sendto(near, b"ping", SERVER)
    count, source = world.server.recvfrom(far, buffer)
    world.server.sendto(far, bytes(buffer[:count]).upper(), source)
    answer = world.client.recvfrom(near, buffer)

    assert inet(source).address == parse("::ffff:10.0.0.1")
    assert (answer, bytes(buffer[:4])) == ((4, SERVER), b"PING")


def test_without_the_option_ipv4_is_refused(world: World) -> None:
    listener = world.server.socket(Af.INET6, Sock.STREAM)
    world.server.bind(listener, ANY6)
    world.server.listen(listener, 5)
    four = world.client.socket(Af.INET, Sock.STREAM)

    with pytest.raises(WinsockError) as error:
        world.client.connect(four, SERVER)

    assert world.server.getsockopt(listener, Sol.IPV6, IpOption.V6ONLY) == 1
    assert error.value.code is Wsae.WSAECONNREFUSED


def test_the_port_of_an_exclusive_dual_mode_listener_is_taken_in_both_families(world: World) -> None:
    """Wine, ``sock.c``, tests_exclusive: 0.0.0.0 is specific beside a dual-mode ``::``, hence WSAEACCES."""
    listener = dual(world.server)
    world.server.setsockopt(listener, Sol.SOCKET, So.EXCLUSIVEADDRUSE, 1)
    world.server.bind(listener, ANY6)
    four = world.server.socket(Af.INET, Sock.STREAM)

    with pytest.raises(WinsockError) as error:
        world.server.bind(four, internet(bytes(4), 80))
    world.server.closesocket(listener)
    world.server.bind(four, internet(bytes(4), 80))

    assert error.value.code is Wsae.WSAEACCES


def test_a_listener_of_ipv4_takes_its_own_beside_one_of_dual_mode(world: World) -> None:
    """Same source: a default dual-mode socket lets the same user bind 0.0.0.0, which then has IPv4's."""
    both, four = dual(world.server), world.server.socket(Af.INET, Sock.STREAM)
    for number, address in ((both, ANY6), (four, internet(bytes(4), 80))):
        world.server.bind(number, address)
        world.server.listen(number, 5)
    near = world.client.socket(Af.INET, Sock.STREAM)

    world.client.connect(near, internet(parse("10.0.0.2"), 80))

    _far, peer = world.server.accept(four)
    assert len(inet(peer).address) == 4


def test_the_option_comes_before_the_bind(world: World) -> None:
    bound = world.server.socket(Af.INET6, Sock.STREAM)
    world.server.bind(bound, ANY6)
    four = world.server.socket(Af.INET, Sock.STREAM)

    for number in (bound, four):
        with pytest.raises(WinsockError) as error:
            world.server.setsockopt(number, Sol.IPV6, IpOption.V6ONLY, 0)
        assert error.value.code is Wsae.WSAEINVAL
