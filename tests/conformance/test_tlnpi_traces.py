"""One little suite over TDI and over WSK: the same frames on the wire, byte for byte, time for time.

Each script is played to two virtual hosts with the same seed, once by a TDI client on either side, once by a
WSK application. What differs above TLNPI and TDI must not be seen below them.
"""

# ruff: noqa: D102, D103, ANN401 - the names are sentences; doubles need no words

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from lab.host.virtual import FAST, VirtualHosts
from protocols.apis.winsock.constants import Af, Proto, Sock
from protocols.apis.wsk.constants import Category, DisconnectFlag, ReceiveFlag
from protocols.apis.wsk.npi import WskBuf
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.requests import Flags, Tdi, Transfer, TransportAddress
from protocols.transports.tcpip import StackConfig
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.host.host import Upper

PORT = 4000
CONFIGS = {Af.INET: FAST, Af.INET6: StackConfig(dad_transmits=0)}
NETS = {Af.INET: "10.0.0.", Af.INET6: "fd00::"}
SIZES = {Af.INET: 4, Af.INET6: 16}


class Way(Protocol):
    """How a script reaches the transports: TDI's or TLNPI's."""

    def __init__(self, host: Upper, family: Af) -> None: ...
    def listen(self, port: int) -> Any: ...
    def connect(self, remote: InternetAddress) -> Any: ...
    def send(self, connection: Any, data: bytes) -> None: ...
    def receive(self, connection: Any, size: int) -> bytearray: ...
    def finish(self, connection: Any) -> None: ...
    def abort(self, connection: Any) -> None: ...
    def close(self, connection: Any) -> None: ...
    def datagrams(self, port: int) -> Any: ...
    def send_to(self, address: Any, data: bytes, remote: InternetAddress) -> None: ...
    def receive_from(self, address: Any, size: int) -> bytearray: ...


class ByTdi:
    """The requests of a TDI client."""

    def __init__(self, host: Upper, family: Af) -> None:
        self.tdi, self.size = TdiClient(host.io), SIZES[family]

    def listen(self, port: int) -> Any:
        address = self._address("Tcp", port)
        made = self.tdi.open_connection("\\Device\\Tcp", None)
        self.tdi.associate(made, address)
        self.tdi.request(made, Tdi.LISTEN, Transfer())
        return made

    def connect(self, remote: InternetAddress) -> Any:
        made = self.tdi.open_connection("\\Device\\Tcp", None)
        self.tdi.associate(made, self._address("Tcp", 0))
        self.tdi.connect(made, remote)
        return made

    def send(self, connection: Any, data: bytes) -> None:
        self.tdi.send(connection, [data])

    def receive(self, connection: Any, size: int) -> bytearray:
        buffer = bytearray(size)
        self.tdi.receive(connection, [buffer])
        return buffer

    def finish(self, connection: Any) -> None:
        self.tdi.disconnect(connection, Flags.RELEASE)

    def abort(self, connection: Any) -> None:
        self.tdi.disconnect(connection, Flags.ABORT)

    def close(self, connection: Any) -> None:
        self.tdi.io.close(connection)

    def datagrams(self, port: int) -> Any:
        return self._address("Udp", port)

    def send_to(self, address: Any, data: bytes, remote: InternetAddress) -> None:
        self.tdi.send_datagram(address, [data], remote)

    def receive_from(self, address: Any, size: int) -> bytearray:
        buffer = bytearray(size)
        self.tdi.request(address, Tdi.RECEIVE_DATAGRAM, None, [buffer])
        return buffer

    def _address(self, device: str, port: int) -> Any:
        asked = TransportAddress(internet(bytes(self.size), port))
        return self.tdi.open_address(f"\\Device\\{device}", asked)


