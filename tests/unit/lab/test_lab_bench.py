"""What ``ringwalk bench`` computes and prints; nothing here is timed."""

from __future__ import annotations

import itertools

import pytest

import lab.trials.bench
from lab.cli.main import parser
from lab.errors import UsageError
from lab.trials.bench import engine, guest, report
from lab.trials.bench.contract import Row, Target
from lab.trials.bench.engine import once
from lab.trials.bench.guest import METRICS, OURS, RIVALS
from lab.trials.bench.loads import Sample
from lab.trials.bench.pairing import Rotation, Spread, paired, spread
from lab.trials.parts import summaries

PING = METRICS[0]
TCP = METRICS[1]


def test_a_ratio_is_of_neighbours_and_not_of_medians() -> None:
    """A machine that is half as fast in one round changes no ratio."""
    ours, theirs = [200.0, 100.0, 50.0], [100.0, 50.0, 25.0]

    ratio = paired(ours, theirs)

    assert ratio == Spread(2.0, 2.0, 2.0, 3)


def test_a_round_without_one_sample_is_left_out_of_the_ratios() -> None:
    """Neither a missing sample nor a rival of zero is divided by."""
    ratio = paired([10.0, None, 30.0, 8.0], [5.0, 5.0, 10.0, 0.0])

    assert ratio == Spread(2.5, 2.0, 3.0, 2)


def test_without_any_pair_there_is_no_ratio() -> None:
    """It is None, not a number that somebody believes."""
    assert paired([None, 1.0], [1.0, None]) is None


def test_the_median_of_nothing_is_refused() -> None:
    """Somebody forgot to measure."""
    with pytest.raises(ValueError, match="no samples"):
        spread([])


def test_everybody_begins_equally_often_and_follows_everybody() -> None:
    """Over six rounds of three, each place and each neighbour comes up twice and once at least."""
    order = Rotation(("a", "b", "c"))

    rounds = [order.round(n) for n in range(6)]

    assert sorted(r[0] for r in rounds) == ["a", "a", "b", "b", "c", "c"]
    followers = {(x, y) for r in rounds for x, y in itertools.pairwise(r)}
    assert followers == {(x, y) for x in "abc" for y in "abc" if x != y}


@pytest.mark.parametrize(
    ("target", "reached", "missed", "told"),
    [(Target(1.25), 1.25, 1.2499, "≥ 1.25"), (Target(0.25, ceiling=True), 0.25, 0.2501, "≤ 0.25")],
)
def test_a_target_is_reached_at_its_bound(target: Target, reached: float, missed: float, told: str) -> None:
    """A floor from above, a ceiling from below."""
    assert (target.met(reached), target.met(missed), str(target)) == (True, False, told)


def test_guest_rows_pair_our_card_with_each_rival() -> None:
    """The absolute figure, the ratios with their targets, and the processor time of the card."""
    rates = {OURS: [900.0, 450.0], "e1000e": [600.0, 300.0], "virtio-net": [1000.0, 600.0]}
    samples = {
        (TCP.name, name): [Sample(value, 0.2 if name == OURS else None) for value in values]
        for name, values in rates.items()
    }

    rows = guest.rows(TCP, samples)

    assert [(row.what, row.value, row.met) for row in rows] == [
        ("TCP guest→host", 675.0, None),
        ("TCP guest→host ÷ e1000e", 1.5, True),
        ("TCP guest→host ÷ virtio-net", 0.825, False),
        ("CPU of the card, TCP guest→host", 0.2, True),
    ]


def test_every_guest_target_names_a_rival() -> None:
    """A target for a card that is not measured would never be looked at."""
    named = {rival for metric in METRICS for rival in metric.targets}

    assert named <= set(RIVALS)


def test_the_markdown_table_has_a_cell_for_each_heading() -> None:
    """Figures have three digits, thousands are apart, a missed target is said."""
    rows = [
        Row("guest", "TCP", 1234.5, "Mbit/s"),
        Row("guest", "TCP ÷ e1000e", 1.2345, "ratio", Target(1.25), (1.0, 2.0), "a note"),
    ]

    lines = report.markdown(rows).splitlines()

    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == list(report.HEADINGS)
    assert cells[2] == ["guest", "TCP", "1,234", "", "Mbit/s", "", ""]
    assert cells[3] == ["guest", "TCP ÷ e1000e", "1.23", "1…2", "ratio", "≥ 1.25", "missed; a note"]
    assert len({len(line) for line in lines}) == 1


def test_the_data_says_which_targets_are_reached() -> None:
    """A machine reads the bound and the verdict."""
    row = Row("engine", "sink", 21.0, "M/s", Target(20))

    data = report.data([row])

    assert data["rows"][0]["met"] is True
    assert data["rows"][0]["target"] == "≥ 20"


def test_the_parts_are_found_and_are_subcommands() -> None:
    """A module of lab.trials.bench with a NAME is a part."""
    names = set(summaries(lab.trials.bench))

    assert {"doorbell", "engine", "guest"} <= names
    assert all(parser().parse_args(["bench", name]).part == name for name in names)


@pytest.mark.parametrize("options", [["--rounds", "-1"], ["--seconds", "-1"], ["--only", "carrier pigeon"]])
def test_a_guest_is_not_booted_for_nothing(options: list[str]) -> None:
    """Wrong numbers are refused before anything is started."""
    args = parser().parse_args(["bench", "guest", *options])

    with pytest.raises(UsageError):
        guest.run(args, print)


@pytest.mark.parametrize("variant", ["sink", "copy", "loop"])
def test_the_engine_rig_does_every_descriptor_that_it_counts(variant: str) -> None:
    """A batch is as many descriptors as its burst, and the ring wraps."""
    measured = engine.native(variant, 60, 256)

    done = [measured.work() for _ in range(9)]

    measured.close()
    assert done == [256] * 9


def test_the_traced_reference_rig_does_every_descriptor() -> None:
    """The observer does not change what is done."""
    measured = engine.reference(60, traced=True)

    assert [measured.work() for _ in range(5)] == [256] * 5


def test_a_variant_is_run_at_least_once() -> None:
    """Even when no time is given, there is a figure."""
    calls: list[int] = []

    def work() -> int:
        calls.append(1)
        return sum(range(20000)) and 10

    figure = once(engine.Variant("x", 60, 10, work), 1e-9)

    assert len(calls) == 1
    assert figure > 0


def test_ratios_to_memcpy_are_made_for_both_sizes() -> None:
    """Copying 1514 bytes is held against memcpy's time of the same round."""
    rows = [engine.Row("native copy", size, engine.COMPARED, (30.0, 60.0)) for size in engine.SIZES] + [
        engine.Row("memcpy", size, engine.COUNT, (20.0, 40.0)) for size in engine.SIZES
    ]

    found = {row.what: (row.value, row.met) for row in engine.figures(rows) if "÷" in row.what}

    assert found == {"native copy ÷ memcpy, 60 B": (1.5, None), "native copy ÷ memcpy, 1514 B": (1.5, True)}
