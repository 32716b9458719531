#!/usr/bin/env python3
"""Runs every check of the project, as ``steps.toml`` lists them, and closes with a summary.

It is the one script behind ``ringwalk test`` and ``.ci/run``. It needs no terminal and no standard input.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
PYTEST_NOTHING_COLLECTED = 5
TEST_KINDS = frozenset({"tests", "guest", "extra tests"})
EXTRA_KINDS = frozenset({"extra", "extra tests"})
COMPUTED_PARAMETERS = re.compile(
    r"""ids=|parametrize\(\s*(?:\([^)]*\)|"[^"]*"),\s*[^\s\[(]|params=\s*[^\s\[(]"""
)
"""A test whose ids may hold words that its file does not."""


@dataclass(frozen=True, slots=True)
class Step:
    """One check: a name, a kind (see steps.toml) and what to run."""

    name: str
    kind: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step went. ``closing`` is pytest's own last line; ``empty``: the selection left it no test."""

    name: str
    ok: bool
    seconds: float
    closing: str = ""
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked for."""

    fast: bool = False
    extra: bool = False
    """Only the tests that need more packages than boot does."""
    keyword: str | None = None
    pytest: tuple[str, ...] = ()

    @property
    def only_tests(self) -> bool:
        """Whether a selection was made: then only the tests are wanted."""
        return self.keyword is not None or bool(self.pytest)

    @property
    def paths(self) -> tuple[str, ...]:
        """The files, folders and node ids among the arguments for pytest."""
        return tuple(word for word in self.pytest if (TOP / word.partition("::")[0]).exists())


def read_steps(text: str) -> list[Step]:
    """Read steps.toml."""
    return [Step(s["name"], s["kind"], tuple(s["argv"])) for s in tomllib.loads(text)["step"]]


def hooks(folder: Path) -> list[Step]:
    """Return the executables of a folder as steps, by name."""
    found = (
        sorted(p for p in folder.iterdir() if p.is_file() and os.access(p, os.X_OK))
        if folder.is_dir()
        else []
    )
    return [Step(path.name, "lint", (str(path),)) for path in found]


def plan(steps: list[Step], wish: Wish, extra: list[Step]) -> list[Step]:
    """Return what is to be run: hooks in their place, what was not wanted left out, arguments filled in."""
    if wish.only_tests and not wish.extra:
        return [selection(wish)]
    chosen: list[Step] = []
    for step in steps:
        if wish.extra != (step.kind in EXTRA_KINDS):
            continue
        if wish.fast and step.kind in {"guest", "fetch"}:
            continue
        if wish.only_tests and step.kind != "extra tests":
            continue
        if step.kind == "hooks":
            chosen += extra
            continue
        argv = tuple(sys.executable if word == "{python}" else word for word in step.argv)
        if step.kind in TEST_KINDS:
            argv += (("-k", wish.keyword) if wish.keyword is not None else ()) + wish.pytest
        chosen.append(Step(step.name, step.kind, argv))
    return chosen


def selection(wish: Wish) -> Step:
    """Return the one step of a selection: each test brings what it needs, and few tests want no workers."""
    kinds = "not extra" if not wish.fast else "not extra and not guest"
    argv: tuple[str, ...] = (sys.executable, "-m", "pytest", "-q", "-m", kinds)
    if wish.keyword is not None:
        argv += ("-k", wish.keyword)
        if not wish.paths:
            argv += tuple(candidates(wish.keyword, TOP / "tests"))
    return Step("tests", "tests", argv + wish.pytest)


def candidates(expression: str, folder: Path) -> list[str]:
    """Return the test files in which a test of ``-k EXPRESSION`` may be: reading them all takes seconds.

    A file is left out only when none of the words is in its path or text, and its parameters are all written
    in it. With ``not`` in the expression, or when no file is left, nothing is left out.
    """
    words = [word.lower() for word in re.findall(r"\w+", expression)]
    if "not" in words:
        return []
    words = [word for word in words if word not in {"and", "or"}]
    found = []
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        low = f"{path.relative_to(folder)} {text}".lower()
        if any(word in low for word in words) or COMPUTED_PARAMETERS.search(text):
            found.append(str(path))
    return found


def is_empty(step: Step, status: int, wish: Wish) -> bool:
    """Tell whether a selection has left a step without a test: one of the two test steps may be."""
    return step.kind in TEST_KINDS and wish.only_tests and status == PYTEST_NOTHING_COLLECTED


def run(step: Step, wish: Wish) -> Outcome:
    """Run a step: tests are shown as they go, the others only when they fail."""
    began = time.monotonic()
    closing, lines = "", []
    with subprocess.Popen(
        step.argv,
        cwd=TOP,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            closing = line.strip() or closing
            if step.kind != "lint":
                say(line.rstrip("\n"))
    empty = is_empty(step, process.returncode, wish)
    ok = process.returncode == 0 or empty
    if step.kind == "lint" and not ok:
        say("".join(lines).rstrip("\n"))
    took = round(time.monotonic() - began, 1)
    return Outcome(step.name, ok, took, closing if step.kind in TEST_KINDS else "", empty)


def say(text: str) -> None:
    """Tell the user at once, also through a pipe."""
    print(text, file=sys.stderr if AS_JSON else sys.stdout, flush=True)


AS_JSON = "--json" in sys.argv


def selects_nothing(steps: list[Step], outcomes: list[Outcome]) -> bool:
    """Tell whether no test step had a test: a misspelt selection must not look like a success."""
    tests = [one for step, one in zip(steps, outcomes, strict=False) if step.kind in TEST_KINDS]
    return bool(tests) and all(one.empty for one in tests)


def summary(outcomes: list[Outcome], *, nothing: bool = False) -> str:
    """Return the closing lines; ``nothing``: the selection has no test."""
    lines = [
        f"  {'ok  ' if one.ok else 'FAIL'}  {one.name:<16} {one.seconds:6.1f} s  {one.closing}".rstrip()
        for one in outcomes
    ]
    failed = [one.name for one in outcomes if not one.ok]
    took = sum(one.seconds for one in outcomes)
    verdict = f"FAILED: {', '.join(failed)}" if failed else "all checks passed"
    if nothing:
        verdict = "FAILED: no test matches the selection (tests of the extra sets are run by --extra)"
    return "\n".join(["", *lines, f"{verdict} in {took:.0f} s"])


def main() -> int:
    """Run the checks; 0 when all passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--extra", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-k", dest="keyword")
    parser.add_argument("pytest", nargs="*")
    args = parser.parse_args()
    wish = Wish(args.fast, args.extra, args.keyword, tuple(args.pytest))
    outcomes = []
    steps = plan(read_steps((HERE / "steps.toml").read_text()), wish, hooks(HERE / "hooks"))
    for number, step in enumerate(steps, start=1):
        say(f"[{number}/{len(steps)}] {step.name}")
        outcomes.append(run(step, wish))
        if step.kind == "fetch" and not outcomes[-1].ok:
            say("  the guest tests need what could not be fetched; --fast leaves them out")
            break
        if step.kind == "extra" and not outcomes[-1].ok:
            say("  the tests that want it will be skipped")
    nothing = selects_nothing(steps, outcomes)
    ok = all(one.ok for one in outcomes) and not nothing
    say(summary(outcomes, nothing=nothing))
    if args.json:
        print(json.dumps({"ok": ok, "steps": [asdict(one) for one in outcomes]}))
    return int(not ok)


if __name__ == "__main__":
    sys.exit(main())
