"""Whether a wire knows that the cable's other end lost its carrier, and lets the other end know of ours."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import device.wire
from device.wire.carrier import LinkMonitor, open_link_socket
from device.wire.contract import WireError
from device.wire.netns import NetnsWire
from device.wire.notices import DOWN
from device.wire.pump import PumpedWire
from device.wire.spec import open_wire

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(device.wire.__file__).parents[2]
PATIENCE_SECONDS = 20
AT_MOST_SECONDS = 1.0
FLAGS = """
import fcntl, socket, struct, sys
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
name = sys.argv[1].encode()
flags = struct.unpack("16sH", fcntl.ioctl(control, 0x8913, struct.pack("16sH22x", name, 0))[:18])[1]
flags = flags | 1 if sys.argv[2] == "up" else flags & ~1
fcntl.ioctl(control, 0x8914, struct.pack("16sH22x", name, flags))
"""
"""Sets an interface up or down, as ``ip link set`` does (netdevice(7): SIOCGIFFLAGS, SIOCSIFFLAGS)."""

TAPS = """
import fcntl, os, struct, sys
sys.path.insert(0, sys.argv[1])
from device.wire.tap import TapWire
from device.wire.netlink import RouteSocket
import socket
wire = TapWire("tap:probe", "probe")
said = [wire.link]
index = socket.if_nametoindex("probe")
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for flags in (0, 1):
    fcntl.ioctl(control, 0x8914, struct.pack("16sH22x", b"probe", flags))
    said.append(wire.link)
route = RouteSocket()
route._request(17, 0, struct.pack("=BxHiII", 0, 0, index, 0, 0))
said.append(wire.link)
wire.close()
said.append(wire.link)
print(said)
"""


def until(done: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that a thread or the kernel brings about."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def telling(spec: str) -> PumpedWire:
    """Open a wire that tells its other end of our link."""
    wire = open_wire(spec)
    assert isinstance(wire, PumpedWire)
    return wire


def opened(spec: str) -> NetnsWire:
    """Open a namespace, or skip with what the machine said."""
    try:
        wire = open_wire(spec)
    except WireError as error:
        pytest.skip(str(error))
    assert isinstance(wire, NetnsWire)
    return wire


@pytest.mark.parametrize("cable", ["tap", "veth"])
def test_the_hosts_end_set_down_takes_the_carrier_and_set_up_gives_it_back(cable: str) -> None:
    """In the namespace, where the wire's own process is not."""
    wire = opened(f"netns,cable={cable}")
    seen = [wire.link]

    for state in ("down", "up"):
        wire.run([sys.executable, "-c", FLAGS, wire.interface, state])
        until(lambda: wire.link is not seen[-1], AT_MOST_SECONDS)
        seen.append(wire.link)
    wire.close()

    assert seen == [True, False, True]
    assert not wire.link


def test_a_tap_that_is_set_down_or_removed_has_no_carrier() -> None:
    """Made, down, up, removed under the wire, closed."""
    wire = opened("netns")

    done = wire.run([sys.executable, "-c", TAPS, str(CHECKOUT)])
    wire.close()

    if "Operation not permitted" in done.stderr or "closed to this user" in done.stderr:
        pytest.skip(f"no TAP for this user: {done.stderr.strip().splitlines()[-1]}")
    assert (done.stdout.strip(), done.stderr) == ("[True, False, True, False, False]", "")


def test_a_monitor_of_an_interface_that_is_not_there_sees_none() -> None:
    """The kernel's answer to the question is an error."""
    monitor = LinkMonitor(open_link_socket(), 0x7FFF_FFFE)

    assert not monitor.present
    assert monitor.gone
    monitor.close()


def test_a_monitor_sees_the_loopback_of_the_machine() -> None:
    """It is up wherever tests run."""
    monitor = LinkMonitor(open_link_socket(), socket.if_nametoindex("lo"))

    assert monitor.present
    monitor.close()


@pytest.mark.parametrize("kind", ["stream", "dgram"])
def test_each_end_of_a_cable_of_ours_sees_the_others_link(tmp_path: Path, kind: str) -> None:
    """A PHY that is powered down says so, and again when it has power."""
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    specs = [f"stream:{a}"] * 2 if kind == "stream" else [f"dgram:{a},{b}", f"dgram:{b},{a}"]
    one, other = (telling(spec) for spec in specs)
    until(lambda: one.link and other.link)

    one.offer(link=False)
    until(lambda: not other.link, AT_MOST_SECONDS)
    ours = one.link
    one.offer(link=True)
    until(lambda: other.link, AT_MOST_SECONDS)

    assert ours
    for wire in (one, other):
        wire.close()


def test_a_far_end_that_is_not_ours_gets_an_xon_and_nothing_while_there_is_a_link(tmp_path: Path) -> None:
    """A QEMU at the other end: the guest's MAC consumes it."""
    wire = telling(f"stream:{tmp_path / 'cable'}")
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(0.3)
    peer.connect(str(tmp_path / "cable"))
    until(lambda: wire.link)

    with pytest.raises(TimeoutError):
        peer.recv(1)
    wire.offer(link=False)
    got = peer.recv(64)

    assert got == len(DOWN).to_bytes(4, "big") + DOWN
    peer.close()
    wire.close()


def test_a_bad_cable_says_what_the_cable_inside_says(tmp_path: Path) -> None:
    """Impairments are around a wire that knows."""
    plain = telling(f"stream:{tmp_path / 'cable'}")
    bad = telling(f"stream:{tmp_path / 'cable'},delay=1ms")
    until(lambda: plain.link and bad.link)

    plain.offer(link=False)
    until(lambda: not bad.link, AT_MOST_SECONDS)
    plain.offer(link=True)
    until(lambda: bad.link, AT_MOST_SECONDS)
    bad.offer(link=False)
    until(lambda: not plain.link, AT_MOST_SECONDS)

    for wire in (plain, bad):
        wire.close()
