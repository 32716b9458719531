"""WSAEventSelect, FIONBIO, WSAPoll, and blocking calls that run APCs or lose their socket.

Sources: WSAEventSelect, WSAPoll, WSARecv "Remarks" (Microsoft); Wine ``dlls/ws2_32/tests/sock.c``,
test_fionbio, test_write_events, test_WSAPoll.
"""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ntos.executive.dispatcher import Event
from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Af, Fd, Io, PollFlag, So, Sock, Sol
from tests.support.nt_world import SERVER, World, received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALL = Fd.READ | Fd.WRITE | Fd.OOB | Fd.ACCEPT | Fd.CONNECT | Fd.CLOSE
READ_WRITE = PollFlag.RDNORM | PollFlag.RDBAND | PollFlag.OUT
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


def send(world: World, number: int) -> None:
    world.client.send(number, b"data")


def test_a_socket_that_selects_events_stays_non_blocking(world: World) -> None:
    near, _far = world.pair()
    client = world.client
    client.event_select(near, Event(), Fd.READ)
    while_selecting = refused(client.ioctlsocket, near, Io.FIONBIO, 0)
    client.ioctlsocket(near, Io.FIONBIO, 1)

    client.event_select(near, None, 0)

    assert while_selecting is Wsae.WSAEINVAL
    assert refused(client.recv, near, bytearray(1)) is Wsae.WSAEWOULDBLOCK
    client.ioctlsocket(near, Io.FIONBIO, 0)


@pytest.mark.parametrize("value", [None, "on", b""])
def test_fionbio_wants_a_number(world: World, value: object) -> None:
    near, _far = world.pair()

    assert refused(world.client.ioctlsocket, near, Io.FIONBIO, value) is Wsae.WSAEFAULT


def test_selecting_again_tells_nothing_twice(world: World) -> None:
    near, far = world.pair()
    event, server = Event(), world.server
    world.client.send(near, b"data")
    world.net.run(0.1)
    server.event_select(far, event, ALL)
    first, _ = server.enum_network_events(far, event)

    server.event_select(far, event, Fd.NONE)
    server.event_select(far, event, ALL)
    second, _ = server.enum_network_events(far, event)

    assert (first, second) == (Fd.READ | Fd.WRITE, Fd.NONE)
    assert not event.signalled


def test_the_enabling_call_counts_while_nothing_is_selected(world: World) -> None:
    near, far = world.pair()
    event, server = Event(), world.server
    world.client.send(near, b"data")
    world.net.run(0.1)
    server.event_select(far, event, ALL)
    server.enum_network_events(far, event)
    server.event_select(far, event, Fd.NONE)

    received(server, far, 2)
    server.event_select(far, event, ALL)

    assert server.enum_network_events(far, event)[0] == Fd.READ


def test_what_was_not_fetched_signals_the_next_event(world: World) -> None:
    near, far = world.pair()
    first, second, server = Event(), Event(), world.server
    server.event_select(far, first, ALL)
    server.enum_network_events(far, first)
    world.client.send(near, b"data")
    world.net.run(0.1)

    server.event_select(far, second, ALL)

    assert first.signalled
    assert second.signalled
    assert server.enum_network_events(far, second)[0] == Fd.READ


def test_fd_connect_is_told_once_to_who_connected(world: World) -> None:
    listener = world.listener()
    near, event, client = world.client.socket(Af.INET, Sock.STREAM), Event(), world.client
    client.event_select(near, event, ALL)
    with pytest.raises(WinsockError, match="WOULDBLOCK"):
        client.connect(near, SERVER)
    world.net.run(0.1)

    told, errors = client.enum_network_events(near, event)
    client.event_select(near, event, ALL)
    again, _ = client.enum_network_events(near, event)
    far, _peer = world.server.accept(listener)
    world.server.event_select(far, event, ALL)

    assert (told, errors[Fd.CONNECT], again) == (Fd.CONNECT | Fd.WRITE, 0, Fd.NONE)
    assert world.server.enum_network_events(far, event)[0] == Fd.WRITE


