"""Clients whose objects would keep the card waiting, or its process: both engines."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from device.vfio_user import Client, PciIrq
from device.vfio_user.errors import ReplyError
from device.vfio_user.messages import DeviceGetInfo, DmaMapRequest
from device.vfio_user.protocol import Command
from lab.machines.card_process import start_card
from tests.support.silent_file import FLUSH, READ, NoFuseError, silent_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.machines.card_process import CardProcess

ENGINES = ("native", "reference")
SOON_S = 2.0
FULL = (1 << 64) - 2
MIB = 1 << 20
TIB = 1 << 40


@pytest.fixture(params=ENGINES)
def card(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CardProcess]:
    """Serve a card of each engine; at the end it must be there still, serve, and end when told."""
    served = start_card(tmp_path / "card", "none", engine=request.param)
    yield served
    with Client.connect(served.ready.socket, timeout_s=10) as client:
        assert client.read(0, NIC["STATUS"].offset, 4) != b"\xff" * 4
    began = time.monotonic()
    served.close()
    assert time.monotonic() - began < SOON_S


def read(client: Client, name: str) -> int:
    """Read a register."""
    return int.from_bytes(client.read(0, NIC[name].offset, 4), "little")


def write(client: Client, name: str, value: int) -> None:
    """Write a register."""
    client.write(0, NIC[name].offset, value.to_bytes(4, "little"))


def map_errno(client: Client, fd: int, size: int = MIB, iova: int = 0, offset: int = 0) -> str:
    """Return the name of the errno with which a DMA_MAP is refused; empty: it is not."""
    try:
        client.request(Command.DMA_MAP, DmaMapRequest(3, offset, iova, size).emit(), [fd])
    except ReplyError as refused:
        return errno.errorcode[refused.errno]
    return ""


def memory(size: int) -> int:
    """Return a file of memory."""
    fd = os.memfd_create("hostile", os.MFD_CLOEXEC)
    os.truncate(fd, size)
    return fd


# -- eventfds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, os.EFD_NONBLOCK])
def test_a_full_eventfd_keeps_nobody_waiting(card: CardProcess, flags: int) -> None:
    """The next write to its counter would wait until the client reads it."""
    vector = os.eventfd(FULL & 0x7FFF_FFFF, os.EFD_CLOEXEC | flags)
    os.eventfd_write(vector, FULL - (FULL & 0x7FFF_FFFF))
    with Client.connect(card.ready.socket, timeout_s=10) as client:
        client.enable_irqs(PciIrq.MSIX, [vector])
        write(client, "IVAR", 8 << 16)
        write(client, "IMS", 0x1FF_FFFF)
        began = time.monotonic()
        write(client, "ICS", 1 << 24)
        write(client, "ICS", 1 << 24)
        causes = read(client, "ICR")

    assert causes & 1 << 24
    assert time.monotonic() - began < SOON_S
    assert os.eventfd_read(vector) >= FULL
    os.close(vector)


def test_a_full_eventfd_behind_a_timer_keeps_nobody_waiting(card: CardProcess) -> None:
    """EITR has the timers' thread signal it, which takes no signal."""
    vector = os.eventfd(0, os.EFD_CLOEXEC)
    os.eventfd_write(vector, FULL)
    with Client.connect(card.ready.socket, timeout_s=10) as client:
        client.enable_irqs(PciIrq.MSIX, [vector])
        write(client, "IVAR", 8 << 16)
        client.write(0, NIC["EITR"].offset, (50_000).to_bytes(4, "little"))
        write(client, "IMS", 0x1FF_FFFF)
        for _ in range(3):
            write(client, "ICS", 1 << 24)
        time.sleep(0.1)

        assert read(client, "ICR") & 1 << 24
    os.close(vector)


@pytest.mark.parametrize("kind", ["fifo", "file"])
def test_what_is_only_called_an_eventfd_is_none(card: CardProcess, tmp_path: Path, kind: str) -> None:
    """Its name in /proc/self/fd ends like an eventfd's; the kernel's fdinfo does not say that it is one."""
    path = tmp_path / "anon_inode:[eventfd]"
    if kind == "fifo":
        os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with Client.connect(card.ready.socket, timeout_s=10) as client:
        with pytest.raises(ReplyError) as refused:
            client.enable_irqs(PciIrq.MSIX, [fd])

        assert refused.value.errno == errno.EINVAL
    os.close(fd)


