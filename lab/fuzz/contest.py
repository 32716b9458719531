"""Watches a worker that runs hostile programs: progress, crashes, hangs.

Knows no program; a seed is a number here.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab import children
from lab.fuzz.worker import PAGE_BYTES, PROGRESS

if TYPE_CHECKING:
    from collections.abc import Callable

HANG_S = 60.0
"""No program takes a second of CPU; on a machine that is busy with ten others it may take many."""
NATIVE_LIMIT_S = 1.0


@dataclass(slots=True)
class Result:
    """What the hostile programs showed."""

    programs: int = 0
    seconds: float = 0.0
    longest_native_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing crashed, hung or differed."""
        return not self.failures and self.longest_native_seconds < NATIVE_LIMIT_S


def run(
    seed: int, count: int, *, until: float | None = None, told: Callable[[int], None] = lambda _: None
) -> Result:
    """Run ``count`` programs from ``seed`` on in a process of their own; stop at ``until`` (monotonic, s).

    ``told`` hears every second how many are done.
    """
    result = Result()
    began = time.monotonic()
    fd = os.memfd_create("progress", os.MFD_CLOEXEC)
    os.truncate(fd, PAGE_BYTES)
    with mmap.mmap(fd, PAGE_BYTES) as page:
        worker = children.start(
            [sys.executable, "-m", "lab.fuzz.worker", str(fd), str(seed), "1", str(count)],
            fds=[fd],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            _watch(worker, page, result, until, told)
        finally:
            children.end(worker)
            os.close(fd)
        _, result.programs, result.longest_native_seconds = PROGRESS.unpack_from(page, 0)
    result.seconds = time.monotonic() - began
    return result


def _watch(
    worker: subprocess.Popen[bytes],
    page: mmap.mmap,
    result: Result,
    until: float | None,
    told: Callable[[int], None],
) -> None:
    last, moved = -1, time.monotonic()
    while True:
        try:
            out, err = worker.communicate(timeout=1)
        except subprocess.TimeoutExpired:
            seed, done, _ = PROGRESS.unpack_from(page, 0)
            now = time.monotonic()
            if done != last:
                last, moved = done, now
                told(done)
            elif now - moved > HANG_S:
                result.failures.append(f"program {seed}: did not end in {HANG_S:.0f} s")
                return
            if until is not None and now >= until:
                return
            continue
        break
    seed, _, _ = PROGRESS.unpack_from(page, 0)
    if worker.returncode < 0:
        name = signal.Signals(-worker.returncode).name
        result.failures.append(f"program {seed}: the process died of {name}")
    elif worker.returncode:
        said = err.decode(errors="replace").strip().splitlines()
        result.failures.append(f"program {seed}: {said[-1] if said else 'the process failed'}")
    else:
        result.failures += [f"program {one['seed']}: {one['difference']}" for one in json.loads(out)]
