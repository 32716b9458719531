"""What failed last time, for ``--lf``: ids of checks, in a file of the user's cache."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from lab.conformance.baseline import BAD
from lab.errors import UsageError
from lab.machines import cache

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lab.conformance.check import Check
    from lab.conformance.verdict import Outcome

NAME = "conform-last-failed.json"


def keep(outcomes: Iterable[Outcome]) -> None:
    """Write down which checks failed on any target."""
    failed = sorted({outcome.check for outcome in outcomes if outcome.result in BAD})
    partial = _file().with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(failed))
    partial.replace(_file())


def among(checks: Sequence[Check]) -> list[Check]:
    """Return those of the checks that failed last time. UsageError when none did, or nothing was run yet."""
    try:
        failed = json.loads(_file().read_text())
    except (OSError, ValueError) as error:
        raise UsageError("--lf: no run of `ringwalk conform` is remembered here") from error
    chosen = [check for check in checks if check.id in failed]
    if not chosen:
        raise UsageError("--lf: none of these checks failed last time")
    return chosen


def _file() -> Path:
    return cache.directory() / NAME
