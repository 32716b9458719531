"""AcceptEx, ConnectEx, SD_RECEIVE and keepalive as Windows has them, every IRP checked.

Sources: AcceptEx, ConnectEx, shutdown, SIO_KEEPALIVE_VALS (Microsoft); Wine ``dlls/ws2_32/tests/sock.c``,
test_AcceptEx, test_shutdown, test_keepalive_vals.
"""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ntos.executive.dispatcher import Event
from ntos.io.status import NtStatus
from protocols.apis.win32.overlapped import Overlapped
from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Af, Io, PollFlag, Shut, So, Sock, Sol, TcpOption
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse
from tests.support.nt_world import SERVER, World, received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANY = bytes(4)
MS = 1_000_000


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.reports() == []


def refused(call: Callable[..., object], *arguments: Any) -> Wsae:  # noqa: ANN401 - any call
    with pytest.raises(WinsockError) as error:
        call(*arguments)
    return error.value.code


def stream(world: World) -> int:
    return world.server.socket(Af.INET, Sock.STREAM)


def accept_ex(world: World, listener: int, acceptor: int, room: int = 0) -> Overlapped:
    overlapped = Overlapped(Event())
    server = world.server
    code = refused(
        server.extensions.accept_ex,
        server.handle(listener),
        server.handle(acceptor),
        bytearray(room),
        overlapped,
    )
    assert code is Wsae.WSA_IO_PENDING
    return overlapped


def connect(world: World) -> int:
    near = world.client.socket(Af.INET, Sock.STREAM)
    world.client.connect(near, SERVER)
    world.net.run(0.1)
    return near


def test_closing_the_acceptor_aborts_the_accept(world: World) -> None:
    listener, acceptor = world.listener(), stream(world)
    asked = accept_ex(world, listener, acceptor)

    world.server.closesocket(acceptor)
    connect(world)

    assert asked.status is NtStatus.CANCELLED
    assert world.server.select([listener], [], [], 0)[0] == [listener]


def test_closing_the_listener_gives_the_acceptor_back(world: World) -> None:
    listener, acceptor = world.listener(), stream(world)
    asked = accept_ex(world, listener, acceptor)

    world.server.closesocket(listener)

    assert asked.status is NtStatus.CANCELLED
    world.server.bind(acceptor, internet(ANY, 81))


def test_an_acceptor_is_one_requests_alone(world: World) -> None:
    listener, acceptor = world.listener(), stream(world)
    asked = accept_ex(world, listener, acceptor)
    server = world.server
    listening, accepting = server.handle(listener), server.handle(acceptor)

    codes = [
        refused(server.extensions.accept_ex, listening, accepting, b"", Overlapped()),
        refused(server.connect, acceptor, SERVER),
        refused(server.bind, acceptor, internet(ANY, 99)),
        refused(server.listen, acceptor, 5),
    ]
    near = connect(world)
    world.client.send(near, b"hello")

    assert codes == [Wsae.WSAEINVAL] * 4
    assert asked.status is NtStatus.SUCCESS
    assert received(server, acceptor, 9) == b"hello"
    assert refused(server.extensions.accept_ex, listening, accepting, b"", Overlapped()) is Wsae.WSAEINVAL


@pytest.mark.parametrize("kind", [Sock.DGRAM, Sock.STREAM])
def test_a_datagram_socket_or_a_bound_one_accepts_nothing(world: World, kind: Sock) -> None:
    listener, acceptor = world.listener(), world.server.socket(Af.INET, kind)
    if kind is Sock.STREAM:
        world.server.bind(acceptor, internet(ANY, 5000))
    server = world.server

    code = refused(
        server.extensions.accept_ex, server.handle(listener), server.handle(acceptor), b"", Overlapped()
    )

    assert code is Wsae.WSAEINVAL


@pytest.mark.parametrize("closed", ["listener", "acceptor"])
def test_an_accept_that_waits_for_data_ends_with_either_socket(world: World, closed: str) -> None:
    listener, acceptor = world.listener(), stream(world)
    asked = accept_ex(world, listener, acceptor, 10)
    near = connect(world)

    world.server.closesocket(listener if closed == "listener" else acceptor)
    world.net.run(0.1)

    assert asked.status is NtStatus.CANCELLED
    assert refused(world.client.recv, near, bytearray(4)) is Wsae.WSAECONNRESET


def test_an_accepted_socket_has_no_peer_before_its_context(world: World) -> None:
    listener, acceptor, server = world.listener(), stream(world), world.server
    server.setsockopt(listener, Sol.SOCKET, So.KEEPALIVE, 1)
    early = refused(server.setsockopt, acceptor, Sol.SOCKET, So.UPDATE_ACCEPT_CONTEXT, listener)
    accept_ex(world, listener, acceptor)
    near = connect(world)
    before = [refused(server.getpeername, acceptor), refused(server.shutdown, acceptor, Shut.SEND)]
    wrong = [
        refused(server.setsockopt, acceptor, Sol.SOCKET, So.UPDATE_ACCEPT_CONTEXT, value)
        for value in (1, stream(world), None, acceptor)
    ]

    server.setsockopt(acceptor, Sol.SOCKET, So.UPDATE_ACCEPT_CONTEXT, listener)

    assert (early, before) == (Wsae.WSAENOTCONN, [Wsae.WSAENOTCONN, Wsae.WSAENOTCONN])
    assert wrong == [Wsae.WSAENOTSOCK, Wsae.WSAEINVAL, Wsae.WSAEFAULT, Wsae.WSAEINVAL]
    assert server.getpeername(acceptor) == world.client.getsockname(near)
    assert server.getsockopt(acceptor, Sol.SOCKET, So.KEEPALIVE) == 1
    server.shutdown(acceptor, Shut.SEND)
    assert received(world.client, near, 4) == b""


