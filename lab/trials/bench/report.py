"""Rows as a Markdown table and as data. It only renders."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.trials.bench.contract import Row

HEADINGS = ("part", "what", "median", "least…greatest", "unit", "target", "")
MARKS = {True: "reached", False: "missed", None: ""}


def number(value: float) -> str:
    """Return a figure with three significant digits, and thousands apart."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's cells, in the order of ``HEADINGS``."""
    between = "" if row.spread is None else f"{number(row.spread[0])}…{number(row.spread[1])}"
    target = "" if row.target is None else str(row.target)
    remark = "; ".join(filter(None, (MARKS[row.met], row.note)))
    return (row.part, row.what, number(row.value), between, row.unit, target, remark)


def markdown(rows: Sequence[Row]) -> str:
    """Return a Markdown table whose columns line up on a terminal too."""
    table = [HEADINGS, *map(cells, rows)]
    widths = [max(len(line[n]) for line in table) for n in range(len(HEADINGS))]
    right = {2, 3, 5}
    rule = "|" + "|".join("-" * (w + 1) + (":" if n in right else "-") for n, w in enumerate(widths)) + "|"
    lines = [
        "| "
        + " | ".join(
            c.rjust(w) if n in right else c.ljust(w)
            for n, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in table
    ]
    return "\n".join([lines[0], rule, *lines[1:]])


def data(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the rows for ``--json``, and the machine that they are of."""
    return {
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "rows": [
            asdict(row) | {"target": None if row.target is None else str(row.target), "met": row.met}
            for row in rows
        ],
    }
