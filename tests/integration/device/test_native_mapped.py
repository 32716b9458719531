"""Doorbells in shared memory: a store of the client is a register write, and both sides see one value.

Each expectation follows a message to the same card, which comes behind all that was stored before it.
"""

from __future__ import annotations

import mmap
import os
import threading
from typing import TYPE_CHECKING

import pytest

from device.native_serving import Tuning
from device.regs.nic import NIC
from device.rings.transmit import DD, LegacyTx
from device.serving import serve
from device.vfio_user import Client
from device.wire.simple import NoWire
from tests.bench import MAC, SEND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY = 1 << 16
TX_RING, TX_BUFFER = 0x1000, 0x8000
BUS_MASTER = 6


class Driver:
    """A client that has the pages mapped."""

    def __init__(self, path: str) -> None:
        self.client = Client.connect(path)
        [(self.area, self.pages)] = self.client.map_region(0)

    def store(self, name: str, value: int) -> None:
        """Store into the mapped register."""
        at = NIC[name].offset - self.area.offset
        memoryview(self.pages).cast("I")[at // 4] = value

    def load(self, name: str) -> int:
        """Load the mapped register."""
        at = NIC[name].offset - self.area.offset
        return int(memoryview(self.pages).cast("I")[at // 4])

    def write(self, name: str, value: int) -> None:
        """Write by a message."""
        self.client.write(0, NIC[name].offset, value.to_bytes(4, "little"))

    def read(self, name: str) -> int:
        """Read by a message: all stores before it are done then."""
        return int.from_bytes(self.client.read(0, NIC[name].offset, 4), "little")


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """Serve a card with mapped doorbells."""
    stop, ready = threading.Event(), threading.Event()
    path = str(tmp_path / "card.sock")

    def note(_card: object) -> None:
        ready.set()

    tuning = Tuning(mapped_doorbells=True, spin_us=1)
    thread = threading.Thread(
        target=serve,
        args=(path, NoWire(), MAC, "native"),
        kwargs={"ready": note, "stop": stop, "tuning": tuning},
    )
    thread.start()
    assert ready.wait(10)
    driver = Driver(path)
    yield driver
    driver.client.close()
    stop.set()
    thread.join()


def test_a_message_comes_behind_the_stores_before_it(driver: Driver) -> None:
    """A driver may store a ring's place and then read it back, either way."""
    driver.store("TDBAL0", 0x1234_5680)
    driver.store("RDLEN1", 0x400)

    assert (driver.read("TDBAL0"), driver.read("RDLEN1")) == (0x1234_5680, 0x400)


def test_a_stored_value_is_masked_as_a_written_one(driver: Driver) -> None:
    """Reserved bits do not stick, and the page shows what did."""
    driver.store("TDLEN0", 0xFFFF_FFFF)

    kept = driver.read("TDLEN0")

    assert kept != 0xFFFF_FFFF
    assert driver.load("TDLEN0") == kept


def test_the_page_shows_what_messages_write(driver: Driver) -> None:
    """The second message is behind the pass that shows the first one's value."""
    driver.write("TDBAL0", 0xABCD_0000)
    driver.read("STATUS")

    assert driver.load("TDBAL0") == 0xABCD_0000


def test_a_stored_tail_sends(driver: Driver) -> None:
    """The descriptor is written back, and the page shows the head that moved."""
    memfd = os.memfd_create("guest")
    os.ftruncate(memfd, MEMORY)
    ram = mmap.mmap(memfd, MEMORY)
    driver.client.map_dma(0, ram, fd=memfd)
    os.close(memfd)
    driver.client.write(7, 4, BUS_MASTER.to_bytes(2, "little"))
    ram[TX_RING : TX_RING + 16] = LegacyTx(TX_BUFFER, 60, command=SEND).emit()
    driver.write("RCTL", NIC["RCTL"]["LBM"].put(1))  # without a cable frames go round
    driver.write("TCTL", NIC["TCTL"]["EN"].mask)
    driver.store("TDBAL0", TX_RING)
    driver.store("TDLEN0", 128)

    driver.store("TDT0", 1)
    driver.read("STATUS")
    driver.read("STATUS")  # behind the pass that shows what the first one did

    assert ram[TX_RING + 12] & DD
    assert driver.load("TDH0") == 1


def test_nobody_can_cut_the_pages_short(driver: Driver) -> None:
    """The file is sealed: a client that truncates it does not kill the card."""
    _, fd = driver.client.region_info(0)
    assert fd is not None

    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)

    os.close(fd)
