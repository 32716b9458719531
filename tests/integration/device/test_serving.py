"""The card behind a real socket: a client maps memory, arms an eventfd, sends and receives."""

from __future__ import annotations

import mmap
import os
import select
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from device.serving import serve
from device.vfio_user import Client, PciIrq
from device.wire.simple import LoopbackWire
from tests.bench import MAC, SEND, ethernet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY = 1 << 20
TX_RING, RX_RING, TX_BUFFER, RX_BUFFER = 0x1000, 0x2000, 0x8000, 0x10000


@pytest.fixture(params=["reference", "native"])
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Serve a card on a plug that returns every frame."""
    stop, ready = threading.Event(), threading.Event()
    path = str(tmp_path / "card.sock")
    wire = LoopbackWire()

    def note(_card: object) -> None:
        ready.set()

    thread = threading.Thread(
        target=serve, args=(path, wire, MAC, request.param), kwargs={"ready": note, "stop": stop}
    )
    thread.start()
    assert ready.wait(10)
    yield path
    stop.set()
    thread.join()
    wire.close()


def write(client: Client, name: str, value: int) -> None:
    """Write a register."""
    client.write(0, NIC[name].offset, value.to_bytes(4, "little"))


def read(client: Client, name: str) -> int:
    """Read a register."""
    return int.from_bytes(client.read(0, NIC[name].offset, 4), "little")


def test_any_number_of_clients_find_a_fresh_card(at: str) -> None:
    """The next client sees the state after power-on, whatever the last one did."""
    seen = []
    for _ in range(3):
        with Client.connect(at) as client:
            seen.append(read(client, "VET"))
            write(client, "VET", 0x1234)

    assert seen == [0x8100] * 3


def test_a_frame_goes_round_the_plug_and_interrupts(at: str) -> None:
    """Memory by memfd, MSI-X by eventfd, the link after its negotiation: the whole path of the shell."""
    fd = os.memfd_create("guest")
    os.truncate(fd, MEMORY)
    frame = ethernet(bytes(range(100)))
    vector = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    memory = mmap.mmap(fd, MEMORY)  # closed with the client's last view of it
    with Client.connect(at) as client:
        client.map_dma(0, memory, fd=fd)
        client.enable_irqs(PciIrq.MSIX, [vector])
        client.write(7, 4, b"\x06\x00")
        memory[TX_BUFFER : TX_BUFFER + len(frame)] = frame
        memory[TX_RING : TX_RING + 16] = struct.pack("<QHBBBBH", TX_BUFFER, len(frame), 0, SEND, 0, 0, 0)
        memory[RX_RING : RX_RING + 16] = struct.pack("<QQ", RX_BUFFER, 0)
        for name, value in (
            ("IVAR", 8),
            ("IMS", NIC["IMS"]["RXQ0"].mask),
            ("RDBAL0", RX_RING),
            ("RDLEN0", 128),
            ("RDT0", 4),
            ("RCTL", NIC["RCTL"]["EN"].mask | NIC["RCTL"]["SECRC"].mask),
            ("TDBAL0", TX_RING),
            ("TDLEN0", 128),
            ("TCTL", NIC["TCTL"]["EN"].mask),
            ("TDT0", 1),
        ):
            write(client, name, value)

        signalled, _, _ = select.select([vector], [], [], 30)

        assert signalled == [vector]
        assert memory[RX_BUFFER : RX_BUFFER + len(frame)] == frame
        assert (read(client, "GPTC"), read(client, "GPRC")) == (1, 1)
    os.close(fd)
    os.close(vector)
