"""Receive coalescing: C against its Python twin, and both against delivery without coalescing."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, replace

import pytest

from device.rings.receive import ExtendedRx, RxError, RxStatus
from miniport.coalescing import Unit, coalesce, parse
from miniport.coalescingring import CoalescingRing
from miniport.rxring import BUFFER_BYTES, RxBuffer
from tests.support.miniport_frames import Memory, ones_sum

VERIFIED = RxStatus.DD | RxStatus.EOP | RxStatus.TCPCS | RxStatus.IPCS
UNVERIFIED = RxStatus.DD | RxStatus.EOP
TIMESTAMP = bytes((1, 1, 8, 10))


@dataclass(frozen=True, slots=True)
class Tcp:
    """One segment, as a peer would send it."""

    port: int = 1000
    sequence: int = 0
    acknowledgment: int = 77
    flags: int = 0x10
    window: int = 500
    payload: bytes = b""
    options: bytes = b""
    v6: bool = False
    tos: int = 0
    hops: int = 64
    dont_fragment: int = 0x4000
    padding: bytes = b""

    def frame(self) -> bytes:
        """Return it with right checksums."""
        size = 20 + len(self.options)
        word = size // 4 << 12 | self.flags
        fields = (self.port, 80, self.sequence, self.acknowledgment, word, self.window, 0, 0)
        tcp = struct.pack(">HHIIHHHH", *fields) + self.options
        length = len(tcp) + len(self.payload)
        if self.v6:
            addresses = bytes.fromhex("fe80") + bytes(13) + b"\1" + bytes.fromhex("fe80") + bytes(13) + b"\2"
            ip = struct.pack(">IHBB", 6 << 28 | self.tos << 20, length, 6, self.hops) + addresses
            kind = b"\x86\xdd"
        else:
            addresses = bytes((10, 0, 0, 1, 10, 0, 0, 2))
            head = (0x45, self.tos, 20 + length, self.sequence & 0xFFFF, self.dont_fragment, self.hops, 6)
            ip = struct.pack(">BBHHHBB", *head)
            ip += (0xFFFF - ones_sum(ip + addresses)).to_bytes(2, "big") + addresses
            kind = b"\x08\x00"
        whole = addresses + struct.pack(">HH", 6, length) + tcp + self.payload
        checksum = (0xFFFF - ones_sum(whole)).to_bytes(2, "big")
        tcp = tcp[:16] + checksum + tcp[18:]
        return bytes(6) + bytes((2, 0, 0, 0, 0, 1)) + kind + ip + tcp + self.payload + self.padding


class Card:
    """The card's side of a ring, and the driver's over it."""

    def __init__(self, count: int = 64) -> None:
        """Lay out memory, arm, and coalesce both IP versions."""
        self.count = count
        self.descriptors = Memory(count * 16)
        self.memory = Memory(count * BUFFER_BYTES, 0x10_0000)
        at = range(0, count * BUFFER_BYTES, BUFFER_BYTES)
        self.buffers = [RxBuffer(0x10_0000 + one, self.memory.view[one : one + BUFFER_BYTES]) for one in at]
        self.bells: list[int] = []
        self.ring = CoalescingRing(self.descriptors, self.buffers, count, self.bells.append)
        self.ring.coalesce(v4=True, v6=True)
        self.ring.fill()
        self.head = 0

    @property
    def room(self) -> int:
        """Descriptors that the card has."""
        return (self.bells[-1] - self.head) % self.count

    def put(self, frame: bytes, status: int = VERIFIED, errors: int = 0) -> None:
        """Store a frame as the card does, over as many descriptors as it needs."""
        for at in range(0, len(frame), BUFFER_BYTES):
            piece = frame[at : at + BUFFER_BYTES]
            address, _ = struct.unpack_from("<QQ", self.descriptors.raw, self.head * 16)
            where = address - 0x10_0000
            self.memory.raw[where : where + len(piece)] = piece
            done = status if at + BUFFER_BYTES >= len(frame) else RxStatus.DD
            word = int(done) | errors << 24
            ExtendedRx.FORMAT.pack_into(self.descriptors.raw, self.head * 16, 0, 0, 0, word, len(piece), 0)
            self.head = (self.head + 1) % self.count

    def harvest(self) -> list[tuple[bytes, int]]:
        """Return frames with the number of their segments."""
        found = [(one.data(), one.segments) for one in self.ring.harvest(self.count)]
        self.ring.ring()
        return found


def other(choose: random.Random) -> bytes:
    """Return a frame that is no plain TCP segment: UDP, ARP, a fragment, options, nonsense."""
    tcp = Tcp(payload=choose.randbytes(20)).frame()
    return choose.choice(
        (
            tcp[:23] + b"\x11" + tcp[24:],
            tcp[:20] + b"\x20\x00" + tcp[22:],
            tcp[:14] + b"\x46" + tcp[15:],
            tcp[:12] + b"\x08\x06" + tcp[14:],
            tcp[:12] + b"\x88\xb5" + tcp[14:],
            tcp[: choose.randrange(14, 74)],
            tcp[:16] + choose.randbytes(2) + tcp[18:],
            Tcp(v6=True, payload=bytes(9)).frame()[: choose.randrange(14, 83)],
        )
    )


def traffic(choose: random.Random, count: int) -> list[tuple[bytes, bool]]:
    """Return frames of a few flows, mostly in order, with all that may end a run; and if each is right."""
    flows = [
        Tcp(
            port=1000 + n,
            sequence=choose.choice((5, 0xFFFF_FFF0, 0x7FFF_FF00)),
            v6=bool(n % 2),
            options=choose.choice((b"", TIMESTAMP + choose.randbytes(8))),
        )
        for n in range(choose.choice((1, 2, 12)))
    ]
    size = choose.choice((1, 7, 100, 1447, 1448))
    frames: list[tuple[bytes, bool]] = []
    for _ in range(count):
        if choose.random() < 0.08:
            frames.append((other(choose), True))
            continue
        n = choose.randrange(len(flows))
        length = size if choose.random() < 0.85 else choose.randrange(size + 2)
        now = replace(flows[n], payload=choose.randbytes(length), window=choose.choice((500, 600)))
        if choose.random() < 0.1:
            now = replace(now, flags=choose.choice((0x18, 0x11, 0x12, 0x14, 0x30, 0x50, 0x110, 0x00)))
        if choose.random() < 0.1:
            now = replace(
                now,
                **choose.choice(
                    (
                        {"acknowledgment": 78},
                        {"tos": 1},
                        {"hops": 63},
                        {"dont_fragment": 0},
                        {"options": TIMESTAMP + choose.randbytes(8)},
                        {"options": bytes((1, 1, 1, 1))},
                        {"sequence": choose.randrange(1 << 32)},
                        {"padding": bytes(6)},
                    )
                ),
            )
        else:
            flows[n] = replace(flows[n], sequence=(now.sequence + length) & 0xFFFF_FFFF)
        if choose.random() < 0.05:
            flows[n] = replace(flows[n], acknowledgment=flows[n].acknowledgment + 1)
        frames.append((now.frame(), choose.random() > 0.03))
    return frames


def streams(frames: list[bytes]) -> dict[bytes, list[tuple[int, int, bytes, bytes]]]:
    """Return, by flow, each byte with its sequence number, acknowledgment and options."""
    found: dict[bytes, list[tuple[int, int, bytes, bytes]]] = {}
    for frame in frames:
        segment = parse(frame)
        if segment is None:
            continue
        acknowledgment = int.from_bytes(frame[segment.tcp + 8 : segment.tcp + 12], "big")
        options = frame[segment.tcp + 20 : segment.payload]
        for at in range(segment.length):
            byte = frame[segment.payload + at : segment.payload + at + 1]
            where = (segment.sequence + at) & 0xFFFF_FFFF
            found.setdefault(segment.flow, []).append((where, acknowledgment, options, byte))
    return found


def ends(frames: list[bytes]) -> dict[bytes, tuple[int, bool]]:
    """Return, by flow, the window that was offered last and whether anything was pushed."""
    found: dict[bytes, tuple[int, bool]] = {}
    for frame in frames:
        segment = parse(frame)
        if segment is not None:
            window = int.from_bytes(frame[segment.tcp + 14 : segment.tcp + 16], "big")
            pushed = bool(frame[segment.tcp + 13] & 8)
            found[segment.flow] = (window, pushed or found.get(segment.flow, (0, False))[1])
    return found


def checksums_are_right(frame: bytes) -> bool:
    """Sum a TCP frame in software."""
    segment = parse(frame)
    assert segment is not None
    addresses = frame[26:34] if segment.tcp == 34 else frame[22:54]
    pseudo = addresses + struct.pack(">HH", 6, segment.end - segment.tcp)
    ip = segment.tcp == 54 or ones_sum(frame[14:34]) == 0xFFFF
    return ip and ones_sum(pseudo + frame[segment.tcp : segment.end]) == 0xFFFF


@pytest.mark.parametrize("seed", range(25))
def test_c_and_its_twin_make_the_same_units(seed: int) -> None:
    """Bytes, order and counts, for random traffic in random batches around a ring."""
    choose = random.Random(seed)
    card = Card()

    for _ in range(6):
        frames = traffic(choose, choose.randrange(1, card.room + 1))
        for frame, verified in frames:
            errors = int(RxError.TCPE) if not verified and choose.random() < 0.5 else 0
            status = VERIFIED if verified or errors else UNVERIFIED
            if parse(frame) is None and not verified:
                errors = int(RxError.IPE)
            card.put(frame, status, errors)
        twin = [(unit.data(), unit.segments) for unit in coalesce(frames)]

        assert card.harvest() == twin


@pytest.mark.parametrize("seed", range(25))
def test_coalescing_changes_nothing_that_tcp_can_see(seed: int) -> None:
    """Every byte comes once, in the order of its flow, with its acknowledgment and options."""
    frames = traffic(random.Random(seed), 200)

    units = coalesce(frames)

    apart = [frame for frame, _ in frames]
    together = [unit.data() for unit in units]
    assert streams(together) == streams(apart)
    assert ends(together) == ends(apart)
    assert all(checksums_are_right(unit.data()) for unit in units if unit.segments)


def run(**changes: object) -> list[tuple[bytes, bool]]:
    """Return two segments that follow each other, the second one changed."""
    first = Tcp(payload=b"a" * 100)
    second = replace(first, **{"sequence": 100, **changes})  # type: ignore[arg-type]  # fields of Tcp
    return [(first.frame(), True), (second.frame(), True)]


def segments(units: list[Unit]) -> list[int]:
    """Return the count of each unit."""
    return [unit.segments for unit in units]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flags": 0x18},
        {"window": 1},
        {"payload": b"short"},
        {"padding": bytes(3)},
    ],
)
def test_segments_that_follow_each_other_are_joined(changes: dict[str, object]) -> None:
    """Data in sequence, whatever its window and PSH."""
    assert segments(coalesce(run(**changes))) == [2]


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 99},
        {"sequence": 101},
        {"acknowledgment": 78},
        {"flags": 0x11},
        {"flags": 0x14},
        {"flags": 0x30},
        {"flags": 0x50},
        {"flags": 0x90},
        {"flags": 0x110},
        {"flags": 0x08},
        {"payload": b""},
        {"payload": b"a" * 101},
        {"tos": 3},
        {"hops": 63},
        {"dont_fragment": 0},
        {"dont_fragment": 0x2000},
        {"options": TIMESTAMP + bytes(8)},
        {"options": b"\5\x0a" + bytes(8) + b"\1\1"},
        {"port": 1001},
        {"v6": True},
    ],
)
def test_what_is_not_alike_stays_apart(changes: dict[str, object]) -> None:
    """One exception each, of NDIS's list."""
    assert segments(coalesce(run(**changes))) == [0, 0]


