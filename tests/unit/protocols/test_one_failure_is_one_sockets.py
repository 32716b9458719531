"""A failure of ours with one connection's packet: that connection's owner hears, and nobody else."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Af, Io, Sock
from protocols.transports.tcpip.tcp import output
from tests.support.nt_world import SERVER, World, received

if TYPE_CHECKING:
    from protocols.transports.tcpip.tcp.connection import Connection


def test_the_owner_hears_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    listener = world.listener()
    pairs = []
    for _ in range(2):
        near = world.client.socket(Af.INET, Sock.STREAM)
        world.client.connect(near, SERVER)
        pairs.append((near, world.server.accept(listener)[0]))
    (bad, _), (good, good_far) = pairs
    port = world.client.getsockname(bad).port  # type: ignore[attr-defined]  # an Internet address
    pump = output.pump

    def pump_but_one(connection: Connection) -> None:
        if connection.key.local_port == port:
            raise ValueError("a packet that cannot be built")
        pump(connection)

    monkeypatch.setattr(output, "pump", pump_but_one)
    stack = world.net.hosts[0].stack
    for number in (bad, good):
        world.client.ioctlsocket(number, Io.FIONBIO, 1)
        world.client.send(number, b"hello")

    with pytest.raises(ValueError, match="cannot be built"):
        world.net.run(0.1)
    world.net.run(0.1)

    assert received(world.server, good_far, 9) == b"hello"
    with pytest.raises(WinsockError) as error:
        world.client.recv(bad, bytearray(9))
    assert error.value.code is Wsae.WSAECONNRESET
    assert stack.counters["tcp.failed"] == 1
