"""``ringwalk conform``: run the conformance suite over targets, report, and compare with a baseline."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from formats.columns import hanging
from lab.cli.terminal import width
from lab.conformance import baseline, catalogue, last_failed, runner
from lab.conformance.about import about
from lab.conformance.known import verdict
from lab.conformance.progress import Progress
from lab.conformance.report import documents, html, markdown, terminal
from lab.conformance.report.matrix import Matrix
from lab.conformance.select import select
from lab.conformance.targets.named import target
from lab.conformance.verdict import Result
from lab.errors import UsageError
from lab.machines.qemu import binary
from lab.trials.suites import commands as suites

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from lab.conformance.check import Check
    from lab.conformance.targets.named import Named
    from lab.conformance.verdict import Outcome


DEFAULT_TARGETS = ("reference", "native", "qtest:e1000e")
EXIT_DIFFERENT, EXIT_NOTHING, EXIT_LOST, EXIT_INTERRUPTED = 1, 2, 3, 130


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    if args.suite != "card":
        return {"ndis": suites.run_ndis, "schedules": suites.run_schedules}[args.suite](args)
    chosen = select(catalogue.checks(), args.expression)
    targets = [target(name) for name in args.target or (() if args.reports else DEFAULT_TARGETS)]
    if args.list:
        return _list(chosen, as_json=args.json is not None)
    if args.fuzz is not None or args.replay is not None:
        from lab.conformance.fuzz import session  # noqa: PLC0415 - a run of the suite does not need it

        return session.run(args.fuzz, args.steps, args.replay, args.target or [], args.output)
    earlier = _earlier(args.reports, chosen)
    if args.last_failed:
        chosen = last_failed.among(chosen)
    names = [*dict.fromkeys(outcome.target for outcome in earlier)]
    names = [*(one.name for one in targets), *names]
    if len(set(names)) != len(names):
        raise UsageError("a target is named twice: name each once")
    excuses = Excuses(baseline.read(args.baseline) if args.baseline else None, strict=args.strict)
    _see_that_reports_can_be_written(args)
    found = about(shlex.join(sys.argv[1:]), _qemu(targets))
    outcomes, interrupted = _run(chosen, targets, excuses, args)
    matrix = Matrix(chosen, names, [*outcomes, *earlier], found)
    last_failed.keep(matrix.outcomes)
    _write(args, matrix, excuses)
    if args.write_baseline:
        baseline.write(args.write_baseline, matrix.outcomes)
        print(f"wrote {args.write_baseline}", file=sys.stderr)
        return 0
    status = _judge(matrix, excuses, quiet=args.json == "-")
    return EXIT_INTERRUPTED if interrupted else status


@dataclass(frozen=True, slots=True)
class Excuses:
    """What may fail: what a baseline has, and what is known of other people's models unless ``strict``."""

    known: dict[str, dict[str, str]] | None
    strict: bool

    def new(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return the failures that nothing excuses."""
        return [
            outcome
            for outcome in baseline.compare(self.known or {}, outcomes).new
            if self.strict or outcome.result is Result.ERROR or verdict(outcome.check, outcome.target) is None
        ]


def _reports(args: argparse.Namespace) -> list[tuple[Path, Callable[[Matrix], str]]]:
    json_file = Path(args.json) if args.json not in (None, "-") else None
    wanted = (
        (args.junit, documents.junit),
        (args.html, html.page),
        (args.markdown, markdown.page),
        (json_file, documents.as_json),
    )
    return [(path, text) for path, text in wanted if path is not None]


def _see_that_reports_can_be_written(args: argparse.Namespace) -> None:
    """Fail before the run and not behind it. UsageError."""
    paths = [path for path, _ in _reports(args)] + ([args.write_baseline] if args.write_baseline else [])
    for path in paths:
        try:
            with path.open("a"):
                pass
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _qemu(targets: Sequence[Named]) -> str:
    """Return QEMU's version where a target is one of its cards or in one of its guests."""
    if not any(one.name.partition(":")[0] in {"qtest", "guest"} for one in targets):
        return ""
    return binary.find().version_text


def _earlier(reports: Sequence[Path], checks: Sequence[Check]) -> list[Outcome]:
    """Return what earlier reports say of these checks. UsageError."""
    wanted = {check.id for check in checks}
    found: list[Outcome] = []
    for path in reports:
        try:
            found += documents.outcomes(path.read_text())
        except OSError as error:
            raise UsageError(f"--with {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"--with {path}: not a report of `conform --json`: {error}") from error
    return [outcome for outcome in found if outcome.check in wanted]


def _list(checks: Sequence[Check], *, as_json: bool) -> int:
    if as_json:
        print(documents.listed(checks), end="")
        return 0
    for topic, group in Matrix(checks, (), ()).topics():
        print(f"{topic} ({len(group)})")
        for check in group:
            lines = hanging(f"  {check.id:<28} ", check.summary, width())
            lines += hanging(f"  {'':<28} ", f"[{check.source}]", width())
            print("\n".join(lines))
    print(f"{len(checks)} checks")
    return 0


def _run(
    checks: Sequence[Check], targets: Sequence[Named], excuses: Excuses, args: argparse.Namespace
) -> tuple[list[Outcome], bool]:
    """Return the outcomes, and whether Ctrl-C cut the run short."""
    outcomes: list[Outcome] = []
    for one in targets:
        progress = Progress(one.name, len(checks))
        found = (
            one.elsewhere(checks)
            if one.elsewhere is not None
            else runner.run(checks, one, destructive=args.yes)
        )
        try:
            for outcome in found:
                outcomes.append(outcome)
                progress.note(outcome)
                if args.exitfirst and excuses.new([outcome]):
                    return outcomes, False
        except KeyboardInterrupt:
            return outcomes, True
        finally:
            progress.close()
    return outcomes, False


def _write(args: argparse.Namespace, matrix: Matrix, excuses: Excuses) -> None:
    for path, text in _reports(args):
        try:
            path.write_text(text(matrix))
        except OSError as error:
            raise UsageError(f"{path} could not be written: {error.strerror}") from error
    if args.json == "-":
        print(documents.as_json(matrix), end="")
        return
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    shown = excuses.known is None and (excuses.strict or args.expression is not None)
    print("\n".join(terminal.lines(matrix, known=shown, colour=colour, most=width())))
    if args.durations:
        print("\n".join(["", *terminal.durations(matrix, args.durations)]))


def _judge(matrix: Matrix, excuses: Excuses, *, quiet: bool) -> int:
    """Say what is new, and return the exit status."""
    new = excuses.new(matrix.outcomes)
    bad = sum(outcome.result in baseline.BAD for outcome in matrix.outcomes)
    if not quiet:
        print()
        if excuses.known is not None:
            fixed = baseline.compare(excuses.known, matrix.outcomes).fixed
            for name, check in fixed:
                print(f"fixed since the baseline: {check} on {name}")
            for outcome in new:
                print(f"new since the baseline: {outcome.check} on {outcome.target}: {outcome.reason}")
            print(f"{len(new)} new, {len(fixed)} fixed, {bad - len(new)} known")
        elif bad - len(new):
            print(f"{bad - len(new)} known differences (each with its verdict: --strict, --html, --json)")
    if any(outcome.result is Result.ERROR for outcome in new):
        return EXIT_LOST
    if new:
        return EXIT_DIFFERENT
    if matrix.outcomes and all(outcome.result is Result.SKIP for outcome in matrix.outcomes):
        print(
            "ringwalk: every check was skipped, so nothing is known: see the reasons above", file=sys.stderr
        )
        return EXIT_NOTHING
    return 0
