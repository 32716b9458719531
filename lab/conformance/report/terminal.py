"""The report for a terminal: a line a topic, then what failed and what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.conformance.verdict import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.conformance.report.matrix import Matrix

NARROW = 26
COLUMN = 18


def lines(matrix: Matrix) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"{'topic':<{NARROW + 4}}" + "".join(
        f"{target[:COLUMN]:>{COLUMN + 2}}" for target in matrix.targets
    )
    for topic, checks in matrix.topics():
        cells = ""
        for target in matrix.targets:
            results = [cell.result for check in checks if (cell := matrix.cell(check.id, target)) is not None]
            ran = len(results) - results.count(Result.SKIP)
            mark = "" if results.count(Result.PASS) == ran else " ✗"
            cells += f"{f'{results.count(Result.PASS)}/{ran}{mark}':>{COLUMN + 2}}"
        yield f"{topic:<{NARROW + 4}}{cells}"
    totals = ""
    for target in matrix.targets:
        counts = matrix.counts(target)
        ran = sum(counts.values()) - counts[Result.SKIP]
        totals += f"{f'{counts[Result.PASS]}/{ran}':>{COLUMN + 2}}"
    yield f"{'all':<{NARROW + 4}}{totals}"
    yield from _skips(matrix)
    yield from _failures(matrix)


def _skips(matrix: Matrix) -> Iterator[str]:
    reasons: dict[tuple[str, str], int] = {}
    for outcome in matrix.outcomes:
        if outcome.result is Result.SKIP:
            key = (outcome.target, outcome.reason)
            reasons[key] = reasons.get(key, 0) + 1
    if reasons:
        yield ""
    for (target, reason), count in sorted(reasons.items()):
        yield f"skipped on {target}: {count} checks: {reason}"


def _failures(matrix: Matrix) -> Iterator[str]:
    for check in matrix.checks:
        if not matrix.failed(check.id):
            continue
        yield ""
        yield f"{check.id}  {check.summary}"
        yield f"    source   {check.source}"
        for outcome in matrix.row(check.id):
            if outcome is None:
                continue
            said = f": {outcome.reason}" if outcome.reason else ""
            yield f"    {outcome.result.value:<8} {outcome.target}{said}"
            if (verdict := matrix.verdict(outcome)) is not None:
                yield f"    verdict  {verdict.right}: {verdict.why} ({verdict.source})"
