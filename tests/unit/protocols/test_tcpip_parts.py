"""The parts of TCP/IP one by one: codecs, buffers, scoreboard, timers, estimator, controllers."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats import ipv4, ipv6
from formats.checksum import checksum, ones_sum, ones_sum_of, pseudo_sum, verifies
from formats.ethernet import IPV4, header
from formats.transport import ACK, CWR, FIN, PSH, SYN
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.addresses import Prefix, parse
from protocols.transports.tcpip.coalesce import coalesce
from protocols.transports.tcpip.dhcp_message import DhcpMessage
from protocols.transports.tcpip.dhcp_message import parse as parse_dhcp
from protocols.transports.tcpip.link import RxFrame, TxFrame
from protocols.transports.tcpip.segmentation import finish
from protocols.transports.tcpip.tcp import segment
from protocols.transports.tcpip.tcp.congestion import controller
from protocols.transports.tcpip.tcp.receive_queue import ReceiveQueue
from protocols.transports.tcpip.tcp.rtt import RttEstimator
from protocols.transports.tcpip.tcp.scoreboard import Scoreboard
from protocols.transports.tcpip.tcp.send_buffer import SendBuffer
from protocols.transports.tcpip.timers import MILLISECOND, SECOND, TimerQueue

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def slow_sum(data: bytes) -> int:
    """Return RFC 1071's sum as its section 4.1 writes it."""
    total = 0
    for (word,) in struct.iter_unpack("!H", data + b"\0" * (len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


@QUICK
@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_the_checksum_is_rfc_1071s(one: bytes, two: bytes, three: bytes) -> None:
    """In one piece and in pieces of odd lengths."""
    whole = one + two + three

    assert ones_sum(whole) == slow_sum(whole)
    assert ones_sum_of((one, two, three)) == slow_sum(whole)
    padded = whole + b"\0" * (len(whole) % 2)
    assert verifies(padded + checksum(padded).to_bytes(2)) or not any(padded)


@QUICK
@given(st.binary(min_size=1, max_size=200), st.integers(0, 199), st.integers(0, 7))
def test_a_flipped_bit_is_noticed(data: bytes, at: int, bit: int) -> None:
    """Any single one."""
    data += b"\x01" * (1 + len(data) % 2)
    raw = bytearray(data + checksum(data).to_bytes(2))
    raw[at % len(raw)] ^= 1 << bit

    assert not verifies(raw)


def test_the_example_of_rfc_1071() -> None:
    """Section 3."""
    assert ones_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


@pytest.mark.parametrize(
    ("text", "inside", "outside", "broadcast"),
    [
        ("10.1.2.0/23", "10.1.3.255", "10.1.4.0", "10.1.3.255"),
        ("0.0.0.0/0", "9.9.9.9", "::1", "255.255.255.255"),
        ("192.0.2.7/32", "192.0.2.7", "192.0.2.8", "192.0.2.7"),
    ],
)
def test_a_prefix_holds_its_own_addresses_and_no_others(
    text: str, inside: str, outside: str, broadcast: str
) -> None:
    """RFC 4632: containment and the directed broadcast."""
    prefix = Prefix.parse(text)

    assert parse(inside) in prefix
    assert parse(outside) not in prefix
    assert prefix.broadcast() == parse(broadcast)


def test_multicast_macs_and_solicited_nodes() -> None:
    """RFC 1112 6.4, RFC 2464 7, RFC 4291 2.7.1."""
    assert addresses.multicast_mac(parse("239.129.2.3")) == bytes.fromhex("01005e010203")
    node = addresses.solicited_node(parse("fe80::1234:5678:9abc"))
    assert addresses.text(node) == "ff02::1:ff78:9abc"
    assert addresses.multicast_mac(node) == bytes.fromhex("3333ff789abc")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({0: 0x44}, "ipv4.in_header_errors"),
        ({0: 0x65}, "ipv4.in_header_errors"),
        ({3: 200}, "ipv4.in_truncated"),
        ({3: 10}, "ipv4.in_truncated"),
        ({10: 0x55}, "ipv4.in_checksum_errors"),
    ],
)
def test_a_bad_ipv4_header_says_what_is_wrong(change: dict[int, int], why: str) -> None:
    """RFC 1122 3.2.1."""
    raw = bytearray(ipv4.build(parse("10.0.0.1"), parse("10.0.0.2"), 17, 8, ttl=9) + bytes(8))
    for at, value in change.items():
        raw[at] = value

    with pytest.raises(ipv4.Ipv4Error, match=why):
        ipv4.parse(raw, 0, verified=False)


