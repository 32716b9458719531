"""Hostile packets: nothing crashes, memory stays bounded, honest traffic goes on."""

from __future__ import annotations

import random

import pytest

from formats import ethernet, ipv4, ipv6
from formats.checksum import ones_sum_of, pseudo_sum
from formats.transport import ACK, ICMP, PSH, SYN, TCP, UDP
from lab.host.virtual_wire import Network
from lab.trials.tcpip.script import LOCAL, LOCAL_MAC, PEER, PEER_MAC, OurTarget
from lab.trials.tcpip.streams import Transfer
from protocols.transports.tcpip import addresses, icmp
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.link import Offload, RxFrame
from protocols.transports.tcpip.stack import Stack, StackConfig
from protocols.transports.tcpip.tcp import segment
from protocols.transports.tcpip.tcp.states import State
from protocols.transports.tcpip.timers import MILLISECOND, SECOND


def tcp_frame(
    ports: tuple[int, int],
    sequence: int,
    ack: int,
    flags: int,
    payload: bytes = b"",
    *,
    source: bytes = PEER,
    options: bytes = b"",
) -> bytes:
    """Return a frame to LOCAL with a right checksum."""
    raw = segment.build(ports, sequence, ack, flags, 65535, options=options) + payload
    value = 0xFFFF - ones_sum_of((raw,), pseudo_sum(source, LOCAL, TCP) + len(raw))
    raw = raw[:16] + value.to_bytes(2) + raw[18:]
    head = ipv4.build(source, LOCAL, TCP, len(raw), ttl=64)
    return ethernet.header(LOCAL_MAC, PEER_MAC, ethernet.IPV4) + head + raw


def target(config: StackConfig | None = None) -> OurTarget:
    """Return a stack at LOCAL."""
    return OurTarget(random.Random(1).randbytes, Offload(), config or StackConfig(ipv6=False))


def flood(victim: OurTarget, count: int) -> None:
    """Send SYNs from many addresses to port 8080."""
    for number in range(count):
        source = bytes((10, 9, 0, 3 + number % 250))
        victim.inject(tcp_frame((1000 + number % 60000, 8080), number * 7919, 0, SYN, source=source))


def test_a_syn_flood_is_answered_with_cookies_and_no_memory() -> None:
    """Half-open connections stop at the limit; whoever returns the cookie gets in (RFC 4987)."""
    victim = target(StackConfig(ipv6=False, half_open_limit=16))
    victim.app("listen", 0)
    flood(victim, 2000)
    assert len(victim.stack.tcp.connections) == 16
    victim.collect(1)

    options = segment.syn_options(1400, 5, (123456, 0), sack=True)
    victim.inject(tcp_frame((5555, 8080), 100, 0, SYN, options=options))
    from lab.trials.tcpip.script import parse_tcp  # noqa: PLC0415 - beside its only use

    answers = [s for f in victim.collect(1) if (s := parse_tcp(f)) and s.destination_port == 5555]
    assert len(answers) == 1
    reply = answers[0]
    echo = segment.timestamps(123457, reply.ts_value or 0)
    ack = (reply.sequence + 1) & segment.MASK
    victim.inject(tcp_frame((5555, 8080), 101, ack, ACK, options=echo))
    victim.inject(tcp_frame((5555, 8080), 101, ack, ACK | PSH, b"hello", options=echo))

    assert victim.events == ["connected"]
    connection = victim.connection
    assert connection is not None
    assert connection.receive() == b"hello"
    assert (connection.peer_mss, connection.snd_wscale, connection.sack_ok) == (1400, 5, True)
    assert victim.stack.counters["tcp.cookies_accepted"] == 1


def test_a_guessed_cookie_is_refused() -> None:
    """Only the stack that knows the secret can make one; and none is believed in quiet times."""
    victim = target(StackConfig(ipv6=False, half_open_limit=4))
    victim.app("listen", 0)
    victim.inject(tcp_frame((4000, 8080), 1, 1, ACK))
    assert "tcp.cookies_failed" not in victim.stack.counters
    flood(victim, 50)

    for guess in range(300):
        victim.inject(tcp_frame((4000, 8080), 77, guess * 1_000_003, ACK))

    assert victim.events == []
    assert victim.stack.counters["tcp.cookies_failed"] == 300


def test_half_open_connections_are_given_up() -> None:
    """After the SYN-ACK's retries nothing is left."""
    victim = target()
    victim.app("listen", 0)
    flood(victim, 100)

    victim.collect(120_000)

    assert not victim.stack.tcp.connections


