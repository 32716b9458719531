"""A real QEMU at the other end of the cable: its own DHCP server answers in its own frame formats."""

from __future__ import annotations

import select
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from device.wire.frame import Frame
from device.wire.port import Port
from device.wire.spec import open_wire
from lab.machines.qemu import binary

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.guest

PATIENCE_SECONDS = 60
MAC = "02:00:00:00:00:09"
CABLES = {
    "QEMU calls": ("stream:{d}/s", "stream,id=a,server=off,addr.type=unix,addr.path={d}/s"),
    "QEMU listens": ("stream:{d}/s", "stream,id=a,server=on,addr.type=unix,addr.path={d}/s"),
    "datagrams": (
        "dgram:{d}/a,{d}/b",
        "dgram,id=a,local.type=unix,local.path={d}/b,remote.type=unix,remote.path={d}/a",
    ),
}


@pytest.fixture
def directory() -> Iterator[Path]:
    """Make a directory with a short path, for sockets."""
    with tempfile.TemporaryDirectory(prefix="rw-") as made:
        yield Path(made)


def qemu(netdev: str) -> subprocess.Popen[bytes]:
    """Start a QEMU that joins ``netdev`` and its user-mode network by a hub."""
    found = binary.find()
    ports = ["-netdev", netdev, "-netdev", "user,id=u"]
    for number, peer in enumerate(("netdev=a", "netdev=u", ""), 1):
        joint = f"hubport,id=h{number},hubid=0"
        ports += ["-netdev", f"{joint},{peer}" if peer else joint]
    machine = ["-M", "q35", "-nodefaults", "-display", "none", "-m", "64"]
    return subprocess.Popen(
        [*found.command, *machine, *ports, "-device", "e1000e,netdev=h3,romfile="],
        stdin=subprocess.DEVNULL,
        env=found.environ(),
    )


@pytest.mark.parametrize("name", CABLES)
def test_qemus_own_dhcp_server_answers_over_the_cable(name: str, directory: Path) -> None:
    """An offer of 10.0.2.15 comes back: both directions, in QEMU's frame format."""
    spec, netdev = (text.format(d=directory) for text in CABLES[name])
    if name == "QEMU calls":
        wire, program = open_wire(spec), qemu(netdev)
    else:
        program = qemu(netdev)
        wire = open_wire(spec)
    port = Port(wire.fd, wire.framing)
    udp = IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)  # noqa: S104 - RFC 2131
    asked = BOOTP(chaddr=bytes.fromhex(MAC.replace(":", "")), xid=1)
    discover = DHCP(options=[("message-type", "discover"), "end"])
    question = Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / udp / asked / discover

    offered = ""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not offered and time.monotonic() < deadline and program.poll() is None:
        port.write(Frame(bytes(question)))
        select.select([wire.fd], [], [], 0.2)
        while (frame := port.read()) is not None:
            packet = Ether(frame.data)
            if DHCP in packet and packet[BOOTP].op == 2:
                offered = packet[BOOTP].yiaddr
    program.kill()
    program.wait()
    wire.close()

    assert offered == "10.0.2.15"
