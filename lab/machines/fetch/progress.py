"""A progress bar for a person, and a line now and then for a log."""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 28
LOG_STEP = 0.25


def mega(size_bytes: int) -> str:
    """Return a size as people say it (decimal units, as apt counts)."""
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"


class Bar:
    """One task's bar on standard error: redrawn on a terminal, a few plain lines elsewhere."""

    def __init__(self, label: str, total: str = "", out: TextIO | None = None) -> None:
        self._label = label
        self._total = total
        self._out = sys.stderr if out is None else out
        self._live = self._out.isatty()
        self._drawn = -1.0
        self._began = time.monotonic()

    def update(self, fraction: float) -> None:
        """Show that ``fraction`` (0 to 1) of the work is done."""
        fraction = min(max(fraction, 0.0), 1.0)
        if self._live:
            filled = round(fraction * WIDTH)
            bar = "━" * filled + " " * (WIDTH - filled)
            print(
                f"\r  {self._label:<34} {bar} {fraction:4.0%} {self._total}",
                end="",
                file=self._out,
                flush=True,
            )
        elif fraction - self._drawn >= LOG_STEP or self._drawn < 0:
            print(f"  {self._label} {fraction:.0%} {self._total}".rstrip(), file=self._out, flush=True)
        else:
            return
        self._drawn = fraction

    def done(self) -> None:
        """Close the bar with the time that the work took."""
        took = time.monotonic() - self._began
        if self._live:
            print(
                f"\r\033[K  {self._label:<34} done in {took:.1f} s {self._total}",
                file=self._out,
                flush=True,
            )
        else:
            print(f"  {self._label}: done in {took:.1f} s", file=self._out, flush=True)
