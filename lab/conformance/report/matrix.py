"""The outcomes of a run as a table of checks and targets, which every report is made from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lab.conformance import catalogue, known
from lab.conformance.verdict import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.conformance.about import About
    from lab.conformance.check import Check


@dataclass(frozen=True)
class Matrix:
    """Checks in order, targets in order, and an outcome for each pair."""

    checks: Sequence[Check]
    targets: Sequence[str]
    outcomes: Sequence[Outcome]
    about: About | None = None

    @cached_property
    def _cells(self) -> dict[tuple[str, str], Outcome]:
        return {(outcome.check, outcome.target): outcome for outcome in self.outcomes}

    def cell(self, check: str, target: str) -> Outcome | None:
        """Return the outcome of a check on a target; None when the run was cut short."""
        return self._cells.get((check, target))

    def row(self, check: str) -> list[Outcome | None]:
        """Return a check's outcomes, in the order of the targets."""
        return [self.cell(check, target) for target in self.targets]

    def differs(self, check: str) -> bool:
        """Tell whether targets disagree, skips apart."""
        results = {
            cell.result for cell in self.row(check) if cell is not None and cell.result is not Result.SKIP
        }
        return len(results) > 1

    def failed(self, check: str) -> bool:
        """Tell whether any target did not pass."""
        return any(
            cell is not None and cell.result in (Result.FAIL, Result.ERROR) for cell in self.row(check)
        )

    def counts(self, target: str) -> Counter[Result]:
        """Return how often each result came up on a target."""
        return Counter(outcome.result for outcome in self.outcomes if outcome.target == target)

    def topics(self) -> list[tuple[str, list[Check]]]:
        """Return the checks by topic."""
        groups: dict[str, list[Check]] = {}
        for check in self.checks:
            groups.setdefault(catalogue.topic_of(check.id), []).append(check)
        return list(groups.items())

    def verdict(self, outcome: Outcome) -> known.Verdict | None:
        """Return what is known of a failure."""
        if outcome.result not in (Result.FAIL, Result.ERROR):
            return None
        return known.verdict(outcome.check, outcome.target)