def test_a_failed_connect_is_told_by_three_flags(world: World) -> None:
    near, client = world.client.socket(Af.INET, Sock.STREAM), world.client
    client.ioctlsocket(near, Io.FIONBIO, 1)
    with pytest.raises(WinsockError, match="WOULDBLOCK"):
        client.connect(near, SERVER)
    world.net.run(5)

    states = client.poll([(near, READ_WRITE), (near, PollFlag.RDNORM)], 0)

    assert states == [PollFlag.OUT | PollFlag.HUP | PollFlag.ERR, PollFlag.HUP | PollFlag.ERR]


def test_a_peers_fin_is_told_whatever_was_asked(world: World) -> None:
    near, far = world.pair()
    world.client.closesocket(near)
    world.net.run(0.1)

    states = world.server.poll([(far, PollFlag.OUT), (far, PollFlag.NONE)], 0)

    assert states == [PollFlag.OUT | PollFlag.HUP, PollFlag.HUP]


@pytest.mark.parametrize("flags", [1, 2, 4, 8, 0x20, 0x40, 0x80, 0x400, 0x800, 0x1000])
def test_a_flag_that_is_no_question_is_refused(world: World, flags: int) -> None:
    near, _far = world.pair()

    assert refused(world.client.poll, [(near, PollFlag(flags))], 0) is Wsae.WSAEINVAL


def test_a_poll_wants_one_socket_at_least(world: World) -> None:
    near, _far = world.pair()

    assert refused(world.client.poll, [], 0) is Wsae.WSAEINVAL
    assert refused(world.client.poll, [(0x9999, PollFlag.IN)], 0) is Wsae.WSAENOTSOCK
    assert world.client.poll([(0x9999, PollFlag.IN), (near, PollFlag.OUT)], 0) == [
        PollFlag.NVAL,
        PollFlag.OUT,
    ]


def test_a_blocking_call_runs_apcs_and_goes_on(world: World) -> None:
    near, far = world.pair()
    ran: list[str] = []
    executive = world.net.executive
    apcs = world.server.apcs()
    executive.call_at(executive.now_ns() + 10 * MS, "apc", lambda: apcs.queue(lambda: ran.append("apc")))
    executive.call_at(executive.now_ns() + 20 * MS, "data", lambda: send(world, near))

    got = received(world.server, far, 9)

    assert (got, ran) == (b"data", ["apc"])


@pytest.mark.parametrize("call", ["accept", "select", "connect"])
def test_every_blocking_call_is_alertable(world: World, call: str) -> None:
    listener = world.listener()
    ran: list[str] = []
    near, client = world.client.socket(Af.INET, Sock.STREAM), world.client
    world.server.apcs().queue(lambda: ran.append("apc"))
    client.apcs().queue(lambda: ran.append("apc"))
    calls: dict[str, Callable[[], object]] = {
        "accept": lambda: world.server.accept(listener),
        "select": lambda: world.server.select([listener], [], [], 1000 * MS),
        "connect": lambda: client.connect(near, SERVER),
    }
    if call == "accept":
        world.server.setsockopt(listener, Sol.SOCKET, So.RCVTIMEO, 50)
        assert refused(world.server.accept, listener) is Wsae.WSAETIMEDOUT
    else:
        calls[call]()

    assert ran == ["apc"]


@pytest.mark.parametrize("call", ["recv", "accept", "select"])
def test_a_socket_that_is_closed_under_a_call_ends_it(world: World, call: str) -> None:
    _near, far = world.pair()
    listener = world.server.socket(Af.INET, Sock.STREAM)
    world.server.bind(listener, SERVER.with_port(81))
    world.server.listen(listener, 5)
    number = listener if call == "accept" else far
    executive = world.net.executive
    executive.call_at(executive.now_ns() + 10 * MS, "close", lambda: world.server.closesocket(number))
    calls: dict[str, Callable[[], object]] = {
        "recv": lambda: world.server.recv(far, bytearray(4)),
        "accept": lambda: world.server.accept(listener),
        "select": lambda: world.server.select([far], [], [], 1000 * MS),
    }

    code = refused(calls[call])

    assert code is (Wsae.WSAENOTSOCK if call == "select" else Wsae.WSAEINTR)