def test_a_unit_is_never_longer_than_an_ip_datagram() -> None:
    """Then another one begins, and C counts that as no exception."""
    card = Card()
    size = 1448
    for n in range(50):
        card.put(Tcp(sequence=n * size, payload=bytes(size)).frame())

    units = card.harvest()

    assert [count for _, count in units] == [45, 5]
    assert card.ring.counts == (50, 50 * size, 2, 0)


def test_a_retransmission_between_two_runs_is_told_by_itself() -> None:
    """Order within the flow is kept: what came between stays between."""
    parts = [Tcp(sequence=100 * n, payload=bytes([n]) * 100) for n in (0, 1, 0, 2, 3)]

    units = coalesce([(part.frame(), True) for part in parts])

    assert segments(units) == [2, 0, 2]


def test_a_frame_of_several_descriptors_comes_whole_when_its_end_has_come() -> None:
    """A jumbo frame is not told before, nor cut by a budget."""
    card = Card(8)
    frame = random.Random(1).randbytes(5000)
    card.put(frame)
    end = (card.head - 1) % 8
    word = card.descriptors.raw[end * 16 + 8]
    card.descriptors.raw[end * 16 + 8] = 0

    before = card.harvest()
    card.descriptors.raw[end * 16 + 8] = word
    after = card.harvest()

    assert (before, after) == ([], [(frame, 0)])


def test_a_card_that_never_ends_a_frame_gets_its_slots_back() -> None:
    """One frame is dropped, and the ring goes on."""
    card = Card(8)
    for _ in range(7):
        card.put(bytes(100), RxStatus.DD)

    lost = card.harvest()
    card.put(b"\1" * 60)

    assert (lost, card.ring.dropped) == ([], 1)
    assert card.harvest() == [(b"\1" * 60, 0)]


def test_nothing_is_joined_before_somebody_asks() -> None:
    """A transport switches it on, for each IP version."""
    card = Card()
    card.ring.coalesce(v4=False, v6=True)
    for v6 in (False, True):
        for n in range(2):
            card.put(Tcp(sequence=100 * n, payload=bytes(100), v6=v6).frame())

    assert [count for _, count in card.harvest()] == [0, 0, 2]


def test_a_length_beyond_the_buffer_is_not_believed() -> None:
    """The descriptor says 65,535; the buffer has 2,048."""
    card = Card(8)
    card.put(bytes(100))
    struct.pack_into("<H", card.descriptors.raw, 12, 0xFFFF)

    assert [len(data) for data, _ in card.harvest()] == [BUFFER_BYTES]
