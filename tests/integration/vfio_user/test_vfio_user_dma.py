"""The IOVA map: what is mapped where, what is refused, and who is told before memory goes away."""

from __future__ import annotations

import errno
import gc
import mmap
import os
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from device.vfio_user import DmaChange, DmaError, DmaMap, DmaRegion, RequestRefused
from device.vfio_user.protocol import Protection

if TYPE_CHECKING:
    from collections.abc import Iterator

RW = Protection.READ | Protection.WRITE
PAGE = mmap.PAGESIZE


class Remote:
    """Memory without an fd: what DMA messages would reach."""

    def __init__(self, base: int, size: int) -> None:
        self.base = base
        self.memory = bytearray(size)
        self.calls: list[tuple[str, int, int]] = []

    def dma_read(self, address: int, count: int) -> bytes:
        """Read."""
        self.calls.append(("read", address, count))
        return bytes(self.memory[address - self.base : address - self.base + count])

    def dma_write(self, address: int, data: bytes) -> None:
        """Write."""
        self.calls.append(("write", address, len(data)))
        self.memory[address - self.base : address - self.base + len(data)] = data


@pytest.fixture
def memfd() -> Iterator[int]:
    """Four pages."""
    fd = os.memfd_create("ram")
    os.truncate(fd, 4 * PAGE)
    yield fd
    os.close(fd)


def refused(dma: DmaMap, iova: int, size: int, *, unmap: bool = False) -> str:
    """Return the errno with which a map or unmap is refused."""
    with pytest.raises(RequestRefused) as why:
        dma.unmap(iova, size) if unmap else dma.map(iova, size, RW)
    return errno.errorcode[why.value.errno]


def test_bytes_cross_adjacent_regions_of_every_kind(memfd: int) -> None:
    """A mapped region, one that only messages reach, and another part of the same file."""
    remote = Remote(0x2000, 0x1000)
    dma = DmaMap(messages=remote)
    dma.map(0x1000, 0x1000, RW, memfd, PAGE)
    dma.map(0x3000, 0x1000, RW, memfd, 0)
    dma.map(0x2000, 0x1000, RW)
    data = bytes(range(256)) * 18

    dma.write(0x1F00, data)

    assert dma.read(0x1F00, len(data)) == data
    assert remote.memory == data[0x100:0x1100]
    assert remote.calls == [("write", 0x2000, 0x1000), ("read", 0x2000, 0x1000)]
    assert os.pread(memfd, 0x100, PAGE + 0xF00) == data[:0x100]
    assert os.pread(memfd, 0x100, 0) == data[0x1100:]


def test_an_offset_need_not_be_a_multiple_of_a_page(memfd: int) -> None:
    """QEMU's regions begin where its address space cuts them."""
    os.pwrite(memfd, b"here", PAGE + 0x234)
    dma = DmaMap()

    region = dma.map(0x5234, 0x100, RW, memfd, PAGE + 0x234)

    assert dma.read(0x5234, 4) == b"here"
    assert region.address is not None
    assert region.address % PAGE == 0x234


def test_a_region_is_seen_with_its_host_address_before_the_client_is_answered(memfd: int) -> None:
    """A native engine keeps a table of its own."""
    dma = DmaMap()
    changes: list[tuple[DmaChange, tuple[DmaRegion, ...]]] = []
    dma.on_change(lambda change: changes.append((change, dma.regions)))

    low = dma.map(0x1000, PAGE, RW, memfd)
    high = dma.map(0x9000, PAGE, Protection.READ)
    dma.clear()

    assert changes == [
        (DmaChange(added=(low,)), (low,)),
        (DmaChange(added=(high,)), (low, high)),
        (DmaChange(removed=(low, high)), ()),
    ]
    assert (low.iova, low.size, low.protection, low.end) == (0x1000, PAGE, 3, 0x1000 + PAGE)
    assert high.address is None


def test_memory_stays_mapped_until_every_listener_has_let_go(memfd: int) -> None:
    """An engine in the middle of a frame finishes it first."""
    dma = DmaMap()
    region = dma.map(0x1000, PAGE, RW, memfd)
    assert region.address is not None
    address = region.address
    seen: list[bool] = []
    dma.on_change(lambda _: seen.append(_is_mapped(address)))

    dma.unmap(0x1000, PAGE)

    assert seen == [True]
    assert not _is_mapped(address)


