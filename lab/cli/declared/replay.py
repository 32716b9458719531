"""What ``ringwalk replay`` takes. The work, and all that it loads, is ``lab.cli.commands.replay``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.machines.kinds import ENGINES

if TYPE_CHECKING:
    import argparse


NAME = "replay"
HELP = "run a recording again without a guest: check it, step through it, go back"
EXAMPLES = (
    "  ringwalk replay run.rw                     play it and say what was in it\n"
    "  ringwalk replay run.rw --check             fail if the engine answers otherwise, or the driver errs\n"
    "  ringwalk replay run.rw --check --engine native\n"
    "  ringwalk replay run.rw --step              the stepper, backwards too\n"
    "  ringwalk replay --diff good.rw bad.rw      the first difference\n"
    "  ringwalk replay --diff a.rw b.rw --ignore 'SYSTIM*' --ignore ICR    … of two runs of a guest\n"
    "  ringwalk replay run.rw --against qtest:e1000e   where QEMU's model does otherwise\n"
    "  ringwalk replay run.rw --export run.pcapng --export run.pftrace --html run.html"
)
CHECKS = ("all", "engine", "driver")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", nargs="?", type=Path, help="the recording")
    parser.add_argument("--engine", choices=ENGINES, default="reference", help="who plays it")
    parser.add_argument(
        "--check",
        nargs="?",
        metavar="{" + ",".join(CHECKS) + "}",
        const="all",
        help="fail if the engine answers otherwise than recorded, or the driver breaks a rule of the lint",
    )
    parser.add_argument("--step", action="store_true", help="step through it, with a prompt")
    parser.add_argument("--tui", action="store_true", help="step through it on a full screen (extra: tui)")
    parser.add_argument(
        "--command", metavar="FILE", type=Path, help="take the stepper's commands from a file"
    )
    parser.add_argument(
        "--diff", nargs=2, metavar=("A", "B"), type=Path, help="find where two recordings part"
    )
    parser.add_argument(
        "--against",
        metavar="qtest:DEVICE",
        help="play it in lockstep with QEMU's model (qtest:e1000e): where does it do other than our engine?",
    )
    parser.add_argument(
        "--ignore",
        metavar="PATTERN",
        action="append",
        default=[],
        help="what to pass over. With --diff: a register, a counter or a kind of record, as SYSTIML,"
        " 'read ICR', 'G*' or frame. With --against: a difference, as 'read ICR' or 'rx0.desc*'",
    )
    parser.add_argument("--partial", action="store_true", help="take what is whole of a damaged recording")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page of statistics")
    parser.add_argument(
        "--export",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="write FILE.pcapng (Wireshark), FILE.pftrace (Perfetto) or FILE.json (Chrome's tracing)",
    )
    parser.add_argument("--json", action="store_true", help="the same as data")
