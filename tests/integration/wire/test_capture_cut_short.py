"""A capture on a disk that is full: said, counted, and part of the status."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from device.wire.capture import CaptureFile, capture, troubles
from device.wire.spec import open_wire
from formats.pcapng import Direction

if TYPE_CHECKING:
    import pytest

TOP = Path(__file__).resolve().parents[3]


def test_a_capture_that_ends_early_says_how_much_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames that were written, those that were not, and why."""
    path = str(tmp_path / "a.pcapng")
    file = CaptureFile(path, "card")
    file.write(bytes(60), 1, Direction.OUTBOUND)
    whole = file.trouble()

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        file.write(bytes(60), 2, Direction.OUTBOUND)
    monkeypatch.undo()
    file.close()

    assert whole is None
    assert file.trouble() == f"{path}: the capture ends after 1 frames and lacks 3: No space left on device"


def test_the_captures_of_a_wire_are_found_below_what_wraps_it(tmp_path: Path) -> None:
    """One without a trouble has none to tell."""
    wire = capture(open_wire("none"), str(tmp_path / "a.pcapng"))

    wire.close()

    assert troubles(wire) == []
    assert troubles(open_wire("none")) == []


SENDING = """\
import os, sys, time
from device.wire.frame import Frame
from device.wire.port import Port
from device.wire.capture import troubles
from device.wire.spec import open_wire
wire = open_wire(f"loopback:pcap={sys.argv[1]}")
port = Port(wire.fd, wire.framing)
for _ in range(200):
    while not port.write(Frame(bytes(1000))):
        time.sleep(0.001)
    while port.read() is None:
        time.sleep(0.001)
wire.close()
print(*troubles(wire))
"""


def test_a_full_disk_cuts_a_real_capture_and_is_told(tmp_path: Path) -> None:
    """Traffic goes on all the same: the cable does not fall with the file."""
    path = tmp_path / "a.pcapng"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + SENDING,
            path,
        ],
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=TOP,
    )

    assert done.returncode == 0, done.stderr
    assert "the capture ends after" in done.stdout, done.stdout
    assert path.stat().st_size <= 20_000
