"""Wires whose connections a helper process makes: what a confined card uses for ``stream`` and ``switch``."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.wire.spec import open_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from device.wire.contract import Wire

ECHO = """
import os, select, sys
from device import hardening
from device.wire.dialing import FOR_A_SANDBOX
from device.wire.spec import open_wire, start
wire = open_wire(sys.argv[1], FOR_A_SANDBOX)
hardening.harden()
start(wire)
poll = select.poll()
poll.register(wire.fd, select.POLLIN)
poll.register(0, select.POLLIN)
print("ready", flush=True)
while True:
    ready = dict(poll.poll())
    if 0 in ready:
        break
    os.write(wire.fd, os.read(wire.fd, 70000))
wire.close()
"""
FRAME = bytes(range(6)) + bytes(range(6, 12)) + b"\x08\x00" + bytes(46)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a short name: a socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="dialing-") as name:
        yield Path(name)


@pytest.fixture(params=["stream:{folder}/wire", "switch:dialing"])
def spec(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a wire that is dialled; its switch is this test's own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    text: str = request.param
    return text.format(folder=folder)


@pytest.fixture
def echo(spec: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a confined process that sends each frame back."""
    argv = [sys.executable, "-c", ECHO, spec]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.communicate()


def comes_true(question: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Ask until it is so, or give up."""
    end = time.monotonic() + seconds
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def answered(wire: Wire) -> bool:
    """Send a frame, and tell whether it comes back within a moment."""
    os.write(wire.fd, FRAME)
    poll = select.poll()
    poll.register(wire.fd, select.POLLIN)
    return bool(poll.poll(200)) and os.read(wire.fd, 70000) == FRAME


def test_frames_pass_and_a_far_end_that_comes_anew_is_found(spec: str, echo: subprocess.Popen[bytes]) -> None:
    """The confined process may not connect; its helper does, again and again."""
    assert echo.poll() is None
    for _ in range(2):
        wire = open_wire(spec)
        try:
            came = comes_true(lambda wire=wire: answered(wire))  # type: ignore[misc]  # mypy infers no lambda's default
        finally:
            wire.close()

        assert came


def test_the_helper_removes_its_names_when_the_process_is_killed(
    spec: str, folder: Path, echo: subprocess.Popen[bytes]
) -> None:
    """However the card ends: the helper's socket ends with it."""
    made = comes_true(lambda: any(path.is_socket() for path in folder.rglob("*")))

    echo.kill()

    assert made, spec
    assert comes_true(lambda: not any(path.is_socket() for path in folder.rglob("*")))


def test_an_address_that_cannot_be_used_is_said_as_without_a_helper(tmp_path: Path) -> None:
    """The helper's errno becomes the wire's error."""
    program = ECHO.replace('print("ready", flush=True)', "")
    path = tmp_path / "nothing" / "wire"

    done = subprocess.run(
        [sys.executable, "-c", program, f"stream:{path}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )

    assert b"WireError: stream:" in done.stderr
    assert b"No such file or directory; name a socket you may use" in done.stderr
