"""docs/driver-in-an-afternoon.md, done: a module is built, fails, is looked into and mended."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.machines.fetch import complete
from lab.machines.recipes import package_sets

pytestmark = [pytest.mark.guest, pytest.mark.timeout(600)]

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs/driver-in-an-afternoon.md").read_text()
PING = "sleep 4; ping -c 20 -i 0.1 -W 2 10.82.57.1 | tail -3; sleep 2"
MEND = ("(ux->next % 4 == 3 ? RS : 0)", "RS")
STEPS = "break write TDT0 value=15\ncontinue\nbacktrace\nstep 3\nwhy tx0\ndetach\n"


def ringwalk(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "lab.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=TOP,
    )


def test_a_driver_is_built_fails_is_understood_and_mended(
    fetched: None,  # noqa: ARG001 - it decides whether there is a guest
    tmp_path: Path,
) -> None:
    """Every command of the page, and what it shows."""
    if not complete(package_sets()["headers"]):
        pytest.skip("the kernel's headers are not fetched: run `ringwalk fetch headers`")
    folder, recording, script = tmp_path / "ux", tmp_path / "bad.rw", tmp_path / "script"
    folder.mkdir()
    shutil.copy(TOP / "docs/afternoon/ux.c", folder)
    script.write_text(STEPS)

    built = ringwalk("kbuild", folder)
    module = Path(built.stdout.strip())
    failing = ringwalk("boot", "--module", module, "--record", recording, "--exec", PING)
    checked = ringwalk("replay", "--check", recording)
    stepped = ringwalk("boot", "--module", module, "--command", script, "--exec", PING)
    source = folder / "ux.c"
    source.write_text(source.read_text().replace(*MEND))
    ringwalk("kbuild", folder)
    mended = ringwalk("boot", "--module", module, "--exec", PING)

    assert built.returncode == 0, built.stderr
    assert module == folder / "ux.ko"
    assert "No buffer space available" in failing.stderr
    assert checked.returncode == 1
    assert "slot 0 was sent without RS" in checked.stdout
    assert re.search(r"in ux_ring_doorbell\+0x\w+ \[ux\]  ux\.c:\d+, called by ux_xmit", stepped.stdout)
    assert "no RS in [0..2], [4..6], [8..10], [12..13]" in stepped.stdout
    assert " 20 received, 0% packet loss" in mended.stdout, mended.stdout + mended.stderr
    assert mended.returncode == 0
    for said in (MEND[0], "slot 0 was sent without RS", "no RS in [0..2], [4..6], [8..10], [12..13]"):
        assert said in PAGE
