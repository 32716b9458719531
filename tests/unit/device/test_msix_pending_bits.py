"""The MSI-X table and pending bits in BAR3, of both engines' served cards (PCI 3.0, 6.8.2.9 and 6.8.3.5)."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from lab.machines.card_process import start_card
from lab.trials.loopback_driver import Exerciser

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR3, CONTROL, PBA = 3, 12, 0x2000
CONFIG, MSIX_CONTROL, ENABLED = 7, 0xA2, b"\0\x80"
MASKED, OPEN = b"\1\0\0\0", bytes(4)
RXQ0 = NIC["ICS"]["RXQ0"].mask
PATIENCE_S = 30.0


@pytest.fixture(params=["native", "reference"])
def client(request: pytest.FixtureRequest) -> Iterator[Exerciser]:
    """Drive a card with one vector armed, on which every cause is."""
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        card = start_card(Path(folder) / "card", "none", engine=request.param)
        one = Exerciser(card.ready.socket).start()
        one.client.write(CONFIG, MSIX_CONTROL, ENABLED)
        yield one
        one.close()
        card.close()


def signalled(one: Exerciser) -> bool:
    """Wait for the vector's eventfd, and empty it."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            os.eventfd_read(one.vector)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False


def test_a_masked_vector_owes_its_message_until_it_is_let_go(client: Exerciser) -> None:
    """The pending bit shows it meanwhile, and nothing is signalled."""
    client.client.write(BAR3, CONTROL, MASKED)
    client.interrupts = 0
    client.reap()
    before = client.client.read(BAR3, PBA, 8)
    client.write("ICS", RXQ0)
    client.read("STATUS")
    owed = client.client.read(BAR3, PBA, 8)
    client.interrupts = 0
    client.reap()
    quiet = client.interrupts

    client.client.write(BAR3, CONTROL, OPEN)

    assert (before, owed, quiet) == (bytes(8), b"\1" + bytes(7), 0)
    assert signalled(client)
    assert client.client.read(BAR3, PBA, 8) == bytes(8)


def test_an_open_vector_owes_nothing(client: Exerciser) -> None:
    """Its message leaves at once."""
    client.client.write(BAR3, CONTROL, OPEN)

    client.write("ICS", RXQ0)

    assert signalled(client)
    assert client.client.read(BAR3, PBA, 8) == bytes(8)
