"""``ringwalk ndis``: look inside a stack that runs in another process, and edit its bindings.

``boot --stack``, ``boot --guest nt``, ``net up``, ``step --miniport`` and ``conform --suite ndis`` publish
their stacks on control sockets; with ``--demo`` it looks at a small one of its own; ``bindings`` takes INF
files too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cli.declared.ndis import BINDINGS, RULES_VIEW, STACKS
from lab.errors import UsageError
from lab.host import binding_edits
from lab.host.control_socket import Answer, QuestionError, ask, choose, running
from lab.host.demo import busy_stack
from lab.host.inspection import tools
from ndis.verifier import faults
from ndis.verifier.rules import RULES
from ntos.netcfg.component import ComponentClass, install, models
from ntos.netcfg.engine import BindingEngine
from ntos.netcfg.inf import Inf, InfError

if TYPE_CHECKING:
    import argparse


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
