"""``ringwalk doctor``: what this machine has and lacks, and what to do about each."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from formats.columns import WIDTH, hanging
from lab.cli import examination
from lab.cli.terminal import width

if TYPE_CHECKING:
    import argparse

    from lab.cli.examination import Finding

NAME = "doctor"
HELP = "tell what this machine has and lacks for Ringwalk, and what to do about it"
EXAMPLES = "  ringwalk doctor\n  ringwalk doctor --json"
MARKS = {"good": "✓", "limited": "~", "missing": "✗"}
COLOURS = {"good": "32", "limited": "33", "missing": "31"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="answer as JSON on standard output")


def run(args: argparse.Namespace) -> int:
    """Examine the machine; 0 when nothing that boot needs is missing, else 1."""
    findings = examination.examine()
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            print(line(finding, colour=sys.stdout.isatty(), most=width()))
    return int(any(finding.state == "missing" and finding.needed for finding in findings))


def line(finding: Finding, *, colour: bool = False, most: int = WIDTH) -> str:
    """Return a finding for people whose terminal has ``most`` columns."""
    mark = MARKS[finding.state]
    if colour:
        mark = f"\033[{COLOURS[finding.state]}m{mark}\033[0m"
    found = hanging(f"  {MARKS[finding.state]} {finding.name:<16} ", finding.found, most)
    found[0] = found[0].replace(MARKS[finding.state], mark, 1)
    advice = hanging(f"    {'':<16} → ", finding.advice, most) if finding.advice else []
    return "\n".join([*found, *advice])
