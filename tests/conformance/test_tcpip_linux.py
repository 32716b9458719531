"""Linux's own TCP/IP as the judge: through a TAP device in a private network namespace."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from formats.checksum import checksum
from formats.pcapng import Direction, enhanced_packet, interface_description, section_header
from lab.errors import UsageError
from lab.host.virtual_wire import PERFECT, Impairment
from lab.trials.tcpip.namespace import Namespace, NamespaceError
from lab.trials.tcpip.runner import Runner
from lab.trials.tcpip.streams import Transfer
from lab.trials.tcpip.tap import TAP_OFFLOAD, TapLink
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.link import Offload
from protocols.transports.tcpip.stack import Stack, StackConfig
from protocols.transports.tcpip.timers import MILLISECOND
from tests.judges import wireshark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from protocols.transports.tcpip.ping import EchoResult
    from protocols.transports.tcpip.tcp.connection import Connection

OURS = {socket.AF_INET: "10.1.0.1", socket.AF_INET6: "fd00::1"}
LINUX = {socket.AF_INET: "10.1.0.2", socket.AF_INET6: "fd00::2"}
FAMILIES = [socket.AF_INET, socket.AF_INET6]
LOSSY = Impairment(loss=0.03, duplicate=0.02, reorder=0.05, delay=2 * MILLISECOND, jitter=1 * MILLISECOND)


class Peers:
    """Our stack and Linux's, joined by a TAP."""

    def __init__(
        self, namespace: Namespace, offload: Offload = TAP_OFFLOAD, impairment: Impairment = PERFECT
    ) -> None:
        """Configure both sides; no duplicate address detection, to save a second."""
        self.namespace = namespace
        self.fd = namespace.tap("tap0", offload=bool(offload.lso_v4_max_bytes))
        namespace.run("ip", "addr", "add", f"{LINUX[socket.AF_INET]}/24", "dev", "tap0")
        namespace.run("ip", "-6", "addr", "add", f"{LINUX[socket.AF_INET6]}/64", "dev", "tap0", "nodad")
        namespace.run("ip", "link", "set", "tap0", "up")
        self.stack = Stack(os.urandom, time.monotonic_ns(), StackConfig(dad_transmits=0))
        self.runner = Runner(self.stack)
        self.link = TapLink(self.fd, offload=offload, impairment=impairment, seed=7)
        interface = self.runner.add(self.link)
        self.stack.add_address(interface, parse(OURS[socket.AF_INET]), 24)
        self.stack.add_address(interface, parse(OURS[socket.AF_INET6]), 64)

    def beside(self, work: Callable[[], None], timeout: float = 40) -> None:
        """Do blocking socket work in a thread while our stack runs; pass its exception on."""
        failures: list[BaseException] = []

        def guarded() -> None:
            try:
                work()
            except (OSError, AssertionError) as error:
                failures.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        finished = self.runner.run(lambda: not thread.is_alive(), timeout)
        if failures:
            raise failures[0]
        assert finished, "the Linux side is still busy"

    def close(self) -> None:
        """Give the TAP back."""
        os.close(self.fd)


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    """Return a namespace, or skip and say why."""
    try:
        found = Namespace()
    except UsageError as error:
        pytest.skip(f"no Linux peer: {error}")
    yield found
    found.close()


@pytest.fixture
def make(namespace: Namespace) -> Iterator[Callable[..., Peers]]:
    """Return a maker of peers; what it makes is closed after the test."""
    made: list[Peers] = []

    def maker(offload: Offload = TAP_OFFLOAD, impairment: Impairment = PERFECT) -> Peers:
        try:
            made.append(Peers(namespace, offload, impairment))
        except NamespaceError as error:
            pytest.skip(f"no TAP device in the namespace: {error}")
        return made[-1]

    yield maker
    for peers in made:
        peers.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_we_ping_linux(make: Callable[..., Peers], family: socket.AddressFamily) -> None:
    """Small, and in fragments both ways."""
    peers = make()
    results: list[EchoResult] = []
    data = [random.Random(size).randbytes(size) for size in (32, 4000)]

    for one in data:
        peers.stack.ping(parse(LINUX[family]), results.append, data=one)
    assert peers.runner.run(lambda: len(results) == len(data), 10)

    assert [(r.error, r.source) for r in results] == [(None, parse(LINUX[family]))] * 2
    assert sorted(r.data for r in results) == sorted(data)