def test_only_options_with_the_copied_flag_are_in_every_fragment() -> None:
    """RFC 791 3.1."""
    record_route, security = bytes((7, 3, 4)), bytes((130, 3, 1))

    assert ipv4.copied_options(record_route + security + b"\0\0") == security + b"\0"
    with pytest.raises(ipv4.Ipv4Error):
        ipv4.options(bytes((7, 1)))


@pytest.mark.parametrize(
    ("option", "code"),
    [(0x80, ipv6.PARAMETER_UNKNOWN_OPTION), (0xC0, ipv6.PARAMETER_UNKNOWN_OPTION), (0x40, None), (0x3F, 0)],
)
def test_unknown_ipv6_options_are_treated_as_their_first_bits_say(option: int, code: int | None) -> None:
    """RFC 8200 4.2: skip, drop, or drop and complain."""
    raw = memoryview(bytes(40) + bytes((59, 0, option, 4, 0, 0, 0, 0)))

    if option == 0x3F:
        assert ipv6.walk(raw, ipv6.DESTINATION_OPTIONS).protocol == ipv6.NO_NEXT
    elif code is None:
        with pytest.raises(ipv6.Ipv6Error):
            ipv6.walk(raw, ipv6.DESTINATION_OPTIONS)
    else:
        with pytest.raises(ipv6.ParameterProblemError) as problem:
            ipv6.walk(raw, ipv6.DESTINATION_OPTIONS)
        assert (problem.value.code, problem.value.pointer) == (code, 42)


def test_a_routing_header_with_segments_left_is_refused() -> None:
    """RFC 5095."""
    raw = memoryview(bytes(40) + bytes((6, 0, 0, 1, 0, 0, 0, 0)))

    with pytest.raises(ipv6.ParameterProblemError):
        ipv6.walk(raw, ipv6.ROUTING)


