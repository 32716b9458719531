"""``ringwalk kbuild``: a kernel module of one's own, built for the guest's kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lab.machines import kbuild

if TYPE_CHECKING:
    import argparse

NAME = "kbuild"
HELP = "build a kernel module for the guest's kernel, by its headers and its compiler"
EXAMPLES = (
    "  ringwalk kbuild mydriver/                          make its modules\n"
    "  ringwalk boot --module mydriver/mine.ko            boot a guest with it, without e1000e\n"
    "  ringwalk boot --step --module mydriver/mine.ko     step through it"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        type=Path,
        help="its sources, with a Kbuild file or a Makefile; without one each .c becomes a module",
    )
    parser.add_argument("--offline", action="store_true", help="use only what is in the cache")
    parser.add_argument("--json", action="store_true", help="the modules' paths as data")


def run(args: argparse.Namespace) -> int:
    """Build, and name what was built."""
    modules = [str(path) for path in kbuild.build(args.folder, offline=args.offline)]
    print(json.dumps({"modules": modules}) if args.json else "\n".join(modules))
    return 0
