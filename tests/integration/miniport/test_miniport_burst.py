"""The fast path in C against its Python twin: the same descriptors, the same bytes, the same counts."""

from __future__ import annotations

import random
import threading

import pytest

from device.rings.receive import ExtendedRx, RxStatus
from miniport.burst import Batch, Bell, Gate, NullCard, RxBurst, Stop, TxBurst
from miniport.rxring import BUFFER_BYTES
from miniport.txring import STAGE_BYTES, TxRing
from ndis.packet import Buffer
from tests.support.miniport_frames import Memory

COUNT = 16


def transmit(gate: Gate | None = None) -> tuple[Memory, Memory, TxBurst]:
    """Return a ring of ``COUNT`` that rings nobody."""
    descriptors, stages = Memory(COUNT * 16), Memory(COUNT * STAGE_BYTES, 0x10_0000)
    return descriptors, stages, TxBurst(descriptors, stages, COUNT, Bell.silent(), gate)


@pytest.mark.parametrize("seed", range(10))
def test_c_and_python_write_the_same_rings(seed: int) -> None:
    """Random frames and completions: descriptors, stages, tail and room are equal after every step."""
    choose = random.Random(seed)
    descriptors, stages, fast = transmit()
    twin_descriptors, twin_stages = Memory(COUNT * 16), Memory(COUNT * STAGE_BYTES, 0x10_0000)
    bells: list[int] = []
    slow: TxRing[int] = TxRing(twin_descriptors, twin_stages, COUNT, bells.append)
    head = 0

    for _ in range(60):
        frames = [
            choose.randbytes(choose.choice((1, 16, 17, 60, 1514, 2048))) for _ in range(choose.randrange(6))
        ]
        taken = fast.send(frames)
        slow.reap()
        mine = 0
        for frame in frames:
            if not slow.post(0, [Buffer(frame)], len(frame)):
                break
            mine += 1
        slow.ring()
        assert taken == mine
        assert (descriptors.raw, stages.raw) == (twin_descriptors.raw, twin_stages.raw)
        assert (fast.free, bells[-1] if bells else 0) == (slow.free, fast.tail)
        while head != fast.tail and choose.random() < 0.6:
            descriptors.raw[16 * head + 12] |= 1
            twin_descriptors.raw[16 * head + 12] |= 1
            head = (head + 1) % COUNT


def test_a_batch_is_the_same_as_its_frames() -> None:
    """``send_batch`` of a layout posts what ``send`` of the frames posts."""
    frames = [bytes([n]) * (60 + n) for n in range(5)]
    one, one_stages, by_batch = transmit()
    two, two_stages, by_frames = transmit()

    assert by_batch.send_batch(Batch(frames)) == by_frames.send(frames) == 5

    assert (one.raw, one_stages.raw) == (two.raw, two_stages.raw)


def test_a_frame_that_no_stage_holds_is_refused_and_the_others_go() -> None:
    """It is counted as taken, so that the caller goes on behind it."""
    _, _, ring = transmit()

    assert ring.send([bytes(60), bytes(2049), b"", bytes(61)]) == 4

    assert (ring.posted, ring.free) == (2, COUNT - 3)


def test_a_loop_sends_what_it_was_told_and_a_null_card_takes_it() -> None:
    """Without the GIL, over many turns of the ring."""
    card = NullCard()
    descriptors, stages = Memory(COUNT * 16), Memory(COUNT * STAGE_BYTES, 0x10_0000)
    ring = TxBurst(descriptors, stages, COUNT, card.bell)
    card.attach(ring)

    assert ring.run(bytes(60), 4, 10_000, Stop()) == 10_000

    assert (card.frames, ring.posted) == (10_000, 10_000)


def test_two_serialized_loops_share_a_ring_and_lose_nothing() -> None:
    """The gate is the miniport lock: every frame is posted once and taken once."""
    card = NullCard()
    descriptors, stages = Memory(COUNT * 16), Memory(COUNT * STAGE_BYTES, 0x10_0000)
    ring = TxBurst(descriptors, stages, COUNT, card.bell, Gate())
    card.attach(ring)
    threads = [threading.Thread(target=ring.run, args=(bytes(60), 4, 20_000, Stop())) for _ in range(2)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (card.frames, ring.posted) == (40_000, 40_000)


def test_received_frames_are_copied_out_and_their_slots_armed_again() -> None:
    """Three rounds of a ring; a bad frame is dropped and counted."""
    descriptors, buffers = Memory(COUNT * 16), Memory(COUNT * BUFFER_BYTES, 0x10_0000)
    ring = RxBurst(descriptors, buffers, COUNT, Bell.silent())
    ring.start()
    got: list[bytes] = []

    for n in range(3 * COUNT):
        slot = n % COUNT
        buffers.raw[slot * BUFFER_BYTES : slot * BUFFER_BYTES + 60] = bytes([n]) * 60
        status = RxStatus.DD | RxStatus.EOP | (1 << 24 if n == 5 else 0)
        descriptors.raw[16 * slot : 16 * slot + 16] = ExtendedRx(status=status, length=60).emit()
        got += ring.receive(4)

    assert got == [bytes([n]) * 60 for n in range(3 * COUNT) if n != 5]
    assert ring.counts == (3 * COUNT - 1, (3 * COUNT - 1) * 60, 1)
