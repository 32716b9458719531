"""WSAAsyncSelect: messages to a window, one for each event until what re-enables it was called."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Af, Fd, Sock
from protocols.apis.winsock.window import WM_USER, Window, WindowMessage
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse
from tests.support.nt_world import SERVER, World, received

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = Fd.READ | Fd.WRITE | Fd.ACCEPT | Fd.CONNECT | Fd.CLOSE
WM_SOCKET = WM_USER + 1


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.reports() == []


def messages(world: World, window: Window) -> list[tuple[int, Fd, int]]:
    """Return (socket, event, error) of what has been posted, after some time."""
    world.net.run(0.1)
    found: list[WindowMessage] = []
    while (message := window.get_message(0)) is not None:
        found.append(message)
    return [(one.wparam, one.event, one.error) for one in found]


def test_a_server_lives_by_messages_alone(world: World) -> None:
    listener = world.listener()
    said: list[bytes] = []

    def procedure(message: WindowMessage) -> None:
        number = message.wparam
        if message.event is Fd.ACCEPT:
            world.server.accept(number)
        elif message.event is Fd.READ:
            said.append(received(world.server, number, 64))
            world.server.send(number, said[-1].upper())
        elif message.event is Fd.CLOSE:
            world.server.closesocket(number)

    window = Window(world.net.executive, procedure)
    world.server.async_select(listener, window, WM_SOCKET, ALL)
    near = world.client.socket(Af.INET, Sock.STREAM)
    world.client.connect(near, SERVER)
    world.client.send(near, b"hello")
    world.client.shutdown(near)

    while window.dispatch(1_000_000_000):
        pass

    assert said == [b"hello"]
    assert [received(world.client, near, 64), received(world.client, near, 64)] == [b"HELLO", b""]


def test_fd_read_comes_again_only_after_a_receive(world: World) -> None:
    near, far = world.pair()
    window = Window(world.net.executive)
    world.server.async_select(far, window, WM_SOCKET, Fd.READ)

    told = []
    for take in (0, 2, 100):
        world.client.send(near, b"abcd")
        if take:
            received(world.server, far, take)
        told.append(messages(world, window))

    read = (far, Fd.READ, 0)
    assert told == [[read], [read], [read]]
    world.client.send(near, b"abcd")
    assert messages(world, window) == []


def test_a_refused_connect_is_told_with_its_error(world: World) -> None:
    near = world.client.socket(Af.INET, Sock.STREAM)
    window = Window(world.net.executive)
    world.client.async_select(near, window, WM_SOCKET, ALL)

    with pytest.raises(WinsockError, match="WOULDBLOCK"):
        world.client.connect(near, internet(parse("10.0.0.2"), 81))

    assert messages(world, window) == [(near, Fd.CONNECT, Wsae.WSAECONNREFUSED)]


def test_fd_close_tells_a_reset_from_an_orderly_end(world: World) -> None:
    window = Window(world.net.executive)
    _near, far = world.pair()
    world.server.async_select(far, window, WM_SOCKET, Fd.CLOSE)

    world.client.cleanup()

    assert messages(world, window) == [(far, Fd.CLOSE, Wsae.WSAECONNRESET)]


def test_no_events_end_it(world: World) -> None:
    near, far = world.pair()
    window = Window(world.net.executive)
    world.server.async_select(far, window, WM_SOCKET, Fd.READ)

    world.server.async_select(far, window, 0, 0)
    world.client.send(near, b"x")

    assert messages(world, window) == []
