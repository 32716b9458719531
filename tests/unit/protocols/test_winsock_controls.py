"""WSAIoctl's codes, errors in place of datagrams, own broadcasts, raw sockets, TDI's provider information.

Sources: "Winsock IOCTLs", recvfrom (Microsoft); Wine ``dlls/ws2_32/tests/sock.c``; ReactOS ``broadcast.c``
and ``kmtests/tcpip/tdi.c``.
"""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ntos.io.status import NtError
from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Af, Io, IpOption, Proto, So, Sock, Sol
from protocols.interfaces.tdi.address import internet
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.requests import Query, TransportAddress
from protocols.transports.tcpip import StackConfig, icmp
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.icmp import ErrorKind, ErrorReport
from protocols.transports.tcpip.tdi_edge.devices import IP, IPMULTICAST, RAWIP, TCP, UDP
from tests.support.nt_world import SERVER, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANY = bytes(4)
MINE = parse("10.0.0.1")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.reports() == []


def refused(call: Callable[..., object], *arguments: Any) -> Wsae:  # noqa: ANN401 - any call
    with pytest.raises(WinsockError) as error:
        call(*arguments)
    return error.value.code


def datagrams(world: World, port: int = 0) -> int:
    number = world.client.socket(Af.INET, Sock.DGRAM)
    world.client.bind(number, internet(ANY, port))
    world.client.ioctlsocket(number, Io.FIONBIO, 1)
    return number


def fail(world: World, number: int, kind: ErrorKind) -> None:
    """Have ICMP say that a datagram of the socket met trouble."""
    port = world.client.getsockname(number).port  # type: ignore[attr-defined]  # an Internet address
    quoted = port.to_bytes(2) + (9).to_bytes(2) + bytes(4)
    report = ErrorReport(kind, SERVER.address, MINE, SERVER.address, 17, memoryview(quoted), 0, 36)
    world.net.hosts[0].stack.udp.icmp_error(report)


@pytest.mark.parametrize(
    ("kind", "code", "switch"),
    [
        (ErrorKind.PORT_UNREACHABLE, Wsae.WSAECONNRESET, Io.UDP_CONNRESET),
        (ErrorKind.HOPS_EXCEEDED, Wsae.WSAENETRESET, Io.UDP_NETRESET),
    ],
)
def test_an_error_comes_in_place_of_a_datagram_until_it_is_switched_off(
    world: World, kind: ErrorKind, code: Wsae, switch: Io
) -> None:
    number, client = datagrams(world), world.client
    fail(world, number, kind)
    told = refused(client.recv, number, bytearray(4))

    client.ioctlsocket(number, switch, 0)
    fail(world, number, kind)
    silent = refused(client.recv, number, bytearray(4))
    client.ioctlsocket(number, switch, 1)
    fail(world, number, kind)

    assert (told, silent) == (code, Wsae.WSAEWOULDBLOCK)
    assert refused(client.recv, number, bytearray(4)) is code


def test_a_switch_wants_a_datagram_socket_and_a_value(world: World) -> None:
    near, _far = world.pair()

    assert refused(world.client.ioctlsocket, near, Io.UDP_CONNRESET, 0) is Wsae.WSAEOPNOTSUPP
    assert refused(world.client.ioctlsocket, datagrams(world), Io.UDP_CONNRESET, None) is Wsae.WSAEFAULT


def test_an_unknown_code_is_refused(world: World) -> None:
    assert refused(world.client.ioctlsocket, datagrams(world), 0x4800_7777, None) is Wsae.WSAEOPNOTSUPP


@pytest.mark.parametrize(("circular", "left"), [(False, [b"0", b"1"]), (True, [b"1", b"2"])])
def test_circular_queueing_loses_the_oldest(world: World, circular: bool, left: list[bytes]) -> None:  # noqa: FBT001 - a column of the table
    number, client = datagrams(world, 5000), world.client
    client.setsockopt(number, Sol.SOCKET, So.RCVBUF, 2)
    if circular:
        client.ioctlsocket(number, Io.ENABLE_CIRCULAR_QUEUEING)
    sender = datagrams(world)
    for at in range(3):
        client.sendto(sender, b"%d" % at, internet(MINE, 5000))
    world.net.run(0.1)

    found = []
    for _ in left:
        buffer = bytearray(1)
        client.recv(number, buffer)
        found.append(bytes(buffer))

    assert found == left
    assert refused(client.recv, number, bytearray(1)) is Wsae.WSAEWOULDBLOCK


