"""The core compiled for aarch64, and the instructions that docs/memory-model.md says are in it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from device.engine.header import regs_h
from lab.errors import UsageError
from lab.machines import fetch
from lab.trials.fuzz import clang, libfuzzer

CROSS = "aarch64-linux-gnu-gcc"
FLAGS = (
    "-std=c11",
    "-O2",
    "-fno-inline",
    "-D_GNU_SOURCE",
    "-march=armv8.3-a",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-S",
)
"""From 8.3 on there is LDAPR, with which an acquire load may pass a release store."""
FUNCTION = re.compile(r"^(\w+):[^\n]*\n(.*?)^\t\.size\t\1,", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return functions by name, as aarch64 instructions."""
    folder = tmp_path_factory.mktemp("aarch64")
    (folder / "regs.h").write_text(regs_h())
    command = _compiler(folder)
    text = ""
    for part in ("dma", "rx", "tx", "access", "regs", "mapped", "threads"):
        source = next(path for path in libfuzzer.sources() if path.name == f"{part}.c")
        made = subprocess.run(
            [*command, *FLAGS, f"-I{libfuzzer.CORES[0]}", f"-I{folder}", str(source), "-o", "-"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        text += made.stdout
    return dict(FUNCTION.findall(text))


def _compiler(folder: Path) -> list[str]:
    """Return a compiler for aarch64: Debian's cross gcc, or clang with this machine's C headers."""
    if shutil.which(CROSS):
        return [CROSS]
    try:
        found = clang.find(folder, offline=True)
    except UsageError as error:
        pytest.skip(f"no compiler for aarch64: install gcc-aarch64-linux-gnu ({error})")
    headers = fetch.tree(clang.SET) / "usr/include/x86_64-linux-gnu"
    if not headers.is_dir():
        headers = Path("/usr/include/x86_64-linux-gnu")
    # the C library's headers of this machine do for what is only looked at: they choose files by __x86_64__
    return [
        *found.command,
        "--target=aarch64-linux-gnu",
        "-D__x86_64__",
        "-D__float128=long double",
        f"-isystem{headers}",
    ]


@pytest.mark.extra
def test_done_is_a_release_store(assembly: dict[str, str]) -> None:
    """Pairs 2 and 3: one byte for a transmit descriptor, eight for a receive descriptor."""
    assert "stlrb" in assembly["rw_dma_store_done"]
    assert re.search(r"\bstlr\tx", assembly["store_release"])


@pytest.mark.extra
def test_a_tail_is_stored_and_looked_at_in_sequence(assembly: dict[str, str]) -> None:
    """Pair 6: LDAR, which no STLR before it is passed by; LDAPR would be."""
    looks, stores = assembly["available"], assembly["write_tail"]

    assert re.search(r"\bldar\tw", looks)
    assert "ldapr" not in looks
    assert re.search(r"\bstlr\tw", stores)


@pytest.mark.extra
def test_a_head_is_stored_with_release_and_shown_with_acquire(assembly: dict[str, str]) -> None:
    """Pair 4."""
    assert re.search(r"\bstlr\tw", assembly["burst"])
    assert re.search(r"\b(ldapr|ldar)\tw", assembly["rw_peek"])
