"""The driver's halves of the rings, alone: no card, no NDIS."""

from __future__ import annotations

import pytest

from device.rings.receive import ExtendedRx, RxStatus
from device.rings.transmit import DD, DataTx, LegacyTx, TxCommand, TxOptions, parse
from miniport.rxring import BUFFER_BYTES, RxBuffer, RxRing
from miniport.txring import ELEMENT_BYTES, STAGE_BYTES, Extras, TxRing
from ndis.packet import Buffer
from tests.support.miniport_frames import Memory

COUNT = 8


class Transmit:
    """A ring whose card is the test."""

    def __init__(self, count: int = COUNT, *, legacy: bool = False) -> None:
        self.descriptors = Memory(count * 16)
        self.stages = Memory(count * STAGE_BYTES, 0x10_0000)
        self.bells: list[int] = []
        self.ring: TxRing[str] = TxRing(
            self.descriptors, self.stages, count, self.bells.append, legacy=legacy
        )

    def descriptor(self, at: int) -> bytes:
        """Return descriptor ``at``."""
        return bytes(self.descriptors.raw[16 * at : 16 * at + 16])

    def done(self, at: int) -> None:
        """Write DD back."""
        self.descriptors.raw[16 * at + 12] |= DD


@pytest.mark.parametrize("legacy", [False, True])
def test_a_frame_without_an_address_is_copied_into_the_stage_of_its_descriptor(*, legacy: bool) -> None:
    """One descriptor, with EOP, IFCS and RS, in either format."""
    bench = Transmit(legacy=legacy)

    assert bench.ring.post("a", [Buffer(b"x" * 60)], 60)

    command = TxCommand.EOP | TxCommand.IFCS | TxCommand.RS
    expected = (
        LegacyTx(0x10_0000, 60, command=command)
        if legacy
        else DataTx(0x10_0000, 60, command=command | TxCommand.DEXT)
    )
    assert parse(bench.descriptor(0)) == expected
    assert bytes(bench.stages.raw[:60]) == b"x" * 60
    assert bench.bells == []


def test_the_doorbell_is_rung_once_for_a_batch_and_not_without_one() -> None:
    """TDT is written with the index behind the last descriptor."""
    bench = Transmit()
    for name in "abc":
        bench.ring.post(name, [Buffer(bytes(60))], 60)

    bench.ring.ring()
    bench.ring.ring()

    assert bench.bells == [3]


def test_a_full_ring_refuses_and_changes_nothing() -> None:
    """One descriptor always stays empty: seven frames fit into eight."""
    bench = Transmit()
    taken = [bench.ring.post(str(n), [Buffer(bytes(60))], 60) for n in range(COUNT)]

    assert taken == [True] * 7 + [False]
    assert (bench.ring.free, bench.ring.busy) == (0, 7)


def test_tokens_come_back_in_order_and_only_up_to_the_first_that_is_not_done() -> None:
    """DD of a later frame does not let it overtake."""
    bench = Transmit()
    for name in "abc":
        bench.ring.post(name, [Buffer(bytes(60))], 60)
    bench.done(0)
    bench.done(2)

    first = bench.ring.reap()
    bench.done(1)
    second = bench.ring.reap()

    assert (first, second, bench.ring.free) == (["a"], ["b", "c"], 7)


def test_a_frame_of_several_descriptors_is_done_when_its_last_one_is() -> None:
    """Only the last has RS; its DD frees all three."""
    bench = Transmit()
    bench.ring.post("long", [Buffer(bytes(2 * STAGE_BYTES + 1))], 2 * STAGE_BYTES + 1)

    before = bench.ring.reap()
    bench.done(2)
    after = bench.ring.reap()

    commands = [TxCommand(bench.descriptor(n)[11]) & (TxCommand.EOP | TxCommand.RS) for n in range(3)]
    assert commands == [TxCommand.NONE, TxCommand.NONE, TxCommand.EOP | TxCommand.RS]
    assert (before, after, bench.ring.free) == ([], ["long"], 7)


