"""What of the C core the fuzz targets reach: functions and branches, counted by gcc's own coverage.

Every target runs its kept corpus and a fixed number of seeded inputs, in programs that share one set of
object files, so that the counts add up. ``docs/reference/fuzz-coverage.md`` is rendered from the result, with
a reason for each place that nothing reaches (tests/fuzz/unreached.toml).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from device.engine.header import regs_h
from lab.errors import UsageError
from lab.machines import scratch
from lab.trials.fuzz import corpus, libfuzzer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FLAGS: Final = ("-std=c11", "-g", "-O0", "--coverage", "-pthread", "-D_GNU_SOURCE", "-DRW_INLINE=static")
RUNS: Final = 400
"""Seeded inputs of each target, besides its corpus."""
RUNS_OF: Final = {"fuzz_attached": 1500, "fuzz_mapped": 60, "fuzz_threads": 200}
"""The first is worth more than the others; these start threads in each of their runs."""
LEAST: Final = 0.95
"""Of the branches of all files together."""
NOT_YET: Final = "not met yet: a value that no input has"
UNREACHED: Final = corpus.FOLDER.parent / "unreached.toml"
TIMEOUT_S: Final = 120


@dataclass(slots=True)
class FileCoverage:
    """What was reached of one C file."""

    name: str
    functions: dict[str, int] = field(default_factory=dict)
    """How often each was called."""
    branches: dict[tuple[int, int], int] = field(default_factory=dict)
    """How often each was taken, by line and place in it."""
    owners: dict[int, str] = field(default_factory=dict)
    """The function that a line belongs to."""

    @property
    def missed_functions(self) -> list[str]:
        """Functions that no input called."""
        return sorted(name for name, count in self.functions.items() if not count)

    @property
    def missed_branches(self) -> list[tuple[int, int]]:
        """Branches that no input took."""
        return sorted(place for place, count in self.branches.items() if not count)

    def gaps(self) -> dict[str, int]:
        """Return how many branches of each function no input took."""
        found: dict[str, int] = {}
        for line, _ in self.missed_branches:
            name = self.owners.get(line, "?")
            found[name] = found.get(name, 0) + 1
        return found


def measure(runs: int = RUNS, *, told: Callable[[str], None] = lambda _: None) -> list[FileCoverage]:
    """Build, run and count. UsageError where there is no gcc with gcov, or a target fails."""
    gcc, gcov = shutil.which("gcc"), shutil.which("gcov")
    if gcc is None or gcov is None:
        raise UsageError("the coverage of the C core needs gcc and gcov: install gcc")
    folder = scratch.make()
    try:
        (folder / "regs.h").write_text(regs_h())
        told("building the targets for coverage")
        objects = _compile(gcc, folder, libfuzzer.sources())
        for name in libfuzzer.names():
            told(name)
            _run_target(gcc, folder, name, objects, RUNS_OF.get(name, runs))
        return _counted(gcov, folder, objects)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _call(command: list[str], folder: Path, what: str) -> str:
    """Run a program; UsageError with its last line when it fails."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{what} did not end in {TIMEOUT_S} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise UsageError(f"{what} failed ({done.returncode}): {said[-1] if said else 'no reason given'}")
    return done.stdout


def _compile(gcc: str, folder: Path, sources: Iterable[Path]) -> list[Path]:
    includes = [f"-I{core}" for core in libfuzzer.CORES] + [f"-I{folder}"]

    def one(source: Path) -> Path:
        made = folder / f"{source.stem}.o"
        _call([gcc, *FLAGS, *includes, "-c", str(source), "-o", str(made)], folder, source.name)
        return made

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, sources))


def _run_target(gcc: str, folder: Path, name: str, objects: list[Path], runs: int) -> None:
    own = _compile(gcc, folder, [libfuzzer.TARGETS / f"{name}.c", libfuzzer.TARGETS / "driver.c"])
    program = folder / f"{name}.program"
    linking = [*map(str, (*own, *objects)), *libfuzzer.WRAPPING]
    _call([gcc, *FLAGS, *linking, "-o", str(program)], folder, name)
    inputs = corpus.unpack(corpus.read(corpus.FOLDER, name), folder / f"{name}.inputs")
    _call([str(program), "1", str(runs), *map(str, inputs)], folder, name)


def _counted(gcov: str, folder: Path, objects: list[Path]) -> list[FileCoverage]:
    files: dict[str, FileCoverage] = {}
    names = {path.name for core in libfuzzer.CORES for path in core.glob("*.[ch]")}
    reached = [str(made) for made in objects if made.with_suffix(".gcda").exists()]
    lines = _call(
        [gcov, "--json-format", "--stdout", "--branch-probabilities", "--branch-counts", *reached],
        folder,
        "gcov",
    ).splitlines()
    for line in lines:
        for entry in json.loads(line)["files"]:
            name = Path(entry["file"]).name
            if name in names:
                _add(files.setdefault(name, FileCoverage(name)), entry)
    return [files[name] for name in sorted(files)]


def _add(to: FileCoverage, entry: dict[str, Any]) -> None:
    """Add what one object says of a file; a header is told of by many."""
    for function in entry["functions"]:
        name = function["name"]
        to.functions[name] = to.functions.get(name, 0) + function["execution_count"]
    for line in entry["lines"]:
        number = line["line_number"]
        if "function_name" in line:
            to.owners[number] = line["function_name"]
        for place, branch in enumerate(line["branches"]):
            key = (number, place)
            to.branches[key] = to.branches.get(key, 0) + branch["count"]


def reasons() -> dict[str, dict[str, str]]:
    """Return why nothing reaches a place: by file, then by function."""
    return tomllib.loads(UNREACHED.read_text())


def share(files: Iterable[FileCoverage]) -> float:
    """Return the part of all branches that was taken."""
    taken = every = 0
    for one in files:
        every += len(one.branches)
        taken += len(one.branches) - len(one.missed_branches)
    return taken / every if every else 0.0


def unexplained(files: Iterable[FileCoverage]) -> list[str]:
    """Return the functions that no input calls and of which nothing says why."""
    known = reasons()
    return [
        f"{one.name}: {name}"
        for one in files
        for name in one.missed_functions
        if name not in known.get(one.name, {})
    ]


def markdown(files: list[FileCoverage]) -> str:
    """Render the page."""
    known = reasons()
    called = sum(len(one.functions) - len(one.missed_functions) for one in files)
    functions = sum(len(one.functions) for one in files)
    lines = [
        "# What the fuzz targets reach of the C core",
        "",
        "Written by `ringwalk fuzz --coverage`: the targets of tests/fuzz/csrc, built with gcc's coverage,",
        f"over their corpus and {RUNS} seeded inputs each.",
        f"Goal: every function, {LEAST:.0%} of the branches.",
        "",
        f"**{called} of {functions} functions; {share(files):.1%} of the branches.**",
        "",
        "| file | functions | branches | |",
        "|---|---|---|---|",
    ]
    for one in files:
        taken = len(one.branches) - len(one.missed_branches)
        part = f"{taken / len(one.branches):.0%}" if one.branches else ""
        counts = f"{len(one.functions) - len(one.missed_functions)} of {len(one.functions)}"
        lines.append(f"| `{one.name}` | {counts} | {taken} of {len(one.branches)} | {part} |")
    lines += ["", "## What nothing reaches", "", "| place | branches | why |", "|---|---|---|"]
    for one in files:
        for name, count in sorted(one.gaps().items()):
            why = known.get(one.name, {}).get(name, NOT_YET)
            lines.append(f"| `{one.name}`: `{name}` | {count} | {why} |")
    return "\n".join(lines) + "\n"
