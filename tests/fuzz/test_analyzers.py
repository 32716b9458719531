"""gcc's and clang's static analyzers have nothing to say of the C core and of the driver's C."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from device.engine.header import regs_h
from lab.errors import UsageError
from lab.trials.fuzz import clang, libfuzzer

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = ("-std=c11", "-D_GNU_SOURCE", *(f"-I{core}" for core in libfuzzer.CORES))
COMPLAINT = re.compile(r"([\w.]+):\d+:\d+: warning: (.*)")
EXPLAINED: Final[dict[tuple[str, str], str]] = {
    (
        "stats.h",
        "The left operand of '&' is a garbage value [core.UndefinedBinaryOperatorResult]",
    ): "`leave` sends no empty frame, so the head has a first byte: it is copied a power of two at a time",
}
"""A complaint that is wrong, by file and text, and why it is (gcc 12, clang 19)."""


def complaints(command: list[str], folder: Path) -> list[str]:
    """Return what a compiler says of each source, but what is explained."""
    (folder / "regs.h").write_text(regs_h())
    found = []
    for source in libfuzzer.sources():
        done = subprocess.run(
            [*command, *FLAGS, f"-I{folder}", str(source)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found += [
            f"{one[1]}: {one[2]}" for one in COMPLAINT.finditer(done.stderr) if one.groups() not in EXPLAINED
        ]
    return found


@pytest.mark.extra
@pytest.mark.timeout(600)
def test_gccs_analyzer_finds_nothing(tmp_path: Path) -> None:
    """Paths through each function: what is not initialized, is NULL, was freed, leaks."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc: install gcc")

    assert complaints([compiler, "-O1", "-fanalyzer", "-c", "-o", "/dev/null"], tmp_path) == []


@pytest.mark.extra
@pytest.mark.timeout(600)
def test_clangs_analyzer_finds_nothing(tmp_path: Path) -> None:
    """The same with another's eyes."""
    try:
        found = clang.find(tmp_path)
    except UsageError as error:
        pytest.skip(f"no clang can be had here: {error}")
    command = [*found.command, "--analyze", "-Xclang", "-analyzer-output=text", "-o", "/dev/null"]

    assert complaints(command, tmp_path) == []