def test_a_socket_connected_by_connect_ex_has_no_peer_before_its_context(world: World) -> None:
    world.listener()
    near, client = world.client.socket(Af.INET, Sock.STREAM), world.client
    client.bind(near, internet(ANY, 0))
    early = refused(client.setsockopt, near, Sol.SOCKET, So.UPDATE_CONNECT_CONTEXT, 0)
    client.extensions.connect_ex(client.handle(near), SERVER)
    before = [refused(client.getpeername, near), refused(client.shutdown, near, Shut.SEND)]

    client.setsockopt(near, Sol.SOCKET, So.UPDATE_CONNECT_CONTEXT, 0)

    assert (early, before) == (Wsae.WSAENOTCONN, [Wsae.WSAENOTCONN, Wsae.WSAENOTCONN])
    assert client.getpeername(near) == SERVER


@pytest.mark.parametrize("first", ["the data", "the shutdown"])
def test_data_that_nobody_may_receive_resets(world: World, first: str) -> None:
    near, far = world.pair()
    if first == "the data":
        world.client.send(near, b"x" * 1000)
        world.net.run(0.1)
    world.server.shutdown(far, Shut.RECEIVE)
    states = world.server.poll([(far, PollFlag.RDNORM)], 0)
    if first == "the shutdown":
        world.client.send(near, b"x" * 1000)
    world.net.run(0.1)

    assert not states[0] & PollFlag.RDNORM
    assert refused(world.client.recv, near, bytearray(4)) is Wsae.WSAECONNRESET
    assert refused(world.server.recv, far, bytearray(4)) is Wsae.WSAESHUTDOWN
    assert refused(world.server.send, far, b"x") is Wsae.WSAECONNABORTED


def test_a_receive_from_before_the_shutdown_completes(world: World) -> None:
    near, far = world.pair()
    asked, buffer = Overlapped(Event()), bytearray(9)
    assert refused(world.server.recv, far, buffer, 0, asked) is Wsae.WSA_IO_PENDING
    world.server.shutdown(far, Shut.RECEIVE)

    world.client.send(near, b"hello")
    world.net.run(0.1)

    assert (asked.status, bytes(buffer[:5])) == (NtStatus.SUCCESS, b"hello")
    world.server.send(far, b"alive")
    assert received(world.client, near, 9) == b"alive"


def test_a_shutdown_of_receiving_alone_resets_nothing(world: World) -> None:
    near, far = world.pair()
    world.server.shutdown(far, Shut.RECEIVE)
    world.client.shutdown(near, Shut.SEND)
    world.net.run(0.1)

    world.server.send(far, b"still here")

    assert received(world.client, near, 20) == b"still here"


def test_a_connection_clears_the_error_of_the_one_that_failed(world: World) -> None:
    near = world.client.socket(Af.INET, Sock.STREAM)
    assert refused(world.client.connect, near, SERVER) is Wsae.WSAECONNREFUSED
    world.listener()

    world.client.connect(near, SERVER)

    assert world.client.getsockopt(near, Sol.SOCKET, So.ERROR) == 0


def probes(world: World) -> int:
    return world.net.hosts[1].stack.counters.get("tcp.keepalive_probes", 0)


def test_keepalive_counts_by_the_sockets_own_seconds(world: World) -> None:
    _near, far = world.pair()
    world.server.setsockopt(far, Sol.SOCKET, So.KEEPALIVE, 1)
    world.server.setsockopt(far, Sol.TCP, TcpOption.KEEPALIVE, 5)
    world.net.run(4.5)
    early = probes(world)

    world.net.run(1)

    assert (early, probes(world)) == (0, 1)


def test_keepalive_vals_set_both_times_and_switch_off(world: World) -> None:
    _near, far = world.pair()
    world.server.ioctlsocket(far, Io.KEEPALIVE_VALS, (1, 1000, 250))
    world.net.run(1.1)
    on = probes(world), world.server.getsockopt(far, Sol.SOCKET, So.KEEPALIVE)

    world.server.ioctlsocket(far, Io.KEEPALIVE_VALS, (0, 1000, 250))
    world.net.run(20)

    assert on == (1, 1)
    assert (probes(world), world.server.getsockopt(far, Sol.SOCKET, So.KEEPALIVE)) == (1, 0)


def test_a_peer_that_answers_no_probe_is_given_up(world: World) -> None:
    _near, far = world.pair()
    world.server.setsockopt(far, Sol.TCP, TcpOption.KEEPCNT, 3)
    world.server.setsockopt(far, Sol.TCP, TcpOption.KEEPINTVL, 2)
    world.server.setsockopt(far, Sol.TCP, TcpOption.KEEPALIVE, 5)
    world.server.setsockopt(far, Sol.SOCKET, So.KEEPALIVE, 1)
    before = probes(world)
    client = world.net.hosts[0].stack
    client.remove_address(client.interfaces[1], parse("10.0.0.1"))

    world.net.run(5 + 3 * 2 + 1)

    assert probes(world) - before == 3
    assert refused(world.server.recv, far, bytearray(4)) is Wsae.WSAECONNRESET


@pytest.mark.parametrize("value", [None, 1, (1, 2), b"short", (1, "x", 3)])
def test_keepalive_vals_are_a_structure(world: World, value: object) -> None:
    _near, far = world.pair()

    assert refused(world.server.ioctlsocket, far, Io.KEEPALIVE_VALS, value) is Wsae.WSAEFAULT
