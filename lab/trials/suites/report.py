"""How a run of the miniport suite is told: lines, JSON, JUnit XML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ndis.suite.runner import Outcome


def verdict(outcome: Outcome) -> str:
    """Return pass, fail, known (failed as the list says) or mended (passed against the list)."""
    if outcome.passed:
        return "mended" if outcome.known else "pass"
    return "known" if outcome.known else "fail"


def lines(runs: Mapping[str, Sequence[Outcome]]) -> Iterator[str]:
    """Yield the report for people: a line a case that is not a plain pass, a sum for each subject."""
    for name, outcomes in runs.items():
        said = [verdict(outcome) for outcome in outcomes]
        counts = ", ".join(f"{said.count(v)} {v}" for v in ("pass", "fail", "known", "mended") if v in said)
        yield f"{name}: {counts}"
        for outcome, word in zip(outcomes, said, strict=True):
            if word != "pass":
                yield f"  {word:<6} {outcome.case.identifier}: {outcome.failure or 'passes'}"
            if outcome.known:
                yield f"         {outcome.known}"


def as_json(runs: Mapping[str, Sequence[Outcome]]) -> str:
    """Return the run as JSON: subject to case to verdict, failure and known fault."""
    told = {
        name: {
            one.case.identifier: {"result": verdict(one), "failure": one.failure, "known": one.known}
            for one in outcomes
        }
        for name, outcomes in runs.items()
    }
    return json.dumps({"suite": "ndis", "subjects": told}, indent=2) + "\n"


def junit(runs: Mapping[str, Sequence[Outcome]]) -> str:
    """Return JUnit XML: a suite a subject; a known fault is skipped with its reason."""
    root = ET.Element("testsuites", name="ringwalk conform --suite ndis")
    for name, outcomes in runs.items():
        said = [verdict(one) for one in outcomes]
        counts = {
            "tests": len(said),
            "failures": said.count("fail") + said.count("mended"),
            "skipped": said.count("known"),
        }
        suite = ET.SubElement(
            root, "testsuite", {"name": name, **{key: str(value) for key, value in counts.items()}}
        )
        for one, word in zip(outcomes, said, strict=True):
            case = ET.SubElement(
                suite, "testcase", classname=name, name=f"{one.case.identifier} {one.case.what}"
            )
            if word == "known":
                ET.SubElement(case, "skipped", message=f"{one.known}: {one.failure}")
            elif word != "pass":
                ET.SubElement(case, "failure", message=one.failure or f"passes, but is listed: {one.known}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
