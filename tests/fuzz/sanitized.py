"""Runs a program that was built with sanitizers."""

from __future__ import annotations

import subprocess


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said."""
    return subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, timeout=110
    )
