"""Memory that came by descriptor and is not used: said before anybody wonders why nothing moves."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.served import PRIVATE_MEMORY
from device.vfio_user import Client
from device.vfio_user.dma import DmaMap
from device.vfio_user.messages import DmaMapRequest
from device.vfio_user.protocol import Command, Protection
from device.vfio_user.sharing import LEAST_BYTES, private
from lab.machines.card_process import start_card

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTH = Protection.READ | Protection.WRITE


@pytest.fixture
def file() -> Iterator[int]:
    """Make a file of memory, of which nobody has touched a byte."""
    fd = os.memfd_create("ram", os.MFD_CLOEXEC)
    os.truncate(fd, LEAST_BYTES)
    yield fd
    os.close(fd)


def test_memory_that_nobody_wrote_is_private(file: int) -> None:
    """A guest that writes to copies of its own leaves zeros in the file, in pages that exist."""
    dma = DmaMap()
    dma.map(0, LEAST_BYTES, BOTH, file)

    with mmap.mmap(file, LEAST_BYTES, mmap.MAP_PRIVATE) as copies:
        copies[:4096] = b"x" * 4096

        assert private(dma)
    dma.clear()


def test_one_page_that_the_client_wrote_says_that_memory_is_shared(file: int) -> None:
    """Wherever it lies, and in whichever region."""
    dma = DmaMap()
    dma.map(0, LEAST_BYTES // 2, BOTH, file)
    dma.map(1 << 40, LEAST_BYTES // 2, BOTH, file, LEAST_BYTES // 2)

    os.pwrite(file, b"x", LEAST_BYTES - 1)

    assert not private(dma)
    dma.clear()


def test_little_memory_and_memory_without_a_descriptor_are_nothing_to_complain_of(file: int) -> None:
    """A small client may not have begun; messages reach what it really uses."""
    dma = DmaMap()
    dma.map(0, LEAST_BYTES // 2, BOTH, file)
    dma.map(1 << 40, LEAST_BYTES, BOTH)

    told = private(dma)

    assert not told
    dma.clear()


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_serve_tells_its_user_that_memory_is_not_shared(file: int, engine: str) -> None:
    """One line on standard error, once a client, when the guest lets the card do DMA."""
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        card = start_card(Path(folder) / "card", "none", engine=engine)
        with Client.connect(card.ready.socket) as client:
            client.request(Command.DMA_MAP, DmaMapRequest(3, 0, 0, LEAST_BYTES).emit(), [file])
            for command in (b"\x06\0", b"\0\0", b"\x06\0"):
                client.write(7, 4, command)
        said = card.stop()

    assert said == f"ringwalk: {PRIVATE_MEMORY}\n"
