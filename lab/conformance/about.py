"""What a report says of the run it is about: versions, machine, time. Values; it runs no check."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import platform
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class About:
    """A run. ``began`` is UTC, ISO 8601; ``command`` are the arguments behind ``ringwalk conform``."""

    ringwalk: str
    python: str
    machine: str
    kernel: str
    began: str
    command: str
    qemu: str = ""
    """The version of the QEMU that a target needs; empty when none does."""

    def items(self) -> dict[str, str]:
        """Return what is known, by name."""
        return {name: value for name, value in asdict(self).items() if value}

    def __str__(self) -> str:
        """Say it in a line."""
        qemu = f", QEMU {self.qemu}" if self.qemu else ""
        versions = f"Ringwalk {self.ringwalk}, Python {self.python}{qemu}"
        return f"{versions}, {self.machine}, {self.kernel}, {self.began}"


def version() -> str:
    """Return Ringwalk's version."""
    try:
        return importlib.metadata.version("ringwalk")
    except importlib.metadata.PackageNotFoundError:  # a copy that nobody installed
        return "unknown"


def about(command: str, qemu: str = "") -> About:
    """Look at this machine and the clock."""
    began = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return About(
        version(),
        platform.python_version(),
        platform.machine(),
        f"{platform.system()} {platform.release()}",
        began,
        command,
        qemu,
    )
