"""``ringwalk conform --suite ndis`` and ``--suite schedules``: reports, statuses, refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from lab.cli.main import main
from lab.trials.suites import report
from ndis.suite.cases import CASES
from ndis.suite.runner import Outcome

if TYPE_CHECKING:
    from pathlib import Path


def test_the_sample_passes_and_the_report_names_every_case(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As JSON on the terminal, as JUnit in a file."""
    junit = tmp_path / "report.xml"

    status = main(["conform", "--suite", "ndis", "--mode", "deserialized", "--json", "--junit", str(junit)])

    told = json.loads(capsys.readouterr().out)["subjects"]["sample deserialized"]
    assert status == 0
    assert {name: one["result"] for name, one in told.items()} == {c.identifier: "pass" for c in CASES}
    suite = ET.parse(junit).getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures")) == (str(len(CASES)), "0")


def test_a_known_fault_is_named_and_a_mended_one_fails() -> None:
    """The list of known faults cannot grow stale."""
    one, other = CASES[:2]
    runs = {"card": [Outcome(one, "broken", "id-1: why"), Outcome(other, "", "id-2: why")]}

    lines = list(report.lines(runs))
    suite = ET.fromstring(report.junit(runs))[0]  # noqa: S314 - our own text

    assert lines[0] == "card: 1 known, 1 mended"
    assert "         id-1: why" in lines
    assert (suite.get("failures"), suite.get("skipped")) == ("1", "1")


def test_schedules_are_counted_over_processes(capsys: pytest.CaptureFixture[str]) -> None:
    """Every chunk comes back, the last short one too."""
    status = main(
        ["conform", "--suite", "schedules", "--count", "260", "--mode", "serialized", "--jobs", "2", "--json"]
    )

    told = json.loads(capsys.readouterr().out)["modes"]
    assert status == 0
    assert [(one["mode"], one["played"], one["most"], one["faults"]) for one in told] == [
        ("serialized", 260, 1, [])
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--suite", "ndis", "--bus", "qtest"], "no hardware"),
        (["--suite", "ndis", "--mode", "ndis6"], "NDIS 5.1"),
        (["--suite", "ndis", "-k", "nothing like it"], "no case"),
        (["--suite", "schedules", "--mode", "ndis6"], "no schedules"),
        (["--suite", "schedules", "--count", "0"], "1 or more"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_remedy(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with status 2."""
    status = main(["conform", *words])

    assert status == 2
    assert why in capsys.readouterr().err