class ByWsk:
    """The functions of a WSK application."""

    def __init__(self, host: Upper, family: Af) -> None:
        self.client, self.family = host.wsk_register().capture_provider_npi().client, family

    def listen(self, port: int) -> Any:
        listener = self._bound(Category.LISTEN, port)
        return self._start(listener.accept)

    def connect(self, remote: InternetAddress) -> Any:
        socket = self._bound(Category.CONNECTION, 0)
        self._start(socket.connect, remote)
        return socket

    def send(self, connection: Any, data: bytes) -> None:
        self._start(_socket(connection).send, WskBuf((data,)))

    def receive(self, connection: Any, size: int) -> bytearray:
        buffer = bytearray(size)
        self._start(_socket(connection).receive, WskBuf((buffer,)), flags=ReceiveFlag.NONE)
        return buffer

    def finish(self, connection: Any) -> None:
        self._start(_socket(connection).disconnect, None)

    def abort(self, connection: Any) -> None:
        self._start(_socket(connection).disconnect, None, flags=DisconnectFlag.ABORTIVE)

    def close(self, connection: Any) -> None:
        self._start(_socket(connection).close_socket)

    def datagrams(self, port: int) -> Any:
        return self._bound(Category.DATAGRAM, port)

    def send_to(self, address: Any, data: bytes, remote: InternetAddress) -> None:
        self._start(address.send_to, WskBuf((data,)), remote)

    def receive_from(self, address: Any, size: int) -> bytearray:
        buffer = bytearray(size)
        self._start(address.receive_from, WskBuf((buffer,)))
        return buffer

    def _bound(self, category: Category, port: int) -> Any:
        datagram = category is Category.DATAGRAM
        kind = (Sock.DGRAM, Proto.UDP) if datagram else (Sock.STREAM, Proto.TCP)
        socket = self._start(self.client.socket, self.family, *kind, category).result
        self._start(socket.bind, internet(bytes(SIZES[self.family]), port))
        return socket

    def _start(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        irp = self.client.allocate_irp()
        function(*arguments, irp=irp, **named)
        return irp


def _socket(connection: Any) -> Any:
    """Return a connection's socket: one that was accepted is the result of its IRP."""
    return getattr(connection, "result", connection)


class Play:
    """Two hosts, a way on each, and what went over the wire."""

    def __init__(self, way: type[Way], family: Af) -> None:
        self.net = VirtualHosts(config=CONFIGS[family])
        for number, host in enumerate(self.net.hosts, 1):
            if family is Af.INET6:
                host.stack.add_address(host.stack.interfaces[1], parse(f"fd00::{number}"), 64)
        self.near_address, far, self.nobody = (
            internet(parse(f"{NETS[family]}{n}"), PORT) for n in (1, 2, 99)
        )
        self.remote = far
        self.net.network.log = []
        self.near, self.far = (way(host, family) for host in self.net.hosts)
        self.got: list[bytes] = []

    def run(self, seconds: float = 1.0) -> None:
        self.net.run(seconds)

    def connected(self) -> tuple[Any, Any]:
        far = self.far.listen(PORT)
        near = self.near.connect(self.remote)
        self.run()
        return near, far

    @property
    def trace(self) -> list[tuple[int, str, bytes]]:
        return self.net.network.log or []


def in_order(play: Play) -> None:
    near, far = play.connected()
    first = play.far.receive(far, 100)
    play.near.send(near, b"question")
    play.run()
    play.far.send(far, b"answer")
    second = play.near.receive(near, 100)
    play.run()
    play.near.finish(near)
    play.run()
    play.far.finish(far)
    play.run()
    play.near.close(near)
    play.far.close(far)
    play.run(70)
    play.got += [bytes(first), bytes(second)]


def in_bulk(play: Play) -> None:
    """Many segments, a window that closes since nobody receives, and opens by receives of 5,000 bytes."""
    near, far = play.connected()
    data = bytes(range(256)) * 1200
    play.near.send(near, data)
    play.run()
    while len(b"".join(play.got)) < len(data):
        piece = play.far.receive(far, 5000)
        play.run(0.01)
        play.got.append(bytes(piece)[: len(data) - len(b"".join(play.got))])
    play.near.finish(near)
    play.run()


def refused(play: Play) -> None:
    near = play.near.connect(play.remote)
    play.run()
    play.near.close(near)


def unanswered(play: Play) -> None:
    play.near.connect(play.nobody)
    play.run(30)


def aborted(play: Play) -> None:
    near, far = play.connected()
    play.near.send(near, b"half a")
    play.run()
    play.far.abort(far)
    play.run()
    play.near.send(near, b"question")
    play.run()


def closed(play: Play) -> None:
    """Without a disconnect: a reset."""
    near, far = play.connected()
    play.far.send(far, b"never read")
    play.run()
    play.near.close(near)
    play.run()


def half_closed(play: Play) -> None:
    near, far = play.connected()
    play.near.finish(near)
    play.run()
    end = play.far.receive(far, 10)
    play.far.send(far, bytes(5000))
    rest = play.near.receive(near, 5000)
    play.run()
    play.far.finish(far)
    play.run()
    play.got += [bytes(end), bytes(rest)]


def datagrams(play: Play) -> None:
    """One that fits, one in fragments, one to a port that nobody has, and an answer."""
    near, far = play.near.datagrams(0), play.far.datagrams(PORT)
    buffers = [play.far.receive_from(far, 9000) for _ in range(2)]
    for data in (b"one", bytes(8000)):
        play.near.send_to(near, data, play.remote)
        play.run()
    play.near.send_to(near, b"nobody", play.remote.with_port(9))
    play.far.send_to(far, b"back", play.near_address.with_port(4001))
    play.run()
    play.got += [bytes(one) for one in buffers]


SCRIPTS = [in_order, in_bulk, refused, unanswered, aborted, closed, half_closed, datagrams]


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_tdi_and_wsk_leave_the_same_trace(script: Callable[[Play], None], family: Af) -> None:
    by_tdi, by_wsk = Play(ByTdi, family), Play(ByWsk, family)

    for play in (by_tdi, by_wsk):
        script(play)

    assert len(by_tdi.trace) > 2
    assert by_wsk.trace == by_tdi.trace
    assert by_wsk.got == by_tdi.got
    for play in (by_tdi, by_wsk):
        assert [str(report) for host in play.net.hosts for report in host.verifier.reports] == []


def test_the_comparison_sees_a_difference_of_one_byte() -> None:
    """The proof can fail."""
    plays = [Play(ByWsk, Af.INET), Play(ByWsk, Af.INET)]

    for play, data in zip(plays, (b"question", b"questioN"), strict=True):
        near, _far = play.connected()
        play.near.send(near, data)
        play.run()

    assert plays[0].trace[:-2] == plays[1].trace[:-2]
    assert plays[0].trace != plays[1].trace
