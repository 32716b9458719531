"""The report for a terminal: what failed and what is known of it, then a line a topic, the summary last."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from formats.columns import WIDTH, broken
from lab.conformance.verdict import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.conformance.check import Check
    from lab.conformance.report.matrix import Matrix

TOPIC = 30
NARROWEST = 12
RED, GREEN, DIM, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"


def lines(matrix: Matrix, *, known: bool = True, colour: bool = False, most: int = WIDTH) -> Iterator[str]:
    """Yield the lines of the report; its table is no wider than ``most``, as far as its columns go.

    Without ``known``, failures that have a verdict are only counted.
    """
    yield from _failures(matrix, known=known, colour=colour)
    yield from _skips(matrix)
    yield from _table(matrix, colour=colour, most=most)


def durations(matrix: Matrix, most: int) -> Iterator[str]:
    """Yield the slowest checks."""
    slowest = sorted(matrix.outcomes, key=lambda outcome: -outcome.seconds)[:most]
    yield f"slowest {len(slowest)}:"
    for outcome in slowest:
        yield f"  {outcome.seconds:8.3f} s  {outcome.check} on {outcome.target}"


def _painted(text: str, code: str, *, colour: bool) -> str:
    return f"{code}{text}{PLAIN}" if colour else text


def _table(matrix: Matrix, *, colour: bool, most: int) -> Iterator[str]:
    share = (most - TOPIC) // max(1, len(matrix.targets)) - 2
    widths = [max(NARROWEST, min(len(target), share)) for target in matrix.targets]
    names = [broken(target, width) for target, width in zip(matrix.targets, widths, strict=True)]
    yield ""
    for line, parts in enumerate(zip_longest(*names, fillvalue="")):
        cells = (f"  {part:>{width}}" for part, width in zip(parts, widths, strict=True))
        yield f"{'' if line else 'topic':<{TOPIC}}" + "".join(cells)
    for topic, checks in [*matrix.topics(), ("all", list(matrix.checks))]:
        cells = (
            _cell(matrix, checks, target, width, colour=colour)
            for target, width in zip(matrix.targets, widths, strict=True)
        )
        yield f"{topic:<{TOPIC}}" + "".join(cells)


def _cell(matrix: Matrix, checks: Sequence[Check], target: str, width: int, *, colour: bool) -> str:
    results = [cell.result for check in checks if (cell := matrix.cell(check.id, target)) is not None]
    passed, ran = results.count(Result.PASS), len(results) - results.count(Result.SKIP)
    text = f"  {f'{passed}/{ran}' + ('' if passed == ran else ' ✗'):>{width}}"
    return _painted(text, (GREEN if ran else DIM) if passed == ran else RED, colour=colour)


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


def _failures(matrix: Matrix, *, known: bool, colour: bool) -> Iterator[str]:
    for check in matrix.checks:
        bad = [outcome for outcome in matrix.row(check.id) if outcome is not None and outcome.result in BAD]
        if not bad or not (known or any(matrix.verdict(outcome) is None for outcome in bad)):
            continue
        yield ""
        yield f"{check.id}  {check.summary}"
        yield f"    source   {check.source}"
        for outcome in matrix.row(check.id):
            if outcome is None:
                continue
            said = f": {outcome.reason}" if outcome.reason else ""
            word = f"{outcome.result.value:<8}"
            shown = _painted(word, RED, colour=colour) if outcome.result in BAD else word
            yield f"    {shown} {outcome.target}{said}"
            if (verdict := matrix.verdict(outcome)) is not None:
                yield f"    verdict  {verdict.right}: {verdict.why} ({verdict.source})"


BAD = (Result.FAIL, Result.ERROR)
