"""A baseline: the differences that are known, so that a CI fails on new ones alone. It knows no target."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.conformance.verdict import Result
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.conformance.verdict import Outcome

FORMAT = 1
BAD = (Result.FAIL, Result.ERROR)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a run has that the baseline has not, and the other way round."""

    new: tuple[Outcome, ...]
    fixed: tuple[tuple[str, str], ...]
    """Target and check: known to fail, and passed."""


def write(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Store what failed, by target."""
    known: dict[str, dict[str, str]] = {}
    for outcome in outcomes:
        if outcome.result in BAD:
            known.setdefault(outcome.target, {})[outcome.check] = outcome.result.value
    path.write_text(json.dumps({"format": FORMAT, "known": known}, indent=1, sort_keys=True) + "\n")


def read(path: Path) -> dict[str, dict[str, str]]:
    """Return what is known, by target; raises ``UsageError`` when the file is none of ours."""
    try:
        stored = json.loads(path.read_text())
        if stored["format"] != FORMAT:
            raise UsageError(f"{path} has format {stored['format']}: write it again with --write-baseline")
        known: dict[str, dict[str, str]] = stored["known"]
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}): make it with --write-baseline {path}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no baseline: make one with --write-baseline {path}") from error
    return known


def compare(known: dict[str, dict[str, str]], outcomes: Iterable[Outcome]) -> Comparison:
    """Return the new differences and the fixed ones; a failure that became an error is new."""
    new, fixed = [], []
    for outcome in outcomes:
        before = known.get(outcome.target, {}).get(outcome.check)
        if outcome.result in BAD and before not in (outcome.result.value, Result.ERROR.value):
            new.append(outcome)
        if outcome.result is Result.PASS and before is not None:
            fixed.append((outcome.target, outcome.check))
    return Comparison(tuple(new), tuple(fixed))
