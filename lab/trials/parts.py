"""Commands that are made of parts, as ``bench`` and ``interop`` are: found, declared and run in one way.

A part is a module of the command's own package that has the names of ``Part``. What it hands back is the
command's to show.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
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


def summaries(package: ModuleType) -> dict[str, str]:
    """Return the parts in a package with their ``HELP``, by name, without importing any.

    A part is a module that has a ``NAME``, and says it and its help in plain strings.
    """
    found = {}
    for path in sorted(Path(package.__path__[0]).glob("[!_]*.py")):
        said = {}
        for node in ast.parse(path.read_text()).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id in {"NAME", "HELP"}:
                said[target.id] = ast.literal_eval(cast("Any", node).value)
        if "NAME" in said:
            if said["NAME"] != path.stem:
                raise AssertionError(f"{path} calls itself {said['NAME']}")
            found[path.stem] = said["HELP"]
    return found


def part(package: ModuleType, name: str) -> Part:
    """Import a part."""
    return cast("Part", importlib.import_module(f"{package.__name__}.{name}"))


class PartParser(argparse.ArgumentParser):
    """The parser of one part, which is imported when its arguments are wanted."""

    source: tuple[ModuleType, str, str] | None = None
    """The package, the part's name, and what ``--json`` means there; None when they have been taken."""

    def declare(self) -> None:
        """Take the part's arguments, once."""
        if self.source is None:
            return
        (package, name, as_json), self.source = self.source, None
        found = part(package, name)
        found.add_arguments(self)
        self.add_argument("--json", action="store_true", help=as_json)
        self.set_defaults(part_run=found.run)

    def parse_known_args(  # type: ignore[override]  # typeshed's overloads are for callers
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, with the part's arguments."""
        self.declare()
        return super().parse_known_args(args, namespace)


def add_parts(parser: argparse.ArgumentParser, package: ModuleType, as_json: str) -> None:
    """Declare each part of a package with its arguments, and ``--json``, which is described ``as_json``."""
    sub = parser.add_subparsers(dest="part", metavar="PART", required=True, parser_class=PartParser)
    for name, said in summaries(package).items():
        one = sub.add_parser(name, help=said, description=said[0].upper() + said[1:] + ".")
        one.source = (package, name, as_json)


def run_part(args: argparse.Namespace) -> Sequence[Any] | None:
    """Run the part that was asked for, its progress on stderr. None: guest or peer failed, which was said."""
    from lab.machines.guest.session import GuestError  # noqa: PLC0415 - help does not wait for them
    from lab.machines.peer import PeerError  # noqa: PLC0415
    from lab.machines.qemu.process import QemuError  # noqa: PLC0415
    from lab.machines.signals import interrupt_on_signals  # noqa: PLC0415

    interrupt_on_signals()
    began = time.monotonic()

    def progress(words: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {words}", file=sys.stderr, flush=True)

    try:
        return cast("Sequence[Any]", args.part_run(args, progress))
    except (GuestError, PeerError, QemuError) as error:
        print(f"ringwalk: {error}", file=sys.stderr)
        return None
