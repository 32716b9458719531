"""``ringwalk replay``: run a recording again, check it, step through it backwards, compare, export."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from device.trace import native_player
from device.trace.compare import compare, unknown
from device.trace.player import REFERENCE, Player
from device.trace.rules import Severity
from lab.cli.declared.replay import CHECKS
from lab.errors import UsageError
from lab.stepper import screen
from lab.stepper.export import export
from lab.stepper.model_report import against
from lab.stepper.prompt import Prompt
from lab.stepper.recording_file import load
from lab.stepper.replaying import Replay
from lab.stepper.signals import pause_on_interrupt
from lab.stepper.tools import Tools

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from device.trace.recording import Recording
    from lab.stepper.command import CommandFront
    from lab.stepper.session import Front

_SHOWN = 10


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    if args.check is not None and args.check not in CHECKS:
        if args.file is not None:
            raise UsageError(f"--check {args.check}: choose of {', '.join(CHECKS)}")
        args.file, args.check = Path(args.check), "all"  # `replay --check run.rw`: the natural order
    if args.diff:
        first, second = args.diff
        return diff(first, second, args.ignore, partial=args.partial)
    if args.ignore and args.against is None:
        raise UsageError("--ignore goes with --diff or --against")
    if args.file is None:
        raise UsageError("give a recording, or --diff A B")
    recording = load(args.file, partial=args.partial)
    if recording.damage is not None:
        print(
            f"ringwalk: {args.file}: {recording.damage}: playing what is whole before that", file=sys.stderr
        )
    if args.against is not None:
        return against(recording, args.against, args.ignore, as_json=args.json)
    if args.step or args.tui or args.command:
        return step(recording, args)
    if args.engine != "reference" and (args.html or args.export or args.check == "driver"):
        raise UsageError("only the reference engine shows its stages: leave out --engine native for that")
    return play(recording, args)


def step(recording: Recording, args: argparse.Namespace) -> int:
    """Step through it; the status is 1 when a command of a script failed."""
    if args.engine != "reference":
        raise UsageError("only the reference engine can be stepped: leave out --engine native")
    if args.tui:
        return screen.run(lambda front: again(recording, front, args))
    lines = None
    if args.command is not None:
        try:
            lines = args.command.read_text().splitlines()
        except OSError as error:
            raise UsageError(f"--command {args.command}: {error.strerror}") from error
    prompt = Prompt(lines, echo=lines is not None)
    again(recording, prompt, args)
    return 1 if prompt.failed and lines is not None else 0


def again(recording: Recording, front: CommandFront, args: argparse.Namespace) -> str:
    """Play it with a front end; say what was written."""
    replay = Replay(recording, front)
    if args.command is None and not args.tui:
        pause_on_interrupt(replay.session)
    front.tools = Tools(replay.session)
    replay.run()
    return front.tools.statistics(args.html) if args.html else ""


class Onlooker:
    """A front end that lets everything pass."""

    def stopped(self, session: object, stop: object) -> None:
        """Go on."""


def playing(recording: Recording, engine: str) -> Player:
    """Play a recording to its end on an engine, without anybody who looks at its stages."""
    if engine == native_player.NATIVE.name:
        return native_player.play(recording)
    player = Player(recording, REFERENCE)
    player.run()
    return player


def play(recording: Recording, args: argparse.Namespace) -> int:
    """Play to the end; report, check, export."""
    began = time.perf_counter()
    front: Front = Onlooker()
    tools = None
    driver = args.check in ("all", "driver") or args.html or args.export
    if driver:  # the reference engine shows its stages, whoever else plays
        replay = Replay(recording, front)
        replay.session.run()
        tools = Tools(replay.session)
        tools.subject = f"{args.file.name}, card {recording.about.mac}"
        exports = [export(path, replay.session, recording) for path in args.export]
        replay.run()
        player = replay.player
        for finish in exports:
            finish()
        if args.html:
            tools.statistics(args.html)
    if not driver or args.engine != REFERENCE.name:
        player = playing(recording, args.engine)
    took = time.perf_counter() - began
    findings = tools.checker.findings() if tools is not None else []
    errors = [one for one in findings if one.rule.severity is Severity.ERROR]
    wrong = args.check in ("all", "engine") and bool(player.differences)
    wrong |= args.check in ("all", "driver") and bool(errors)
    account = player.card.account
    if args.json:
        print(
            json.dumps(
                {
                    "inputs": player.turn,
                    "seconds": player.lived_ns / 1e9,
                    "took": took,
                    "engine": args.engine,
                    "frames_sent": account.frames_sent,
                    "frames_received": account.frames_received,
                    "differences": [str(one) for one in player.differences],
                    "findings": [str(one) for one in findings],
                    "failed": wrong,
                }
            )
        )
        return int(wrong)
    print(
        f"{player.turn} inputs of {player.lived_ns / 1e9:.1f} s played in {took:.2f} s"
        f" on the {args.engine} engine:"
        f" {account.frames_sent} frames sent, {account.frames_received} received,"
        f" {account.descriptors} transmit descriptors, {account.interrupts} interrupts"
    )
    for one in player.differences[:_SHOWN]:
        print(f"differs: {one}")
    if len(player.differences) > _SHOWN:
        print(f"... and {len(player.differences) - _SHOWN} more")
    for finding in findings:
        print(finding)
    if args.check:
        print("check failed" if wrong else "check passed")
    return int(wrong)


def diff(first: Path, second: Path, ignore: Sequence[str] = (), *, partial: bool) -> int:
    """Print where two recordings part, but for what is ignored; the status is 1 if they do. UsageError."""
    if wrong := unknown(ignore):
        raise UsageError(f"--ignore {wrong[0]}: no register, counter or kind of record is called so")
    found = compare(load(first, partial=partial), load(second, partial=partial), ignore)
    if found is None:
        print("the two recordings say the same")
        return 0
    print(found)
    return 1
