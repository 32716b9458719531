"""How fast our TCP/IP is: against Linux through a TAP, and against itself in memory.

``python -m lab.trials.tcpip.speed`` prints a table; ``ringwalk bench`` may call the functions.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.host.virtual_wire import FULL_OFFLOAD
from lab.trials.tcpip.namespace import Namespace
from lab.trials.tcpip.runner import Runner
from lab.trials.tcpip.tap import TAP_OFFLOAD, TapLink
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.link import Offload, RxFrame
from protocols.transports.tcpip.segmentation import finish
from protocols.transports.tcpip.stack import Stack, StackConfig
from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocols.transports.tcpip.errors import Failure
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.link import TxFrame

OURS, THEIRS = parse("10.7.0.1"), "10.7.0.2"
CHUNK = bytes(65536)
BATCH = 64
STEP = 1000  # nanoseconds that a turn of the in-memory link takes on its clock
QUIET = 50_000_000


@dataclass(frozen=True, slots=True)
class Speed:
    """One result. ``mbit`` a second; or ``p50_us`` of request and response."""

    what: str
    mbit: float = 0.0
    p50_us: float = 0.0

    def __str__(self) -> str:
        """Return the table's row."""
        value = f"{self.mbit:8.0f} Mbit/s" if self.mbit else f"{self.p50_us:8.0f} µs p50"
        return f"{self.what:48}{value}"


class Source(ConnectionHandler):
    """Sends ``total`` zero bytes in 64 KB writes."""

    def __init__(self, total: int) -> None:
        """Remember how many are left."""
        self.left = total
        self.done = False

    def connected(self, connection: Connection) -> None:
        """Begin."""
        self.writable(connection)

    def writable(self, connection: Connection) -> None:
        """Send until the buffer is full."""
        while self.left and (taken := connection.send(CHUNK[: self.left])):
            self.left -= taken
        if not self.left and connection.fin_sequence is None:
            connection.shutdown()

    def closed(self, connection: Connection, failure: Failure | None) -> None:
        """Note the end."""
        del connection, failure
        self.done = True


class Sink(ConnectionHandler):
    """Counts bytes."""

    def __init__(self) -> None:
        self.received = 0
        self.done = False

    def readable(self, connection: Connection) -> None:
        """Count and drop."""
        self.received += sum(map(len, connection.receive_buffers()))

    def remote_closed(self, connection: Connection) -> None:
        """Close too."""
        connection.close()

    def closed(self, connection: Connection, failure: Failure | None) -> None:
        """Note the end."""
        del connection, failure
        self.done = True


class MemoryLink:
    """Keeps frames for the other side to fetch. ``whole``: large sends arrive uncut."""

    mtu = 1500

    def __init__(self, name: str, mac: bytes, offload: Offload, *, whole: bool) -> None:
        self.name = name
        self.mac = mac
        self.offload = offload
        self._whole = whole
        self._sent: list[TxFrame] = []

    def send(self, frames: Sequence[TxFrame]) -> None:
        """Keep frames."""
        self._sent += frames

    def set_multicast(self, groups: frozenset[bytes]) -> None:
        """Deliver everything."""

    def fetch(self) -> list[RxFrame]:
        """Return what was sent, as the peer receives it."""
        sent, self._sent = self._sent, []
        trusted = self.offload.tx_tcp_checksum
        if self._whole or not trusted:
            return [
                RxFrame(f.data(), ip_verified=trusted, l4_verified=trusted, lso_mss=f.lso_mss) for f in sent
            ]
        pieces = [data for f in sent for data in finish(f)]
        return [RxFrame(data, ip_verified=True, l4_verified=True) for data in pieces]


def memory(what: str, total: int, offload: Offload, *, whole: bool = False) -> list[Speed]:
    """Time both sides of a transfer between two of our stacks, each by itself."""
    config = StackConfig(ipv6=False)
    links = [MemoryLink(f"m{n}", bytes((2, 0, 0, 0, 7, n)), offload, whole=whole) for n in (1, 2)]
    stacks = [Stack(os.urandom, 0, config) for _ in links]
    interfaces: list[Interface] = []
    for stack, link, address in zip(stacks, links, (OURS, parse(THEIRS)), strict=True):
        interfaces.append(stack.add_interface(link))
        stack.add_address(interfaces[-1], address, 24)
    sink = Sink()
    stacks[1].tcp_listen(80, lambda _c: sink)
    stacks[0].tcp_connect(parse(THEIRS), 80, Source(total))
    stacks[0].flush()
    spent = [0.0, 0.0]
    now = 0
    while sink.received < total:
        now += STEP
        moved = False
        for source, target in ((0, 1), (1, 0)):
            frames = links[source].fetch()
            moved |= bool(frames)
            for at in range(0, len(frames), BATCH):
                began = time.perf_counter()
                stacks[target].receive(interfaces[target], frames[at : at + BATCH], now)
                spent[target] += time.perf_counter() - began
        if not moved:
            now += QUIET
            for stack in stacks:
                stack.advance(now)
    return [
        Speed(f"memory, {what}, transmit side", total * 8 / spent[0] / 1e6),
        Speed(f"memory, {what}, receive side", total * 8 / spent[1] / 1e6),
    ]


