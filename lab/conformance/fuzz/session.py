"""``conform --fuzz`` and ``--replay``: two targets, a program, a difference, a file to replay it from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab.conformance.bench import Capability
from lab.conformance.fuzz import lockstep
from lab.conformance.fuzz.generate import Generator
from lab.conformance.fuzz.lockstep import EVERYTHING, RINGS_AND_FRAMES
from lab.conformance.fuzz.minimise import minimise
from lab.conformance.fuzz.program import dump, load
from lab.conformance.targets.named import target
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.conformance.bench import Bench
    from lab.conformance.fuzz.lockstep import Difference, Scope
    from lab.conformance.fuzz.program import Step

DEFAULT_PAIR = ["native", "reference"]
OURS = {"native", "reference"}


def pair(names: Sequence[str]) -> tuple[list[str], list[Bench]]:
    """Open two targets; raises ``UsageError`` unless there are two that can run in lockstep."""
    chosen = list(names) or DEFAULT_PAIR
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise UsageError("lockstep needs two targets: --target native --target reference")
    benches = [target(name).open() for name in chosen]
    for name, bench in zip(chosen, benches, strict=True):
        if not Capability.CLOCK & bench.capabilities:
            for each in benches:
                each.close()
            raise UsageError(f"{name} has no clock of ours: use reference, native or qtest:DEVICE")
    return chosen, benches


def scope_of(names: Sequence[str]) -> Scope:
    """Return what must agree: everything when both are ours."""
    return EVERYTHING if set(names) <= OURS else RINGS_AND_FRAMES


def shrink(steps: Sequence[Step], found: Difference, benches: Sequence[Bench], *, scope: Scope) -> list[Step]:
    """Return the smallest program that shows a difference in the same thing."""
    left, right = benches

    def fails(part: list[Step]) -> bool:
        again = lockstep.run(part, left, right, scope)
        # One side must still do what it did: a shorter program may part for another reason.
        return (
            again is not None
            and again.what == found.what
            and (again.left == found.left or again.right == found.right)
        )

    return minimise(list(steps[: found.step + 1]), fails)


def fuzz(seed: int, count: int, names: Sequence[str], output: Path | None) -> int:
    """Run one program; return 0 when the two agree, 1 when they part."""
    chosen, benches = pair(names)
    try:
        scope = scope_of(chosen)
        wild = scope is EVERYTHING
        steps = Generator(seed, wild=wild).program(count)
        print(
            f"seed {seed}: {count} {'wild' if wild else 'legal'} steps through {' and '.join(chosen)}",
            file=sys.stderr,
        )
        found = lockstep.run(steps, benches[0], benches[1], scope)
        if found is None:
            print(f"seed {seed}: {count} steps, no difference")
            return 0
        print(f"seed {seed}: {found}", file=sys.stderr)
        small = shrink(steps, found, benches, scope=scope)
        again = lockstep.run(small, benches[0], benches[1], scope)
        path = output or Path(f"difference-{seed}.json")
        path.write_text(dump(small, chosen, str(again)))
        print(f"{len(small)} steps show it: {again}")
        for step in small:
            print(f"  {lockstep.describe(step)}")
        print(f"replay: ringwalk conform --replay {path}")
    finally:
        for bench in benches:
            bench.close()
    return 1


def replay(path: Path, names: Sequence[str]) -> int:
    """Run a stored program again; return 0 when the two agree now, 1 when they part."""
    try:
        steps, stored = load(path.read_text())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no program of --fuzz ({error}): make one with --fuzz SEED") from error
    chosen, benches = pair(names or stored)
    try:
        found = lockstep.run(steps, benches[0], benches[1], scope_of(chosen))
    finally:
        for bench in benches:
            bench.close()
    if found is None:
        print(f"{len(steps)} steps, no difference between {' and '.join(chosen)}")
        return 0
    for index, step in enumerate(steps[: found.step + 1]):
        print(f"{index:>4}  {lockstep.describe(step)}")
    print(found)
    return 1


def run(seed: int | None, count: int, stored: Path | None, names: Sequence[str], output: Path | None) -> int:
    """Do what the command line asks."""
    if stored is not None:
        return replay(stored, names)
    if seed is None or count < 1:
        raise UsageError("--fuzz needs a seed and at least one step: --fuzz 1 --steps 1000")
    return fuzz(seed, count, names, output)