@pytest.mark.parametrize("size", [56, 3000])
def test_linux_pings_us(make: Callable[..., Peers], size: int) -> None:
    """By a raw socket: a machine may have no ping program."""
    peers = make()
    sock = peers.namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.settimeout(5)
    body = struct.pack("!BBHHH", 8, 0, 0, 77, 1) + random.Random(size).randbytes(size)
    request = body[:2] + checksum(body).to_bytes(2) + body[4:]
    replies: list[bytes] = []

    def work() -> None:
        sock.sendto(request, (OURS[socket.AF_INET], 0))
        while not replies:
            raw = sock.recv(65536)[20:]
            if raw[0] == 0 and raw[4:8] == request[4:8]:
                replies.append(raw)

    peers.beside(work)

    assert replies[0][8:] == request[8:]
    assert not checksum(replies[0])
    sock.close()


def test_linux_pings_us_by_ipv6(make: Callable[..., Peers]) -> None:
    """Linux makes and checks the checksums itself."""
    peers = make()
    sock = peers.namespace.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    sock.settimeout(5)
    request = struct.pack("!BBHHH", 128, 0, 0, 78, 1) + bytes(range(100))
    replies: list[bytes] = []

    def work() -> None:
        sock.sendto(request, (OURS[socket.AF_INET6], 0))
        while not replies:
            raw = sock.recv(65536)
            if raw[0] == 129:
                replies.append(raw)

    peers.beside(work)

    assert replies[0][4:] == request[4:]
    sock.close()


def exchange(peers: Peers, family: socket.AddressFamily, size: int, *, we_connect: bool) -> None:
    """Move ``size`` random bytes each way at once; both ends compare SHA-256."""
    up, down = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    seen: list[bytes] = []
    ours = Transfer(up)
    ours.keep = False

    def both_ways(sock: socket.socket) -> None:
        sock.settimeout(30)

        def push() -> None:
            sock.sendall(down)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=push)
        sender.start()
        digest = hashlib.sha256()
        while chunk := sock.recv(1 << 18):
            digest.update(chunk)
        sender.join()
        sock.close()
        seen.append(digest.digest())

    linux = peers.namespace.socket(family, socket.SOCK_STREAM)
    linux.settimeout(10)
    if we_connect:
        linux.bind((LINUX[family], 0))
        linux.listen()
        peers.stack.tcp_connect(parse(LINUX[family]), linux.getsockname()[1], ours)
        peers.beside(lambda: both_ways(linux.accept()[0]), 60)
    else:
        listener = peers.stack.tcp_listen(0, lambda _c: ours, parse(OURS[family]))

        def work() -> None:
            linux.connect((OURS[family], listener.port))
            both_ways(linux)

        peers.beside(work, 60)
    assert peers.runner.run(lambda: ours.done, 10)
    linux.close()

    assert ours.failure is None
    assert seen == [hashlib.sha256(up).digest()]
    assert ours.digest.digest() == hashlib.sha256(down).digest()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("we_connect", [True, False])
@pytest.mark.parametrize("offload", [TAP_OFFLOAD, Offload()], ids=["offload", "software"])
def test_tcp_moves_data_both_ways(
    make: Callable[..., Peers], family: socket.AddressFamily, offload: Offload, *, we_connect: bool
) -> None:
    """With large sends and checksums left to the link, and without."""
    exchange(make(offload), family, 3_000_000, we_connect=we_connect)


@pytest.mark.parametrize("we_connect", [True, False])
def test_tcp_survives_an_impaired_wire(make: Callable[..., Peers], *, we_connect: bool) -> None:
    """Loss, duplication and reordering in both directions, by our side of the TAP."""
    peers = make(Offload(), LOSSY)

    exchange(peers, socket.AF_INET, 400_000, we_connect=we_connect)

    assert peers.link.dropped > 5
    assert peers.stack.counters["tcp.retransmitted_segments"] > 0


@pytest.mark.parametrize(
    "netem", ["loss 3%", "delay 5ms 2ms", "delay 5ms reorder 20% 50%", "duplicate 3%", "corrupt 1%"]
)
def test_tcp_survives_netem(make: Callable[..., Peers], netem: str) -> None:
    """The same from Linux's side."""
    peers = make(Offload())
    try:
        peers.namespace.run("tc", "qdisc", "add", "dev", "tap0", "root", "netem", *netem.split())
    except NamespaceError as error:
        pytest.skip(f"no netem in this kernel: {error}")

    exchange(peers, socket.AF_INET, 300_000, we_connect=True)


