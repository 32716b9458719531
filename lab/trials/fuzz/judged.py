"""Runs the fault table's tests and reads what they said. Knows pytest's command line and JUnit's XML."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from lab.errors import UsageError
from lab.machines.child_processes import without_safe_path
from lab.trials.fuzz import faults

_ROOT: Final = Path(__file__).resolve().parents[3]


def verdicts() -> dict[str, str]:
    """Return ``passed``, ``failed`` or ``skipped`` by test of the table. UsageError outside a checkout."""
    if not (_ROOT / "tests").is_dir():
        raise UsageError("the fault table's tests are in the checkout: run `ringwalk fuzz --table` there")
    with tempfile.TemporaryDirectory(prefix="ringwalk-table-") as folder:
        report = Path(folder) / "junit.xml"
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        done = subprocess.run(
            [*argv, *faults.every_id()],
            cwd=_ROOT,
            env=without_safe_path(),
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.is_file():
            last = (done.stderr or done.stdout).strip().splitlines()
            raise UsageError(f"pytest did not run: {last[-1] if last else 'install the test extra'}")
        return parse(report.read_text())


def parse(report: str) -> dict[str, str]:
    """Read a JUnit report of pytest: verdicts by test id."""
    found = {}
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - pytest wrote it just now
        path = case.get("classname", "").replace(".", "/")
        kinds = {child.tag for child in case}
        verdict = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{path}.py::{case.get('name')}"] = verdict
    return found