# -- files ----------------------------------------------------------------------------------------------


def test_only_shared_memory_is_mapped(card: CardProcess, tmp_path: Path) -> None:
    """A page of another file may be fetched by a file system that does not answer."""
    path = tmp_path / "ram"
    path.write_bytes(bytes(MIB))
    file, fifo, null = os.open(path, os.O_RDWR), os.pipe(), os.open("/dev/zero", os.O_RDWR)
    ram = memory(MIB)
    with Client.connect(card.ready.socket, timeout_s=10) as client:
        if not _is_tmpfs(path):
            assert map_errno(client, file) == "EINVAL"
        assert [map_errno(client, fd) for fd in (*fifo, null)] == ["EINVAL"] * 3
        assert map_errno(client, ram) == ""
    for fd in (file, *fifo, null, ram):
        os.close(fd)


def _is_tmpfs(path: Path) -> bool:
    with open("/proc/self/mounts", encoding="ascii", errors="replace") as mounts:  # noqa: PTH123 - the kernel's
        kinds = {line.split()[1]: line.split()[2] for line in mounts}
    above = max((at for at in kinds if path.is_relative_to(at)), key=len)
    return kinds[above] == "tmpfs"


def test_memory_of_a_file_system_that_does_not_answer_is_refused(card: CardProcess) -> None:
    """The first access would wait for a page, through SIGKILL."""
    try:
        with silent_file(READ) as fd, Client.connect(card.ready.socket, timeout_s=10) as client:
            assert map_errno(client, fd) == "EINVAL"
    except NoFuseError as none:
        pytest.skip(f"no FUSE here: {none}")


def test_a_descriptor_that_does_not_close_keeps_nobody_waiting(card: CardProcess, tmp_path: Path) -> None:
    """FUSE is asked at each close(2), and here it never answers: clients are served, and the process ends."""
    other = start_card(tmp_path / "other", "none", engine=card.ready.engine)
    try:
        with silent_file(FLUSH) as fd:
            for served in (card, other):
                with Client.connect(served.ready.socket, timeout_s=10) as client:
                    for _ in range(3):
                        with pytest.raises(ReplyError):
                            client.request(Command.DEVICE_GET_INFO, DeviceGetInfo(0, 0, 0).emit(), [fd])
                with Client.connect(served.ready.socket, timeout_s=10) as client:
                    assert read(client, "STATUS")
            began = time.monotonic()
            other.close()
            ended = time.monotonic() - began
    except NoFuseError as none:
        pytest.skip(f"no FUSE here: {none}")
    finally:
        other.close()

    assert ended < SOON_S
    assert not other.running


@pytest.mark.parametrize(
    ("iova", "size", "offset"),
    [(0, 64 * MIB, 8), (8, 64 * MIB, 0), (0, 64 * MIB + 8, 0), (0, 1, 0), (1, 4095, 1)],
)
def test_what_is_no_whole_pages_is_refused(card: CardProcess, iova: int, size: int, offset: int) -> None:
    """One such mapping, then bus mastering, ended the server by mincore's EINVAL."""
    fd = memory(65 * MIB)
    with Client.connect(card.ready.socket, timeout_s=10) as client:
        refused = map_errno(client, fd, size, iova, offset)
        client.write(7, 4, b"\x06\0")

    assert refused == "EINVAL"
    os.close(fd)


def test_a_sparse_file_of_terabytes_costs_nothing(card: CardProcess) -> None:
    """Memory of which no page exists: to look at each took minutes, under the card's lock.

    40 TiB are more than a confined process may map.
    """
    fd = memory(40 * TIB)
    with Client.connect(card.ready.socket, timeout_s=10) as client:
        refused = map_errno(client, fd, 40 * TIB)
        if refused:
            assert map_errno(client, fd, 3 * TIB) == ""
        began = time.monotonic()
        client.write(7, 4, b"\x06\0")

        assert time.monotonic() - began < SOON_S
        assert refused in ("ENOMEM", "")
    os.close(fd)


