"""Runs the cases over a miniport and says how each ended. Printing is the caller's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ndis.errors import NdisError
from ndis.suite.cases import CASES
from ndis.suite.fixture import CaseError
from ntos.errors import BugCheckError
from ntos.executive.contract import StuckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ndis.suite.cases import Case
    from ndis.suite.fixture import Rig
    from ndis.verifier.rule import Report


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case ended. ``known`` says that a failure was expected, and why."""

    case: Case
    failure: str = ""
    known: str = ""

    @property
    def passed(self) -> bool:
        """Whether the miniport did what the case asks."""
        return not self.failure


def run(
    make: Callable[[int], Rig],
    cases: Iterable[Case] = CASES,
    known: Mapping[str, str] | None = None,
    reports: Callable[[Rig], list[Report]] | None = None,
) -> list[Outcome]:
    """Run each case on a fresh rig of ``make(cards)``.

    ``known`` maps identifiers to faults that are known: such a case is run too, and its outcome
    says so. ``reports`` gives the verifier's reports of a rig: any is a failure.
    """
    outcomes = []
    for case in cases:
        rig = make(case.cards)
        failure = _run_one(case, rig)
        found = reports(rig) if reports is not None and not failure else []
        if found:
            failure = "; ".join(f"{r.rule}: {r.what}" for r in found[:3])
        outcomes.append(Outcome(case, failure, (known or {}).get(case.identifier, "")))
    return outcomes


def _run_one(case: Case, rig: Rig) -> str:
    try:
        case.run(rig)
    except (CaseError, NdisError, BugCheckError, StuckError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
