"""How far a run is, on standard error: a line that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from lab.conformance.verdict import Result

if TYPE_CHECKING:
    from lab.conformance.verdict import Outcome

OFTEN_S, SELDOM_S = 0.1, 10.0


class Progress:
    """Counts the outcomes of one target."""

    def __init__(self, target: str, count: int) -> None:
        self._target, self._count = target, count
        self._done = self._bad = 0
        self._live = sys.stderr.isatty()
        self._told = time.monotonic()
        print(f"ringwalk: {count} checks on {target}", file=sys.stderr, flush=True)

    def note(self, outcome: Outcome) -> None:
        """Count one more, and say so if it is time."""
        self._done += 1
        self._bad += outcome.result in (Result.FAIL, Result.ERROR)
        now = time.monotonic()
        if now - self._told < (OFTEN_S if self._live else SELDOM_S):
            return
        self._told = now
        text = f"{self._target}: {self._done}/{self._count}, {self._bad} failed, {outcome.check}"
        print(
            f"\r\x1b[K{text}" if self._live else text,
            end="" if self._live else "\n",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Take the changing line away."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
