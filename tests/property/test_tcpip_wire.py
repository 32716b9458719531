"""Two of our stacks over an impaired wire: transfers finish intact, whatever the wire does."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.host.virtual_wire import FULL_OFFLOAD, Impairment, Network
from lab.trials.tcpip.streams import Transfer
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.link import Offload
from protocols.transports.tcpip.stack import Stack, StackConfig
from protocols.transports.tcpip.timers import MILLISECOND, SECOND

SETTINGS = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


class Pair:
    """A client and a server on one wire."""

    def __init__(
        self,
        seed: int,
        config: StackConfig,
        *,
        offloads: tuple[Offload, Offload] = (Offload(), Offload()),
        mtus: tuple[int, int] = (1500, 1500),
        version: int = 4,
    ) -> None:
        """Configure both; the wire is perfect until ``move``."""
        self.net = Network(seed)
        self.client = self.net.add(Stack(self.net.entropy, self.net.now, config))
        self.server = self.net.add(Stack(self.net.entropy, self.net.now, config))
        one = self.net.join(self.client, offload=offloads[0], mtu=mtus[0])
        two = self.net.join(self.server, offload=offloads[1], mtu=mtus[1])
        texts, length = (("10.0.0.1", "10.0.0.2"), 24) if version == 4 else (("fd00::1", "fd00::2"), 64)
        self.addresses = [parse(t) for t in texts]
        self.client.add_address(one, self.addresses[0], length)
        self.server.add_address(two, self.addresses[1], length)
        if version == 6:
            self.net.run(limit=5 * SECOND)

    def move(self, up: bytes, down: bytes, impairment: Impairment) -> tuple[Transfer, Transfer]:
        """Send ``up`` and ``down`` at once, close both ways, and return both ends."""
        self.net.impair(impairment)
        there = Transfer(down)
        self.server.tcp_listen(80, lambda _c: there)
        here = Transfer(up)
        self.client.tcp_connect(self.addresses[1], 80, here)
        self.net.run(lambda: here.done and there.done, 3600 * SECOND)
        return here, there


@SETTINGS
@given(
    seed=st.integers(0, 1 << 30),
    loss=st.floats(0, 0.10),
    duplicate=st.floats(0, 0.10),
    reorder=st.floats(0, 0.20),
    corrupt=st.floats(0, 0.03),
    delay_ms=st.integers(0, 200),
    sizes=st.tuples(st.integers(0, 120_000), st.integers(0, 120_000)),
    sack=st.booleans(),
    timestamps=st.booleans(),
    scaling=st.booleans(),
    congestion=st.sampled_from(["newreno", "cubic"]),
    offloads=st.sampled_from(
        [(Offload(), Offload()), (FULL_OFFLOAD, Offload()), (FULL_OFFLOAD, FULL_OFFLOAD)]
    ),
    mtus=st.sampled_from([(1500, 1500), (1500, 576), (9000, 1500)]),
)
def test_a_transfer_both_ways_arrives_intact(
    *,
    seed: int,
    loss: float,
    duplicate: float,
    reorder: float,
    corrupt: float,
    delay_ms: int,
    sizes: tuple[int, int],
    congestion: str,
    offloads: tuple[Offload, Offload],
    mtus: tuple[int, int],
    sack: bool,
    timestamps: bool,
    scaling: bool,
) -> None:
    """Every option on or off, every offload, every wire up to 10 % loss and 200 ms."""
    config = StackConfig(
        ipv6=False,
        sack=sack,
        timestamps=timestamps,
        window_scaling=scaling,
        congestion=congestion,
        data_retries=15,
        syn_retries=8,
    )
    pair = Pair(seed, config, offloads=offloads, mtus=mtus)
    chance = random.Random(seed)
    up, down = chance.randbytes(sizes[0]), chance.randbytes(sizes[1])
    impairment = Impairment(loss, duplicate, reorder, corrupt, max(1, delay_ms) * MILLISECOND)

    here, there = pair.move(up, down, impairment)

    assert bytes(there.received) == up
    assert bytes(here.received) == down
    assert here.done
    assert here.failure is None


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("seed", range(4))
def test_both_versions_survive_a_bad_wire(version: int, seed: int) -> None:
    """The same with fixed seeds, for IPv6 too (neighbour discovery suffers as well)."""
    pair = Pair(seed, StackConfig(data_retries=15, syn_retries=8), version=version)
    data = random.Random(seed).randbytes(150_000)

    here, there = pair.move(data, data[::-1], Impairment(0.05, 0.05, 0.1, 0.01, 20 * MILLISECOND))

    assert bytes(there.received) == data
    assert bytes(here.received) == data[::-1]


@pytest.mark.parametrize("congestion", ["newreno", "cubic"])
def test_a_narrow_link_is_filled(congestion: str) -> None:
    """10 Mbit/s, 40 ms round trip, a queue of one bandwidth-delay product: over 80 % is used."""
    pair = Pair(1, StackConfig(ipv6=False, congestion=congestion))
    data = bytes(4_000_000)
    began = pair.net.now
    impairment = Impairment(delay=20 * MILLISECOND, rate=10_000_000, queue_bytes=50_000)

    here, there = pair.move(data, b"", impairment)

    assert here.failure is None
    assert len(there.received) == len(data)
    seconds = (pair.net.now - began) / SECOND
    assert len(data) * 8 / seconds > 8_000_000


def test_two_flows_share_a_narrow_link() -> None:
    """Neither gets less than a fifth of what the other gets."""
    pair = Pair(3, StackConfig(ipv6=False))
    pair.net.impair(Impairment(delay=10 * MILLISECOND, rate=10_000_000, queue_bytes=30_000))
    ends: list[Transfer] = []

    def accept(_connection: object) -> Transfer:
        ends.append(Transfer())
        return ends[-1]

    pair.server.tcp_listen(80, accept)
    for _ in range(2):
        pair.client.tcp_connect(pair.addresses[1], 80, Transfer(bytes(20_000_000)))
    pair.net.run(limit=10 * SECOND)

    shares = sorted(e.received_bytes for e in ends)

    assert sum(shares) * 8 > 0.8 * 10 * 10_000_000
    assert shares[0] * 5 > shares[1]


@pytest.mark.parametrize("seed", range(3))
def test_a_slow_reader_holds_the_sender_back(seed: int) -> None:
    """The window closes and opens many times over a lossy wire; nothing is lost, memory is bounded."""
    config = StackConfig(ipv6=False, receive_buffer=16384, send_buffer=32768, data_retries=15)
    pair = Pair(seed, config)
    pair.net.impair(Impairment(loss=0.03, delay=5 * MILLISECOND))
    data = random.Random(seed).randbytes(300_000)
    got = bytearray()
    reader = Lazy()
    pair.server.tcp_listen(80, lambda _c: reader)
    writer = Transfer(data)
    pair.client.tcp_connect(pair.addresses[1], 80, writer)

    for _ in range(4000):
        pair.net.run(limit=20 * MILLISECOND)
        if reader.connection is not None:
            assert reader.connection.received.size <= 16384
            got += reader.connection.receive(3000)
            pair.server.flush()
        if len(got) == len(data):
            break

    assert bytes(got) == data


class Lazy(Transfer):
    """Reads only when it is told to."""

    def readable(self, connection: object) -> None:
        """Leave it."""
