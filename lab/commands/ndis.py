"""``ringwalk ndis``: what the binding engine makes of INF files, and what a running stack looks like inside.

All views but ``bindings`` are of a stack that the command starts itself: a card in this process, the
miniport, NDIS with the verifier on, a transport, and some traffic of which a part is still under way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from lab import ndis_views as views
from lab.errors import UsageError
from lab.stack import MAC, LocalStack
from ndis.binding.component import ComponentClass, install, models
from ndis.binding.engine import Binding, BindingEngine
from ndis.binding.inf import Inf, InfError
from ndis.binding.registry import SERVICES
from ndis.binding.tree import tree
from ndis.suite.bench import Recorder
from ndis.verifier.core import Verifier

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from miniport.hal.inprocess import EngineFactory
    from ndis.events import Event
    from ndis.miniport import Version

NAME = "ndis"
HELP = "look inside an NDIS stack: adapters, opens, what pends, OIDs, the log, bindings"
EXAMPLES = (
    "  ringwalk ndis adapters\n"
    "  ringwalk ndis packet 1021 --mode deserialized\n"
    "  ringwalk ndis log --lines 40\n"
    "  ringwalk ndis bindings card.inf tcpip.inf\n"
    "  ringwalk ndis bindings card.inf tcpip.inf --disable 'Tcpip>{1}' --linkage"
)


MODES: dict[str, tuple[Version, bool]] = {
    "serialized": ((5, 1), False),
    "deserialized": ((5, 1), True),
    "ndis6": ((6, 0), True),
}
ENGINES: dict[str, EngineFactory] = {"reference": ReferenceEngine, "native": NativeEngine}
STRANGER = bytes.fromhex("020000000002")
View = Callable[[LocalStack, "list[Event]", int], "Iterable[str]"]
VIEWS: dict[str, View] = {
    "adapters": lambda stack, _events, _lines: views.adapters(stack.ndis),
    "opens": lambda stack, _events, _lines: views.opens(stack.ndis),
    "pending": lambda stack, _events, _lines: views.pending(stack.ndis),
    "packet": lambda _stack, _events, _lines: (),
    "oids": lambda stack, _events, _lines: views.oids(stack.adapter),
    "log": lambda _stack, events, lines: views.log(events[-lines:]),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("view", choices=["bindings", *VIEWS], help="what to show")
    parser.add_argument(
        "what", nargs="*", help="for bindings: INF files, in this order; for packet: its number"
    )
    parser.add_argument("--mode", choices=MODES, default="serialized", help="the kind of driver to show")
    parser.add_argument("--engine", choices=ENGINES, default="reference", help="the card's engine")
    parser.add_argument("--lines", type=int, default=30, help="how much of the log")
    parser.add_argument(
        "--disable", action="append", default=[], metavar="UPPER>LOWER", help="switch a binding off"
    )
    parser.add_argument(
        "--first", action="append", default=[], metavar="UPPER>LOWER", help="give it top priority"
    )
    parser.add_argument("--linkage", action="store_true", help="also print the Linkage values")


def run(args: argparse.Namespace) -> int:
    """Show one view."""
    return _bindings(args) if args.view == "bindings" else _inside(args)


def _inside(args: argparse.Namespace) -> int:
    """Start a stack, keep it busy, show a view of it."""
    stack, seen, verifier = _busy_stack(args.mode, args.engine)
    events = list(seen.events)
    if args.view == "packet":
        if len(args.what) != 1 or not args.what[0].isdecimal():
            raise UsageError("name one packet by its number: see `ringwalk ndis pending`")
        lines = list(views.packet(stack.ndis, int(args.what[0]), events))
        if not lines:
            raise UsageError(f"no packet {args.what[0]} was seen; see `ringwalk ndis log`")
    else:
        lines = list(VIEWS[args.view](stack, events, args.lines))
    print("\n".join(lines) or "nothing")
    for report in verifier.reports:
        print(f"verifier: {report.rule} {report.title}: {report.what}", file=sys.stderr)
    return 1 if verifier.reports else 0


def _busy_stack(mode: str, engine: str) -> tuple[LocalStack, views.Log, Verifier]:
    """Return a stack with traffic behind it, four sends under way and three packets with the transport."""
    version, deserialized = MODES[mode]
    seen, verifier = views.Log(1000), Verifier()

    def both(event: Event) -> None:
        seen(event)
        verifier(event)

    stack = LocalStack(
        engine=ENGINES[engine],
        version=version,
        configuration={"Deserialized": deserialized},
        client=Recorder(keep=1),
        observer=both,
    )
    body = (b"\x88\xb5" + b"ringwalk").ljust(48, b"\0")
    stack.send(*[STRANGER + MAC + body for _ in range(8)])
    stack.settle()
    for _ in range(3):
        stack.bus.receive(MAC + STRANGER + body)
        stack.settle()
    stack.send(*[STRANGER + MAC + body for _ in range(4)])  # the card is done; nobody has taken the interrupt
    return stack, seen, verifier


def _bindings(args: argparse.Namespace) -> int:
    """Install every model of every file, edit, print the tree."""
    if not args.what:
        raise UsageError("name the INF files whose bindings to show")
    engine = BindingEngine()
    cards = 0
    for path in map(Path, args.what):
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