def test_every_checksum_that_we_send_is_right(make: Callable[..., Peers], tmp_path: Path) -> None:
    """Let tshark read the frames of a lossy exchange of TCP, UDP and ICMP, both versions."""
    peers = make(Offload(), Impairment(loss=0.02, delay=MILLISECOND))
    capture = tmp_path / "ours.pcapng"
    results: list[EchoResult] = []
    frames: list[bytes] = []
    peers.link.on_frame = frames.append
    for family in FAMILIES:
        peers.stack.ping(parse(LINUX[family]), results.append, data=bytes(3001))
        endpoint = peers.stack.udp_bind(0, lambda _d: None)
        for size in (0, 1, 999, 5000):
            endpoint.send(random.Random(size).randbytes(size), parse(LINUX[family]), 9)
        exchange(peers, family, 100_000, we_connect=True)
    peers.runner.run(lambda: len(results) == 2, 5)
    peers.link.on_frame = None
    blocks = [enhanced_packet(frame, at, Direction.OUTBOUND) for at, frame in enumerate(frames)]
    capture.write_bytes(section_header("tests") + interface_description("tap0") + b"".join(blocks))

    # By default tshark verifies no checksum of TCP and UDP.
    checks = [f"-o{p}.check_checksum:TRUE" for p in ("ip", "tcp", "udp")]
    bad = "||".join(f"{p}.checksum.status==0" for p in ("ip", "tcp", "udp", "icmp", "icmpv6"))
    good = "tcp.checksum.status==1"
    counted = [
        subprocess.run(
            [*wireshark(), "-r", str(capture), *checks, "-Y", what, "-Tfields", "-eframe.number"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for what in (good, bad)
    ]

    assert len(counted[0]) > 200
    assert counted[1] == []


def test_udp_goes_both_ways_in_any_size(make: Callable[..., Peers]) -> None:
    """Up to the largest datagram there is."""
    peers = make()
    linux = peers.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    linux.bind((LINUX[socket.AF_INET], 0))
    linux.settimeout(5)
    endpoint = peers.stack.udp_bind(0, lambda d: endpoint.send(bytes(d.data), d.source, d.source_port))
    sizes = [0, 1, 1471, 1472, 1473, 9000, 65507]
    echoed: list[bool] = []

    def work() -> None:
        for size in sizes:
            data = random.Random(size).randbytes(size)
            linux.sendto(data, (OURS[socket.AF_INET], endpoint.port))
            echoed.append(linux.recv(70000) == data)

    peers.beside(work)

    assert echoed == [True] * len(sizes)
    linux.close()


def test_linux_hears_that_nobody_listens(make: Callable[..., Peers]) -> None:
    """A reset for TCP, an ICMP error for UDP: both become ECONNREFUSED."""
    peers = make()
    tcp = peers.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    udp = peers.namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for sock in (tcp, udp):
        sock.settimeout(5)
    refused: list[str] = []

    def work() -> None:
        try:
            tcp.connect((OURS[socket.AF_INET], 81))
        except ConnectionRefusedError:
            refused.append("tcp")
        udp.connect((OURS[socket.AF_INET6], 82))
        udp.send(b"anyone?")
        try:
            udp.recv(10)
        except ConnectionRefusedError:
            refused.append("udp")

    peers.beside(work)

    assert refused == ["tcp", "udp"]
    tcp.close()
    udp.close()


class Echo(Transfer):
    """Sends back what comes."""

    def readable(self, connection: Connection) -> None:
        """Echo."""
        connection.send(connection.receive())

    def remote_closed(self, connection: Connection) -> None:
        """Close too."""
        connection.close()


def test_many_connections_at_once(make: Callable[..., Peers]) -> None:
    """Two hundred, each echoed its own bytes."""
    peers = make()
    listener = peers.stack.tcp_listen(0, lambda _c: Echo(keep_open=True))
    right: list[bool] = []

    def work() -> None:
        socks = [peers.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(200)]
        for sock in socks:
            sock.settimeout(10)
            sock.connect((OURS[socket.AF_INET], listener.port))
        for number, sock in enumerate(socks):
            sock.sendall(b"%d," % number * 100)
        for number, sock in enumerate(socks):
            expected = b"%d," % number * 100
            got = b""
            while len(got) < len(expected):
                got += sock.recv(4096)
            right.append(got == expected)
            sock.close()

    peers.beside(work)

    assert right == [True] * 200
