"""A process that runs hostile programs: ``python -m lab.fuzz.worker FD SEED STEP COUNT``.

It may crash or hang, so it tells where it is before each program, in a page shared with ``Contest``.
"""

from __future__ import annotations

import json
import mmap
import struct
import sys

from lab.fuzz.duel import Duel

PAGE_BYTES = 4096
PROGRESS = struct.Struct("<QQd")  # the seed at hand, programs done, the native engine's longest time in s
MOST_TOLD = 10


def run(page: mmap.mmap, seed: int, step: int, count: int) -> list[dict[str, object]]:
    """Run ``count`` programs; return the differences, at most ``MOST_TOLD``."""
    duel = Duel()
    told: list[dict[str, object]] = []
    longest = 0.0
    for done in range(count):
        PROGRESS.pack_into(page, 0, seed, done, longest)
        verdict = duel.fight(seed)
        longest = max(longest, verdict.native_seconds)
        if verdict.difference is not None:
            told.append({"seed": seed, "difference": verdict.difference})
            if len(told) == MOST_TOLD:
                break
            duel = Duel()  # one difference is not to make others
        seed += step
    else:
        done = count
    PROGRESS.pack_into(page, 0, seed, done, longest)
    return told


def main(arguments: list[str]) -> int:
    """Run what the arguments say; print the differences as JSON."""
    fd, seed, step, count = (int(argument) for argument in arguments)
    with mmap.mmap(fd, PAGE_BYTES) as page:
        told = run(page, seed, step, count)
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
