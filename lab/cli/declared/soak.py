"""What ``ringwalk soak`` takes. The work, and all that it loads, is ``lab.cli.commands.soak``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.cli.arguments import count
from lab.machines.kinds import ENGINES

if TYPE_CHECKING:
    import argparse


NAME = "soak"
HELP = "mix traffic, resets, map changes and interrupts for a long time; nothing may grow or slow down"
EXAMPLES = (
    "  ringwalk soak                              two minutes\n"
    "  ringwalk soak --minutes 600 > soak.tsv     a night; columns for a plot\n"
    "  ringwalk soak --engine reference --json"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--minutes", type=float, default=2.0, metavar="N", help="how long (default 2)")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="which engine (default native)")
    parser.add_argument("--seed", type=count, default=1, metavar="S", help="what is drawn (default 1)")
    parser.add_argument("--json", action="store_true", help="print samples and verdict as data")