@QUICK
@given(st.binary(max_size=40))
def test_tcp_options_never_raise(raw: bytes) -> None:
    """RFC 9293 MUST-7."""
    raw = raw.ljust((len(raw) + 3) // 4 * 4, b"\0")
    for flags in (SYN, ACK):
        data = segment.build((1, 2), 3, 4, flags, 5, options=raw)

        assert segment.parse(memoryview(data), []) is not None


def test_a_large_send_is_cut_as_the_card_would() -> None:
    """Sequence numbers, identification, flags, lengths and every checksum."""
    payload = random.Random(1).randbytes(3500)
    source, destination = parse("10.0.0.1"), parse("10.0.0.2")
    flags = FIN | PSH | ACK | CWR
    tcp = segment.build((1, 2), 0xFFFFFF00, 7, flags, 8, options=segment.timestamps(1, 2))
    ip = ipv4.build(source, destination, 6, len(tcp) + len(payload), ttl=64, identification=0xFFFF)
    frame = TxFrame([header(b"\x02" * 6, b"\x04" * 6, IPV4) + ip + tcp, payload])
    frame.lso_mss = 1000

    pieces = finish(frame)

    got = b""
    for number, piece in enumerate(pieces):
        parsed = ipv4.parse(piece, 14, verified=False)
        assert parsed.identification == (0xFFFF + number) & 0xFFFF
        body = memoryview(piece)[34:]
        assert verifies(body, pseudo_sum(source, destination, 6) + len(body))
        one = segment.parse(body, [])
        assert one is not None
        assert one.sequence == (0xFFFFFF00 + 1000 * number) & 0xFFFFFFFF
        assert bool(one.flags & FIN) == bool(one.flags & PSH) == (number == 3)
        assert bool(one.flags & CWR) == (number == 0)
        got += b"".join(one.payload)
    assert (len(pieces), got) == (4, payload)


def frame_of(sequence: int, payload: bytes, *, ack: int = 5, flags: int = ACK, port: int = 1) -> RxFrame:
    """Return a verified TCP frame."""
    tcp = segment.build((port, 2), sequence, ack, flags, 100) + payload
    ip = ipv4.build(parse("10.0.0.1"), parse("10.0.0.2"), 6, len(tcp), ttl=64)
    return RxFrame(header(b"\x02" * 6, b"\x04" * 6, IPV4) + ip + tcp, ip_verified=True, l4_verified=True)


def test_following_segments_are_joined_and_nothing_else_is() -> None:
    """Another flow may lie between; a gap, another ACK number, or a flag ends the run."""
    full = bytes(100)
    frames = [
        frame_of(0, full),
        frame_of(900, full, port=9),
        frame_of(100, full),
        frame_of(200, bytes(50), flags=ACK | PSH),
        frame_of(250, full),
        frame_of(400, full),
        frame_of(500, full, ack=6),
        frame_of(600, full, ack=6, flags=ACK | FIN),
        frame_of(700, full, ack=6),
    ]

    out = coalesce(frames)

    assert [sum(map(len, f.extra)) for f in out] == [150, 0, 0, 0, 0, 0, 0]
    assert out[0].extra[0] == full


def test_a_segment_with_a_wrong_checksum_is_not_joined() -> None:
    """It goes on alone, to be refused by TCP."""
    good, bad = frame_of(0, bytes(100)), frame_of(100, bytes(100))
    bad.l4_verified = False

    assert coalesce([good, bad]) == [good, bad]


@QUICK
@given(st.lists(st.binary(max_size=9000), max_size=12), st.data())
def test_the_send_buffer_returns_what_was_put_in(pieces: list[bytes], data: st.DataObject) -> None:
    """Any slice of what is not yet released."""
    buffer = SendBuffer(1000)
    whole = b"".join(pieces)
    for piece in pieces:
        buffer.append(piece)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    released = data.draw(st.integers(0, start))

    buffer.release(1000 + released)

    assert b"".join(buffer.slice(1000 + start, end - start)) == whole[start:end]
    assert len(buffer) == len(whole) - released


def test_what_was_released_cannot_be_sent() -> None:
    """A bug of the caller, not an empty slice."""
    buffer = SendBuffer(0)
    buffer.append(bytes(10))
    buffer.release(5)

    with pytest.raises(ValueError, match="not in the send buffer"):
        buffer.slice(4, 1)


@QUICK
@given(st.integers(0, 1 << 30), st.integers(1, 3000))
def test_segments_in_any_order_and_overlap_make_the_stream(seed: int, size: int) -> None:
    """Whatever comes first, twice, or across others: the stream is what was sent."""
    chance = random.Random(seed)
    stream = chance.randbytes(size)
    queue = ReceiveQueue()
    edge = 0
    for _ in range(400):
        start = chance.randrange(size)
        end = min(size, start + chance.randrange(1, 200))
        if start <= edge:
            if end > edge:
                queue.append(memoryview(stream)[edge:end])
                edge = queue.pull(end)
        else:
            queue.add_early(start, stream[start:end])
        assert all(a.end < b.start for a, b in zip(queue.ranges, queue.ranges[1:], strict=False))
        assert queue.early_bytes == sum(r.end - r.start for r in queue.ranges)

    assert b"".join(queue.take(1 << 20)) == stream[:edge]


@QUICK
@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 60)), max_size=40), st.integers(0, 450))
def test_the_scoreboard_is_a_set_of_numbers(blocks: list[tuple[int, int]], una: int) -> None:
    """Against a set, for everything that it answers."""
    board, model = Scoreboard(), set[int]()
    for start, length in blocks:
        fresh = set(range(start, start + length)) - model
        assert board.add(start, start + length) == bool(fresh)
        model |= fresh
    board.advance(una)
    model = {n for n in model if n >= una}

    assert board.total == len(model)
    assert {n for a, b in board.ranges for n in range(a, b)} == model
    assert board.sacked_between(100, 300) == len([n for n in model if 100 <= n < 300])
    hole, end = board.next_hole(una)
    assert hole == next(n for n in range(una, 1000) if n not in model)
    above = [n for n in model if n > hole]
    assert end == (min(above) if above else 1 << 62)


def test_loss_needs_three_ranges_or_more_than_two_segments() -> None:
    """IsLost (RFC 6675 4)."""
    board = Scoreboard()
    board.add(200, 300)
    board.add(400, 500)
    assert board.lost_edge(100) == 0
    board.add(600, 700)
    assert board.lost_edge(100) == 200

    board.clear()
    board.add(200, 400)
    assert board.lost_edge(100) == 0
    board.add(400, 401)
    assert board.lost_edge(100) == 200


