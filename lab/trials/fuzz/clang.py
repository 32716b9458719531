"""Finds a clang that has libFuzzer: the system's, or Debian's in the cache. Knows no target.

The cache's runs through its own loader (``fetch.prefix``) and links programs against its own libraries, so
neither the host's C library nor its headers matter. One source is compiled at a time: clang then works in
its own process and need not find itself.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.errors import UsageError
from lab.machines import fetch
from lab.machines.fetch import prefix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SET: Final = "clang"
MULTIARCH: Final = "usr/lib/x86_64-linux-gnu"
_PROBE: Final = (
    "#include <stddef.h>\n#include <stdint.h>\n"
    "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);\n"
    "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return !data && size; }\n"
)


@dataclass(frozen=True, slots=True)
class Clang:
    """How to run a clang: what to begin its command with, and what a link needs besides."""

    command: tuple[str, ...]
    linking: tuple[str, ...] = ()
    origin: str = "the system's"

    def compile(self, source: Path, target: Path, flags: Sequence[str]) -> None:
        """Make an object of one source. UsageError with clang's first complaint."""
        self._run([*flags, "-c", str(source), "-o", str(target)], source.name)

    def link(self, objects: Sequence[Path], target: Path, flags: Sequence[str]) -> None:
        """Make a program of objects. UsageError with the first complaint."""
        self._run([*flags, *map(str, objects), *self.linking, "-o", str(target)], target.name)

    def _run(self, arguments: list[str], what: str) -> None:
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            first = next(
                (line for line in lines if "error" in line), lines[0] if lines else "no reason given"
            )
            raise UsageError(f"clang ({self.origin}) cannot make {what}: {first}")


def find(folder: Path, *, offline: bool = False) -> Clang:
    """Return a clang that makes libFuzzer programs, fetched when the system has none. UsageError.

    ``folder`` is for the trial's files and for the linker's wrapper.
    """
    if shutil.which("clang") is not None:
        system = Clang(("clang",))
        if _works(system, folder):
            return system
    fetch.ensure([SET], offline=offline)
    return fetched(fetch.tree(SET), folder)


def fetched(tree: Path, folder: Path) -> Clang:
    """Return the clang of an unpacked Debian tree."""
    llvm = max(tree.glob("usr/lib/llvm-*"), default=None, key=lambda path: int(path.name.rpartition("-")[2]))
    resources = max((llvm / "lib/clang").iterdir(), default=None) if llvm else None
    if llvm is None or resources is None:
        raise UsageError(f"{tree} has no clang: run `ringwalk fetch --clean` and `ringwalk fetch {SET}`")
    linker = folder / "ld"
    linker.write_text(f'#!/bin/sh\nexec {shlex.join(prefix.command(tree, "usr/bin/ld.bfd"))} "$@"\n')
    linker.chmod(0o755)
    command = prefix.command(tree, str((llvm / "bin/clang").relative_to(tree)), name="clang")
    loader = next(tree / path for path in prefix.LOADERS if (tree / path).exists())
    return Clang(
        (*command, f"--sysroot={tree}", "-resource-dir", str(resources)),
        (f"-fuse-ld={linker}", f"-Wl,--dynamic-linker={loader}", f"-Wl,-rpath,{tree / MULTIARCH}"),
        "fetched",
    )


def _works(clang: Clang, folder: Path) -> bool:
    """Try whether it has libFuzzer and the sanitizers' libraries, which are packages of their own."""
    source, made = folder / "probe.c", folder / "probe"
    source.write_text(_PROBE)
    flags = ["-fsanitize=fuzzer,address,undefined"]
    try:
        clang.compile(source, folder / "probe.o", flags)
        clang.link([folder / "probe.o"], made, flags)
    except UsageError:
        return False
    return subprocess.run([made, "-runs=1"], capture_output=True, check=False).returncode == 0
