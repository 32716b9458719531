"""Commands that are made of parts, as ``bench`` and ``interop`` are: found, declared and run in one way.

A part is a module of the command's own package that has the names of ``Part``. What it hands back is the
command's to show.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from lab.machines.guest.session import GuestError
from lab.machines.peer import PeerError
from lab.machines.qemu.process import QemuError
from lab.machines.signals import interrupt_on_signals

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

Progress = Callable[[str], None]
"""Told a few words whenever a part goes on to something else."""


class Part(Protocol):
    """What a module provides to be a part."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the part's own arguments."""

    def run(self, args: argparse.Namespace, progress: Progress) -> Sequence[Any]:
        """Do it; seconds to minutes. Raises ``UsageError`` when something is missing."""


def parts(package: ModuleType) -> list[Part]:
    """Return the parts in a package: its modules that have a ``NAME``, in order of their names."""
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return [cast("Part", module) for module in modules if hasattr(module, "NAME")]


def add_parts(parser: argparse.ArgumentParser, package: ModuleType, as_json: str) -> None:
    """Declare each part of a package with its arguments, and ``--json``, which is described ``as_json``."""
    sub = parser.add_subparsers(dest="part", metavar="PART", required=True)
    for part in parts(package):
        one = sub.add_parser(
            part.NAME, help=part.HELP, description=part.HELP[0].upper() + part.HELP[1:] + "."
        )
        part.add_arguments(one)
        one.add_argument("--json", action="store_true", help=as_json)
        one.set_defaults(part_run=part.run)


def run_part(args: argparse.Namespace) -> Sequence[Any] | None:
    """Run the part that was asked for, its progress on stderr. None: guest or peer failed, which was said."""
    interrupt_on_signals()
    began = time.monotonic()

    def progress(words: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {words}", file=sys.stderr, flush=True)

    try:
        return cast("Sequence[Any]", args.part_run(args, progress))
    except (GuestError, PeerError, QemuError) as error:
        print(f"ringwalk: {error}", file=sys.stderr)
        return None
