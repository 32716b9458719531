"""``serve --record``: the user's way to a native recording, also when the card's process is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from device.trace import native_player
from device.trace.player import Player
from device.trace.recording import Recording, RecordingError
from lab.trials.loopback_driver import Exerciser

TOP = Path(__file__).resolve().parents[3]
RINGWALK = (sys.executable, "-m", "lab.cli.main")


def serve(folder: Path, target: Path) -> subprocess.Popen[str]:
    """Start a recorded card and wait until a client may come."""
    process = subprocess.Popen(
        [*RINGWALK, "serve", "--socket", folder / "card", "--wire", "loopback", "--json", "--record", target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TOP,
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready["engine"] == "native"
    return process


def drive(folder: Path) -> Exerciser:
    """Send frames round the plug."""
    one = Exerciser(folder / "card").start()
    one.wait_link()
    one.round_trip(500)
    return one


def test_a_card_that_is_told_to_end_leaves_a_whole_recording(tmp_path: Path) -> None:
    """It passes ``replay --check`` on both engines."""
    path = tmp_path / "run.rw"
    process = serve(tmp_path, path)
    drive(tmp_path).close()

    process.terminate()
    said = process.communicate(timeout=20)

    assert (process.returncode, said[1]) == (0, "")
    for engine in ("native", "reference"):
        checked = subprocess.run(
            [*RINGWALK, "replay", path, "--check=engine", "--engine", engine, "--json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=TOP,
        )
        told = json.loads(checked.stdout)
        assert (checked.returncode, told["differences"]) == (0, [])
        assert told["frames_sent"] == told["frames_received"] == 500


def test_a_killed_card_leaves_a_recording_that_plays_to_its_end(tmp_path: Path) -> None:
    """What was kept for longer than a moment is in the file: the end is all that lacks."""
    path = tmp_path / "run.rw"
    process = serve(tmp_path, path)
    one = drive(tmp_path)
    time.sleep(1)  # the recorder keeps nothing back for so long

    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    one.client.close()

    with pytest.raises(RecordingError, match=r"no end|cut short"):
        Recording(path.read_bytes())
    recording = Recording(path.read_bytes(), partial=True)
    player = native_player.play(recording)
    assert player.differences == []
    assert player.card.account.frames_received == 500


def test_a_file_that_cannot_be_written_is_said_before_a_client_comes() -> None:
    """In one line, with status 2."""
    for target, reason in (("/nonexistent/run.rw", "No such file"), ("/dev/full", "No space left")):
        done = subprocess.run(
            [*RINGWALK, "serve", "--socket", "/tmp/never", "--wire", "none", "--record", target],  # noqa: S108 - not made
            capture_output=True,
            text=True,
            check=False,
            cwd=TOP,
            timeout=30,
        )

        assert done.returncode == 2
        assert reason in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_planted_fault_of_the_driver_fails_the_check_of_a_native_recording(tmp_path: Path) -> None:
    """The lint looks at the replay's stages: recorded by C, it is found all the same."""
    path = tmp_path / "run.rw"
    process = serve(tmp_path, path)
    one = drive(tmp_path)
    one.write("TDT0", 200)  # the ring has 64 descriptors
    one.read("STATUS")
    one.close()
    process.terminate()
    process.communicate(timeout=20)

    checked = subprocess.run(
        [*RINGWALK, "replay", path, "--check"], capture_output=True, text=True, check=False, cwd=TOP
    )

    assert checked.returncode == 1
    assert "tail-beyond-ring" in checked.stdout
    assert Player(Recording(path.read_bytes())).run() > 100
