"""Runs programs of an unpacked Debian tree on any Linux: by the tree's own loader and libraries."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOADERS = ("lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2")
LIBRARY_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/pulseaudio",
    "usr/lib/x86_64-linux-gnu/blas",
)


def command(tree: Path, program: str, name: str | None = None) -> list[str]:
    """Return the arguments that run ``program`` (a path in ``tree``); ``name`` becomes its argv[0]."""
    loader = next((tree / path for path in LOADERS if (tree / path).exists()), None)
    if loader is None:
        return [str(tree / program)]  # statically linked
    libraries = ":".join(str(tree / folder) for folder in LIBRARY_FOLDERS if (tree / folder).is_dir())
    argv0 = ["--argv0", name] if name else []
    return [str(loader), *argv0, "--library-path", libraries, str(tree / program)]


def wrapper(tree: Path, program: str) -> Path:
    """Return a script that runs ``program``, for those who want one path; made beside the tree's files."""
    path = tree / f"run-{program.rsplit('/', 1)[-1]}"
    text = f'#!/bin/sh\nexec {shlex.join(command(tree, program))} "$@"\n'
    if not path.exists() or path.read_text() != text:
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(text)
        new.chmod(0o755)
        new.replace(path)
    return path
