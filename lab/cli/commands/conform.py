"""``ringwalk conform``: run the conformance suite over targets, report, and compare with a baseline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab.conformance import baseline, catalogue, runner
from lab.conformance.report import documents, html, markdown, terminal
from lab.conformance.report.matrix import Matrix
from lab.conformance.select import select
from lab.conformance.targets.named import FORMS, target
from lab.conformance.verdict import Result
from lab.errors import UsageError
from lab.trials.suites import commands as suites

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lab.conformance.check import Check
    from lab.conformance.targets.named import Named
    from lab.conformance.verdict import Outcome

NAME = "conform"
HELP = "check a model of the 82574L, ours or another, against the datasheet and the drivers"
EXAMPLES = """\
  ringwalk conform                                          our two engines and QEMU's e1000e
  ringwalk conform --target vfio-user:/run/card.sock        somebody's vfio-user server
  ringwalk conform --target vfio:0000:03:00.0,wire=eth1     silicon; eth1 is at the other end of its cable
  ringwalk conform --target guest:qemu-e1000e               QEMU's card, by VFIO in a guest
  ringwalk conform --target native -k 'TSO and not V6' --junit report.xml
  ringwalk conform --target qtest:e1000e --baseline known.json
  ringwalk conform --fuzz 7 --steps 2000 --target native --target reference
  ringwalk conform --replay difference.json
  ringwalk conform --suite ndis --miniport 82574l --bus qtest --mode serialized
  nice ringwalk conform --suite schedules --count 100000

exit status:
  0  all passed, or only what the baseline knows failed
  1  a check failed, or the fuzzer found a difference
  2  the command line or the machine is wrong
  3  a target was lost: it died, hung, or would not start a check"""

DEFAULT_TARGETS = ("reference", "native", "qtest:e1000e")
EXIT_DIFFERENT, EXIT_LOST = 1, 3
FUZZ_STEPS = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--target", action="append", metavar="TARGET", help=f"repeatable; one of: {'; '.join(FORMS)}"
    )
    parser.add_argument(
        "-k", dest="expression", metavar="EXPR", help="checks whose id, topic or sentence match"
    )
    parser.add_argument("--list", action="store_true", help="print the checks and their sources, run nothing")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the matrix as one HTML file")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the summary and the differences as a page"
    )
    parser.add_argument(
        "--with",
        dest="reports",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="put the targets of an earlier --json FILE beside this run's; repeatable",
    )
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON (to the terminal without FILE)"
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="fail only on what this file does not know"
    )
    parser.add_argument("--write-baseline", type=Path, metavar="FILE", help="store what fails now as known")
    parser.add_argument("--yes", action="store_true", help="run destructive checks on real hardware, too")
    parser.add_argument(
        "--fuzz", type=int, metavar="SEED", help="random programs through two targets in lockstep"
    )
    parser.add_argument("--steps", type=int, default=FUZZ_STEPS, metavar="N", help="steps of --fuzz (1000)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="replay a program that --fuzz wrote")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where --fuzz writes a program that differs"
    )
    suites.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    if args.suite != "card":
        return {"ndis": suites.run_ndis, "schedules": suites.run_schedules}[args.suite](args)
    chosen = select(catalogue.checks(), args.expression)
    if args.list:
        return _list(chosen)
    if args.fuzz is not None or args.replay is not None:
        from lab.conformance.fuzz import session  # noqa: PLC0415 - a run of the suite does not need it

        return session.run(args.fuzz, args.steps, args.replay, args.target or [], args.output)
    earlier = _earlier(args.reports, chosen)
    targets = [target(name) for name in args.target or (() if args.reports else DEFAULT_TARGETS)]
    names = [*dict.fromkeys(outcome.target for outcome in earlier)]
    names = [*(one.name for one in targets), *names]
    if len(set(names)) != len(names):
        raise UsageError("a target is named twice: name each once")
    known = baseline.read(args.baseline) if args.baseline else None
    matrix = Matrix(chosen, names, [*_run(chosen, targets, leave=args.yes), *earlier])
    _write(args, matrix)
    if args.write_baseline:
        baseline.write(args.write_baseline, matrix.outcomes)
        print(f"wrote {args.write_baseline}", file=sys.stderr)
        return 0
    return _judge(known, matrix, quiet=args.json == "-")


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


def _list(checks: Sequence[Check]) -> int:
    for topic, group in Matrix(checks, (), ()).topics():
        print(f"{topic} ({len(group)})")
        for check in group:
            print(f"  {check.id:<28} {check.summary}\n  {'':<28} [{check.source}]")
    print(f"{len(checks)} checks")
    return 0


def _run(checks: Sequence[Check], targets: Sequence[Named], *, leave: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for one in targets:
        print(f"ringwalk: {len(checks)} checks on {one.name}", file=sys.stderr)
        outcomes += (
            one.elsewhere(checks) if one.elsewhere is not None else runner.run(checks, one, destructive=leave)
        )
    return outcomes


def _write(args: argparse.Namespace, matrix: Matrix) -> None:
    if args.json == "-":
        print(documents.as_json(matrix), end="")
    else:
        print("\n".join(terminal.lines(matrix)))
    for path, text in (
        (args.junit, documents.junit),
        (args.html, html.page),
        (args.markdown, markdown.page),
        (Path(args.json) if args.json not in (None, "-") else None, documents.as_json),
    ):
        if path is not None:
            path.write_text(text(matrix))


def _judge(known: dict[str, dict[str, str]] | None, matrix: Matrix, *, quiet: bool) -> int:
    difference = baseline.compare(known or {}, matrix.outcomes)
    if known is not None and not quiet:
        for name, check in difference.fixed:
            print(f"fixed since the baseline: {check} on {name}")
        for outcome in difference.new:
            print(f"new since the baseline: {outcome.check} on {outcome.target}: {outcome.reason}")
        print(f"{len(difference.new)} new, {len(difference.fixed)} fixed")
    if any(outcome.result is Result.ERROR for outcome in difference.new):
        return EXIT_LOST
    return EXIT_DIFFERENT if difference.new else 0
