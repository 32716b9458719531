"""A driver that polls, as QEMU's tests/qtest/e1000e-test.c does: a frame in, a frame out, by memory alone.

A doorbell that is not posted is answered when its work is done: DD is there at once, in every round of the
first attachment and of those after it. A frame that came before its descriptor waits in the packet buffer.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from device.serving import serve
from device.vfio_user import Client
from device.wire.spec import open_wire
from tests.bench import MAC, PEER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS, ATTACHMENTS = 512, 4
MEMORY, SLOTS = 1 << 20, 256
TX_RING, RX_RING, TX_BUFFER, RX_BUFFER = 0x1000, 0x3000, 0x8000, 0x10000
DATA = 1 << 20 | 1 << 24 | 1 << 25 | 1 << 27 | 1 << 29
"""DTYP data, EOP, IFCS, RS, DEXT: e1000e_send_verify, with the FCS that it forgets."""
PATIENCE_S = 20.0


class Driver:
    """The rings of e1000e_pci_device_start_hw."""

    def __init__(self, client: Client, memory: mmap.mmap) -> None:
        """Reset, wait for the link, set both rings up."""
        self.client, self.memory = client, memory
        client.write(7, 4, b"\x06\0")
        self.write("CTRL", self.read("CTRL") | NIC["CTRL"]["RST"].mask)
        self.write("CTRL", self.read("CTRL") | NIC["CTRL"]["SLU"].mask)
        self.until_link()
        for ring, base in (("TD", TX_RING), ("RD", RX_RING)):
            for name, value in (("BAL", base), ("BAH", 0), ("LEN", 16 * SLOTS), ("T", 0), ("H", 0)):
                self.write(f"{ring}{name}0", value)
        self.write("TCTL", NIC["TCTL"]["EN"].mask)
        self.write("RFCTL", NIC["RFCTL"]["EXTEN"].mask)
        rctl = NIC["RCTL"]
        self.write("RCTL", rctl["EN"].mask | rctl["UPE"].mask | rctl["MPE"].mask | rctl["SECRC"].mask)

    def until_link(self) -> None:
        """Wait for STATUS.LU."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.read("STATUS") & NIC["STATUS"]["LU"].mask:
            assert time.monotonic() < deadline

    def write(self, name: str, value: int) -> None:
        """Write a register and wait for the answer."""
        self.client.write(0, NIC[name].offset, value.to_bytes(4, "little"))

    def read(self, name: str) -> int:
        """Read a register."""
        return int.from_bytes(self.client.read(0, NIC[name].offset, 4), "little")

    def send(self, frame: bytes) -> bool:
        """Send a frame; tell whether DD is there when the doorbell is answered."""
        slot = self.read("TDT0")
        at = TX_RING + 16 * slot
        self.memory[TX_BUFFER : TX_BUFFER + len(frame)] = frame
        self.memory[at : at + 16] = struct.pack("<QII", TX_BUFFER, len(frame) | DATA, 0)
        self.write("TDT0", (slot + 1) % SLOTS)
        return bool(self.memory[at + 12] & 1)

    def receive(self, length: int) -> bytes:
        """Hand one descriptor over, poll DD, and return what is in its buffer."""
        slot = self.read("RDT0")
        at = RX_RING + 16 * slot
        self.memory[at : at + 16] = struct.pack("<QQ", RX_BUFFER, 0)
        self.write("RDT0", (slot + 1) % SLOTS)
        deadline = time.monotonic() + PATIENCE_S
        while not self.memory[at + 8] & 1:
            assert time.monotonic() < deadline, "DD does not come"
        return self.memory[RX_BUFFER : RX_BUFFER + length]


@pytest.fixture(params=["reference", "native"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Serve a card whose cable ends here; the path of its socket, and that end."""
    far, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.settimeout(PATIENCE_S)
    wire = open_wire(f"dgram:fd={near.fileno()}")
    near.close()
    stop, ready = threading.Event(), threading.Event()
    path = str(tmp_path / "card.sock")
    thread = threading.Thread(
        target=serve,
        args=(path, wire, MAC, request.param),
        kwargs={"ready": lambda _: ready.set(), "stop": stop},
    )
    thread.start()
    assert ready.wait(PATIENCE_S)
    yield path, far
    stop.set()
    thread.join()
    wire.close()
    far.close()


def test_every_polled_round_finds_its_frame(served: tuple[str, socket.socket]) -> None:
    """The first after each attachment, too."""
    path, far = served
    seen: list[tuple[bool, bool, bool]] = []

    for attachment in range(ATTACHMENTS):
        fd = os.memfd_create("guest")
        os.truncate(fd, MEMORY)
        memory = mmap.mmap(fd, MEMORY)
        with Client.connect(path) as client:
            client.map_dma(0, memory, fd=fd)
            driver = Driver(client, memory)
            for number in range(ROUNDS if attachment == 0 else 4):
                text = struct.pack("<II", attachment, number).ljust(46, b"T")
                comes, goes = (a + b + b"\x88\xb5" + text for a, b in ((MAC, PEER), (PEER, MAC)))
                far.send(comes)
                stored = driver.receive(len(comes)) == comes
                done = driver.send(goes)
                seen.append((stored, done, far.recv(2048) == goes))
        os.close(fd)

    assert [one for one in seen if one != (True, True, True)] == []
    assert len(seen) == ROUNDS + 4 * (ATTACHMENTS - 1)
