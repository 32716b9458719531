"""A served card at its cable and by its clock: PAUSE, timestamps, wake-up. Said of every engine."""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from device.card import CONFIG
from device.pci.function import PMCSR, PME_STATUS
from device.regs.nic import NIC
from device.serving import serve
from device.vfio_user import Client
from device.wire.spec import open_wire
from tests.bench import MAC, ethernet
from tests.guest.cable_end import CableEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MEMORY = 1 << 20
RX_RING, RX_BUFFERS, RING = 0x2000, 0x10000, 8
PAUSE = bytes.fromhex("0180c2000001")
XOFF, XON = b"\x06\x80", b"\0\0"
PATIENCE_S = 20.0
TICK_NS = 40
INCREMENT = 1 << 24 | TICK_NS  # SYSTIM counts nanoseconds, in steps of a clock
QUIET_S = 0.2


class Driver:
    """A client with memory mapped and the cable's other end in its hands."""

    def __init__(self, client: Client, cable: CableEnd, memory: mmap.mmap) -> None:
        """Allow the card its DMA."""
        self.client, self.cable, self.memory = client, cable, memory
        self.config(4, 0x0006)

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self.client.write(0, NIC[name].offset, value.to_bytes(4, "little"))

    def read(self, name: str) -> int:
        """Read a register."""
        return int.from_bytes(self.client.read(0, NIC[name].offset, 4), "little")

    def config(self, offset: int, value: int) -> None:
        """Write a word of configuration space."""
        self.client.write(CONFIG, offset, value.to_bytes(2, "little"))

    def pme(self) -> bool:
        """Tell whether the card wants to wake the machine."""
        return bool(int.from_bytes(self.client.read(CONFIG, PMCSR, 2), "little") & PME_STATUS)

    def time(self) -> int:
        """Read SYSTIM."""
        low = self.read("SYSTIML")
        return self.read("SYSTIMH") << 32 | low

    def receiver(self, tail: int) -> None:
        """Bring the link up and turn the receiver on, ``tail`` descriptors handed over."""
        for slot in range(RING):
            self.memory[RX_RING + 16 * slot : RX_RING + 16 * slot + 16] = struct.pack(
                "<QQ", RX_BUFFERS + 2048 * slot, 0
            )
        self.write("CTRL", self.read("CTRL") | NIC["CTRL"]["SLU"].mask | NIC["CTRL"]["TFCE"].mask)
        self.until(lambda: bool(self.read("STATUS") & NIC["STATUS"]["LU"].mask))
        for name, value in (("RDBAL0", RX_RING), ("RDLEN0", 16 * RING), ("RDH0", 0), ("RDT0", tail)):
            self.write(name, value)
        self.write("RCTL", NIC["RCTL"]["EN"].mask | NIC["RCTL"]["SECRC"].mask)

    def until_head(self, slot: int) -> None:
        """Wait until the card has stored a frame in every descriptor before this one."""
        self.until(lambda: self.read("RDH0") == slot)

    @staticmethod
    def until(holds: Callable[[], bool]) -> None:
        """Wait for something."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.002)


@pytest.fixture(params=["reference", "native"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    """Serve a card whose cable ends here, and drive it."""
    stop, ready = threading.Event(), threading.Event()
    path, ends = str(tmp_path / "card.sock"), (tmp_path / "test", tmp_path / "card")
    end, wire = (open_wire(f"dgram:{a},{b}") for a, b in (ends, ends[::-1]))
    thread = threading.Thread(
        target=serve,
        args=(path, wire, MAC, request.param),
        kwargs={"ready": lambda _: ready.set(), "stop": stop},
    )
    thread.start()
    assert ready.wait(10)
    cable = CableEnd(end)
    fd = os.memfd_create("guest")
    os.truncate(fd, MEMORY)
    memory = mmap.mmap(fd, MEMORY)
    with Client.connect(path) as client:
        client.map_dma(0, memory, fd=fd)
        yield Driver(client, cable, memory)
    os.close(fd)
    stop.set()
    thread.join()
    cable.close()
    wire.close()


def test_a_buffer_that_fills_pauses_the_partner_and_new_descriptors_release_it(driver: Driver) -> None:
    """XOFF when what waits without a descriptor reaches FCRTH, XON with RDT, and the frame was not lost."""
    for name, value in (("FCAL", 0x00C28001), ("FCAH", 0x0100), ("FCT", 0x8808), ("FCTTV", 0x0680)):
        driver.write(name, value)
    driver.write("FCRTH", 0x40)
    driver.write("FCRTL", 1 << 31)
    driver.receiver(tail=0)

    driver.cable.send(ethernet(b"waits"))
    off = driver.cable.wait(lambda frame: frame[:6] == PAUSE)
    driver.write("RDT0", RING - 1)
    on = driver.cable.wait(lambda frame: frame[:6] == PAUSE)
    driver.until(lambda: driver.read("RDH0") == 1)

    assert off is not None
    assert on is not None
    assert (off[12:18], on[12:18]) == (b"\x88\x08\0\x01" + XOFF, b"\x88\x08\0\x01" + XON)
    assert driver.memory[RX_BUFFERS + 14 : RX_BUFFERS + 19] == b"waits"
    assert (driver.read("XOFFTXC"), driver.read("XONTXC")) == (1, 1)


def test_a_receive_timestamp_is_of_the_frame_not_of_the_last_access(driver: Driver) -> None:
    """Nothing touches the card between the clock's reading and the frame; the stamp lies after the pause."""
    driver.receiver(tail=RING - 1)
    driver.write("TIMINCA", INCREMENT)
    driver.write("TSYNCRXCTL", NIC["TSYNCRXCTL"]["ENABLED"].mask | NIC["TSYNCRXCTL"]["TYPE"].put(4))
    before = driver.time()

    time.sleep(QUIET_S)
    driver.cable.send(ethernet(b"now"))
    driver.until(lambda: bool(driver.read("TSYNCRXCTL") & NIC["TSYNCRXCTL"]["VALID"].mask))

    stamp = driver.read("RXSTMPL") | driver.read("RXSTMPH") << 32
    assert before + QUIET_S * 1e9 - TICK_NS <= stamp <= driver.time()


