"""Runs checks over benches, one after another; it knows no report and no command line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from lab.conformance.bench import Bench, BenchError, RefusedError
from lab.conformance.check import MismatchError
from lab.conformance.subject import Subject
from lab.conformance.verdict import Outcome, Result
from lab.errors import UsageError
from lab.machines.qtest.client import GoneError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab.conformance.check import Check

# How a target says that it is not there any more, or that no memory answers; anything else is a bug of
# ours or of the model, and its traceback is wanted.
LOST = (BenchError, GoneError, ConnectionError, TimeoutError)


class Target(Protocol):
    """What ``--target`` names: something that can make a bench, again after it died."""

    @property
    def name(self) -> str:
        """What the user calls it."""

    @property
    def real(self) -> bool:
        """It is silicon: checks that could leave a mark want leave."""

    def open(self) -> Bench:
        """Make the bench; raises ``UsageError`` when the machine lacks something."""


def skip_reason(check: Check, bench: Bench, *, destructive: bool) -> str:
    """Say why a check cannot run here; empty when it can."""
    lacking = check.needs & ~bench.capabilities
    if lacking:
        return lacking.words
    if check.destructive and not destructive:
        return "destructive on real hardware: give --yes"
    return ""


def judge(check: Check, target: str, bench: Bench) -> Outcome:
    """Run one check on a card that is reset for it."""
    began = time.monotonic()
    result, reason = Result.PASS, ""
    try:
        check.body(Subject(bench))
    except (MismatchError, RefusedError) as mismatch:
        result, reason = Result.FAIL, str(mismatch)
    except LOST as lost:
        result, reason = Result.ERROR, str(lost) or repr(lost)
    return Outcome(check.id, target, result, reason, time.monotonic() - began)


def alive(outcome: Outcome) -> bool:
    """Tell whether the target outlived a check."""
    return outcome.result is not Result.ERROR


def run(checks: Iterable[Check], target: Target, *, destructive: bool = False) -> Iterator[Outcome]:
    """Yield an outcome a check; a target that was lost is opened again for the next.

    ``UsageError`` when it cannot be opened at all. When one that was lost does not come back, the checks that
    are left have an outcome that says so and which check it was lost in.
    """
    bench: Bench | None = None
    lost: Outcome | None = None
    gone = ""
    try:
        for check in checks:
            if gone:
                yield Outcome(check.id, target.name, Result.ERROR, gone)
                continue
            if bench is None:
                try:
                    bench = target.open()
                except (UsageError, *LOST) as error:
                    if lost is None:
                        raise
                    gone = f"not run: the target was lost in {lost.check} and does not come back ({error})"
                    yield Outcome(check.id, target.name, Result.ERROR, gone)
                    continue
            if reason := skip_reason(check, bench, destructive=destructive or not target.real):
                yield Outcome(check.id, target.name, Result.SKIP, reason)
                continue
            outcome = judge(check, target.name, bench)
            if not alive(outcome):
                lost = outcome
                bench.close()
                bench = None
            yield outcome
    finally:
        if bench is not None:
            bench.close()
