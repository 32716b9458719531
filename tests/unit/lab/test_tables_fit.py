"""What commands print as tables fits a terminal of 100 columns, and one of 80."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.cli.commands import doctor
from lab.cli.examination import Finding
from lab.cli.terminal import plain
from lab.conformance import catalogue
from lab.conformance.report import terminal
from lab.conformance.report.matrix import Matrix
from lab.conformance.verdict import Outcome, Result
from lab.host.demo import busy_stack
from lab.host.inspection import tools
from lab.host.modes import MODES
from lab.trials.bench import report
from lab.trials.bench.contract import Row
from lab.trials.fuzz import faults
from lab.trials.interop.contract import Seen, text
from lab.trials.soak import measure
from ndis import inspect

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTHS = (80, 100)
LONG = (
    "half of what was seen, in rounds that took turns, and more words than a line of a terminal can hold " * 2
)


def widest(lines: Iterable[str]) -> int:
    return max(len(line) for text_ in lines for line in text_.splitlines())


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_of_the_benchmarks_fit(width: int) -> None:
    rows = [
        Row(
            "guest",
            "TCP guest to host, e1000e in turn with ours",
            1234.5,
            "Mbit/s",
            spread=(1.0, 2000.0),
            note=LONG,
        )
    ]

    shown = plain(report.markdown(rows), width)

    assert widest([shown]) <= width
    assert "1,234" in shown
    assert "|" not in shown


@pytest.mark.parametrize("width", WIDTHS)
def test_the_fault_table_fits_and_has_no_html(width: int) -> None:
    shown = plain(faults.markdown(), width)

    assert widest([shown]) <= width
    assert "<br>" not in shown
    assert "`" not in shown


@pytest.mark.parametrize("width", WIDTHS)
def test_what_interop_saw_fits(width: int) -> None:
    assert widest([text([Seen("a" * 30, LONG, note=LONG), Seen(LONG, "short", good=False)], width)]) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_the_matrix_of_conform_fits_with_long_targets(width: int) -> None:
    checks = catalogue.checks()[:3]
    targets = ["native", "vfio-user:/tmp/somewhere/far/away/card.sock,wire=one:two", "qtest:e1000e"]
    outcomes = [Outcome(check.id, target, Result.PASS) for check in checks for target in targets]

    lines = list(terminal.lines(Matrix(checks, targets, outcomes), most=width))

    assert widest(lines) <= width
    assert "wire=one" in "".join(lines).replace(" ", "")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_finding_of_the_doctor_fits(width: int) -> None:
    assert widest([doctor.line(Finding("hardening", "good", LONG, advice=LONG), most=width)]) <= width


@pytest.mark.parametrize("mode", MODES)
def test_every_view_of_a_stack_fits(mode: str) -> None:
    views = tools(lambda: stack)
    stack = busy_stack(mode, "reference")

    shown = [
        views[name](["300"] if name == "log" else []).text
        for name in ("adapters", "opens", "pending", "oids", "log")
    ]

    assert all(shown)
    assert widest(shown) <= 100


def test_a_view_can_be_asked_for_narrower() -> None:
    assert widest([inspect.table(inspect.ask_oids(busy_stack("ndis6", "reference").ndis), 80)]) <= 80


def test_a_sample_of_soak_stands_below_its_headings() -> None:
    one = measure.Sample(599.5, 51_700, 13, 9, 599.25, 2_800_000, 123_456.7, 1_000_000, 2_656, 1_000, 297)

    head, row = measure.table_row(measure.HEADINGS), measure.table_row(measure.cells(one))

    assert len(head) == len(row) <= 100
    assert len(row.split()) == len(measure.HEADINGS)