def test_a_driver_with_one_descriptor_at_a_time_pauses_nobody(driver: Driver) -> None:
    """U-Boot's way: with thresholds like its e1000 driver's no PAUSE frame leaves."""
    for name, value in (("FCAL", 0x00C28001), ("FCAH", 0x0100), ("FCT", 0x8808), ("FCTTV", 0x0680)):
        driver.write(name, value)
    driver.write("FCRTH", 0x4A00)
    driver.write("FCRTL", 1 << 31 | 0x4000)
    driver.receiver(tail=0)

    for n in range(64):
        driver.cable.send(ethernet(bytes([n])))
    for n in range(64):
        driver.write("RDT0", (n + 1) % RING)
        driver.until_head((n + 1) % RING)
        at = RX_BUFFERS + 2048 * (n % RING) + 14
        assert driver.memory[at] == n

    assert (driver.read("XOFFTXC"), driver.read("XONTXC"), driver.read("MPC")) == (0, 0, 0)


@pytest.mark.parametrize("asked", [True, False])
def test_a_link_that_comes_up_wakes_a_sleeping_card_that_asks(driver: Driver, *, asked: bool) -> None:
    """WUFC.LNKC: PME_Status and WUS; without it the link comes, and the card sleeps on."""
    driver.receiver(tail=0)
    driver.write("MDIC", 0x1340 | 1 << 21 | 1 << 26)  # restart negotiation: the link goes
    driver.write("WUFC", NIC["WUFC"]["LNKC"].mask if asked else NIC["WUFC"]["MAG"].mask)
    driver.write("WUC", NIC["WUC"]["PME_EN"].mask)
    driver.config(PMCSR, 0x0103)

    driver.until(lambda: bool(driver.read("STATUS") & NIC["STATUS"]["LU"].mask))

    assert (driver.pme(), driver.read("WUS")) == (asked, NIC["WUFC"]["LNKC"].mask if asked else 0)