class Tap:
    """Our stack and Linux's in a namespace."""

    def __init__(self, namespace: Namespace, offload: Offload) -> None:
        self.namespace = namespace
        self.fd = namespace.tap("speed0", offload=bool(offload.lso_v4_max_bytes))
        namespace.run("ip", "addr", "add", f"{THEIRS}/24", "dev", "speed0")
        namespace.run("ip", "link", "set", "speed0", "up")
        self.stack = Stack(os.urandom, time.monotonic_ns(), StackConfig(ipv6=False))
        self.runner = Runner(self.stack)
        self.stack.add_address(self.runner.add(TapLink(self.fd, offload=offload)), OURS, 24)

    def against(self, work: Callable[[socket.socket], None], handler: Source | Sink) -> float:
        """Connect to a Linux thread that does ``work``; return the seconds until both are done."""
        listener = self.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind((THEIRS, 0))
        listener.listen()
        thread = threading.Thread(target=lambda: work(listener.accept()[0]))
        thread.start()
        began = time.perf_counter()
        self.stack.tcp_connect(parse(THEIRS), listener.getsockname()[1], handler)
        self.runner.run(lambda: handler.done, 120)
        seconds = time.perf_counter() - began
        thread.join(5)
        listener.close()
        return seconds


def _read_all(sock: socket.socket) -> None:
    buffer = bytearray(1 << 18)
    while sock.recv_into(buffer):
        pass
    sock.close()


def through_tap(what: str, total: int, offload: Offload) -> list[Speed]:
    """Time a transfer each way, wall clock, Linux's work on this machine included."""

    def write_all(sock: socket.socket) -> None:
        left = total
        while left:
            left -= sock.send(CHUNK[:left])
        sock.shutdown(socket.SHUT_WR)
        _read_all(sock)

    with Namespace() as namespace:
        tap = Tap(namespace, offload)
        out = tap.against(_read_all, Source(total))
        into = tap.against(write_all, Sink())
        os.close(tap.fd)
    return [
        Speed(f"TAP, {what}, to Linux", total * 8 / out / 1e6),
        Speed(f"TAP, {what}, from Linux", total * 8 / into / 1e6),
    ]


class Echo(ConnectionHandler):
    """Sends back what comes."""

    def readable(self, connection: Connection) -> None:
        """Echo."""
        connection.send(connection.receive())

    def remote_closed(self, connection: Connection) -> None:
        """Close too."""
        connection.close()


def round_trip(count: int) -> Speed:
    """Time one byte from Linux and back, many times."""
    times: list[float] = []
    with Namespace() as namespace:
        tap = Tap(namespace, TAP_OFFLOAD)
        listener = tap.stack.tcp_listen(0, lambda _c: Echo())
        sock = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)

        def work() -> None:
            sock.connect(("10.7.0.1", listener.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(count):
                began = time.perf_counter()
                sock.send(b"x")
                sock.recv(1)
                times.append(time.perf_counter() - began)
            sock.close()

        thread = threading.Thread(target=work)
        thread.start()
        tap.runner.run(lambda: not thread.is_alive(), 60)
        os.close(tap.fd)
    return Speed("TAP, request and response of a byte", p50_us=statistics.median(times) * 1e6)


def main() -> int:
    """Print the table."""
    megabyte = 1 << 20
    rows = [
        *memory("large sends whole", 400 * megabyte, FULL_OFFLOAD, whole=True),
        *memory("cut to 1500, checksums offloaded", 100 * megabyte, FULL_OFFLOAD),
        *memory("no offload", 50 * megabyte, Offload()),
        *through_tap("offload", 400 * megabyte, TAP_OFFLOAD),
        *through_tap("no offload", 50 * megabyte, Offload()),
        round_trip(2000),
    ]
    sys.stdout.writelines(f"{row}\n" for row in rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
