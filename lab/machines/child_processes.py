"""Starts programs that must not outlive us, and ends them.

It knows nothing of what they are.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # found before any fork: nothing may be loaded between fork and exec


def _die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the thread that started us goes (prctl(2)): against a crash."""
    _LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def without_safe_path() -> dict[str, str]:
    """Return our environment for a program that finds modules where it stands, as pytest does."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def start(
    argv: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    fds: Iterable[int] = (),
    foreground: bool = False,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that is killed if we die; in ``foreground`` it shares our terminal's Ctrl-C."""
    return subprocess.Popen(
        argv,
        env=dict(os.environ if environment is None else environment),
        pass_fds=tuple(fds),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=not foreground,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, and its function is bound before the fork
    )


def end(process: subprocess.Popen[bytes], grace_s: float = 2.0) -> int:
    """End a program: politely, then not; return its status. Harmless when it is gone already."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
