"""The reports for programs: JUnit XML and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lab.conformance import catalogue
from lab.conformance.verdict import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.conformance.check import Check
    from lab.conformance.report.matrix import Matrix

FORMAT = 1


def junit(matrix: Matrix) -> str:
    """Return JUnit XML: a suite a target, a case a check (the dialect of Jenkins and GitLab)."""
    root = ET.Element("testsuites", name="ringwalk conform")
    about = matrix.about.items() if matrix.about is not None else {}
    for target in matrix.targets:
        counts = matrix.counts(target)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=target,
            tests=str(sum(counts.values())),
            failures=str(counts[Result.FAIL]),
            errors=str(counts[Result.ERROR]),
            skipped=str(counts[Result.SKIP]),
        )
        if "began" in about:
            suite.set("timestamp", about["began"])
        properties = ET.SubElement(suite, "properties")
        for name, value in about.items():
            ET.SubElement(properties, "property", name=name, value=value)
        for check in matrix.checks:
            outcome = matrix.cell(check.id, target)
            if outcome is None:
                continue
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"{target}.{catalogue.topic_of(check.id)}",
                name=f"{check.id} {check.summary}",
                time=f"{outcome.seconds:.4f}",
            )
            tag = {Result.FAIL: "failure", Result.ERROR: "error", Result.SKIP: "skipped"}.get(outcome.result)
            if tag is not None:
                verdict = matrix.verdict(outcome)
                element = ET.SubElement(case, tag, message=outcome.reason)
                said = f"\nverdict: {verdict.right}: {verdict.why} ({verdict.source})" if verdict else ""
                element.text = f"source: {check.source}{said}"
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def as_json(matrix: Matrix) -> str:
    """Return the whole run as JSON."""
    checks = [
        {
            "id": check.id,
            "topic": catalogue.topic_of(check.id),
            "summary": check.summary,
            "source": check.source,
            "outcomes": {
                outcome.target: {
                    "result": outcome.result.value,
                    "reason": outcome.reason,
                    "seconds": round(outcome.seconds, 6),
                    **(
                        {"verdict": {"right": verdict.right, "why": verdict.why, "source": verdict.source}}
                        if (verdict := matrix.verdict(outcome))
                        else {}
                    ),
                }
                for outcome in matrix.row(check.id)
                if outcome is not None
            },
        }
        for check in matrix.checks
    ]
    counts = {
        target: {result.value: matrix.counts(target)[result] for result in Result}
        for target in matrix.targets
    }
    return (
        json.dumps(
            {
                "format": FORMAT,
                "about": matrix.about.items() if matrix.about is not None else {},
                "targets": list(matrix.targets),
                "counts": counts,
                "checks": checks,
            },
            indent=1,
        )
        + "\n"
    )


def listed(checks: Sequence[Check]) -> str:
    """Return the checks themselves as JSON."""
    known = [
        {
            "id": check.id,
            "topic": catalogue.topic_of(check.id),
            "summary": check.summary,
            "source": check.source,
            "destructive": check.destructive,
        }
        for check in checks
    ]
    return json.dumps({"format": FORMAT, "checks": known}, indent=1) + "\n"


def outcomes(text: str) -> list[Outcome]:
    """Return the outcomes of a JSON report; ValueError, KeyError or TypeError when it is none."""
    report = json.loads(text)
    if report["format"] != FORMAT:
        raise ValueError(f"format {report['format']}, not {FORMAT}")
    return [
        Outcome(check["id"], target, Result(cell["result"]), cell["reason"], cell["seconds"])
        for check in report["checks"]
        for target, cell in check["outcomes"].items()
    ]
