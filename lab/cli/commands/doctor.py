"""``ringwalk doctor``: what this machine has and lacks, and what to do about each."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from lab.cli import examination

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
            print(line(finding, colour=sys.stdout.isatty()))
    return int(any(finding.state == "missing" and finding.needed for finding in findings))


def line(finding: Finding, *, colour: bool = False) -> str:
    """Return a finding for people."""
    mark = MARKS[finding.state]
    if colour:
        mark = f"\033[{COLOURS[finding.state]}m{mark}\033[0m"
    advice = f"\n    {'':<16} → {finding.advice}" if finding.advice else ""
    return f"  {mark} {finding.name:<16} {finding.found}{advice}"