def fragment(ident: int, offset: int, data: bytes, *, more: bool) -> bytes:
    """Return a frame with an IPv4 fragment of a UDP datagram."""
    word = (ipv4.MORE_FRAGMENTS if more else 0) | offset // 8
    head = ipv4.build(PEER, LOCAL, UDP, len(data), ttl=64, identification=ident, fragment=word)
    return ethernet.header(LOCAL_MAC, PEER_MAC, ethernet.IPV4) + head + data


def udp_bytes(size: int) -> bytes:
    """Return a UDP datagram to port 9 without a checksum."""
    return (7).to_bytes(2) + (9).to_bytes(2) + (size + 8).to_bytes(2) + bytes(2) + bytes(size)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_fragments_in_any_order_make_a_datagram(order: tuple[int, ...]) -> None:
    """RFC 791 3.2; a duplicate does no harm."""
    victim = target()
    got: list[int] = []
    victim.stack.udp_bind(9, lambda d: got.append(len(d.data)))
    raw = udp_bytes(2992)
    pieces = [fragment(1, 0, raw[:1000], more=True), fragment(1, 1000, raw[1000:2000], more=True)]
    pieces.append(fragment(1, 2000, raw[2000:], more=False))

    for index in order:
        victim.inject(pieces[index])
        victim.inject(pieces[index]) if index != order[-1] else None

    assert got == [2992]


@pytest.mark.parametrize("shift", [8, 496, 992])
def test_overlapping_fragments_kill_the_datagram(shift: int) -> None:
    """RFC 5722, and CVE-2018-5391's lesson: not even a whole one is delivered later."""
    victim = target()
    got: list[int] = []
    victim.stack.udp_bind(9, lambda d: got.append(len(d.data)))
    raw = udp_bytes(1992)

    victim.inject(fragment(1, 0, raw[:1000], more=True))
    victim.inject(fragment(1, 1000 - shift, raw[:800], more=True))
    victim.inject(fragment(1, 1000, raw[1000:], more=False))

    assert got == []
    assert victim.stack.counters["ip.reassembly_failures"] == 1


def test_an_earlier_fragment_that_reaches_into_a_later_one_kills_the_datagram() -> None:
    """The overlap is found whichever of the two comes first."""
    victim = target()
    got: list[int] = []
    victim.stack.udp_bind(9, lambda d: got.append(len(d.data)))
    raw = udp_bytes(1992)

    victim.inject(fragment(1, 1000, raw[1000:], more=False))
    victim.inject(fragment(1, 0, raw[:1008], more=True))
    assert victim.stack.counters["ip.reassembly_failures"] == 1
    victim.inject(fragment(1, 0, raw[:1000], more=True))

    assert got == []


def test_a_last_fragment_before_another_kills_the_datagram() -> None:
    """Nothing lies behind the last one."""
    victim = target()

    victim.inject(fragment(1, 1000, bytes(1000), more=True))
    victim.inject(fragment(1, 8, bytes(800), more=False))

    assert victim.stack.counters["ip.reassembly_failures"] == 1


def test_unfinished_datagrams_are_bounded_and_expire() -> None:
    """A flood of first fragments costs no more than the budget, and nothing after the timeout."""
    victim = target(StackConfig(ipv6=False, reassembly_bytes=100_000))
    for number in range(5000):
        victim.inject(fragment(number, 0, bytes(1400), more=True))
    reassembler = victim.stack.ip.v4.reassembler
    assert reassembler.charged <= 100_000
    assert len(reassembler) < 70

    victim.collect(31_000)

    assert len(reassembler) == 0
    assert reassembler.charged == 0


def test_a_fragment_beyond_64_kilobytes_is_refused() -> None:
    """The ping of death."""
    victim = target()

    victim.inject(fragment(9, 65528, bytes(1400), more=False))

    assert victim.stack.counters["ip.reassembly_failures"] == 1


def test_the_oldest_time_exceeded_quotes_the_first_fragment() -> None:
    """RFC 1122 3.3.2: only when the first fragment is there."""
    victim = target()
    victim.inject(fragment(1, 0, udp_bytes(992), more=True))
    victim.inject(fragment(2, 8, bytes(1000), more=True))

    sent = victim.collect(31_000)

    errors = [f for f in sent if f[23] == ICMP]
    assert [(f[34], f[35]) for f in errors] == [(icmp.TIME_EXCEEDED, 1)]


def established(config: StackConfig | None = None) -> tuple[OurTarget, int]:
    """Return a stack with a connection from port 4000, and its initial sequence number."""
    victim = target(config)
    victim.app("listen", 0)
    victim.inject(
        tcp_frame((4000, 8080), 0, 0, SYN, options=segment.syn_options(1460, None, None, sack=True))
    )
    assert victim.stack.tcp.connections
    isn = next(iter(victim.stack.tcp.connections.values())).iss & segment.MASK
    victim.inject(tcp_frame((4000, 8080), 1, isn + 1, ACK))
    victim.collect(1)
    assert victim.connection is not None
    return victim, isn


