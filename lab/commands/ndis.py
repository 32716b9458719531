"""``ringwalk ndis``: what the binding engine makes of INF files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from ndis.binding.component import ComponentClass, install, models
from ndis.binding.engine import Binding, BindingEngine
from ndis.binding.inf import Inf, InfError
from ndis.binding.registry import SERVICES
from ndis.binding.tree import tree

if TYPE_CHECKING:
    import argparse

NAME = "ndis"
HELP = "show and edit the bindings that INF files make"
EXAMPLES = (
    "  ringwalk ndis bindings card.inf tcpip.inf\n"
    "  ringwalk ndis bindings card.inf tcpip.inf --disable 'Tcpip>{1}' --linkage"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("view", choices=["bindings"], help="what to show")
    parser.add_argument("inf", nargs="+", type=Path, help="INF files, installed in this order")
    parser.add_argument(
        "--disable", action="append", default=[], metavar="UPPER>LOWER", help="switch a binding off"
    )
    parser.add_argument(
        "--first", action="append", default=[], metavar="UPPER>LOWER", help="give it top priority"
    )
    parser.add_argument("--linkage", action="store_true", help="also print the Linkage values")


def run(args: argparse.Namespace) -> int:
    """Install every model of every file, edit, print the tree."""
    engine = BindingEngine()
    cards = 0
    for path in args.inf:
        inf = _read(path)
        for _description, _section, identifier in models(inf):
            line = inf.get("Version", "Class")
            card = line is not None and line.value(0).lower() == ComponentClass.NET.value
            cards += card
            instance = f"{{{cards}}}" if card else ""
            engine.add(install(inf, engine.registry, identifier, instance))
    try:
        for text in args.disable:
            engine.disable(_binding(text))
        for text in args.first:
            engine.move(_binding(text), 0)
    except ValueError as error:
        raise UsageError(f"{error}; see the tree for the names in parentheses") from error
    print(tree(engine), end="")
    if args.linkage:
        _print_linkage(engine)
    return 0


def _read(path: Path) -> Inf:
    try:
        return Inf.parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (InfError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no INF file: {error}") from error


def _binding(text: str) -> Binding:
    upper, mark, lower = text.partition(">")
    if not mark:
        raise UsageError(f"{text!r} is no binding: write UPPER>LOWER")
    return Binding(upper, lower)


def _print_linkage(engine: BindingEngine) -> None:
    for service in engine.registry.keys(SERVICES):
        for value in ("Bind", "Export", "Route"):
            for text in engine.registry.strings(rf"{SERVICES}\{service}\Linkage", value):
                print(f"{service}\\Linkage\\{value}: {text}")
