"""Runs a part of ``ringwalk interop`` as a user does, for the tests of this folder and of the guests."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

LACKING = 2
"""The exit status of a machine that lacks something; the last line of its words says what."""


def run_part(*arguments: str, verify: bool = True, timeout_s: float = 110) -> list[dict[str, Any]]:
    """Return what was seen; fail where it is not as it must be, skip where the machine lacks something.

    ``verify``: with the verifiers on; their row has been looked at, and is left out.
    """
    watch = ["--verify"] if verify else []
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli.main", "interop", *arguments, *watch, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if done.returncode == LACKING:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    seen: list[dict[str, Any]] = told["seen"]
    bad = [one for one in seen if not one["good"]]
    assert bad == [], f"{bad}"
    assert (done.returncode, told["passed"]) == (0, True)
    assert any(one["what"] == "verifiers" for one in seen) is verify
    return [one for one in seen if one["what"] != "verifiers"]
