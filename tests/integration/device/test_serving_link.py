"""The cable's state reaches the guest: what a served card says of its link when the other end loses it.

Said of every engine, over wires that can know (docs/wires.md).
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from device.serving import serve
from device.vfio_user import Client
from device.wire.contract import WireError
from device.wire.netns import NetnsWire
from device.wire.spec import open_wire
from tests.bench import MAC
from tests.integration.wire.test_wire_carrier import FLAGS, telling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from device.served import ServedBase
    from device.wire.contract import Wire

PATIENCE_S = 20.0
SOON_S = 1.0
BMCR, BMSR = 0, 1
POWER_DOWN, AUTONEGOTIATE = 0x0800, 0x1140
LINK = 0x0004
LSC = NIC["ICR"]["LSC"].mask


class Driver:
    """A client that looks at the link as a driver does."""

    def __init__(self, client: Client, served: ServedBase) -> None:
        self.client, self.served = client, served
        self.write("CTRL", self.read("CTRL") | NIC["CTRL"]["SLU"].mask)

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self.client.write(0, NIC[name].offset, value.to_bytes(4, "little"))

    def read(self, name: str) -> int:
        """Read a register."""
        return int.from_bytes(self.client.read(0, NIC[name].offset, 4), "little")

    def phy(self, register: int, value: int | None = None) -> int:
        """Read a PHY register, or write it."""
        operation = 2 << 26 if value is None else 1 << 26 | value
        self.write("MDIC", operation | 1 << 21 | register << 16)
        return self.read("MDIC") & 0xFFFF

    def up(self) -> bool:
        """Whether STATUS and the PHY say that there is a link; BMSR latches low, so it is read twice."""
        self.phy(BMSR)
        seen = bool(self.read("STATUS") & NIC["STATUS"]["LU"].mask)
        return seen and bool(self.phy(BMSR) & LINK)

    def becomes(self, *, up: bool, within_s: float = PATIENCE_S) -> None:
        """Wait until the link is so."""
        until(lambda: self.up() is up, within_s)


def until(holds: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Wait for something."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@contextmanager
def served(tmp_path: Path, engine: str, wire: Wire) -> Iterator[Driver]:
    """Serve a card on the wire and attach to it."""
    stop, ready = threading.Event(), threading.Event()
    cards: list[ServedBase] = []

    def begin(card: ServedBase) -> None:
        cards.append(card)
        ready.set()

    path = str(tmp_path / "card.sock")
    thread = threading.Thread(
        target=serve, args=(path, wire, MAC, engine), kwargs={"ready": begin, "stop": stop}
    )
    thread.start()
    assert ready.wait(10)
    try:
        with Client.connect(path) as client:
            yield Driver(client, cards[0])
    finally:
        stop.set()
        thread.join()
        wire.close()


@pytest.fixture(params=["reference", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    """Name each engine."""
    return str(request.param)


def test_a_phy_without_power_at_the_other_end_takes_the_link(tmp_path: Path, engine: str) -> None:
    """LSC, STATUS and BMSR within a second; up again after the negotiation."""
    far = telling(f"stream:{tmp_path / 'cable'}")
    with served(tmp_path, engine, open_wire(f"stream:{tmp_path / 'cable'}")) as driver:
        driver.becomes(up=True)
        driver.read("ICR")

        far.offer(link=False)
        driver.becomes(up=False, within_s=SOON_S)
        down = driver.read("ICR") & LSC
        far.offer(link=True)
        driver.becomes(up=True)

        assert (down, driver.read("ICR") & LSC) == (LSC, LSC)
    far.close()


def test_our_phy_without_power_takes_the_link_of_the_other_end(tmp_path: Path, engine: str) -> None:
    """As `ip link set eth0 down` does by e1000e (e1000_power_down_phy_copper)."""
    far = telling(f"dgram:{tmp_path / 'a'},{tmp_path / 'b'}")
    with served(tmp_path, engine, open_wire(f"dgram:{tmp_path / 'b'},{tmp_path / 'a'}")) as driver:
        driver.becomes(up=True)
        assert far.link

        driver.phy(BMCR, POWER_DOWN)
        until(lambda: not far.link, SOON_S)
        driver.phy(BMCR, AUTONEGOTIATE)

        until(lambda: far.link, SOON_S)
        driver.becomes(up=True)
    far.close()


def test_a_cable_that_is_pulled_takes_the_link_of_both_ends(tmp_path: Path, engine: str) -> None:
    """The seam for who holds a running card."""
    far = telling(f"stream:{tmp_path / 'cable'}")
    with served(tmp_path, engine, open_wire(f"stream:{tmp_path / 'cable'}")) as driver:
        driver.becomes(up=True)

        driver.served.set_cable(plugged=False)
        driver.becomes(up=False, within_s=SOON_S)
        until(lambda: not far.link, SOON_S)
        driver.served.set_cable(plugged=True)

        driver.becomes(up=True)
        until(lambda: far.link, SOON_S)
    far.close()


@pytest.mark.parametrize("cable", ["tap", "veth"])
def test_a_host_that_sets_its_end_down_takes_the_link(tmp_path: Path, engine: str, cable: str) -> None:
    """A TAP and a veth pair, in a namespace of their own."""
    try:
        wire = open_wire(f"netns,cable={cable}")
    except WireError as error:
        pytest.skip(str(error))
    assert isinstance(wire, NetnsWire)
    with served(tmp_path, engine, wire) as driver:
        driver.becomes(up=True)

        wire.run([sys.executable, "-c", FLAGS, wire.interface, "down"])
        driver.becomes(up=False, within_s=SOON_S)
        wire.run([sys.executable, "-c", FLAGS, wire.interface, "up"])

        driver.becomes(up=True)


def test_an_end_that_is_closed_takes_the_link(tmp_path: Path, engine: str) -> None:
    """A socket that the parent gave us, as passt's is: its end is a cable cut through."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wire = open_wire(f"dgram:fd={ours.fileno()}")
    ours.close()
    with served(tmp_path, engine, wire) as driver:
        driver.becomes(up=True)

        theirs.close()

        driver.becomes(up=False, within_s=SOON_S)