def test_mapped_buffers_are_not_copied_and_unmapped_neighbours_are_copied_together() -> None:
    """A header in two pieces takes one stage; the payload is read where it is, in pieces of 8 KiB."""
    bench = Transmit()
    payload = Buffer(bytes(ELEMENT_BYTES + 100), address=0x50_0000)
    buffers = [Buffer(b"h" * 14), Buffer(b"i" * 20), payload]

    bench.ring.post("mixed", buffers, 34 + ELEMENT_BYTES + 100)

    found = [DataTx.parse(bench.descriptor(n)) for n in range(3)]
    assert [(d.address, d.length) for d in found] == [
        (0x10_0000, 34),
        (0x50_0000, ELEMENT_BYTES),
        (0x50_0000 + ELEMENT_BYTES, 100),
    ]
    assert bytes(bench.stages.raw[:34]) == b"h" * 14 + b"i" * 20


def test_small_buffers_share_one_stage_and_a_context_is_written_once() -> None:
    """Part of a larger memory is cut out; the second frame with the same context needs one descriptor."""
    bench = Transmit()
    context = bytes(range(16))
    extras = Extras(context, options=2, special=5)
    cut = Buffer(b"-" * 10 + b"i" * 20 + b"-" * 10, 10, 20)

    bench.ring.post("first", [Buffer(b"h" * 14), cut], 34, extras)
    bench.ring.post("second", [Buffer(b"j" * 14), Buffer(b"k" * 20)], 34, extras)

    command = TxCommand.EOP | TxCommand.IFCS | TxCommand.RS | TxCommand.DEXT
    stages = [0x10_0000 + at * STAGE_BYTES for at in (1, 2)]
    expected = [DataTx(at, 34, command=command, options=TxOptions(2), special=5) for at in stages]
    assert bench.descriptor(0) == context
    assert [DataTx.parse(bench.descriptor(at)) for at in (1, 2)] == expected
    assert bytes(bench.stages.raw[STAGE_BYTES : STAGE_BYTES + 34]) == b"h" * 14 + b"i" * 20
    assert bytes(bench.stages.raw[2 * STAGE_BYTES :][:34]) == b"j" * 14 + b"k" * 20
    assert bench.ring.free == 4


def test_a_frame_whose_context_has_no_room_is_refused_and_nothing_changes() -> None:
    """One slot is left: enough for a frame, not for one with a new context."""
    bench = Transmit()
    for n in range(6):
        bench.ring.post(str(n), [Buffer(bytes(60))], 60)
    before = bytes(bench.descriptors.raw)

    taken = bench.ring.post("with", [Buffer(bytes(60))], 60, Extras(bytes(range(16))))

    assert (taken, bench.ring.free, bytes(bench.descriptors.raw)) == (False, 1, before)
    assert bench.ring.post("without", [Buffer(bytes(60))], 60)


def test_a_runt_is_padded_with_zeros_to_what_the_card_can_pad() -> None:
    """TCTL.PSP works from 17 bytes on; nothing of an older frame leaks."""
    bench = Transmit()
    bench.stages.raw[:64] = b"\xff" * 64

    bench.ring.post("runt", [Buffer(b"abc")], 3)

    assert DataTx.parse(bench.descriptor(0)).length == 17
    assert bytes(bench.stages.raw[:17]) == b"abc".ljust(17, b"\0")


def test_frames_wrap_around_the_ring_for_ever() -> None:
    """A hundred frames through eight descriptors, two at a time."""
    bench = Transmit()
    out: list[str] = []
    for n in range(50):
        for k in range(2):
            assert bench.ring.post(f"{n}.{k}", [Buffer(bytes(60))], 60)
            bench.done((2 * n + k) % COUNT)
        out += bench.ring.reap()

    assert out == [f"{n}.{k}" for n in range(50) for k in range(2)]


def test_a_reset_returns_what_the_card_had() -> None:
    """Rings start at 0 again."""
    bench = Transmit()
    bench.ring.post("a", [Buffer(bytes(60))], 60)
    bench.ring.post("b", [Buffer(bytes(60))], 60)

    lost = bench.ring.reset()

    assert (lost, bench.ring.busy, bench.ring.free) == (["a", "b"], 0, 7)


