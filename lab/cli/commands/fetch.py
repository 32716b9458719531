"""``ringwalk fetch``: prepares the per-user cache, lists it, clears it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from formats.columns import columns, hanging
from lab.cli.terminal import width
from lab.errors import UsageError
from lab.machines import cache, fetch
from lab.machines.fetch import record
from lab.machines.fetch.progress import mega
from lab.machines.recipes import package_sets

if TYPE_CHECKING:
    import argparse

NAME = "fetch"
HELP = "bring QEMU, the guest's kernel and its tools into the per-user cache"
EXAMPLES = (
    "  ringwalk fetch            everything that boot and test need\n"
    "  ringwalk fetch passt      also the NAT wire's program\n"
    "  ringwalk fetch libvfio-user    build the second transport's library\n"
    "  ringwalk fetch --list     what is there, and from where\n"
    "  ringwalk fetch --clean    give the disk back"
)
DEFAULT = ("qemu", "guest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "sets",
        nargs="*",
        metavar="SET",
        help=f"of {', '.join(package_sets())} (default: {' '.join(DEFAULT)})",
    )
    parser.add_argument(
        "--offline", action="store_true", help="use only the cache: fail if something is missing"
    )
    parser.add_argument("--list", action="store_true", help="show what the cache holds, and fetch nothing")
    parser.add_argument("--clean", action="store_true", help="remove what was fetched")
    parser.add_argument("--json", action="store_true", help="answer as JSON on standard output")


def run(args: argparse.Namespace) -> int:
    """Do what was asked; 0 when the cache is as asked."""
    if args.clean:
        freed = fetch.clean()
        print(
            json.dumps({"freed_bytes": freed}) if args.json else f"removed {mega(freed)} from {cache.root()}"
        )
        return 0
    if not args.list:
        known = package_sets()
        for name in args.sets:
            if name not in known:
                raise UsageError(f"no set is called {name}: choose of {', '.join(known)}")
        fetch.ensure(args.sets or DEFAULT, offline=args.offline)
    held = record.read()
    if args.json:
        print(json.dumps({"cache": str(cache.root()), "sets": {n: asdict(r) for n, r in held.items()}}))
        return 0
    sets = package_sets()
    lines = columns([row(name, wanted.summary, held.get(name)) for name, wanted in sets.items()], width())
    if held:
        size = mega(fetch.size_bytes(cache.root()))
        lines += hanging("", f"in {cache.root()}: {size}; package by package in {record.FILE}", width())
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # `fetch | head`: the work is done, and nobody reads about it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the interpreter's own last flush
    return 0


def row(name: str, summary: str, entry: record.SetRecord | None) -> tuple[str, str, str]:
    """Return one set's row of the list."""
    if entry is None:
        return name, summary, "not fetched"
    first = (package_sets()[name].source or package_sets()[name].packages)[0]
    version = entry.version_of(first) or "?"
    return name, summary, f"{first} {version} ({entry.suites[0]}), {entry.fetched[:10]}"
