"""Samples a process under load, and decides whether the series is flat. Pure but for ``sample``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

GROWTH_ALLOWED: Final = 0.10
GROWTH_FLOOR_KIB: Final = 4096
"""An interpreter's heap breathes; less than this is no growth."""
SLOWDOWN_ALLOWED: Final = 0.5
"""The last third of rates against the first: a machine shared with others is noisy."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of the table."""

    seconds: float
    resident_kib: int
    fds: int
    threads: int
    cpu_seconds: float
    frames: int
    frames_per_second: float
    interrupts: int
    resets: int
    map_changes: int
    connections: int


COLUMNS: Final = tuple(Sample.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc says of a process."""

    resident_kib: int
    fds: int
    threads: int
    cpu_seconds: float


def sample(pid: int, fds: int) -> Process:
    """Look at a process, which has told how many descriptors it has open. OSError when it is gone."""
    folder = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return Process(
        int(status["VmRSS"].split()[0]),
        fds,
        int(status["Threads"]),
        (int(fields[11]) + int(fields[12])) / _TICKS,
    )


def verdict(samples: list[Sample]) -> list[str]:
    """Return what is not flat; the first sample is the warm-up and does not count."""
    if len(samples) < 4:
        return []
    rows = samples[1:]
    third = max(1, len(rows) // 3)
    first, last = rows[:third], rows[-third:]
    found = []
    before, after = (median(row.resident_kib for row in part) for part in (first, last))
    if after - before > max(GROWTH_FLOOR_KIB, GROWTH_ALLOWED * before):
        found.append(f"memory grew from {before:,.0f} to {after:,.0f} KiB")
    for name in ("fds", "threads"):
        least, most = min(getattr(row, name) for row in first), min(getattr(row, name) for row in last)
        if most > least:
            found.append(f"{name} grew from {least} to {most}")
    slow, fast = (median(row.frames_per_second for row in part) for part in (last, first))
    if slow < fast * SLOWDOWN_ALLOWED:
        found.append(f"the rate fell from {fast:,.0f} to {slow:,.0f} frames/s")
    return found


def row(one: Sample) -> str:
    """Return a row for a plot: tab separated, in the order of ``COLUMNS``."""
    return "\t".join(
        f"{value:.2f}" if isinstance(value, float) else str(value) for value in asdict(one).values()
    )


HEADINGS: Final = (
    "s",
    "MiB",
    "fds",
    "threads",
    "CPU s",
    "frames",
    "frames/s",
    "interrupts",
    "resets",
    "maps",
    "clients",
)
_WIDTHS: Final = (6, 6, 4, 7, 6, 11, 9, 10, 7, 7, 7)


def cells(one: Sample) -> tuple[str, ...]:
    """Return a sample for people, in the order of ``HEADINGS``."""
    first = (f"{one.seconds:.1f}", f"{one.resident_kib / 1024:.1f}", str(one.fds), str(one.threads))
    counts = (one.frames, one.frames_per_second, one.interrupts, one.resets, one.map_changes, one.connections)
    return (*first, f"{one.cpu_seconds:.1f}", *(f"{count:,.0f}" for count in counts))


def table_row(row: tuple[str, ...]) -> str:
    """Return cells under each other, for a terminal."""
    return " ".join(cell.rjust(width) for cell, width in zip(row, _WIDTHS, strict=True))
