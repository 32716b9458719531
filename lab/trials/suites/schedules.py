"""``ringwalk conform --suite schedules``: many seeded interleavings, over all cores.

Each process plays chunks of consecutive seeds; what they find comes back as data.
"""

from __future__ import annotations

import gc
import itertools
import random
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

from lab.trials.suites.world import CARDS, InvariantError, World
from ndis.errors import NdisError
from ntos.errors import BugCheckError
from ntos.executive.contract import StuckError
from ntos.executive.interleaved import InterleavedExecutive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHUNK = 250
LINE_EVERY = 40 * CHUNK
"""Where standard error is no terminal, progress is a line each time so many were played."""
MOST_FAULTS = 10
"""After that many broken schedules of a mode no more are begun: one is enough to work on."""
GC_THRESHOLD = 50_000
"""Every world is a cycle; with Python's 700 the collector would run in every schedule."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A schedule that broke something: ``seed`` plays it again."""

    mode: str
    seed: int
    what: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """What some consecutive seeds came to; ``most`` contexts were inside the driver at once."""

    mode: str
    played: int
    most: int
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class Tally:
    """The sum of the chunks of one mode."""

    mode: str
    played: int = 0
    most: int = 0
    faults: tuple[Fault, ...] = ()
    seconds: float = 0.0

    def add(self, chunk: Chunk) -> None:
        """Take one chunk in."""
        self.played += chunk.played
        self.most = max(self.most, chunk.most)
        self.faults += chunk.faults


def play(mode: str, first: int, count: int) -> Chunk:
    """Play ``count`` schedules from seed ``first`` on."""
    interleaver = InterleavedExecutive(random.Random(first))  # noqa: S311 - a schedule, no secret
    faults = []
    most = 0
    for seed in range(first, first + count):
        world = None
        try:
            world = World(interleaver, CARDS[mode], seed)
            world.play()
            world.check()
        except (InvariantError, BugCheckError, NdisError, StuckError) as error:
            faults.append(Fault(mode, seed, f"{type(error).__name__}: {error}"))
        if world is not None:
            most = max(most, world.inside.most)
    return Chunk(mode, count, most, tuple(faults))


def run(count: int, first: int, modes: Sequence[str], jobs: int) -> list[Tally]:
    """Play ``count`` schedules of each mode over ``jobs`` processes; say on standard error how far it is."""
    with ProcessPoolExecutor(jobs, get_context("spawn"), _prepare) as pool:
        return [_mode(pool, mode, count, first, jobs) for mode in modes]


def _mode(pool: ProcessPoolExecutor, mode: str, count: int, first: int, jobs: int) -> Tally:
    tally = Tally(mode)
    began = time.monotonic()
    chunks = iter(_chunks(count, first))
    # No more than two chunks a process wait, so that a fault stops the rest.
    waiting = {pool.submit(play, mode, *one) for one in itertools.islice(chunks, 2 * jobs)}
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            tally.add(future.result())
            following = next(chunks, None) if len(tally.faults) < MOST_FAULTS else None
            if following is not None:
                waiting.add(pool.submit(play, mode, *following))
        tally.seconds = time.monotonic() - began
        _progress(tally, count)
    print(file=sys.stderr)
    return tally


def _chunks(count: int, first: int) -> Iterator[tuple[int, int]]:
    for start in range(first, first + count, CHUNK):
        yield start, min(CHUNK, first + count - start)


def _progress(tally: Tally, count: int) -> None:
    if sys.stderr.isatty() or tally.played % LINE_EVERY == 0 or tally.played == count:
        rate = tally.played / max(tally.seconds, 1e-6)
        end = "" if sys.stderr.isatty() else "\n"
        text = f"\rringwalk: {tally.mode}: {tally.played} of {count} schedules, {rate:.0f}/s"
        print(text.lstrip("\r") if end else text, end=end, file=sys.stderr, flush=True)


def _prepare() -> None:
    """Keep the collector from looking through the modules all the time."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 100)