class Receive:
    """A receive ring whose card is the test."""

    def __init__(self, count: int = COUNT, spares: int = 2) -> None:
        """Lay it out and fill it."""
        self.descriptors = Memory(count * 16)
        self.memory = Memory((count - 1 + spares) * BUFFER_BYTES, 0x10_0000)
        buffers = [
            RxBuffer(self.memory.address + at, self.memory.view[at : at + BUFFER_BYTES])
            for at in range(0, len(self.memory.raw), BUFFER_BYTES)
        ]
        self.bells: list[int] = []
        self.ring = RxRing(self.descriptors, buffers, count, self.bells.append)
        self.ring.fill()
        self.head = 0

    def arrive(self, data: bytes, status: int = RxStatus.DD | RxStatus.EOP) -> None:
        """Do what the card does with a frame, or a piece of one."""
        at = 16 * self.head
        address = int.from_bytes(self.descriptors.raw[at : at + 8], "little")
        where = address - self.memory.address
        self.memory.raw[where : where + len(data)] = data
        self.descriptors.raw[at : at + 16] = ExtendedRx(status=status, length=len(data)).emit()
        self.head = (self.head + 1) % (len(self.descriptors.raw) // 16)


def test_a_filled_ring_leaves_one_slot_empty_and_keeps_the_rest_as_spares() -> None:
    """Seven of nine buffers go to the card."""
    bench = Receive()

    assert (bench.ring.in_ring, bench.ring.spares, bench.bells) == (7, 2, [7])


def test_frames_are_replaced_by_spares_until_there_are_none_then_lent() -> None:
    """With two spares the third frame has to be looked at and given back at once."""
    bench = Receive()
    for n in range(3):
        bench.arrive(bytes([n]) * 60)

    frames = bench.ring.harvest(COUNT)

    assert [(f.data(), f.is_lent) for f in frames] == [
        (b"\0" * 60, False),
        (b"\1" * 60, False),
        (b"\2" * 60, True),
    ]


def test_no_buffer_is_lost_or_in_two_places() -> None:
    """Ring, spares and what is out add up to all buffers, through many rounds."""
    bench = Receive()
    for n in range(100):
        bench.arrive(bytes([n]) * 60)
        frames = bench.ring.harvest(COUNT)
        out = sum(len(f.buffers) for f in frames)
        assert bench.ring.in_ring + bench.ring.spares + out == 9
        for frame in frames:
            if frame.is_lent:
                bench.ring.recycle(frame)
            else:
                bench.ring.give_back(frame.buffers)
        bench.ring.ring()

    assert bench.ring.in_ring + bench.ring.spares == 9


def test_a_frame_over_three_buffers_is_one_frame() -> None:
    """Pieces without EOP wait for the rest."""
    bench = Receive(spares=8)
    bench.arrive(b"a" * BUFFER_BYTES, RxStatus.DD)
    bench.arrive(b"b" * BUFFER_BYTES, RxStatus.DD)
    before = bench.ring.harvest(COUNT)
    bench.arrive(b"c" * 10)

    (frame,) = bench.ring.harvest(COUNT)

    assert before == []
    assert frame.data() == b"a" * BUFFER_BYTES + b"b" * BUFFER_BYTES + b"c" * 10


def test_a_card_that_never_ends_a_frame_does_not_eat_the_ring() -> None:
    """After a ring of pieces they are dropped and the buffers are armed again."""
    bench = Receive()
    for _ in range(7):
        bench.arrive(b"x", RxStatus.DD)
    bench.ring.harvest(COUNT)

    assert bench.ring.dropped == 1
    assert bench.ring.in_ring + bench.ring.spares == 9


def test_a_harvest_looks_at_no_more_than_its_budget() -> None:
    """The rest stays for the next time."""
    bench = Receive()
    for n in range(5):
        bench.arrive(bytes([n]) * 60)

    first, second = bench.ring.harvest(2), bench.ring.harvest(COUNT)

    assert (len(first), len(second)) == (2, 3)
