"""``ringwalk bench``: how fast the parts are, on this machine, now."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from lab.bench import engine, miniport

if TYPE_CHECKING:
    import argparse

NAME = "bench"
HELP = "measure the miniport or the native engine"
EXAMPLES = (
    "  ringwalk bench miniport\n  ringwalk bench miniport --bus null --bus inprocess\n  ringwalk bench engine"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("what", choices=["miniport", "engine"], help="what to measure")
    parser.add_argument(
        "--bus",
        action="append",
        choices=list(miniport.SOURCES),
        help="for miniport: only this bus (repeatable)",
    )
    parser.add_argument("--json", action="store_true", help="for miniport: print a JSON array of the rows")


def run(args: argparse.Namespace) -> int:
    """Measure, and print."""
    if args.what == "engine":
        engine.main()
    elif args.json:
        print(json.dumps([asdict(row) for row in miniport.measure(args.bus or list(miniport.SOURCES))]))
    else:
        miniport.main(args.bus)
    return 0
