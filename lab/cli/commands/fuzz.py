"""``ringwalk fuzz``: hostile clients and hostile guests by the million, against the promise of the README."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lab.cli.terminal import page
from lab.machines import scratch
from lab.machines.card_process import start_card
from lab.machines.kinds import ENGINES
from lab.trials.fuzz import attack, contest, coverage, faults, judged, killed, libfuzzer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

DEFAULT_MINUTES = 1.0


def run(args: argparse.Namespace) -> int:
    """Run the parts that were asked for, one after the other; 1 when one of them found something."""
    if args.table or args.coverage:
        return _table() if args.table else _coverage()
    if args.libfuzzer:
        return _libfuzzer(args)
    asked = [args.messages, args.programs, args.kills]
    limited = args.minutes is not None or asked == [None] * 3
    seconds = (args.minutes or DEFAULT_MINUTES) * 60 if limited else None
    engines = ENGINES if args.engine == "both" else (args.engine,)
    endless = 1 << 62
    every = asked == [None] * 3
    parts: list[tuple[str, float, Callable[[float | None, Callable[[int], None]], Any]]] = []
    for engine in engines:
        if every or args.messages:
            number = args.messages or endless
            parts.append((f"messages, {engine}", 0.2, _messages(engine, args.seed, number)))
        if every or args.kills:
            parts.append((f"killed clients, {engine}", 0.05, _kills(engine, args.seed, args.kills or 20)))
    if every or args.programs:
        number = args.programs or endless
        parts.append(
            ("ring programs", 0.5, lambda until, told: contest.run(args.seed, number, until=until, told=told))
        )
    whole = sum(share for _, share, _ in parts)
    results: dict[str, Any] = {}
    for name, share, part in parts:
        until = None if seconds is None else time.monotonic() + seconds * share / whole
        results[name] = part(until, _progress(name, quiet=args.json))
        if not args.json:
            print(f"\r{name}: {describe(results[name])}", flush=True)
    passed = all(result.passed for result in results.values())
    if args.json:
        data = {name: asdict(result) | {"passed": result.passed} for name, result in results.items()}
        print(json.dumps({"passed": passed, "seed": args.seed, "parts": data}))
    else:
        print("passed" if passed else "FAILED")
    return 0 if passed else 1


def _table() -> int:
    """Print the fault table with what its tests say now; 1 when one of them did not pass."""
    verdicts = judged.verdicts()
    print(page(faults.markdown(verdicts)), end="")
    return int(any(verdicts.get(one) != "passed" for one in faults.every_id()))


def _coverage() -> int:
    """Print what the targets reach; 1 when a function is reached by none and nothing says why."""
    files = coverage.measure(told=lambda text: print(text, file=sys.stderr))
    print(page(coverage.markdown(files)), end="")
    missing = coverage.unexplained(files)
    for one in missing:
        print(f"no target calls {one}, and tests/fuzz/unreached.toml does not say why", file=sys.stderr)
    return int(bool(missing))


def _libfuzzer(args: argparse.Namespace) -> int:
    """Hunt in the C core; 1 when an input broke a rule."""
    seconds = (args.minutes or DEFAULT_MINUTES) * 60
    results = libfuzzer.run(seconds, args.seed, args.corpus, told=lambda text: print(text, file=sys.stderr))
    passed = all(result.passed for result in results)
    if args.json:
        data = [asdict(result) | {"passed": result.passed} for result in results]
        print(json.dumps({"passed": passed, "seed": args.seed, "targets": data}))
    else:
        print("\n".join(map(str, results)))
        print("passed" if passed else "FAILED")
    return 0 if passed else 1


def describe(result: attack.Result | contest.Result) -> str:
    """Return a result in a line, and its failures in more."""
    if isinstance(result, contest.Result):
        line = (
            f"{result.programs:,} in {result.seconds:.0f} s, {result.compared:,} compared, native engine's "
            f"longest {result.longest_native_seconds * 1000:.0f} ms, "
            f"descriptors {result.fds[0]} then {result.fds[1]}"
        )
    else:
        what = f"{result.messages:,} in " if result.messages else ""
        line = (
            f"{what}{result.volleys:,} connections, {result.seconds:.0f} s, longest answer "
            f"{result.longest_answer_s * 1000:.0f} ms, descriptors {result.fds[0]} then {result.fds[1]}, "
            f"resident {result.resident_kib[0]:,} then {result.resident_kib[1]:,} KiB"
        )
    return "\n".join([line, *(f"  FAILED {failure}" for failure in result.failures)])


def _messages(
    engine: str, seed: int, number: int
) -> Callable[[float | None, Callable[[int], None]], attack.Result]:
    def part(until: float | None, told: Callable[[int], None]) -> attack.Result:
        folder = scratch.make()
        card = start_card(folder / "card", "loopback", engine=engine)
        try:
            return attack.attack(card, seed, number, until=until, told=told)
        finally:
            card.close()
            shutil.rmtree(folder, ignore_errors=True)

    return part


def _kills(
    engine: str, seed: int, number: int
) -> Callable[[float | None, Callable[[int], None]], attack.Result]:
    def part(_until: float | None, told: Callable[[int], None]) -> attack.Result:
        folder = scratch.make()
        card = start_card(folder / "card", "loopback", engine=engine)
        try:
            return killed.kill_clients(card, number, seed, told=told)
        finally:
            card.close()
            shutil.rmtree(folder, ignore_errors=True)

    return part


def _progress(name: str, *, quiet: bool) -> Callable[[int], None]:
    """Return what tells how far a part is, on a terminal."""

    def told(done: int) -> None:
        print(f"\r{name}: {done:,}", end="", flush=True)

    return (lambda _: None) if quiet or not sys.stdout.isatty() else told