def test_a_listener_that_was_removed_is_told_nothing(memfd: int) -> None:
    """``on_change`` returns what ends it."""
    dma = DmaMap()
    changes: list[DmaChange] = []
    stop = dma.on_change(changes.append)

    stop()
    dma.map(0, PAGE, RW, memfd)

    assert changes == []


@pytest.mark.parametrize(
    ("iova", "size"),
    [(0x1000, 0x1000), (0x1FFF, 1), (0x0FFF, 2), (0, 0x10000), (0x1800, 0x100), (0x1000, 1)],
)
def test_overlapping_regions_are_refused(iova: int, size: int) -> None:
    """EEXIST, and the table is as before."""
    dma = DmaMap()
    region = dma.map(0x1000, 0x1000, RW)

    assert refused(dma, iova, size) == "EEXIST"

    assert dma.regions == (region,)


def test_regions_may_touch() -> None:
    """In any order, up to the very end of the address space."""
    dma = DmaMap()

    dma.map((1 << 64) - 0x1000, 0x1000, RW)
    dma.map(0x1000, 0x1000, RW)
    dma.map(0x2000, 0x1000, RW)
    dma.map(0, 0x1000, RW)

    assert [r.iova for r in dma.regions] == [0, 0x1000, 0x2000, (1 << 64) - 0x1000]


@pytest.mark.parametrize(("iova", "size"), [(0, 0), ((1 << 64) - 1, 2), (1 << 63, 1 << 63 | 1)])
def test_ranges_that_cannot_be_are_refused(iova: int, size: int) -> None:
    """Empty, or beyond 2^64."""
    dma = DmaMap()

    assert refused(dma, iova, size) == "EINVAL"
    assert refused(dma, iova, size, unmap=True) == "EINVAL"


def test_a_region_needs_a_right() -> None:
    """As in Linux' VFIO."""
    with pytest.raises(RequestRefused, match="neither"):
        DmaMap().map(0, 0x1000, Protection.NONE)


def test_a_file_that_is_too_short_is_refused_before_it_is_mapped(memfd: int) -> None:
    """A later access beyond its end would be a SIGBUS; sizes that overflow an offset are no way around."""
    dma = DmaMap()

    for offset, size in ((0, 4 * PAGE + 1), (4 * PAGE, 1), ((1 << 63) - 1, PAGE), (0, 1 << 63)):
        with pytest.raises(RequestRefused, match="shorter") as why:
            dma.map(0, size, RW, memfd, offset)
        assert why.value.errno == errno.EINVAL

    assert dma.regions == ()


def test_an_fd_that_cannot_be_written_is_refused_for_writing(memfd: int) -> None:
    """With the errno of mmap."""
    fd = os.open(f"/proc/self/fd/{memfd}", os.O_RDONLY)
    dma = DmaMap()

    with pytest.raises(RequestRefused) as why:
        dma.map(0, PAGE, RW, fd)
    dma.map(0, PAGE, Protection.READ, fd)

    os.close(fd)
    assert why.value.errno == errno.EACCES
    assert dma.read(0, 4) == bytes(4)


def test_the_map_after_the_last_allowed_is_refused() -> None:
    """65,535 regions fit, the 65,536th does not, and one that goes makes room for one."""
    dma = DmaMap()
    for at in range(65535):
        dma.map(at * 0x2000, 0x1000, RW)

    assert refused(dma, 65535 * 0x2000, 0x1000) == "ENOSPC"

    dma.unmap(0x2000, 0x1000)
    dma.map(65535 * 0x2000, 0x1000, RW)
    assert len(dma.regions) == 65535


def test_unmapping_what_was_never_mapped_is_no_error() -> None:
    """QEMU's vIOMMU unmaps ranges up to 2^59 (facts of hw/vfio-user/container.c)."""
    dma = DmaMap()
    changes: list[DmaChange] = []
    dma.on_change(changes.append)

    assert dma.unmap(0, 1 << 59) == ()
    assert dma.unmap(1 << 63, 1 << 63) == ()

    assert changes == []


