"""The report for documentation: how many checks each target passes, and who is right where it fails.

Nothing in it depends on when or where it ran, so that a page that is made again is the same page.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lab.conformance.verdict import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.conformance.check import Check
    from lab.conformance.known import Verdict
    from lab.conformance.report.matrix import Matrix
    from lab.conformance.verdict import Outcome


def page(matrix: Matrix) -> str:
    """Return the page."""
    return "\n".join(_lines(matrix)) + "\n"


def _lines(matrix: Matrix) -> Iterator[str]:
    targets = " ".join(f"--target {target}" for target in matrix.targets)
    yield "# The conformance matrix"
    yield ""
    yield f"{len(matrix.checks)} checks. Generated, not edited:"
    yield ""
    yield f"    ringwalk conform {targets} --markdown FILE"
    yield ""
    yield "A cell is passed/ran; what a target cannot be asked is listed below. What the targets are, and how"
    yield "to add yours: [conformance.md](../conformance.md)."
    yield ""
    yield from _summary(matrix)
    yield ""
    yield "## Not runnable"
    yield ""
    yield from _skips(matrix)
    yield ""
    yield "## Differences"
    yield ""
    yield from _differences(matrix)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _summary(matrix: Matrix) -> Iterator[str]:
    yield _row("topic", *(f"`{target}`" for target in matrix.targets))
    yield _row("---", *("---:" for _ in matrix.targets))
    for topic, checks in matrix.topics():
        yield _row(topic, *(_share(matrix, checks, target) for target in matrix.targets))
    yield _row("**all**", *(f"**{_share(matrix, matrix.checks, target)}**" for target in matrix.targets))


def _share(matrix: Matrix, checks: Sequence[Check], target: str) -> str:
    results = [cell.result for check in checks if (cell := matrix.cell(check.id, target)) is not None]
    ran = len(results) - results.count(Result.SKIP)
    return f"{results.count(Result.PASS)}/{ran}"


def _skips(matrix: Matrix) -> Iterator[str]:
    reasons = Counter(
        (outcome.target, outcome.reason) for outcome in matrix.outcomes if outcome.result is Result.SKIP
    )
    if not reasons:
        yield "Every check ran on every target."
    for (target, reason), count in sorted(reasons.items()):
        yield f"- `{target}`: {count} checks: {reason}"


def _differences(matrix: Matrix) -> Iterator[str]:
    """Group the failures by what is known of them, so that one judgement is one line."""
    groups: dict[Verdict | None, list[Outcome]] = {}
    for check in matrix.checks:
        for outcome in matrix.row(check.id):
            if outcome is not None and outcome.result in (Result.FAIL, Result.ERROR):
                groups.setdefault(matrix.verdict(outcome), []).append(outcome)
    if not groups:
        yield "None: every target passes every check that it can be asked."
        return
    yield _row("checks", "fails on", "who is right, and why", "source")
    yield _row("---", "---", "---", "---")
    for verdict, outcomes in groups.items():
        ids = ", ".join(dict.fromkeys(f"`{outcome.check}`" for outcome in outcomes))
        where = ", ".join(dict.fromkeys(f"`{outcome.target}`" for outcome in outcomes))
        if verdict is None:
            yield _row(ids, where, "not judged yet", "")
        else:
            yield _row(ids, where, f"{verdict.right}: {verdict.why}", verdict.source)
