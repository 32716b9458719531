"""Winsock programs in C, run by Wine, against our stack: the command, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lab import fetch
from lab.errors import UsageError
from lab.interop.documented import SITUATIONS
from lab.interop.private_root import SET


@pytest.mark.extra
@pytest.mark.timeout(300)
def test_wine_and_our_stack_echo_to_each_other_and_ours_answers_as_documented() -> None:
    """Extra: it fetches 260 MB (Wine and a compiler for Windows) that nothing else needs."""
    try:
        fetch.ensure([SET])
    except UsageError as error:
        pytest.skip(f"Wine cannot be had here: {error}")

    done = subprocess.run(
        [sys.executable, "-m", "lab.cli", "interop", "wine", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )

    told = json.loads(done.stdout or "{}")
    assert [one for one in told.get("seen", []) if not one["good"]] == []
    assert (done.returncode, len(told["seen"])) == (0, 2 + len(SITUATIONS)), done.stderr