def test_a_million_tiny_early_segments_stay_bounded() -> None:
    """Every other byte of the window: the number of ranges has a limit (CVE-2018-5390's lesson)."""
    victim, isn = established()
    for number in range(3000):
        victim.inject(tcp_frame((4000, 8080), 3 + 2 * number, isn + 1, ACK, b"x"))
    assert victim.connection is not None
    received = victim.connection.received

    assert len(received.ranges) == 256
    assert received.early_bytes == 256


def test_tiny_segments_in_order_do_not_pin_their_frames() -> None:
    """Ten thousand bytes in ten thousand frames cost ten thousand bytes."""
    victim, isn = established()
    for number in range(10_000):
        victim.inject(tcp_frame((4000, 8080), 1 + number, isn + 1, ACK, b"x"))
    assert victim.connection is not None

    assert victim.connection.received.size == 10_000
    assert len(victim.connection.received._ready) < 5


def test_the_receive_window_bounds_memory() -> None:
    """An application that never reads cannot be drowned."""
    victim, isn = established(StackConfig(ipv6=False, receive_buffer=20_000))
    for number in range(100):
        victim.inject(tcp_frame((4000, 8080), 1 + 1000 * number, isn + 1, ACK, bytes(1000)))
    assert victim.connection is not None

    assert victim.connection.received.size + victim.connection.received.early_bytes <= 20_000


def lie(kind: int, code: int, rest: int, quoted_sequence: int) -> bytes:
    """Return an ICMP error about a segment of the connection."""
    inner = ipv4.build(LOCAL, PEER, TCP, 1480, ttl=64)
    inner += (8080).to_bytes(2) + (4000).to_bytes(2) + (quoted_sequence & segment.MASK).to_bytes(4)
    body = icmp.build4(kind, code, rest, inner)
    head = ipv4.build(PEER, LOCAL, ICMP, len(body), ttl=64)
    return ethernet.header(LOCAL_MAC, PEER_MAC, ethernet.IPV4) + head + body


def test_icmp_lies_do_not_end_a_connection() -> None:
    """RFC 5927: hard errors are soft for an established one; wrong numbers are not believed."""
    victim, isn = established()
    victim.app("write", 3000)
    victim.collect(1)

    for code in (1, 2, 3):
        victim.inject(lie(icmp.UNREACHABLE, code, 0, isn + 1))
        victim.inject(lie(icmp.UNREACHABLE, code, 0, isn + 10_000_000))

    assert victim.connection is not None
    assert victim.connection.state is State.ESTABLISHED
    assert victim.stack.counters["tcp.icmp_lies"] == 3


def test_a_lie_about_the_path_mtu_cannot_go_below_the_floor() -> None:
    """RFC 5927 7.2: 68 bytes would make us drown in headers."""
    victim, isn = established()
    victim.app("write", 3000)
    assert victim.connection is not None

    victim.inject(lie(icmp.UNREACHABLE, 4, 68, isn + 5_000_000))
    assert victim.connection.mss == 1460
    victim.inject(lie(icmp.UNREACHABLE, 4, 68, isn + 1))

    assert victim.connection.mss == 512
    victim.inject(lie(icmp.UNREACHABLE, 4, 9000, isn + 1))
    assert victim.connection.mss == 512


def test_sack_lies_are_ignored() -> None:
    """Blocks of what was never sent, inverted, or below the acknowledgment."""
    victim, isn = established()
    victim.app("write", 3000)
    blocks = [(isn + 9000, isn + 12000), (isn + 2000, isn + 1500), (isn - 500, isn)]

    victim.inject(tcp_frame((4000, 8080), 1, isn + 1, ACK, options=segment.sack_blocks(blocks)))

    assert victim.connection is not None
    assert not victim.connection.scoreboard


def test_a_peer_that_reneges_gets_its_data_again() -> None:
    """RFC 2018 8: SACKed data may be thrown away; a timeout must send it again."""
    victim, isn = established()
    victim.app("write", 4380)
    sacked = segment.sack_blocks([(isn + 1461, isn + 4381)])
    victim.inject(tcp_frame((4000, 8080), 1, isn + 1, ACK, options=sacked))
    victim.collect(100)
    victim.inject(tcp_frame((4000, 8080), 1, isn + 1461, ACK))
    sent = [f for f in victim.collect(5000) if len(f) > 1000]

    sequences = {int.from_bytes(f[38:42]) - isn for f in sent}

    assert 1461 in sequences


