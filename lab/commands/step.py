"""``ringwalk step``: step through a small driver's work, in one process: no QEMU, nothing to fetch."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from device.trace.recording import Recording
from lab.errors import UsageError
from lab.step.hooks import Hooks
from lab.step.prompt import Prompt
from lab.step.replaying import Replay
from lab.step.session import Session
from lab.step.small_driver import FAULTS
from lab.step.tools import Tools
from lab.step.views import Look
from lab.step.walk import walk
from lab.step.workbench import build

if TYPE_CHECKING:
    import argparse

NAME = "step"
HELP = "step through a small driver and the card in this process, forwards and backwards"
EXAMPLES = (
    "  ringwalk step                                a driver that works, event by event\n"
    "  ringwalk step --fault rs-forgotten           one that does not: find out why\n"
    "  ringwalk step --fault wrong-ivar --record bad.rw; ringwalk replay bad.rw --check\n"
    "  ringwalk step --live --hook faults.py        inject faults of your own\n"
    "  ringwalk step --walk                         the bug hunt of docs/stepping.md, done again\n"
    "  a guest's own driver: ringwalk boot --step; a recording: ringwalk replay FILE --step"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    told = "; ".join(f"{name}: {text}" for name, text in FAULTS.items())
    parser.add_argument(
        "--fault", choices=tuple(FAULTS), default="", metavar="NAME", help=f"plant a fault: {told}"
    )
    parser.add_argument("--frames", type=int, default=20, help="frames to send and to receive (default 20)")
    parser.add_argument("--record", metavar="FILE", type=Path, help="keep the recording too")
    parser.add_argument(
        "--command", metavar="FILE", type=Path, help="take the stepper's commands from a file"
    )
    parser.add_argument("--tui", action="store_true", help="a full screen (extra: tui)")
    parser.add_argument(
        "--live", action="store_true", help="stop while the driver runs; hooks may inject faults"
    )
    parser.add_argument(
        "--hook", metavar="FILE", type=Path, help="a tracer class of your own (--live: injects)"
    )
    parser.add_argument("--walk", action="store_true", help="print the bug hunt that docs/stepping.md tells")


def run(args: argparse.Namespace) -> int:
    """Step."""
    if args.walk:
        print(walk(), end="")
        return 0
    prompt = _prompt(args)
    if args.live:
        return live(args, prompt)
    out = io.BytesIO()
    print(build(args.fault, write=out.write).work(args.frames))
    if args.record is not None:
        _keep(args.record, out.getvalue())
        print(f"recorded in {args.record}")
        if args.command is None and not sys.stdin.isatty() and not args.tui:
            return 0
    recording = Recording(out.getvalue())
    if args.tui:
        from lab.step.tui import run_replay  # noqa: PLC0415 - textual is an extra

        return run_replay(recording)
    replay = Replay(recording, prompt)
    prompt.tools = Tools(replay.session)
    _hook(prompt.tools, args.hook)
    replay.run()
    return 1 if prompt.failed and args.command else 0


def live(args: argparse.Namespace, prompt: Prompt) -> int:
    """Step while the driver runs."""
    hooks = Hooks()
    out = io.BytesIO()
    bench = build(args.fault, hooks=hooks, write=out.write)
    session = Session(Look(bench.engine, bench.ram), prompt)
    session.now = lambda: bench.driver.now_ns
    prompt.tools = Tools(session, hooks=hooks)
    _hook(prompt.tools, args.hook)
    bench.engine.observer = session.observe
    bench.card.watch(session.observe)
    print(bench.work(args.frames))
    if args.record is not None:
        _keep(args.record, out.getvalue())
    return 1 if prompt.failed and args.command else 0


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
