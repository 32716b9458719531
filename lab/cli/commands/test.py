"""``ringwalk test``: every check of the project. The work is in ``ci/check.py``, as for ``.ci/run``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.machines import child_processes

if TYPE_CHECKING:
    import argparse

NAME = "test"
HELP = "run every check: style, types, tests, sanitizers, guests"
EXAMPLES = (
    "  ringwalk test                 everything\n"
    "  ringwalk test --fast          without the guests\n"
    "  ringwalk test tests/unit/ndis the tests of a folder, a file or a node id, and no other check\n"
    "  ringwalk test -k cpio         the tests of that name; each fetches what it needs, if anything\n"
    "  ringwalk test -- -x --lf      arguments for pytest"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--fast", action="store_true", help="leave out the tests that boot a guest")
    parser.add_argument(
        "--extra",
        action="store_true",
        help="only the tests that fetch more: DPDK, UEFI, PPPoE, clang, Wine … (0.9 GB; 3.4 GB of disk)",
    )
    parser.add_argument(
        "-k", dest="keyword", metavar="EXPRESSION", help="only the tests that match (as pytest's)"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="the summary as JSON on standard output, the rest on standard error",
    )
    parser.add_argument(
        "pytest", nargs="*", metavar="PATH", help="tests to run; behind --: arguments of pytest"
    )


def run(args: argparse.Namespace) -> int:
    """Run the checks; their status is ours."""
    script = Path(__file__).resolve().parents[3] / "ci" / "check.py"
    if not script.is_file():
        raise UsageError(
            f"there is no {script}: run `ringwalk test` from a checkout, not from an installed copy"
        )
    argv = [sys.executable, str(script)]
    argv += ["--fast"] if args.fast else []
    argv += ["--extra"] if args.extra else []
    argv += ["--json"] if args.json else []
    argv += ["-k", args.keyword] if args.keyword is not None else []
    argv += ["--", *args.pytest] if args.pytest else []
    # Our own scripts find their neighbours; the checkout is where the checks run.
    environment = child_processes.without_safe_path()
    process = child_processes.start(argv, environment=environment, foreground=True, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    finally:
        child_processes.end(process)