def test_a_socket_knows_the_hosts_addresses_and_ways(world: World) -> None:
    number, client = datagrams(world), world.client
    query = Io.ROUTING_INTERFACE_QUERY

    assert client.ioctlsocket(number, Io.ADDRESS_LIST_QUERY) == [internet(MINE)]
    assert client.ioctlsocket(number, query, SERVER) == internet(MINE)
    assert client.ioctlsocket(number, query, internet(parse("127.0.0.1"))) == internet(parse("127.0.0.1"))
    assert refused(client.ioctlsocket, number, query, internet(parse("9.9.9.9"))) is Wsae.WSAENETUNREACH
    assert refused(client.ioctlsocket, number, query, None) is Wsae.WSAEFAULT
    assert refused(client.ioctlsocket, number, query, internet(bytes(16))) is Wsae.WSAEAFNOSUPPORT
    assert client.ioctlsocket(number, Io.GET_BROADCAST_ADDRESS) == internet(parse("255.255.255.255"))


def test_an_ipv6_socket_lists_addresses_of_its_family() -> None:
    world = World(config=StackConfig(ipv6=True))
    world.net.run(3)  # duplicate address detection
    number = world.client.socket(Af.INET6, Sock.STREAM)

    found = world.client.ioctlsocket(number, Io.ADDRESS_LIST_QUERY)

    assert found
    assert all(len(one.address) == 16 for one in found)


def test_the_base_handle_is_the_socket(world: World) -> None:
    number = datagrams(world)

    assert world.client.ioctlsocket(number, Io.BASE_HANDLE) == number
    assert refused(world.client.ioctlsocket, 0x9999, Io.BASE_HANDLE) is Wsae.WSAENOTSOCK


def test_the_ideal_backlog_is_a_connections(world: World) -> None:
    near, _far = world.pair()
    client, query = world.client, Io.IDEAL_SEND_BACKLOG_QUERY

    assert client.ioctlsocket(near, query) >= 65536
    assert refused(client.ioctlsocket, client.socket(Af.INET, Sock.STREAM), query) is Wsae.WSAENOTCONN
    assert refused(client.ioctlsocket, datagrams(world), query) is Wsae.WSAEOPNOTSUPP


@pytest.mark.parametrize("target", ["255.255.255.255", "10.0.0.255"])
def test_a_host_hears_its_own_broadcast(world: World, target: str) -> None:
    heard, deaf, client = datagrams(world, 5000), datagrams(world, 5001), world.client
    sender = datagrams(world)
    client.setsockopt(sender, Sol.SOCKET, So.BROADCAST, 1)

    client.sendto(sender, b"all", internet(parse(target), 5000))
    world.net.run(0.1)

    assert client.recv(heard, bytearray(9)) == 3
    assert refused(client.recv, heard, bytearray(9)) is Wsae.WSAEWOULDBLOCK
    assert refused(client.recv, deaf, bytearray(9)) is Wsae.WSAEWOULDBLOCK


def test_a_raw_socket_of_icmp_sees_replies_and_no_requests(world: World) -> None:
    number, client, server = world.client.socket(Af.INET, Sock.RAW, Proto.ICMP), world.client, world.server
    other = server.socket(Af.INET, Sock.RAW, Proto.ICMP)
    for process, one in ((client, number), (server, other)):
        process.bind(one, internet(ANY))
        process.ioctlsocket(one, Io.FIONBIO, 1)

    client.sendto(number, icmp.build4(icmp.ECHO_REQUEST, 0, 0x1234_0001, b"hello"), internet(SERVER.address))
    world.net.run(0.1)

    buffer = bytearray(99)
    assert client.recv(number, buffer) == 33
    assert buffer[20] == icmp.ECHO_REPLY
    assert refused(server.recv, other, buffer) is Wsae.WSAEWOULDBLOCK


@pytest.mark.parametrize("device", [TCP, UDP, RAWIP, IP, IPMULTICAST])
def test_every_device_says_what_it_is(device: str) -> None:
    tdi = TdiClient(World().net.hosts[0].io)
    channel = tdi.io.open(device, None)

    found = tdi.query(channel, Query.PROVIDER_INFO)

    assert found["max_datagram_bytes"] == 65507
    assert (found["connections"], found["connectionless"]) == (device == TCP, device != TCP)


@pytest.mark.parametrize("device", [IP, IPMULTICAST])
def test_nothing_is_bound_at_ip_itself(device: str) -> None:
    tdi = TdiClient(World().net.hosts[0].io)

    with pytest.raises(NtError, match="NOT_SUPPORTED"):
        tdi.open_address(device, TransportAddress(internet(ANY)))


def test_a_stream_says_that_it_does_not_fragment(world: World) -> None:
    stream = world.client.socket(Af.INET, Sock.STREAM)

    assert world.client.getsockopt(stream, Sol.IP, IpOption.DONTFRAGMENT) == 1
    assert world.client.getsockopt(datagrams(world), Sol.IP, IpOption.DONTFRAGMENT) == 0
