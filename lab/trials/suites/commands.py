"""What ``ringwalk conform --suite`` does for each suite beside the card's."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.host.control_socket import ControlServer
from lab.host.inspection import tools
from lab.trials.suites import report, schedules
from lab.trials.suites.subjects import subjects
from lab.trials.suites.window import Window
from lab.trials.suites.world import CARDS
from ndis.suite.cases import CASES
from ndis.suite.runner import Outcome, run

if TYPE_CHECKING:
    import argparse

    from lab.trials.suites.subjects import ClosableRig, Subject
    from ndis.suite.cases import Case


def run_ndis(args: argparse.Namespace) -> int:
    """Run the miniport suite; 1 when a case failed, or a known fault is gone."""
    cases = [c for c in CASES if not args.expression or args.expression in f"{c.identifier} {c.what}"]
    if not cases:
        raise UsageError(f"no case has {args.expression!r} in it: see --suite ndis --list")
    if args.list:
        for case in cases:
            print(f"{case.identifier:<18} {case.cards} card{'s' if case.cards > 1 else ' '}  {case.what}")
        return 0
    runs: dict[str, list[Outcome]] = {}
    window = Window()
    with ControlServer(f"conform-{os.getpid()}", "conform --suite ndis", tools(window.stack)):
        for subject in subjects(args.miniport, args.bus, args.mode):
            print(f"ringwalk: {len(cases)} cases on {subject.name}", file=sys.stderr)
            runs[subject.name] = [_one(subject, case, window) for case in cases]
    print(report.as_json(runs) if args.json == "-" else "\n".join(report.lines(runs)) + "\n", end="")
    if args.json not in (None, "-"):
        Path(args.json).write_text(report.as_json(runs))
    if args.junit is not None:
        args.junit.write_text(report.junit(runs))
    bad = {"fail", "mended"}
    return int(any(report.verdict(one) in bad for outcomes in runs.values() for one in outcomes))


def _one(subject: Subject, case: Case, window: Window) -> Outcome:
    rigs: list[ClosableRig] = []

    def make(cards: int) -> ClosableRig:
        rigs.append(subject.make(cards))
        window.show(rigs[-1])
        return rigs[-1]

    try:
        (outcome,) = run(make, [case], subject.known, lambda _rig: rigs[-1].reports)
    finally:
        window.hide()
        for rig in rigs:
            rig.close()
    late = [f"{found.rule} at the end: {found.what}" for rig in rigs for found in rig.reports]
    return replace(outcome, failure="; ".join(late[:3])) if outcome.passed and late else outcome


def run_schedules(args: argparse.Namespace) -> int:
    """Run many schedules; 1 when one broke an invariant, with the seed that plays it again."""
    modes = args.mode or list(CARDS)
    if unknown := [mode for mode in modes if mode not in CARDS]:
        raise UsageError(f"there are no schedules of {unknown[0]}: take --mode {' or '.join(CARDS)}")
    if args.count < 1 or (args.jobs is not None and args.jobs < 1):
        raise UsageError("--count and --jobs are 1 or more")
    tallies = schedules.run(args.count, args.seed, modes, args.jobs or os.cpu_count() or 1)
    if args.json is not None:
        text = json.dumps({"suite": "schedules", "modes": [asdict(tally) for tally in tallies]}, indent=2)
        if args.json == "-":
            print(text)
        else:
            Path(args.json).write_text(text + "\n")
    if args.json != "-":
        for tally in tallies:
            print(
                f"{tally.mode}: {tally.played} schedules from seed {args.seed}, {len(tally.faults)} broken;"
                f" at most {tally.most} inside the driver at once ({tally.seconds:.0f} s)"
            )
            for fault in tally.faults:
                print(f"  --mode {fault.mode} --count 1 --seed {fault.seed}: {fault.what}")
    return int(any(tally.faults for tally in tallies))