def mutated(chance: random.Random, frame: bytes) -> bytes:
    """Return a frame with a few bytes changed, cut, or doubled."""
    data = bytearray(frame)
    for _ in range(chance.randrange(1, 6)):
        what = chance.randrange(4)
        at = chance.randrange(len(data))
        if what < 2:
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif what == 2 and len(data) > 20:
            del data[at : at + chance.randrange(1, 9)]
        else:
            data[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(data)


def corpus() -> list[bytes]:
    """Return frames of every kind that two talking stacks send."""
    net = Network(5)
    one, two = (net.add(Stack(net.entropy, net.now)) for _ in range(2))
    for stack, last in ((one, 1), (two, 2)):
        interface = net.join(stack)
        stack.add_address(interface, bytes((10, 9, 0, last)), 24)
        stack.add_address(interface, parse(f"fd00::{last}"), 64)
        stack.llmnr.start(interface)
    net.log = []
    net.run(limit=5 * SECOND)
    one.ping(parse("10.9.0.2"), lambda _r: None, data=bytes(3000))
    one.ping(parse("fd00::2"), lambda _r: None, data=bytes(3000))
    two.tcp_listen(8080, lambda _c: Transfer(bytes(5000)))
    for to in ("10.9.0.2", "fd00::2"):
        one.tcp_connect(parse(to), 8080, Transfer(bytes(5000)))
        one.udp_bind(0, lambda _d: None).send(b"nobody", parse(to), 9)
    one.start_dhcp(one.interfaces[1])
    one.resolve("someone", lambda _a: None)
    net.run(limit=20 * SECOND)
    return [frame for _, _, frame in net.log]


@pytest.mark.parametrize("seed", range(4))
def test_mutated_frames_do_no_harm(seed: int) -> None:
    """Ten thousand of them, checksums believed so that they get deep; then a transfer still works."""
    chance = random.Random(seed)
    net = Network(seed)
    config = StackConfig(
        forwarding=seed % 2 == 1, half_open_limit=32, connection_limit=200, neighbour_entries=64
    )
    victim = net.add(Stack(net.entropy, net.now, config))
    interface = net.join(victim)
    victim.add_address(interface, parse("10.9.0.2"), 24)
    victim.add_address(interface, parse("fd00::2"), 64)
    victim.llmnr.start(interface)
    victim.tcp_listen(8080, lambda _c: Transfer(bytes(500)))
    net.run(limit=5 * SECOND)
    frames = corpus()

    for number in range(10_000):
        frame = mutated(chance, chance.choice(frames))
        victim.receive(interface, [RxFrame(frame, ip_verified=True, l4_verified=True)], net.now)
        if number % 10 == 0:
            net.now += chance.randrange(50 * MILLISECOND)
            victim.advance(net.now)

    assert len(victim.tcp.connections) <= 200
    assert len(interface.neighbours4.entries) <= 64
    assert len(interface.neighbours6.entries) <= 64
    assert victim.ip.v4.reassembler.charged <= config.reassembly_bytes
    other = net.add(Stack(net.entropy, net.now))
    other.add_address(net.join(other), parse("10.9.0.77"), 24)
    victim.add_address(interface, parse("10.9.0.78"), 24)
    client = Transfer(bytes(1000))
    other.tcp_connect(parse("10.9.0.78"), 8080, client)
    assert net.run(lambda: client.received_bytes == 500, 60 * SECOND)


@pytest.mark.parametrize("kind", [ethernet.IPV4, ethernet.IPV6, ethernet.ARP, ethernet.VLAN, 0])
def test_every_truncation_is_survived(kind: int) -> None:
    """Each valid frame cut at each length."""
    victim = target(StackConfig())
    for frame in corpus():
        if ethernet.ethertype(frame) == kind or kind == 0:
            for length in range(min(len(frame), 120)):
                victim.inject(frame[:length])

    assert victim.stack.interfaces[1].counters["in_frames"] >= 0


def test_an_endless_chain_of_extension_headers_is_cut() -> None:
    """Nine destination options headers are one too many."""
    victim = target(StackConfig())
    chain = bytes((60, 0, 1, 4, 0, 0, 0, 0)) * 9
    head = ipv6.build(parse("fe80::9"), addresses.IPV6_ALL_NODES, 60, len(chain), hop_limit=1)

    victim.inject(ethernet.header(b"\x33\x33\0\0\0\1", PEER_MAC, ethernet.IPV6) + head + chain)

    assert victim.stack.counters["ipv6.in_too_many_extensions"] == 1
