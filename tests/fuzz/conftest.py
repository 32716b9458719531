"""Building the C core, and the driver's, with sanitizers: what the tests beside it share."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from device.engine.header import regs_h
from lab.trials.fuzz import libfuzzer
from tests.fuzz.sanitized import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Build = Callable[[str, tuple[Path, ...]], Path]

FLAGS = (
    *("-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", "-pthread", "-D_GNU_SOURCE", "-DRW_DEBUG"),
    *("-Wall", "-Wextra", "-Werror", *(f"-I{core}" for core in libfuzzer.CORES)),
)
SANITIZERS = {
    "memory": ("-fsanitize=address,undefined,bounds-strict", "-fno-sanitize-recover=undefined"),
    # A copy that the compiler makes itself is one that ThreadSanitizer does not see (gcc's -O1 makes many).
    "threads": ("-fsanitize=thread", "-fno-builtin"),
}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return a function that links the core, compiled once a sanitizer, with the sources of a target."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: install gcc")
    folder = tmp_path_factory.mktemp("sanitizers")
    objects: dict[str, list[Path]] = {}

    def compile_core(kind: str) -> list[Path]:
        probe = folder / "probe.c"
        probe.write_text("int main(void) { return 0; }\n")
        made = run(compiler, *SANITIZERS[kind], probe, "-o", folder / "probe")
        if made.returncode or run(folder / "probe").returncode:
            pytest.skip(f"{SANITIZERS[kind][0]} does not work here: install libasan, libubsan and libtsan")
        out = folder / kind
        out.mkdir()
        (folder / "regs.h").write_text(regs_h())  # a checkout that was not built has none
        made = subprocess.run(
            [compiler, *FLAGS, f"-I{folder}", *SANITIZERS[kind], "-c", *map(str, libfuzzer.sources())],
            check=False,
            capture_output=True,
            text=True,
            cwd=out,
        )
        assert made.returncode == 0, made.stderr
        return sorted(out.glob("*.o"))

    def link(kind: str, sources: tuple[Path, ...]) -> Path:
        if kind not in objects:
            objects[kind] = compile_core(kind)
        program = folder / f"{sources[0].stem}-{kind}"
        made = run(
            compiler,
            *FLAGS,
            f"-I{folder}",
            *SANITIZERS[kind],
            *sources,
            *objects[kind],
            *libfuzzer.WRAPPING,
            "-o",
            program,
        )
        assert made.returncode == 0, made.stderr
        return program

    return link
