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
from pathlib import Path
from typing import TYPE_CHECKING

from lab.machines import child_processes
from lab.trials.fuzz.worker import PAGE_BYTES, PROGRESS

if TYPE_CHECKING:
    from collections.abc import Callable

HANG_S = 10.0
"""Of CPU, which no program takes a second of: a machine that is busy with ten others does not count."""
STUCK_S = 900.0
"""Without CPU: it waits for something that does not come."""
NATIVE_LIMIT_S = 1.0


@dataclass(slots=True)
class Result:
    """What the hostile programs showed."""

    programs: int = 0
    compared: int = 0
    """Programs of which all that can be seen was the same on both engines; of the others what is read first
    decides, and only the promise is tested."""
    fds: tuple[int, int] = (0, 0)
    """The worker's descriptors before the first program and after the last."""
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
        worker = child_processes.start(
            [sys.executable, "-m", "lab.trials.fuzz.worker", str(fd), str(seed), "1", str(count)],
            fds=[fd],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            _watch(worker, page, result, until, told)
        finally:
            child_processes.end(worker)
            os.close(fd)
        _, result.programs, result.longest_native_seconds, result.compared, *fds = PROGRESS.unpack_from(
            page, 0
        )
        result.fds = (fds[0], fds[1])
        if fds[1] > fds[0]:
            result.failures.append(f"{fds[1] - fds[0]} descriptors were left open")
    result.seconds = time.monotonic() - began
    return result


def _watch(
    worker: subprocess.Popen[bytes],
    page: mmap.mmap,
    result: Result,
    until: float | None,
    told: Callable[[int], None],
) -> None:
    last, moved, cpu = -1, time.monotonic(), 0.0
    while True:
        try:
            out, err = worker.communicate(timeout=1)
        except subprocess.TimeoutExpired:
            seed, done, *_ = PROGRESS.unpack_from(page, 0)
            now = time.monotonic()
            used = _cpu_seconds(worker.pid)
            if done != last:
                last, moved, cpu = done, now, used
                told(done)
            elif used - cpu > HANG_S or now - moved > STUCK_S:
                result.failures.append(f"program {seed}: did not end in {used - cpu:.0f} s of CPU")
                return
            if until is not None and now >= until:
                return
            continue
        break
    seed, *_ = PROGRESS.unpack_from(page, 0)
    if worker.returncode < 0:
        name = signal.Signals(-worker.returncode).name
        result.failures.append(f"program {seed}: the process died of {name}")
    elif worker.returncode:
        said = err.decode(errors="replace").strip().splitlines()
        result.failures.append(f"program {seed}: {said[-1] if said else 'the process failed'}")
    else:
        result.failures += [f"program {one['seed']}: {one['difference']}" for one in json.loads(out)]


def _cpu_seconds(pid: int) -> float:
    """Return the CPU a process of ours took so far; it is not waited for yet, so /proc has it (proc(5))."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
