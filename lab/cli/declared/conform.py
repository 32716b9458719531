"""What ``ringwalk conform`` takes. The work, and all that it loads, is ``lab.cli.commands.conform``."""

from __future__ import annotations

import argparse
from pathlib import Path

from lab.conformance.targets.named import FORMS
from lab.trials.suites import arguments as suites

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
  0  all passed, or what failed is known (of QEMU's model, or by the baseline)
  1  a check failed that nobody knew, or the fuzzer found a difference
  2  the command line or the machine is wrong, or every check was skipped
  3  a target was lost: it died, hung, or would not start a check
  130  Ctrl-C: what had run was reported"""
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
    parser.add_argument(
        "--strict", action="store_true", help="fail on the known differences of QEMU's model, too"
    )
    parser.add_argument(
        "-x", "--exitfirst", action="store_true", help="stop at the first failure that is not known"
    )
    parser.add_argument(
        "--lf", "--last-failed", dest="last_failed", action="store_true", help="only what failed last time"
    )
    parser.add_argument("--durations", type=_count, metavar="N", help="show the N slowest checks")
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


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of checks")
    return number