def test_one_unmap_takes_every_region_inside_it() -> None:
    """And leaves its neighbours."""
    dma = DmaMap()
    regions = [dma.map(at * 0x1000, 0x1000, RW) for at in range(6)]

    removed = dma.unmap(0x1000, 0x4000)

    assert removed == tuple(regions[1:5])
    assert dma.regions == (regions[0], regions[5])


@pytest.mark.parametrize(("iova", "size"), [(0x1800, 0x100), (0x1000, 0x800), (0x1800, 0x1800), (0, 0x1800)])
def test_cutting_a_region_is_refused_and_removes_nothing(iova: int, size: int) -> None:
    """As in Linux' VFIO (type 1 v2)."""
    dma = DmaMap()
    regions = (dma.map(0, 0x1000, RW), dma.map(0x1000, 0x1000, RW), dma.map(0x2000, 0x1000, RW))

    assert refused(dma, iova, size, unmap=True) == "EINVAL"

    assert dma.regions == regions


@pytest.mark.parametrize(
    ("address", "length"),
    [
        (0x0FFF, 1),
        (0x2FFF, 2),
        (0x3000, 1),
        (0x0FFF, 2),
        (0x4FFF, 0x1002),
        ((1 << 64) - 1, 2),
        (-1, 1),
        (0x1000, -1),
    ],
)
def test_an_access_that_is_not_covered_faults_with_its_range(memfd: int, address: int, length: int) -> None:
    """Before the first region, between, behind, around the end of the address space."""
    dma = DmaMap()
    dma.map(0x1000, 0x2000, RW, memfd)
    dma.map(0x5000, 0x1000, RW, memfd)

    with pytest.raises(DmaError) as fault:
        dma.read(address, length)

    assert (fault.value.address, fault.value.length) == (address, length)


def test_a_write_that_faults_writes_nothing(memfd: int) -> None:
    """Also not the part that was covered."""
    dma = DmaMap()
    dma.map(0x1000, PAGE, RW, memfd)

    with pytest.raises(DmaError, match="0x1ffc"):
        dma.write(0x1FFC, b"01234567")

    assert os.pread(memfd, 4, 0xFFC) == bytes(4)


def test_rights_are_kept(memfd: int) -> None:
    """A region for reading is not written, one for writing is not read."""
    dma = DmaMap()
    dma.map(0x1000, PAGE, Protection.READ, memfd)
    dma.map(0x9000, PAGE, Protection.WRITE, memfd)

    with pytest.raises(DmaError, match="does not allow to write"):
        dma.write(0x1000, b"x")
    with pytest.raises(DmaError, match="does not allow to read"):
        dma.read(0x9000, 1)

    dma.write(0x9000, b"x")
    assert dma.read(0x1000, 1) == b"x"


def test_memory_without_fd_and_without_a_connection_faults() -> None:
    """Nothing can reach it."""
    dma = DmaMap()
    dma.map(0x1000, 0x1000, RW)

    with pytest.raises(DmaError, match="no connection"):
        dma.read(0x1000, 1)
    with pytest.raises(DmaError, match="no connection"):
        dma.write(0x1000, b"x")


def test_no_fd_is_kept_for_a_region(memfd: int) -> None:
    """65,535 maps do not need 65,535 fds."""
    gc.collect()  # descriptors of others' garbage are not to be closed in between
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are compared
    dma = DmaMap()

    for at in range(50):
        dma.map(at * 0x1000, 0x1000, RW, memfd)

    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same
    dma.clear()


def test_a_thread_may_read_while_the_map_changes(memfd: int) -> None:
    """It gets the bytes or a fault, never memory that is gone."""
    os.pwrite(memfd, b"data", 0)
    dma = DmaMap()
    done = Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not done.is_set():
            try:
                seen.add(dma.read(0x1000, 4))
            except DmaError:
                continue

    reader = Thread(target=read)
    reader.start()
    for _ in range(500):
        dma.map(0x1000, PAGE, RW, memfd)
        dma.unmap(0x1000, PAGE)
    done.set()
    reader.join(10)

    assert seen <= {b"data"}


def _is_mapped(address: int) -> bool:
    with open("/proc/self/maps", encoding="ascii") as maps:  # noqa: PTH123 - a file of the kernel
        ranges = (line.split()[0].split("-") for line in maps)
        return any(int(low, 16) <= address < int(high, 16) for low, high in ranges)
