"""What ``ringwalk step`` takes. The work, and all that it loads, is ``lab.cli.commands.step``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.cli.arguments import positive
from lab.host.modes import MODES
from lab.stepper import scenario
from lab.stepper.planted import FAULTS

if TYPE_CHECKING:
    import argparse


NAME = "step"
HELP = "step through a driver and the card in this process, forwards and backwards"
EXAMPLES = (
    "  ringwalk step                                a small driver that works, event by event\n"
    "  ringwalk step --fault rs-forgotten           one that does not: find out why\n"
    "  ringwalk step --fault wrong-ivar --record bad.rw; ringwalk replay bad.rw --check\n"
    "  ringwalk step --live --hook faults.py        inject faults of your own\n"
    "  ringwalk step --miniport                     our miniport and NDIS: both halves of the rings\n"
    "  ringwalk step --miniport deserialized --scenario traffic.txt --tui\n"
    "  ringwalk step --walk                         the bug hunt of docs/stepping.md, done again\n"
    "  a guest's own driver: ringwalk boot --step; a recording: ringwalk replay FILE --step"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    told = "; ".join(f"{name}: {text}" for name, text in FAULTS.items())
    parser.add_argument(
        "--miniport",
        nargs="?",
        choices=tuple(MODES),
        const="serialized",
        metavar="KIND",
        help=f"step through our own driver under NDIS: {', '.join(MODES)} (default serialized)",
    )
    parser.add_argument(
        "--scenario", metavar="FILE", type=Path, help=f"what it is to do, a line each: {scenario.USAGE}"
    )
    parser.add_argument(
        "--fault", choices=tuple(FAULTS), default="", metavar="NAME", help=f"plant a fault: {told}"
    )
    parser.add_argument(
        "--frames", type=positive, default=20, help="frames the small driver sends and receives (default 20)"
    )
    parser.add_argument("--record", metavar="FILE", type=Path, help="keep the recording too")
    parser.add_argument(
        "--command", metavar="FILE", type=Path, help="take the stepper's commands from a file"
    )
    parser.add_argument("--tui", action="store_true", help="a full screen (extra: tui)")
    parser.add_argument(
        "--live", action="store_true", help="stop while the driver runs; hooks may inject faults"
    )
    parser.add_argument(
        "--hook", metavar="FILE", type=Path, help="a tracer class of your own (--live, --miniport: injects)"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page of statistics at the end")
    parser.add_argument("--walk", action="store_true", help="print the bug hunt that docs/stepping.md tells")
