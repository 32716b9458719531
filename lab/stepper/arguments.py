"""The options by which ``boot`` and ``serve`` ask for the stepper and for recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.stepper.wish import Wish

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group(
        "stepping and recording (the first card; stepping is the reference engine's)"
    )
    group.add_argument("--step", action="store_true", help="stop at the first register access, with a prompt")
    group.add_argument("--tui", action="store_true", help="step on a full screen (extra: tui)")
    group.add_argument("--command", metavar="FILE", type=Path, help="take the stepper's commands from a file")
    group.add_argument("--record", metavar="FILE", type=Path, help="keep all that the card sees and does")
    group.add_argument(
        "--hook", metavar="FILE", type=Path, help="a tracer class of your own; may inject faults"
    )
    group.add_argument("--html", metavar="FILE", type=Path, help="write a page of statistics at the end")


def wish(args: argparse.Namespace) -> Wish:
    """Return what the options ask for. UsageError where they exclude each other."""
    if args.tui and args.command is not None:
        raise UsageError("a script needs no screen: give --tui or --command")
    return Wish(args.step or args.tui, args.record, args.command, args.hook, args.html, screen=args.tui)
