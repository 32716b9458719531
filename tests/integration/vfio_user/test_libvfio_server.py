"""A device served by libvfio-user does as on our own server: interrupts, memory, clients that go."""

from __future__ import annotations

import ctypes
import mmap
import os
import stat
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from device.vfio_user import Client, DmaError, ListenError, PciIrq, ReplyError
from device.vfio_user.libvfio import load
from device.vfio_user.libvfio_build import compile_binding
from device.vfio_user.libvfio_server import LibvfioServer
from lab.machines import libvfio_user as libvfio
from tests.support.vfio_user_double import BAR0, DOORBELL, FAULTY, SPARSE, NotingDevice, open_fds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IOVA = 0x10_0000


class LoudDevice(NotingDevice):
    """It also tells when it is let go of, which is after the client's ``close`` has returned."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = Event()

    def reset(self) -> None:
        """Note it, and tell."""
        super().reset()
        if self.calls[-2:-1] == ["detached"]:
            self.gone.set()


@pytest.fixture
def device() -> Iterator[LoudDevice]:
    """Make a device."""
    made = LoudDevice()
    yield made
    made.close()


@contextmanager
def serving(device: LoudDevice, path: Path, binding: Path) -> Iterator[LibvfioServer]:
    """Run a server in a thread; it is stopped, joined and closed at the end."""
    with LibvfioServer(path, device, load(binding)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def path(device: LoudDevice, tmp_path: Path, binding: Path) -> Iterator[Path]:
    """Serve the device at a path."""
    with serving(device, tmp_path / "s", binding):
        yield tmp_path / "s"


@contextmanager
def memory(size: int) -> Iterator[tuple[int, mmap.mmap]]:
    """Give a file in memory, and a mapping of it."""
    file = os.memfd_create("ram", os.MFD_CLOEXEC)
    os.ftruncate(file, size)
    try:
        yield file, mmap.mmap(file, size)
    finally:
        os.close(file)


def test_registers_are_the_device_s(path: Path, device: LoudDevice) -> None:
    """Index, offset and data arrive; configuration space is the device's too, not the library's."""
    with Client.connect(path) as client:
        client.write(BAR0, 4, b"abcd")

        read = client.read(7, 4, 4)

    assert read == b"abcd"
    assert [call for call in device.calls if call[0] in {"read", "write"}] == [  # type: ignore[index]  # calls are tuples or words
        ("write", BAR0, 4, b"abcd"),
        ("read", 7, 4, 4),
    ]


def test_a_device_s_refusal_is_the_client_s_errno(path: Path) -> None:
    """And the connection goes on."""
    with Client.connect(path) as client:
        with pytest.raises(ReplyError, match="Input/output error"):
            client.read(BAR0, FAULTY, 4)

        assert client.read(BAR0, 0, 4) == bytes(4)


def test_a_region_can_be_mapped_in_parts(path: Path, device: LoudDevice) -> None:
    """The library sends the fd; what is written to the file is in the client's mapping."""
    os.pwrite(device.file, b"seen", 4096)

    with Client.connect(path) as client:
        [(area, mapping)] = client.map_region(SPARSE)

    assert (area.offset, area.size, mapping[:4]) == (4096, 4096, b"seen")


def test_the_socket_is_its_owner_s_alone_and_leaves_with_the_server(
    device: LoudDevice, tmp_path: Path, binding: Path
) -> None:
    """The library binds and listens in one call, by the umask; and it leaves the file behind."""
    path = tmp_path / "s"

    with serving(device, path, binding):
        mode = stat.S_IMODE(path.stat().st_mode)
        with pytest.raises(ListenError, match="another server listens there"):
            LibvfioServer(path, device, load(binding))

    assert (mode, path.exists()) == (0o600, False)


@pytest.mark.parametrize(("kind", "vector"), [(PciIrq.MSIX, 4), (PciIrq.MSI, 0), (PciIrq.INTX, 0)])
def test_the_device_knows_which_interrupts_are_armed(
    path: Path, device: LoudDevice, kind: int, vector: int
) -> None:
    """The library has one table for all three and tells nobody; any thread may signal."""
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    with Client.connect(path) as client:
        client.enable_irqs(kind, [event], start=vector)

        armed = [index for index in range(5) if device.irqs.armed(index)]
        signalled = device.irqs.trigger(kind, vector)

        assert (armed, signalled, os.eventfd_read(event)) == ([kind], True, 1)
        client.disable_irqs(kind)
        assert not device.irqs.armed(kind)
    os.close(event)


def test_intx_masks_itself_until_it_is_unmasked(path: Path, device: LoudDevice) -> None:
    """As VFIO defines it; the library does neither."""
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    with Client.connect(path) as client:
        client.enable_irqs(PciIrq.INTX, [event])
        device.irqs.set_level(True)
        device.irqs.set_level(True)
        once = os.eventfd_read(event)

        client.unmask_irq(PciIrq.INTX)

        assert (once, os.eventfd_read(event)) == (1, 1)
    os.close(event)


