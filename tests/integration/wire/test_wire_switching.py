"""Switches: the fabric by itself, then by name between wires and processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import device.wire
from device.wire.contract import WireError
from device.wire.frame import Frame
from device.wire.port import Port
from device.wire.spec import open_wire
from device.wire.switching import AGEING_NS, Fabric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from device.wire.contract import Wire

A, B, C = (bytes([2, 0, 0, 0, 0, n]) for n in (1, 2, 3))
ALL = b"\xff" * 6
GROUP = bytes.fromhex("01005e000001")
CHECKOUT = Path(device.wire.__file__).parents[3]
PATIENCE_SECONDS = 20


def frame(target: bytes, source: bytes, payload: bytes = b"") -> bytes:
    """Return a frame from one station to another."""
    return (target + source + b"\x88\xb5" + payload).ljust(60, b"\0")


@pytest.fixture
def fabric() -> Fabric:
    """Return a fabric of three ports."""
    fabric = Fabric()
    for port in (1, 2, 3):
        fabric.attach(port)
    return fabric


def test_a_frame_to_nobody_known_goes_everywhere_but_back(fabric: Fabric) -> None:
    """Flooding: broadcast, multicast and unknown alike."""
    assert [fabric.forward(1, frame(to, A), 0) for to in (ALL, GROUP, B)] == [[2, 3]] * 3


def test_a_station_that_spoke_is_found(fabric: Fabric) -> None:
    """And its neighbours on the same port are left in peace."""
    fabric.forward(2, frame(ALL, B), 0)

    assert fabric.forward(1, frame(B, A), 1) == [2]
    assert fabric.forward(2, frame(B, C), 2) == []


def test_a_station_that_moves_is_followed(fabric: Fabric) -> None:
    """The last frame counts."""
    fabric.forward(2, frame(ALL, B), 0)
    fabric.forward(3, frame(ALL, B), 1)

    assert fabric.forward(1, frame(B, A), 2) == [3]


def test_a_silent_station_is_forgotten(fabric: Fabric) -> None:
    """After the ageing time, not at it."""
    fabric.forward(2, frame(ALL, B), 0)

    assert fabric.forward(1, frame(B, A), AGEING_NS) == [2]
    assert fabric.forward(1, frame(B, A), AGEING_NS + 1) == [2, 3]


def test_a_detached_port_is_forgotten(fabric: Fabric) -> None:
    """With everyone behind it."""
    fabric.forward(2, frame(ALL, B), 0)

    fabric.detach(2)

    assert fabric.forward(1, frame(B, A), 1) == [3]


def test_a_group_address_as_a_source_is_not_learned(fabric: Fabric) -> None:
    """Else one forged frame would steer all broadcasts to one port."""
    fabric.forward(2, frame(A, GROUP), 0)

    assert fabric._stations == {}


def test_forged_sources_cost_a_bounded_table() -> None:
    """The oldest goes first."""
    fabric = Fabric(most_stations=2)
    fabric.attach(1)
    fabric.attach(2)
    for source in (A, B, A, C):
        fabric.forward(1, frame(ALL, source), 0)

    assert sorted(fabric._stations) == [A, C]


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a run-time directory of this test's own; pytest's paths are too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="rw-") as made:
        monkeypatch.setenv("XDG_RUNTIME_DIR", made)
        yield Path(made)


def until(done: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def heard(wire: Wire, sender: Wire, data: bytes) -> bool:
    """Send a frame and tell whether it arrives soon."""
    Port(sender.fd, sender.framing).write(Frame(data))
    port, deadline = Port(wire.fd, wire.framing), time.monotonic() + 0.3
    while time.monotonic() < deadline:
        got = port.read()
        if got is None:
            time.sleep(0.005)
        elif got.data == data:
            return True
    return False


def test_cards_of_one_process_hear_each_other(directory: Path) -> None:
    """And the last to leave leaves no socket."""
    one, two = open_wire("switch:lab"), open_wire("switch:lab")

    until(lambda: heard(two, one, frame(ALL, A, b"hello")))
    hosted = list(directory.rglob("lab.switch"))
    until(lambda: heard(one, two, frame(A, B, b"hello back")))
    one.close()
    two.close()

    assert len(hosted) == 1
    assert not list(directory.rglob("*.switch"))


@pytest.mark.usefixtures("directory")
def test_a_full_switch_lets_a_card_in_when_another_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes then waits in the queue, and the switch does not look at it again and again."""
    monkeypatch.setattr("device.wire.switch._MOST_PORTS", 2)
    one, two = open_wire("switch:full"), open_wire("switch:full")
    until(lambda: heard(two, one, frame(ALL, A, b"hello")))
    three = open_wire("switch:full")

    left_out = not heard(three, one, frame(ALL, A, b"anybody?"))
    two.close()

    assert left_out
    until(lambda: heard(three, one, frame(ALL, A, b"and now?")))
    one.close()
    three.close()


OTHER_PROCESS = """
import sys, time
from device.wire.spec import open_wire
wire = open_wire("switch:lab")
print("ready", flush=True)
time.sleep(100)
"""


@pytest.mark.usefixtures("directory")
def test_when_the_host_dies_another_takes_over() -> None:
    """Cards keep their descriptors, and hear each other again."""
    host = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert host.stdout is not None
    assert host.stdout.readline() == b"ready\n"
    one, two = open_wire("switch:lab"), open_wire("switch:lab")
    fds = (one.fd, two.fd)
    until(lambda: heard(two, one, frame(ALL, A, b"before")))

    host.send_signal(signal.SIGKILL)
    host.communicate()

    until(lambda: heard(two, one, frame(ALL, A, b"after")))
    assert (one.fd, two.fd) == fds
    one.close()
    two.close()


@pytest.mark.usefixtures("directory")
def test_a_card_that_does_not_read_holds_up_nobody() -> None:
    """Its frames are lost; the others' arrive."""
    deaf, one, two = (open_wire("switch:lab") for _ in range(3))
    until(lambda: heard(two, one, frame(ALL, A, b"start")))
    sender = Port(one.fd, one.framing)

    for n in range(5000):
        while not sender.write(Frame(frame(ALL, A, n.to_bytes(2, "big").ljust(1400)))):
            time.sleep(0.001)

    until(lambda: heard(two, one, frame(ALL, A, b"end")))
    for wire in (deaf, one, two):
        wire.close()


def test_a_name_that_is_a_path_is_refused() -> None:
    """A switch is named, not placed."""
    with pytest.raises(WireError, match="name"):
        open_wire("switch:../x")
