"""The contract of callout drivers: each way of breaking it is a rule with a name, reported at once.

Sources: "Callout Driver Programming Considerations", FwpsPendOperation0, FwpsAllocateCloneNetBufferList0,
FWPS_CLASSIFY_OUT0.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

SLOW_NS = 100_000_000
"""How long a classifyFn may keep the stack. Ours: far above what an honest one takes."""
MOST_REPORTS = 1000


class Rule(enum.Enum):
    """What a callout driver must not do."""

    LATE_RETURN = "it decides after its classifyFn has returned"
    SLOW_RETURN = "its classifyFn keeps the stack for longer than 100 ms"
    DOUBLE_INJECT = "it injects a clone that it has injected or freed"
    KEPT_CLONE = "it unloads and keeps a clone"
    KEPT_OPERATION = "it unloads and leaves an operation pended"
    DOUBLE_COMPLETE = "it completes an operation twice"
    NO_RIGHT = "it overrides a decision without FWPS_RIGHT_ACTION_WRITE, and it is no veto"
    WRONG_ACTION = "a terminating callout does not decide, or an inspecting one does"
    BAD_STREAM_COUNT = "it enforces more bytes than it was shown"


@dataclass(frozen=True, slots=True)
class Report:
    """One break of the contract."""

    rule: Rule
    driver: str
    detail: str

    def __str__(self) -> str:
        """Return it as the verifiers' reports are printed."""
        return f"wfp {self.rule.name.lower()}: {self.driver}: {self.rule.value} ({self.detail})"


class ContractVerifier:
    """Keeps the reports of one host, up to ``MOST_REPORTS``; ``dropped`` counts those beyond."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.dropped = 0

    def report(self, rule: Rule, driver: str, detail: str) -> None:
        """Keep one."""
        if len(self.reports) < MOST_REPORTS:
            self.reports.append(Report(rule, driver, detail))
        else:
            self.dropped += 1
