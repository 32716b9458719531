"""What became of a check, as values; it runs none."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Result(enum.Enum):
    """The outcomes of one check on one target."""

    PASS = "pass"  # noqa: S105 - an outcome, no password
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"  # the target died, hung, or could not be brought to where the check begins


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check on one target; ``reason`` is empty when it passed."""

    check: str
    target: str
    result: Result
    reason: str = ""
    seconds: float = 0.0