def test_as_many_mappings_as_the_kernel_allows_and_no_more(card: CardProcess) -> None:
    """Mappings that lie side by side are one area of the kernel's until one in their middle goes."""
    run, fd, other = 400, memory(65535 * 2 * 4096), memory(4 * MIB)
    with Client.connect(card.ready.socket, timeout_s=60) as client:
        for number in range(run):
            assert map_errno(client, other, 4096, TIB + number * 4096, (run - 1 - number) * 4096) == ""
        refused, number = "", 0
        while not refused and number < 65535 - run:
            refused = map_errno(client, fd, 4096, number * 8192, number * 8192)
            number += 1
        for number in range(1, run - 1, 2):
            client.unmap_dma(TIB + number * 4096, 4096)
        client.unmap_all_dma()

        assert refused in ("ENOSPC", "")
        assert map_errno(client, fd, 4096) == ""
    os.close(fd)
    os.close(other)


# -- work and waits -------------------------------------------------------------------------------------


def test_a_doorbell_holds_nobody_for_long(card: CardProcess) -> None:
    """The card checks an FCS of 4,095 bytes for each of 65,527 descriptors: one run took half a second."""
    ring, data = memory(2 * MIB), memory(MIB)
    os.pwrite(ring, struct.pack("<QII", 0, 4095 | 1 << 24, 0) * 65536, 0)
    waits = []
    with Client.connect(card.ready.socket, timeout_s=60) as client:
        assert map_errno(client, ring, 2 * MIB, TIB) == map_errno(client, data) == ""
        client.write(7, 4, b"\x06\0")
        write(client, "RCTL", 1 << 6)  # loopback: no link is needed
        for name, value in (("TDBAH0", TIB >> 32), ("TDLEN0", 0xF_FF80), ("TCTL", 2), ("TDT0", 65527)):
            began = time.monotonic()
            write(client, name, value)
            waits.append(time.monotonic() - began)
        while (head := read(client, "TDH0")) != 65527:
            began = time.monotonic()
            read(client, "TPT")  # a counter is read between batches of all its writers
            waits.append(time.monotonic() - began)
            assert sum(waits) < 60, head

    assert sorted(waits)[len(waits) // 2] < 0.05
    assert waits[3] < 0.2
    os.close(ring)
    os.close(data)


def ring_without_a_descriptor(client: Client) -> None:
    """Have a transmit ring in memory that only messages reach, and ring its doorbell."""
    client.request(Command.DMA_MAP, DmaMapRequest(3, 0, 0, MIB).emit())
    client.write(7, 4, b"\x06\0")
    for name, value in (("RCTL", 1 << 6), ("TDLEN0", 4096), ("TCTL", 2)):
        write(client, name, value)
    client.write(0, NIC["TDT0"].offset, (10).to_bytes(4, "little"), posted=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_memory_without_a_descriptor_is_refused_with_a_line(tmp_path: Path, engine: str) -> None:
    """By an errno and on standard error; a ROM and, beside real RAM, video memory may come without one."""
    card = start_card(tmp_path / "card", "none", engine=engine)
    ram = memory(MIB)
    with Client.connect(card.ready.socket, timeout_s=10) as client:
        client.request(Command.DMA_MAP, DmaMapRequest(1, 0, 0x1000_0000, MIB).emit())
        for _ in range(2):
            with pytest.raises(ReplyError) as refused:
                client.request(Command.DMA_MAP, DmaMapRequest(3, 0, 0, MIB).emit())
        assert map_errno(client, ram) == ""
        client.request(Command.DMA_MAP, DmaMapRequest(3, 0, 0x2000_0000, MIB).emit())
        client.write(7, 4, b"\x06\0")
        for name, value in (
            ("RCTL", 64),
            ("TDBAL0", 0x2000_0000),
            ("TDLEN0", 4096),
            ("TCTL", 2),
            ("TDT0", 3),
        ):
            write(client, name, value)
        while read(client, "TDH0") != 3:
            time.sleep(0.001)
        faults = card.account()["dma_faults"]
    os.close(ram)

    assert refused.value.errno == errno.ENOTSUP
    assert faults == 3
    said = card.stop()
    assert said.startswith("ringwalk: the client's memory is refused: ")
    assert "memory-backend-memfd,share=on" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_client_that_does_not_answer_is_closed(tmp_path: Path, engine: str) -> None:
    """Whoever reads the connection waits no longer than 5 s for an answer to DMA_READ."""
    card = start_card(tmp_path / "card", "none", engine=engine, options=("--dma", "messages"))
    client = Client.connect(card.ready.socket, timeout_s=20)
    ring_without_a_descriptor(client)
    connection = client._socket
    connection.settimeout(20)

    began = time.monotonic()
    while connection.recv(4096):
        pass
    took = time.monotonic() - began

    client.close()
    with Client.connect(card.ready.socket, timeout_s=10) as after:
        assert read(after, "STATUS")
    card.close()
    assert 3 < took < 15


def test_a_client_that_reads_no_answer_is_closed(card: CardProcess) -> None:
    """The socket is full of answers: after 5 s the card gives it up, and serves the next."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(card.ready.socket)
        connection.settimeout(20)
        connection.sendall(struct.pack("<HHIII", 1, 1, 20, 0, 0) + bytes(4))
        connection.recv(4096)
        question = struct.pack("<HHIIIQII", 2, 9, 32, 0, 0, 0, 3, 0x4000)

        closed = False
        while not closed:
            try:
                connection.sendall(question)
            except ConnectionError:
                closed = True

    with Client.connect(card.ready.socket, timeout_s=10) as client:
        assert read(client, "STATUS")


def resident_mib(card: CardProcess) -> int:
    """Return how much memory a card's process has."""
    return int(Path(f"/proc/{card.ready.pid}/statm").read_text().split()[1]) * mmap.PAGESIZE // MIB


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_sent_while_an_answer_is_awaited_is_bounded(tmp_path: Path, engine: str) -> None:
    """Commands of a megabyte each: 65,536 of them were kept."""
    card = start_card(tmp_path / "card", "none", engine=engine, options=("--dma", "messages"))
    before = resident_mib(card)
    client = Client.connect(card.ready.socket, timeout_s=20)
    ring_without_a_descriptor(client)
    connection = client._socket
    connection.settimeout(20)
    big = struct.pack("<HHIIIQII", 9, 10, 32 + MIB, 0x10, 0, 0, 1, MIB) + bytes(MIB)

    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 200:
            connection.sendall(big)
            sent += 1

    client.close()
    grown_mib = resident_mib(card) - before
    card.close()
    assert sent < 50
    assert grown_mib < 50


# -- mapped doorbells -----------------------------------------------------------------------------------


def test_a_clients_doorbells_are_gone_with_it(tmp_path: Path) -> None:
    """Its file rings nothing of the next client's, and is nobody's memory: not even the next one's DMA."""
    card = start_card(tmp_path / "card", "none", options=("--doorbell", "mmap"))
    first = Client.connect(card.ready.socket, timeout_s=10)
    _, file = first.region_info(0)
    assert file is not None
    page = mmap.mmap(file, 0x2000, offset=0x2000)
    own = map_errno(first, file, 0x2000, 0x1000_0000, 0x2000)
    kept = os.dup(file)
    first.close()

    with Client.connect(card.ready.socket, timeout_s=10) as client:
        write(client, "TDBAL0", 0x1000)
        write(client, "TDLEN0", 0x1000)
        place = NIC["TDBAL0"].offset - 0x2000
        page[place : place + 4] = b"\0\x40\0\0"
        time.sleep(0.1)
        base = read(client, "TDBAL0")
        stale = map_errno(client, kept, 0x2000, 0x1000_0000, 0x2000)

    assert (base, own, stale) == (0x1000, "EPERM", "EPERM")
    page.close()
    os.close(kept)
    card.close()
