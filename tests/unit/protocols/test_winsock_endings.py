"""SO_LINGER and out-of-band data between two hosts on a virtual wire, every IRP checked."""

# ruff: noqa: D103, PT012 - the names are sentences; a stream is read up to its error

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntos.executive.dispatcher import Event
from protocols.apis.win32.overlapped import Overlapped
from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Fd, Io, Msg, PollFlag, So, Sol
from tests.support.nt_world import World, received

if TYPE_CHECKING:
    from collections.abc import Iterator

MS = 1_000_000
MUCH = bytes(2_000_000)
"""More than the buffers of both ends."""


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.reports() == []


def pend_send(world: World, number: int, data: bytes) -> None:
    with pytest.raises(WinsockError, match="PENDING"):
        world.client.send(number, data, 0, Overlapped())


def test_linger_waits_until_the_peer_has_everything(world: World) -> None:
    near, far = world.pair()
    world.client.setsockopt(near, Sol.SOCKET, So.LINGER, 5)
    before = world.net.executive.now_ns()
    world.client.send(near, bytes(50_000))

    world.client.closesocket(near)
    waited = world.net.executive.now_ns() - before

    assert 0 < waited < 5000 * MS
    assert world.server.ioctlsocket(far, Io.FIONREAD) == 50_000


def test_linger_ends_in_a_reset_when_the_time_is_over(world: World) -> None:
    near, far = world.pair()
    world.client.setsockopt(near, Sol.SOCKET, So.LINGER, 2)
    pend_send(world, near, MUCH)
    before = world.net.executive.now_ns()

    world.client.closesocket(near)
    waited = world.net.executive.now_ns() - before
    world.net.run(0.1)

    assert 2000 * MS <= waited < 2500 * MS
    with pytest.raises(WinsockError) as error:
        while received(world.server, far, 65536):
            pass
    assert error.value.code is Wsae.WSAECONNRESET


def test_a_non_blocking_socket_that_would_linger_stays_open(world: World) -> None:
    near, far = world.pair()
    world.client.setsockopt(near, Sol.SOCKET, So.LINGER, 5)
    pend_send(world, near, MUCH)
    world.client.ioctlsocket(near, Io.FIONBIO, 1)

    with pytest.raises(WinsockError) as error:
        world.client.closesocket(near)
    got = 0
    while piece := received(world.server, far, 65536):
        got += len(piece)
    world.net.run(0.1)
    world.client.closesocket(near)

    assert error.value.code is Wsae.WSAEWOULDBLOCK
    assert got == len(MUCH)
    with pytest.raises(WinsockError, match="NOTSOCK"):
        world.client.closesocket(near)


def test_the_last_cleanup_resets_what_is_open(world: World) -> None:
    near, far = world.pair()
    pend_send(world, near, MUCH)

    world.client.cleanup()
    world.net.run(0.1)

    with pytest.raises(WinsockError) as error:
        while received(world.server, far, 65536):
            pass
    assert error.value.code is Wsae.WSAECONNRESET


def test_an_urgent_byte_is_received_beside_the_stream(world: World) -> None:
    near, far = world.pair()
    event = Event()
    world.server.event_select(far, event, Fd.OOB)
    world.client.send(near, b"before")
    world.client.send(near, b"!", Msg.OOB)
    world.client.send(near, b"after")
    world.net.run(0.1)

    exceptional = world.server.select([], [], [far], 0)[2]
    band = world.server.poll([(far, PollFlag.RDBAND)], 0)
    happened = world.server.enum_network_events(far, event)[0]
    peeked = received(world.server, far, 10, Msg.OOB | Msg.PEEK)
    urgent = received(world.server, far, 10, Msg.OOB)
    stream = received(world.server, far, 64)

    assert (exceptional, band, happened) == ([far], [PollFlag.RDBAND], Fd.OOB)
    assert (peeked, urgent, stream) == (b"!", b"!", b"beforeafter")
    assert world.server.poll([(far, PollFlag.RDBAND)], 0) == [PollFlag.NONE]
    with pytest.raises(WinsockError, match="WOULDBLOCK"):
        received(world.server, far, 10, Msg.OOB)


def test_fd_oob_comes_again_after_the_urgent_byte_was_received(world: World) -> None:
    near, far = world.pair()
    event = Event()
    world.server.event_select(far, event, Fd.OOB)
    told = []
    for letter, take in ((b"a", False), (b"b", True), (b"c", False)):
        world.client.send(near, letter, Msg.OOB)
        world.net.run(0.1)
        told.append(world.server.enum_network_events(far, event)[0])
        if take:
            received(world.server, far, 10, Msg.OOB)

    assert told == [Fd.OOB, Fd.NONE, Fd.OOB]


def test_a_receive_of_urgent_data_waits_for_it(world: World) -> None:
    near, far = world.pair()
    overlapped, into = Overlapped(Event()), bytearray(4)
    with pytest.raises(WinsockError, match="PENDING"):
        world.server.recv(far, into, Msg.OOB, overlapped)

    world.client.send(near, b"normal")
    world.client.send(near, b"!", Msg.OOB)
    count = world.server.get_overlapped_result(far, overlapped, wait=True)

    assert (count, bytes(into[:1])) == (1, b"!")


def test_inline_a_receive_stops_at_the_mark(world: World) -> None:
    near, far = world.pair()
    world.server.setsockopt(far, Sol.SOCKET, So.OOBINLINE, 1)
    world.client.send(near, b"before")
    world.client.send(near, b"!", Msg.OOB)
    world.client.send(near, b"after")
    world.net.run(0.1)

    told = []
    for _ in range(3):
        at_mark = world.server.ioctlsocket(far, Io.SIOCATMARK)
        told.append((at_mark, received(world.server, far, 64)))

    assert told == [(False, b"before"), (True, b"!"), (True, b"after")]
    with pytest.raises(WinsockError) as error:
        received(world.server, far, 10, Msg.OOB)
    assert error.value.code is Wsae.WSAEINVAL


def test_a_flood_of_urgent_bytes_is_bounded(world: World) -> None:
    near, far = world.pair()

    for number in range(200):
        world.client.send(near, bytes([number]), Msg.OOB)
        world.net.run(0.05)
    kept = received(world.server, far, 1000, Msg.OOB)

    assert kept == bytes(range(200 - 64, 200))
