"""The bad cable: seeded, and as bad as it was asked to be."""

from __future__ import annotations

import pytest

from device.wire.frame import Frame
from device.wire.impairment import (
    LONGEST_HOLD_NS,
    OVERHEAD_BYTES,
    Impairment,
    ImpairmentStage,
    Line,
    LineStatistics,
)
from device.wire.stage import Way

MS = 1_000_000
COUNT = 10_000


def frame(number: int) -> bytes:
    """Return a numbered frame of 100 bytes."""
    return number.to_bytes(100, "big")


def run(how: Impairment, count: int = COUNT, gap_ns: int = 1000) -> list[tuple[int, bytes]]:
    """Offer ``count`` frames, one every ``gap_ns``; return when which came out."""
    return run_line(Line(how, "x"), count, gap_ns)


def run_line(line: Line, count: int, gap_ns: int) -> list[tuple[int, bytes]]:
    """Do the same with a line of one's own."""
    out = []
    for n in range(count):
        line.push(frame(n), n * gap_ns)
        out += [(n * gap_ns, data) for data in line.collect(n * gap_ns)]
    while (due := line.next_due_ns) is not None:
        out += [(due, data) for data in line.collect(due)]
    return out


BAD = Impairment(loss=0.1, delay_ns=MS, jitter_ns=MS // 2, reorder=0.1, duplicate=0.1, corrupt=0.1, seed=7)


def test_the_same_seed_brings_the_same_fate() -> None:
    """To the nanosecond, and another seed another."""
    assert run(BAD) == run(BAD)
    assert run(BAD) != run(Impairment(loss=0.1, delay_ns=MS, jitter_ns=MS // 2, seed=8))


def test_one_direction_does_not_disturb_the_other() -> None:
    """What comes in changes nothing about what becomes of what goes out."""
    alone, busy = ImpairmentStage(BAD), ImpairmentStage(BAD)

    for n in range(1000):
        alone.push(Way.TRANSMIT, Frame(frame(n)), n)
        busy.push(Way.TRANSMIT, Frame(frame(n)), n)
        busy.push(Way.RECEIVE, Frame(frame(n)), n)

    late = 10**12
    assert [f for w, f in busy.collect(late) if w is Way.TRANSMIT] == [f for _, f in alone.collect(late)]


def test_no_impairment_delivers_everything_at_once() -> None:
    """In order, at the time it was offered."""
    assert run(Impairment()) == [(n * 1000, frame(n)) for n in range(COUNT)]
    assert not Impairment(seed=5)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_share_that_is_lost_is_the_share_asked_for(share: float) -> None:
    """Within four standard deviations, with a fixed seed."""
    arrived = len(run(Impairment(loss=share, seed=1)))

    deviation = (COUNT * share * (1 - share)) ** 0.5
    assert abs(COUNT - arrived - COUNT * share) < 4 * deviation


def test_everything_is_lost_at_a_hundred_percent_and_nothing_at_zero() -> None:
    """The ends of the scale are exact."""
    assert run(Impairment(loss=1.0)) == []
    assert len(run(Impairment(loss=0.0, delay_ns=1))) == COUNT


def test_a_corrupt_frame_differs_in_one_bit() -> None:
    """Every bit has its turn."""
    out = [data for _, data in run(Impairment(corrupt=1.0))]

    flipped = [int.from_bytes(frame(n), "big") ^ int.from_bytes(data, "big") for n, data in enumerate(out)]
    assert {value.bit_count() for value in flipped} == {1}
    assert len(set(flipped)) == 800


def test_a_duplicate_follows_its_original() -> None:
    """At a hundred percent everything comes twice."""
    out = [data for _, data in run(Impairment(duplicate=1.0), 100)]

    assert out == [frame(n) for n in range(100) for _ in range(2)]


def test_a_reordered_frame_is_overtaken_by_three() -> None:
    """Nothing is lost, and no frame is further than that from its place."""
    out = [int.from_bytes(data, "big") for _, data in run(Impairment(reorder=0.02, seed=3), 1000)]

    assert sorted(out) == list(range(1000))
    late = [n for place, n in enumerate(out) if place > n]
    assert 10 <= len(late) <= 32
    assert all(place - n <= 4 for place, n in enumerate(out) if n in late)


def test_a_reordered_frame_that_nothing_follows_is_let_go() -> None:
    """After the longest hold."""
    line = Line(Impairment(reorder=1.0), "x")
    line.push(frame(1), 5)

    assert line.next_due_ns == 5 + LONGEST_HOLD_NS
    assert line.collect(5 + LONGEST_HOLD_NS - 1) == []
    assert line.collect(5 + LONGEST_HOLD_NS) == [frame(1)]


def test_delay_is_exact_and_jitter_is_around_it_without_reordering() -> None:
    """Jitter of its own never changes the order."""
    exact = run(Impairment(delay_ns=10 * MS, limit=COUNT), gap_ns=10_000)
    jittered = run(Impairment(delay_ns=10 * MS, jitter_ns=2 * MS, limit=COUNT), gap_ns=3 * MS)

    assert [at for at, _ in exact][:5] == [10 * MS + n * 10_000 for n in range(5)]
    assert [data for _, data in jittered] == [frame(n) for n in range(COUNT)]
    taken = sorted(at - int.from_bytes(data, "big") * 3 * MS for at, data in jittered)
    assert taken[0] >= 8 * MS
    assert 9.9 * MS < sum(taken) / COUNT < 12 * MS


def test_the_rate_counts_what_a_frame_takes_on_the_cable() -> None:
    """1000 frames of 100 + 24 bytes at 10 Mbit/s take 99.2 ms."""
    out = run(Impairment(rate_bps=10_000_000, limit=2000), 1000, gap_ns=0)

    assert out[-1][0] == 1000 * (100 + OVERHEAD_BYTES) * 8 * 100


def test_a_full_queue_drops_the_newest() -> None:
    """The limit bounds memory."""
    line = Line(Impairment(delay_ns=MS, limit=10), "x")

    out = run_line(line, 100, 0)

    assert [data for _, data in out] == [frame(n) for n in range(10)]
    assert line.statistics == LineStatistics(offered=100, overflowed=90, delivered=10)
