"""``ringwalk ndis``: look inside a stack that runs in another process, and edit its bindings.

``boot --stack``, ``boot --guest nt``, ``net up``, ``step --miniport`` and ``conform --suite ndis`` publish
their stacks on control sockets; with ``--demo`` it looks at a small one of its own; ``bindings`` takes INF
files too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.host import binding_edits
from lab.host.control_socket import Answer, QuestionError, ask, choose, running
from lab.host.demo import ENGINES, MODES, busy_stack
from lab.host.inspection import LINES, NAMES, WATCH_S, tools
from ndis.verifier import faults
from ndis.verifier.rules import RULES
from ntos.netcfg.component import ComponentClass, install, models
from ntos.netcfg.engine import BindingEngine
from ntos.netcfg.inf import Inf, InfError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "ndis"
HELP = "look inside a running NDIS stack: adapters, opens, bindings, what pends, OIDs, the log"
EXAMPLES = (
    "  ringwalk ndis stacks                                   who runs\n"
    "  ringwalk ndis adapters                                 of the only one that runs\n"
    "  ringwalk ndis log --seconds 2 --stack default --json\n"
    "  ringwalk ndis bindings --disable 'Tcpip>{1}'           unbind it, live\n"
    "  ringwalk ndis bindings card.inf tcpip.inf --linkage    what INF files make of each other\n"
    "  ringwalk ndis packet 1021 --demo\n"
    "  ringwalk ndis rules                                    what --verify watches for"
)
STACKS, BINDINGS, RULES_VIEW = "stacks", "bindings", "rules"
MEANINGS = {
    "enable": "switch a binding on",
    "disable": "switch it off, and keep it off",
    "bind": "bind, for as long as the stack runs",
    "unbind": "unbind, for as long as the stack runs",
    "first": "give it top priority",
    "up": "give it the next higher priority",
    "down": "give it the next lower priority",
}


class _Edit(argparse.Action):
    """Collects edits of all kinds in the order of the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Add one."""
        del parser
        done = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*done, f"{(option_string or '').lstrip('-')}={values}"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("view", choices=[*NAMES, STACKS, RULES_VIEW], help="what to show")
    parser.add_argument("what", nargs="*", help="for bindings: INF files; for packet: its number")
    parser.add_argument("--stack", metavar="NAME", help="which stack (default: the only one that runs)")
    parser.add_argument("--json", action="store_true", help="the same as data")
    log = parser.add_argument_group("for log")
    log.add_argument("--lines", type=int, default=LINES, help=f"how much of it ({LINES})")
    log.add_argument(
        "--seconds",
        type=float,
        default=WATCH_S,
        help=f"how long to watch a stack that keeps no log because it runs without --verify ({WATCH_S:g})",
    )
    edit = parser.add_argument_group("for bindings")
    for name, meaning in MEANINGS.items():
        edit.add_argument(f"--{name}", action=_Edit, dest="edits", metavar="UPPER>LOWER", help=meaning)
    edit.add_argument("--linkage", action="store_true", help="also print the Linkage values")
    edit.add_argument("--services", action="store_true", help="also print the order of loading")
    demo = parser.add_argument_group("a stack of the command's own")
    demo.add_argument("--demo", action="store_true", help="start a small one, with packets under way")
    demo.add_argument("--mode", choices=MODES, default="serialized", help="its kind of driver")
    demo.add_argument("--engine", choices=ENGINES, default="reference", help="its card's engine")


def run(args: argparse.Namespace) -> int:
    """Show one view."""
    try:
        answer = _answer(args)
    except QuestionError as error:
        raise UsageError(str(error)) from error
    print(json.dumps(answer.data, indent=2) + "\n" if args.json else answer.text, end="")
    return 0


def _answer(args: argparse.Namespace) -> Answer:
    if args.view == STACKS:
        return _stacks()
    if args.view == RULES_VIEW:
        return _rules()
    arguments = _arguments(args)
    if args.view == BINDINGS and args.what:
        return binding_edits.bindings(_files(args.what), arguments)
    if args.demo:
        stack = busy_stack(args.mode, args.engine)
        return tools(lambda: stack)[args.view](arguments)
    return ask(choose(args.stack), args.view, arguments)


def _arguments(args: argparse.Namespace) -> list[str]:
    if args.view == BINDINGS:
        wanted = [name for name in binding_edits.SHOWN if getattr(args, name)]
        return [*(args.edits or []), *wanted]
    return [str(args.lines), str(args.seconds)] if args.view == "log" else list(args.what)


def _stacks() -> Answer:
    there = running()
    text = "".join(f"{one.name:<20} {one.about}\n" for one in there) or "no stack runs\n"
    return Answer(text, [{"name": one.name, "about": one.about} for one in there])


def _rules() -> Answer:
    """List what ``--verify`` watches for; V14 is a procedure of the suites, not a watcher."""
    rows = sorted([*((rule.NUMBER, rule.TITLE) for rule in RULES), (faults.NUMBER, faults.TITLE)])
    text = "".join(f"{number}  {title}\n" for number, title in rows)
    return Answer(text, [{"rule": number, "title": title} for number, title in rows])


def _files(paths: list[str]) -> binding_edits.Bound:
    """Install every model of every file."""
    engine = BindingEngine()
    cards = 0
    for path in map(Path, paths):
        inf = _read(path)
        for _description, _section, identifier in models(inf):
            line = inf.get("Version", "Class")
            card = line is not None and line.value(0).lower() == ComponentClass.NET.value
            cards += card
            engine.add(install(inf, engine.registry, identifier, f"{{{cards}}}" if card else ""))
    return binding_edits.Bound(engine)


def _read(path: Path) -> Inf:
    try:
        return Inf.parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (InfError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no INF file: {error}") from error
