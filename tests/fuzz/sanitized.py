"""Runs a program that was built with sanitizers."""

from __future__ import annotations

import subprocess
from typing import Final

PATIENCE_S: Final = 380
"""For the slowest program on a machine that is busy with others; tests that use it have a little more."""


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said."""
    return subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, timeout=PATIENCE_S
    )
