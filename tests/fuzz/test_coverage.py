"""What the fuzz targets reach of the C core, by gcc's coverage: a net with holes is known to have them."""

from __future__ import annotations

import re

from lab.trials.fuzz import coverage, libfuzzer

REACHED = 0.91
"""Of the branches. The goal is ``coverage.LEAST``; this may only grow."""


def test_every_function_is_reached_or_it_is_said_why_not() -> None:
    """Where this fails: a target for the new function, or its reason in tests/fuzz/unreached.toml."""
    files = coverage.measure()

    assert coverage.unexplained(files) == []
    assert coverage.share(files) >= REACHED


def test_a_reason_is_for_a_function_that_there_is() -> None:
    """One that was renamed takes its reason along."""
    sources = {path.name: path.read_text() for path in libfuzzer.sources()}

    gone = [
        f"{file}: {name}"
        for file, names in coverage.reasons().items()
        for name in names
        if not re.search(rf"\b{name}\(", sources[file])
    ]

    assert gone == []
