"""Finds a QEMU that has ``vfio-user-pci``: the system's own, or the one that ``ringwalk fetch`` unpacked.

It starts nothing but ``--version`` and ``-device help``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.errors import UsageError
from lab.machines import fetch
from lab.machines.fetch import prefix

PROGRAM = "qemu-system-x86_64"
OLDEST = (10, 1, 1)
DATA_FOLDERS = ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu")
MODULE_FOLDER = "usr/lib/x86_64-linux-gnu/qemu"


@dataclass(frozen=True, slots=True)
class Qemu:
    """A QEMU to run: ``command`` comes first, ``environment`` is added to the caller's."""

    command: tuple[str, ...]
    version: tuple[int, ...]
    origin: str
    """``system``, ``cache``, or the path that the user gave."""
    environment: tuple[tuple[str, str], ...] = ()

    def environ(self) -> dict[str, str]:
        """Return the whole environment for the process."""
        return {**os.environ, **dict(self.environment)}

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))


def parse_version(text: str) -> tuple[int, ...]:
    """Read the first line of ``qemu --version``; empty when it is not QEMU's."""
    match = re.match(r"QEMU emulator version (\d+(?:\.\d+)*)", text)
    return tuple(int(n) for n in match[1].split(".")) if match else ()


def ask(command: tuple[str, ...], *arguments: str) -> str:
    """Return what a QEMU prints; empty when it does not run."""
    try:
        done = subprocess.run(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def system() -> Qemu | None:
    """Return the system's QEMU when it is new enough and has the device."""
    path = shutil.which(PROGRAM)
    if path is None:
        return None
    version = parse_version(ask((path,), "--version"))
    if version < OLDEST or "vfio-user-pci" not in ask((path,), "-device", "help"):
        return None
    return Qemu((path,), version, "system")


def cached() -> Qemu | None:
    """Return the QEMU in the cache, if there is one."""
    tree = fetch.tree("qemu")
    if not (tree / "usr/bin" / PROGRAM).exists():
        return None
    data = [argument for folder in DATA_FOLDERS for argument in ("-L", str(tree / folder))]
    command = (*prefix.command(tree, f"usr/bin/{PROGRAM}"), *data)
    environment = (("QEMU_MODULE_DIR", str(tree / MODULE_FOLDER)),)
    return Qemu(command, parse_version(ask(command, "--version")), "cache", environment)


def find(path: str | None = None, *, offline: bool = False) -> Qemu:
    """Return the QEMU to use: ``path`` if given, else the system's, else the cache's, fetched when missing.

    Raises ``UsageError`` when ``path`` is no QEMU, or nothing can be had.
    """
    if path is not None:
        program = shutil.which(path) or path
        version = parse_version(ask((program,), "--version"))
        if not version:
            raise UsageError(f"{path} is not a QEMU that runs: give the path of {PROGRAM}")
        return Qemu((str(Path(program)),), version, program)
    if (qemu := system()) is not None:
        return qemu
    fetch.ensure(["qemu"], offline=offline)
    if (qemu := cached()) is None:
        raise UsageError("the cache's QEMU does not run: run `ringwalk fetch --clean`, then `ringwalk fetch`")
    return qemu