def test_the_rto_follows_rfc_6298() -> None:
    """Section 2: the first sample R gives R + 4 R/2; then the weights are 1/8 and 1/4."""
    rtt = RttEstimator(SECOND, MILLISECOND, 60 * SECOND)
    assert rtt.rto == SECOND

    rtt.sample(100 * MILLISECOND)
    assert rtt.rto == 300 * MILLISECOND
    rtt.sample(200 * MILLISECOND)
    assert (rtt.srtt, rtt.variation) == (112_500_000, 62_500_000)
    rtt.timed_out()
    assert rtt.rto == 2 * (112_500_000 + 250_000_000)
    rtt.progressed()

    assert rtt.rto == 362_500_000


@pytest.mark.parametrize(("name", "share"), [("newreno", 0.5), ("cubic", 0.7)])
def test_controllers_grow_and_fall(name: str, share: float) -> None:
    """RFC 5681: double in slow start, add a segment a window above, fall on loss, restart on timeout."""
    control = controller(name, 1000)
    assert control.cwnd == 10_000

    control.acknowledged(10_000, SECOND, 100 * MILLISECOND)
    assert control.cwnd == 20_000
    control.lost(20_000, SECOND)
    assert control.cwnd == control.ssthresh == int(20_000 * share)
    before = control.cwnd
    for _ in range(20):
        control.acknowledged(control.cwnd, 2 * SECOND, 100 * MILLISECOND)
    assert before < control.cwnd <= before + 20_000
    control.timed_out(20_000, 3 * SECOND)

    assert control.cwnd == 1000


def test_cubic_returns_to_where_it_lost() -> None:
    """RFC 9438 4.2: after K seconds the window is again what it was."""
    control = controller("cubic", 1000)
    control.cwnd = 1_000_000
    control.lost(1_000_000, 0)
    k_seconds = (1000 * 0.3 / 0.4) ** (1 / 3)
    now = 0
    while now < k_seconds * SECOND:
        now += 50 * MILLISECOND
        control.acknowledged(control.cwnd, now, 50 * MILLISECOND)

    assert 0.95 < control.cwnd / 1_000_000 < 1.1


def test_a_timer_moved_later_fires_once_and_late() -> None:
    """Re-arming is lazy; the answer must not be."""
    queue = TimerQueue(0)
    fired: list[int] = []
    timer = queue.timer(lambda: fired.append(queue.now))
    timer.start(10)
    timer.start(30)

    assert queue.next_deadline() == 30
    queue.advance(20)
    assert fired == []
    timer.start(5)
    assert queue.next_deadline() == 25
    queue.advance(100)

    assert fired == [100]
    assert queue.next_deadline() is None


def test_nothing_is_due_before_what_the_queue_calls_first() -> None:
    """Whoever wakes it then is never too late, whatever was moved, stopped or started in between."""
    random_ = random.Random(3)
    queue = TimerQueue(0)
    timers = [queue.timer(lambda: None) for _ in range(8)]

    for _ in range(2000):
        timer = random_.choice(timers)
        random_.choice([timer.stop, lambda timer=timer: timer.start(random_.randrange(100))])()  # type: ignore[misc]  # default binds the name
        if random_.random() < 0.3:
            queue.advance(queue.now + random_.randrange(30))
        first, due = queue.first, min((t.deadline for t in timers if t.deadline is not None), default=None)

        assert due is None or (first is not None and first <= due)
        if random_.random() < 0.1:
            assert queue.next_deadline() == due == queue.first


def test_timers_fire_in_order_and_stop() -> None:
    """By deadline, then by arming."""
    queue = TimerQueue(0)
    fired: list[str] = []
    timers = {name: queue.timer(lambda name=name: fired.append(name)) for name in "abcd"}  # type: ignore[misc]  # default binds the name
    for name, delay in (("b", 20), ("a", 10), ("c", 20), ("d", 5)):
        timers[name].start(delay)
    timers["d"].stop()

    queue.advance(20)

    assert fired == ["a", "b", "c"]


def test_a_dhcp_message_survives_the_round_trip() -> None:
    """RFC 2131 2, RFC 3396 for an option in two parts."""
    message = DhcpMessage(
        2, 0x12345678, b"\x02" * 6, your=parse("10.0.0.9"), options={53: b"\x05", 12: b"host"}
    )

    parsed = parse_dhcp(message.build())
    assert parsed == message
    raw = bytearray(message.build())
    raw[240:256] = bytes((12, 1, 65, 12, 1, 66, 255)).ljust(16, b"\0")
    joined = parse_dhcp(raw)

    assert joined is not None
    assert joined.options == {12: b"AB"}
    assert parse_dhcp(raw[:100]) is None
