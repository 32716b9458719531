"""Interactive traffic beside bulk by the same card, in virtual time: latencies and places in a queue.

Every layer is there, Winsock to card, and the cable is the only thing that takes time: what a keystroke
waits for is what the stack has put before it. The commands' figures are ``interop prompt``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from protocols.apis.winsock import Winsock, WinsockError
from protocols.apis.winsock.constants import Af, Io, Sock, Sol, TcpOption
from protocols.apis.winsock.errors import Wsae
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip import StackConfig
from protocols.transports.tcpip.addresses import parse
from tests.support.nt_virtual_cards import TICK_NS, VirtualCards

KEYS = 6
PAUSE_NS = 2_000_000
RATE = 200_000_000
CONFIG = StackConfig(ipv6=False, receive_buffer=1 << 17)
"""An eighth of the usual window and a fifth of a gigabit, for the frames are few then."""
WINDOW_NS = CONFIG.receive_buffer * 8 * 1_000_000_000 // RATE * 1538 // 1448
"""How long the cable is busy with a whole window of the bulk, headers and gaps included: 5.6 ms."""
PIECE = bytes(1 << 16)
SERVER = "10.0.0.2"


@dataclass
class Flow:
    """A connection from host 1 to host 2: the process and socket at each end."""

    near: tuple[Winsock, int]
    far: tuple[Winsock, int]


@dataclass
class Desk:
    """Two hosts, a connection that is typed on, and others that carry bulk."""

    cards: VirtualCards = field(default_factory=lambda: VirtualCards(RATE, CONFIG))
    moved: int = 0

    def connect(self, port: int) -> Flow:
        """Connect host 1 to a port of host 2; both ends are non-blocking."""
        client, server = self.cards.processes
        listener = server.socket(Af.INET, Sock.STREAM)
        server.bind(listener, internet(bytes(4), port))
        server.listen(listener, 1)
        near = client.socket(Af.INET, Sock.STREAM)
        client.connect(near, internet(parse(SERVER), port))
        far, _ = server.accept(listener)
        client.setsockopt(near, Sol.TCP, TcpOption.NODELAY, 1)
        for process, number in ((client, near), (server, far)):
            process.ioctlsocket(number, Io.FIONBIO, 1)
        return Flow((client, near), (server, far))

    def push(self, source: tuple[Winsock, int], sink: tuple[Winsock, int]) -> None:
        """Send as much as fits, and take what has come."""
        process, number = source
        while sent(process, number, PIECE):
            pass
        while data := taken(*sink):
            self.moved += len(data)

    def type_key(self, typed: Flow, bulk: list[tuple[tuple[Winsock, int], tuple[Winsock, int]]]) -> int:
        """Type a byte, have it echoed; return the nanoseconds until it was back."""
        start = self.cards.now_ns
        assert sent(*typed.near, b"k") == 1
        while not (echo := taken(*typed.near)):
            self.cards.run()
            for source, sink in bulk:
                self.push(source, sink)
            if key := taken(*typed.far):
                sent(*typed.far, key)
        assert echo == b"k"
        return self.cards.now_ns - start

    def pause(self, bulk: list[tuple[tuple[Winsock, int], tuple[Winsock, int]]]) -> None:
        """Let the bulk run between two keys."""
        for _ in range(0, PAUSE_NS, TICK_NS):
            self.cards.run()
            for source, sink in bulk:
                self.push(source, sink)


def sent(process: Winsock, number: int, data: bytes) -> int:
    """Send what fits at once."""
    try:
        return process.send(number, data)
    except WinsockError as error:
        if error.code is not Wsae.WSAEWOULDBLOCK:
            raise
        return 0


def taken(process: Winsock, number: int) -> bytes:
    """Receive what is there."""
    buffer = bytearray(len(PIECE))
    try:
        return bytes(buffer[: process.recv(number, buffer)])
    except WinsockError as error:
        if error.code is not Wsae.WSAEWOULDBLOCK:
            raise
        return b""


def typed_beside(desk: Desk, flows: int, *, outward: bool) -> tuple[list[int], float]:
    """Type ``KEYS`` beside so many bulk flows; return the latencies and the part of the cable's rate used."""
    typed = desk.connect(22)
    ends = [(flow.near, flow.far) for flow in (desk.connect(9000 + n) for n in range(flows))]
    bulk = ends if outward else [(far, near) for near, far in ends]
    for _ in range(4):
        desk.pause(bulk)  # slow start is over
    start, before = desk.cards.now_ns, desk.moved

    latencies = []
    for _ in range(KEYS):
        latencies.append(desk.type_key(typed, bulk))
        desk.pause(bulk)

    spent = desk.cards.now_ns - start
    return latencies, (desk.moved - before) * 8 * 1e9 / spent / RATE


def test_a_key_alone_takes_no_time_but_the_cables() -> None:
    """Nothing delays it: no Nagle, no delayed acknowledgment, no timer."""
    desk = Desk()

    latencies, _ = typed_beside(desk, 0, outward=True)

    assert max(latencies) <= 6 * TICK_NS
    assert desk.cards.reports() == []


@pytest.mark.parametrize("outward", [True, False], ids=["sent", "received"])
@pytest.mark.parametrize("flows", [1, 3])
def test_a_key_beside_bulk_waits_for_a_window_of_each_flow_at_most(flows: int, *, outward: bool) -> None:
    """The cable is full, and nothing but what TCP lets be under way stands before the key."""
    desk = Desk()

    latencies, load = typed_beside(desk, flows, outward=outward)

    assert load > 0.9
    assert max(latencies) <= flows * WINDOW_NS + 10 * TICK_NS
    assert desk.cards.reports() == []
