"""Write the lock of the packages that the launcher installs: requirements/*.txt, each wheel with its hash.

``python ci/lock.py`` asks the index that pip is set up with, by ordinary pip, once for each Python and
machine that is supported, and writes one line a package: its version (the same everywhere; where that
cannot be, one for each Python) and the SHA-256 of each wheel that any of them takes. It installs nothing.
What is locked follows from pyproject.toml; tests/unit/repository/test_lock.py tells when that has moved on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOP: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = TOP / "requirements"
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
MACHINES: Final = ("x86_64", "aarch64")
GLIBC: Final = ("2_17", "2_24", "2_26", "2_27", "2_28", "2_31", "2_34")
HEAD: Final = "# Written by ci/lock.py from pyproject.toml. Do not edit.\n"


@dataclass(frozen=True, slots=True)
class Wheel:
    """One package for one Python and machine."""

    name: str
    version: str
    python: str
    sha256: str


def groups() -> dict[str, list[str]]:
    """Return what each file's packages are asked for by: the name of the file, and requirements."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    extras: dict[str, list[str]] = project["project"]["optional-dependencies"]
    run = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    return {"run": run, **extras}


def resolve(wanted: Sequence[str], python: str, machine: str) -> list[Wheel]:
    """Return what pip would install there. CalledProcessError when it finds no answer."""
    digits = python.replace(".", "")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        argv += [
            "--report",
            str(report),
            "--only-binary=:all:",
            "--target",
            folder,
            "--python-version",
            python,
        ]
        argv += ["--implementation", "cp", "--abi", f"cp{digits}", "--abi", "abi3", "--abi", "none"]
        for version in GLIBC:
            argv += ["--platform", f"manylinux_{version}_{machine}"]
        argv += ["--platform", f"manylinux2014_{machine}", *wanted]
        subprocess.run(argv, check=True)
        found: dict[str, Any] = json.loads(report.read_text())
    return [
        Wheel(
            one["metadata"]["name"].lower().replace("_", "-").replace(".", "-"),
            one["metadata"]["version"],
            python,
            one["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for one in found["install"]
    ]


def emit(wheels: Iterable[Wheel]) -> str:
    """Return the text of one file."""
    hashes: dict[tuple[str, str], set[str]] = defaultdict(set)
    pythons: dict[tuple[str, str], set[str]] = defaultdict(set)
    for wheel in wheels:
        hashes[wheel.name, wheel.version].add(wheel.sha256)
        pythons[wheel.name, wheel.version].add(wheel.python)
    lines = [HEAD]
    for key in sorted(hashes):
        name, version = key
        lines.append(f"{name}=={version}{_marker(pythons[key])} \\\n")
        lines.append(" \\\n".join(f"    --hash=sha256:{one}" for one in sorted(hashes[key])) + "\n")
    return "".join(lines)


def _marker(pythons: set[str]) -> str:
    """Return for which Pythons a line counts; nothing where it does for all."""
    if pythons == set(PYTHONS):
        return ""
    return " ; " + " or ".join(f"python_version == '{one}'" for one in sorted(pythons))


def lock() -> dict[str, str]:
    """Return the files' texts, by name; an extra's file lacks what ``run`` has."""
    wanted = groups()
    everything = [one for group in wanted.values() for one in group]
    found: dict[str, list[Wheel]] = {name: [] for name in wanted}
    pins: list[str] = []
    for python in PYTHONS:
        for machine in MACHINES:
            whole = resolve([*everything, *pins], python, machine)
            if not pins:  # the first decides the versions
                pins = [f"{wheel.name}=={wheel.version}" for wheel in whole]
            exact = [f"{wheel.name}=={wheel.version}" for wheel in whole]
            base = {wheel.name for wheel in _closure(wanted["run"], exact, python, machine)}
            for name, group in wanted.items():
                closure = {wheel.name for wheel in _closure(group, exact, python, machine)}
                keep = base if name == "run" else closure - base
                found[name] += [wheel for wheel in whole if wheel.name in keep]
            print(f"Python {python} on {machine}: {len(whole)} packages", flush=True)
    return {name: emit(wheels) for name, wheels in found.items()}


def _closure(group: Sequence[str], exact: Sequence[str], python: str, machine: str) -> list[Wheel]:
    """Return what a group needs of the versions ``exact``."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(exact))
        constraints.flush()
        return resolve(["-c", constraints.name, *group], python, machine)


def main() -> int:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in lock().items():
        (FOLDER / f"{name}.txt").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
