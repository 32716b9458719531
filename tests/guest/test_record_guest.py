"""A guest on a recorded native card: what it did plays again on both engines, and on QEMU's model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]

TOP = Path(__file__).resolve().parents[2]
RINGWALK = (sys.executable, "-m", "lab.cli.main")


def ringwalk(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would."""
    return subprocess.run(
        [*RINGWALK, *map(str, words)], capture_output=True, text=True, check=False, cwd=TOP, timeout=250
    )


def test_a_boot_is_recorded_at_full_speed_and_plays_on_both_engines_and_beside_qemu_s_model(
    fetched: None,  # noqa: ARG001 - it decides whether there is a guest
    tmp_path: Path,
) -> None:
    """`boot --record`, then `replay --check` on each engine, then `replay --against`."""
    path = tmp_path / "run.rw"

    booted = ringwalk("boot", "--record", path, "--exec", "ping -c 5 -i 0.2 -s 1400 10.82.57.1")
    native, reference = (
        ringwalk("replay", path, "--check=engine", "--engine", engine, "--json")
        for engine in ("native", "reference")
    )
    model = ringwalk("replay", path, "--against", "qtest:e1000e")

    assert booted.returncode == 0, booted.stderr
    assert "5 received" in booted.stdout or "5 packets received" in booted.stdout
    told = [json.loads(one.stdout) for one in (native, reference)]
    assert [one["differences"] for one in told] == [[], []]
    assert (native.returncode, reference.returncode) == (0, 0)
    assert told[0]["inputs"] == told[1]["inputs"] > 1000
    assert told[0]["frames_received"] == told[1]["frames_received"] >= 5
    assert model.returncode == 0, model.stdout
    assert "does as our engine, but for the above" in model.stdout
    assert "each has an NVM of its own" in model.stdout
