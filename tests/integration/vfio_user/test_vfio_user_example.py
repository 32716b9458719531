"""The example device, as its README runs it: a program of its own, used by our client as QEMU uses it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.vfio_user import Client, PciIrq, PciRegion

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parents[3]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Run the example; it listens when it has said how to call QEMU."""
    path = tmp_path / "socket"
    program = [sys.executable, "-m", "device.vfio_user.examples.scratch", str(path)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, cwd=TOP, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert f'"path":"{path}"' in line
    client = Client.connect(path)
    yield client
    client.close()
    process.terminate()
    process.wait(10)
    process.stdout.close()


def test_its_configuration_space_is_a_type_0_header(client: Client) -> None:
    """What QEMU reads at once when it realizes the device."""
    raw = client.read(PciRegion.CONFIG, 0, 256)

    assert client.region_info(PciRegion.CONFIG)[0].size == len(raw) == 256
    assert struct.unpack_from("<HHHHI", raw) == (0x1234, 0x11E8, 0, 0, 0xFF000010)
    assert raw[0x0E] == 0  # header type
    assert raw[0x10:0x2C] == bytes(28)  # BARs: all of memory, 32 bits, where there is one
    assert struct.unpack_from("<HH", raw, 0x2C) == (0x1AF4, 0x1100)
    assert raw[0x34] == 0  # no capabilities
    assert raw[0x3D] == 1  # INTA


def test_configuration_space_keeps_what_is_written(client: Client) -> None:
    """QEMU writes commands and BARs through."""
    client.write(PciRegion.CONFIG, 4, b"\6\0")

    assert client.read(PciRegion.CONFIG, 4, 2) == b"\6\0"


def test_its_registers_compute_and_store(client: Client) -> None:
    """10! in one register, scratch in another, the identification until reset."""
    client.write(PciRegion.BAR0, 0x04, (10).to_bytes(4, "little"))
    client.write(PciRegion.BAR0, 0x100, b"scratch")

    assert int.from_bytes(client.read(PciRegion.BAR0, 0x04, 4), "little") == 3628800
    assert client.read(PciRegion.BAR0, 0x100, 7) == b"scratch"
    client.reset()
    assert client.read(PciRegion.BAR0, 0x100, 7) == bytes(7)
    assert client.read(PciRegion.BAR0, 0, 4) == bytes.fromhex("ed000001")


def test_its_interrupt_is_a_level(client: Client) -> None:
    """Again after UNMASK until it is lowered, as QEMU expects."""
    eventfd = os.eventfd(0, os.EFD_NONBLOCK)
    client.enable_irqs(PciIrq.INTX, [eventfd])

    client.write(PciRegion.BAR0, 0x08, bytes(4))
    client.unmask_irq(PciIrq.INTX)
    client.read(PciRegion.BAR0, 0x08, 4)
    client.unmask_irq(PciIrq.INTX)

    assert os.eventfd_read(eventfd) == 2
    os.close(eventfd)
