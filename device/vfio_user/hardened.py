"""The flags that make a compiled module hard to misuse, as far as the compiler at hand has them.

Each is tried before it is used, so that an old or another compiler still builds a module. Assertions stay in:
NDEBUG, with which many a Python is built, is taken back.

It is a build script's: it knows no module, and runs a compiler. The module that results is looked at by
tests/integration/device/test_hardened_modules.py.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

COMPILING: Final[tuple[tuple[tuple[str, ...], ...], ...]] = (
    (("-UNDEBUG",),),
    (("-fstack-protector-strong",), ("-fstack-protector",)),
    (("-fstack-clash-protection",),),
    (("-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"), ("-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2")),
    (("-fcf-protection=full",), ("-mbranch-protection=standard",)),
)
"""Groups of alternatives, the best first. Indirect jumps: CET on x86, BTI and PAC on arm64."""
LINKING: Final[tuple[tuple[tuple[str, ...], ...], ...]] = (
    (("-Wl,-z,relro",),),
    (("-Wl,-z,now",),),
    (("-Wl,-z,noexecstack",),),
    (("-Wl,-z,shstk",),),
)
"""The last: the module keeps to CET's shadow stack, whatever gcc's start files say of themselves."""
_PROBE: Final = """\
#include <string.h>
int probe(char *to, const char *from, unsigned length);
int probe(char *to, const char *from, unsigned length)
{
    char room[64];

    memcpy(room, from, length);
    memcpy(to, room, sizeof room);
    return room[0];
}
"""
"""A function with an array: what most of the flags are about."""


def compiler() -> list[str]:
    """Return the command of the compiler that modules are built with: CC's, Python's, or ``cc``."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


@functools.cache
def flags() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what to compile with, and what to link with. Nothing, where there is no compiler."""
    with tempfile.TemporaryDirectory() as folder:
        return _chosen(COMPILING, Path(folder)), _chosen(LINKING, Path(folder))


def _chosen(groups: tuple[tuple[tuple[str, ...], ...], ...], folder: Path) -> tuple[str, ...]:
    """Return the first alternative of each group that works. The best of all are tried together at first."""
    best = tuple(flag for group in groups for flag in group[0])
    if _works(best, folder):
        return best
    found: list[str] = []
    for group in groups:
        found += next((one for one in group if _works(one, folder)), ())
    return tuple(found)


def _works(some: tuple[str, ...], folder: Path) -> bool:
    """Whether the compiler makes a shared library with these flags, without a warning."""
    source = folder / "probe.c"
    source.write_text(_PROBE)
    command = [*compiler(), "-O2", "-Werror", "-fPIC", "-shared", *some, str(source)]
    try:
        done = subprocess.run([*command, "-o", str(folder / "probe.so")], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0