def test_the_device_reaches_the_client_s_memory_while_it_is_mapped(path: Path, device: LoudDevice) -> None:
    """Through the library's mapping; after the unmap it is out of reach."""
    with memory(0x4000) as (file, ram), Client.connect(path) as client:
        client.map_dma(IOVA, memoryview(ram)[0x1000:0x3000], fd=file, offset=0x1000)
        device.dma.write(IOVA + 0xFFE, b"over")
        seen = (ram[0x1FFE:0x2002], device.dma.read(IOVA + 0xFFE, 4))

        client.unmap_dma(IOVA, 0x2000)

        assert seen == (b"over", b"over")
        with pytest.raises(DmaError):
            device.dma.read(IOVA, 1)


def test_a_listener_has_let_go_before_the_memory_is_unmapped(path: Path, device: LoudDevice) -> None:
    """What a native engine stands on: at the time of the change the address can still be read."""
    read: list[bytes] = []
    with memory(0x1000) as (file, ram), Client.connect(path) as client:
        ram[:4] = b"last"
        device.dma.on_change(
            lambda change: read.extend(ctypes.string_at(one.address or 0, 4) for one in change.removed)
        )
        client.map_dma(IOVA, ram, fd=file)

        client.unmap_dma(IOVA, 0x1000)

    assert read == [b"last"]


def test_a_client_that_goes_leaves_nothing(device: LoudDevice, tmp_path: Path, binding: Path) -> None:
    """Detached before reset, regions and eventfds dropped, every fd closed; the next one is served."""
    event = os.eventfd(0, os.EFD_CLOEXEC)
    with memory(0x1000) as (file, ram), serving(device, tmp_path / "s", binding):
        before = open_fds()
        for _ in range(3):
            device.calls.clear()
            device.gone.clear()
            with Client.connect(tmp_path / "s") as client:
                client.map_dma(IOVA, ram, fd=file)
                client.enable_irqs(PciIrq.MSIX, [event] * 5)

            assert device.gone.wait(10)

            assert device.calls == ["attached", "detached", "reset"]
            assert (device.dma.regions, device.irqs.armed(PciIrq.MSIX)) == ((), False)
        with Client.connect(tmp_path / "s") as client:
            client.reset()
            assert open_fds() <= before + 3  # the client's socket, the library's end of it, and our duplicate
    os.close(event)


def test_a_server_stops_with_a_client_on_it(device: LoudDevice, tmp_path: Path, binding: Path) -> None:
    """The client is hung up on, and what it had given is let go of."""
    with memory(0x1000) as (file, ram):
        with serving(device, tmp_path / "s", binding):
            client = Client.connect(tmp_path / "s")
            client.map_dma(IOVA, ram, fd=file)

        assert device.calls == ["attached", "detached", "reset"]
        client.close()


def test_a_bug_of_the_device_is_not_hidden_by_the_library(
    tmp_path: Path, binding: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is told with its trace, over the library's frames, and costs the client that met it."""
    device = LoudDevice()

    def fall() -> None:
        raise ZeroDivisionError

    device.on_doorbell = fall
    with LibvfioServer(tmp_path / "s", device, load(binding)) as server:

        def knock() -> None:
            with Client.connect(tmp_path / "s") as client:
                client.write(BAR0, DOORBELL, b"knock", posted=True)
                device.gone.wait(10)

        serving = Thread(target=server.serve_forever)
        serving.start()

        knock()

        assert device.gone.wait(10)
        assert device.calls[-2:] == ["detached", "reset"]
        device.on_doorbell = lambda: None
        with Client.connect(tmp_path / "s") as after:
            after.read(BAR0, 0, 4)
        server.stop()
        serving.join(10)
        assert not serving.is_alive()
        assert "ZeroDivisionError" in capfd.readouterr().err
    device.close()


def test_the_binding_compiles_against_the_newer_signature(tmp_path: Path, binding: Path) -> None:
    """Where ``vfu_setup_device_dma`` is told the number of regions: the header decides, by itself."""
    assert binding.exists()
    include, library = libvfio.installation()
    newer = tmp_path / "include"
    for header in include.rglob("*.h"):
        copy = newer / header.relative_to(include)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(
            header.read_text().replace(
                "vfu_setup_device_dma(vfu_ctx_t *vfu_ctx, ",
                "vfu_setup_device_dma(vfu_ctx_t *vfu_ctx, size_t max, ",
            )
        )

    made = compile_binding(newer, library, tmp_path / "made")

    assert "size_t max" in (newer / "libvfio-user.h").read_text()
    assert made.exists()
