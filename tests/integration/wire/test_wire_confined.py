"""A datagram cable of a card that gave up its rights: the other end's path is its user's."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from device.vfio_user import Client
from device.wire.port import Port
from device.wire.relay import DatagramRelay
from device.wire.sockets import DatagramPort
from lab.machines.card_process import start_card

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 20.0
SWXOFF = NIC["TCTL"]["SWXOFF"].mask
PAUSE = bytes.fromhex("0180c2000001")


def until(done: Callable[[], object]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def bound(path: Path) -> socket.socket:
    """Be the other end."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.bind(str(path))
    path.chmod(0o755)
    end.settimeout(PATIENCE_S)
    return end


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_a_confined_card_sends_to_a_path_of_its_user(tmp_path: Path, engine: str) -> None:
    """As root, whose card is nobody, too; the other end comes later, and comes back."""
    card = start_card(tmp_path / "card", f"dgram:{tmp_path / 'near'},{tmp_path / 'far'}", engine=engine)
    try:
        with Client.connect(tmp_path / "card") as client:

            def write(name: str, value: int) -> None:
                client.write(0, NIC[name].offset, value.to_bytes(4, "little"))

            def link() -> bool:
                return bool(client.read(0, NIC["STATUS"].offset, 1)[0] & 2)

            for name, value in (("CTRL", 0x40), ("FCAL", 0x00C28001), ("FCAH", 0x0100), ("FCT", 0x8808)):
                write(name, value)
            write("FCTTV", 7)
            until(link)
            write("TCTL", SWXOFF)  # nobody is there yet: it is lost
            for _ in range(2):
                far = bound(tmp_path / "far")
                time.sleep(0.1)
                write("TCTL", SWXOFF)
                assert far.recv(2048)[:6] == PAUSE
                far.close()
                (tmp_path / "far").unlink()
                write("TCTL", SWXOFF)
    finally:
        card.close()


def test_a_port_that_is_refused_has_its_frames_sent(tmp_path: Path) -> None:
    """From its own address: an end that has connected its socket hears nobody else."""

    class Refusing(socket.socket):
        def sendto(self, *_: object) -> int:
            raise PermissionError

    local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    local.bind(str(tmp_path / "near"))
    local.settimeout(0)
    relay = DatagramRelay(local, str(tmp_path / "far"))
    port = DatagramPort(Refusing(fileno=os.dup(local.fileno())), str(tmp_path / "far"), relay)

    def send(data: bytes) -> None:
        port._unsent.append(data)  # bytes as they lie on the cable
        assert Port.flush(port)

    send(b"nobody is there")
    time.sleep(0.1)
    far = bound(tmp_path / "far")
    far.connect(str(tmp_path / "near"))
    send(b"somebody is")

    assert far.recv(2048) == b"somebody is"
    far.close()
    port.close()
    local.close()
