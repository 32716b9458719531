"""``ringwalk step``: step through a driver's work, in one process: no QEMU, nothing to fetch.

The driver is a small one, or with ``--miniport`` our own, under NDIS.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from device.trace.recording import Recording
from lab.errors import UsageError
from lab.host.control_socket import ControlServer
from lab.host.inspection import tools
from lab.stepper import scenario, screen
from lab.stepper.hooks import Hooks
from lab.stepper.ndis_bench import NdisBench
from lab.stepper.prompt import Prompt
from lab.stepper.replaying import Replay
from lab.stepper.scenario import ScenarioError
from lab.stepper.session import Session
from lab.stepper.signals import pause_on_interrupt
from lab.stepper.tools import Tools
from lab.stepper.views import Look
from lab.stepper.walkthrough import walk
from lab.stepper.workbench import build

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from lab.stepper.command import CommandFront
    from lab.stepper.scenario import Act


def run(args: argparse.Namespace) -> int:
    """Step."""
    if args.walk:
        print(walk(), end="")
        return 0
    if args.tui and args.command is not None:
        raise UsageError("a script needs no screen: give --tui or --command")
    if args.miniport is not None and (args.fault or args.live):
        raise UsageError("--fault and --live are the small driver's: our miniport has no fault, and is live")
    if args.scenario is not None and args.miniport is None:
        raise UsageError("--scenario is for --miniport: the small driver knows --frames")
    if args.miniport is not None:
        acts = _acts(args.scenario)
        return _on_front(args, lambda front: ndis(args, front, acts))
    if args.live:
        return _on_front(args, lambda front: live(args, front))
    out = io.BytesIO()
    print(build(args.fault, write=out.write).work(args.frames))
    if args.record is not None:
        _keep(args.record, out.getvalue())
        print(f"recorded in {args.record}")
        if args.command is None and not sys.stdin.isatty() and not args.tui:
            return 0
    recording = Recording(out.getvalue())
    return _on_front(args, lambda front: replay(args, front, recording))


def _on_front(args: argparse.Namespace, work: Callable[[CommandFront], str]) -> int:
    """Do the work with the prompt or the screen that was asked for; print what it says at its end."""
    if args.tui:
        return screen.run(work)
    prompt = _prompt(args)
    told = work(prompt)
    if told:
        print(told)
    return 1 if prompt.failed and args.command else 0


def replay(args: argparse.Namespace, front: CommandFront, recording: Recording) -> str:
    """Step through what the small driver did."""
    again = Replay(recording, front)
    _pausable(args, again.session)
    again.session.about = "what a small driver did, forwards and backwards"
    front.tools = Tools(again.session)
    _hook(front.tools, args.hook)
    again.run()
    return _page(args, front.tools)


def live(args: argparse.Namespace, front: CommandFront) -> str:
    """Step while the small driver runs."""
    hooks = Hooks()
    out = io.BytesIO()
    bench = build(args.fault, hooks=hooks, write=out.write)
    session = Session(Look(bench.engine, bench.ram), front)
    _pausable(args, session)
    session.about = "a small driver while it runs"
    session.now = lambda: bench.driver.now_ns
    front.tools = Tools(session, hooks=hooks)
    _hook(front.tools, args.hook)
    bench.engine.observer = session.observe
    bench.card.watch(session.observe)
    told = str(bench.work(args.frames))
    if args.record is not None:
        _keep(args.record, out.getvalue())
    return told + _page(args, front.tools)


def ndis(args: argparse.Namespace, front: CommandFront, acts: list[Act]) -> str:
    """Step while our own driver runs."""
    hooks = Hooks()
    out = io.BytesIO()
    bench = NdisBench(args.miniport, front, hooks=hooks, write=out.write)
    _pausable(args, bench.session)
    bench.session.about = "our miniport under NDIS while it runs"
    front.tools = Tools(bench.session, hooks=hooks)
    _hook(front.tools, args.hook)
    name = f"step-{os.getpid()}"
    with ControlServer(name, f"step --miniport {args.miniport}", tools(lambda: bench.inspected)):
        told = str(bench.work(acts))
    if args.record is not None:
        _keep(args.record, out.getvalue())
        told += f"\nrecorded in {args.record}"
    return told + _page(args, front.tools)


def _pausable(args: argparse.Namespace, session: Session) -> None:
    """Let Ctrl-C open the prompt, where there is one to type at."""
    if args.command is None and not args.tui:
        pause_on_interrupt(session)


def _page(args: argparse.Namespace, tools: Tools) -> str:
    return f"\n{tools.statistics(args.html)}" if args.html is not None else ""


def _acts(path: Path | None) -> list[Act]:
    """Read the scenario. UsageError."""
    try:
        return scenario.parse((scenario.DEFAULT if path is None else path.read_text()).splitlines())
    except OSError as error:
        raise UsageError(f"--scenario {path}: {error.strerror}") from error
    except ScenarioError as error:
        raise UsageError(f"--scenario {path}: {error}") from error


def _keep(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"--record {path}: {error.strerror}; give a file that can be written") from error


def _hook(tools: Tools, path: Path | None) -> None:
    if path is None:
        return
    try:
        tools.hook(path)
    except (OSError, ValueError, SyntaxError) as error:
        raise UsageError(f"--hook {path}: {error}") from error


def _prompt(args: argparse.Namespace) -> Prompt:
    if args.command is None:
        return Prompt()
    try:
        return Prompt(args.command.read_text().splitlines(), echo=True)
    except OSError as error:
        raise UsageError(f"--command {args.command}: {error.strerror}") from error
