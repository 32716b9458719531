"""A process that runs hostile programs: ``python -m lab.trials.fuzz.worker FD SEED STEP COUNT``.

It may crash or hang, so it tells where it is before each program, in a page shared with ``Contest``.
"""

from __future__ import annotations

import json
import mmap
import struct
import sys
from pathlib import Path

from lab.trials.fuzz.duel import Duel

PAGE_BYTES = 4096
PROGRESS = struct.Struct("<QQdQqq")
"""The seed at hand, programs done, the native engine's longest time in s, programs compared, descriptors open
before the first and after the last program."""
MOST_TOLD = 10


def run(page: mmap.mmap, seed: int, step: int, count: int) -> list[dict[str, object]]:
    """Run ``count`` programs; return the differences, at most ``MOST_TOLD``."""
    duel = Duel()
    told: list[dict[str, object]] = []
    longest, compared, before = 0.0, 0, descriptors()
    for done in range(count):
        PROGRESS.pack_into(page, 0, seed, done, longest, compared, before, before)
        verdict = duel.fight(seed)
        longest = max(longest, verdict.native_seconds)
        compared += verdict.compared
        if verdict.difference is not None:
            told.append({"seed": seed, "difference": verdict.difference})
            if len(told) == MOST_TOLD:
                break
            duel = Duel()  # one difference is not to make others
        seed += step
    else:
        done = count
    PROGRESS.pack_into(page, 0, seed, done, longest, compared, before, descriptors())
    return told


def descriptors() -> int:
    """Return how many file descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def main(arguments: list[str]) -> int:
    """Run what the arguments say; print the differences as JSON."""
    fd, seed, step, count = (int(argument) for argument in arguments)
    with mmap.mmap(fd, PAGE_BYTES) as page:
        told = run(page, seed, step, count)
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
