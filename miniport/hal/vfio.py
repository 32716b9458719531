"""A card that Linux's VFIO gives us: inside a guest behind a vIOMMU, or real silicon on a host.

System calls in plain Python: ioctl, mmap, eventfd. The structures are those of ``linux/vfio.h``; the card's
DMA memory is a memfd of 2 MiB hugepages where the system has some, because a vIOMMU then maps one page for
512.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from miniport.hal.eventfds import CONFIG, EventfdBus
from miniport.hal.memory import DmaMemory
from miniport.hal.pci import Signalling

if TYPE_CHECKING:
    from miniport.hal.contract import Reactor

MEMORY_BYTES: Final = 8 << 20
MEMORY_BASE: Final = 0x1000_0000
"""Below 4 GiB: an IOMMU may be 39 bits wide, and the reserved MSI window is at 0xFEE00000."""

_FIRST = 0x3B64  # _IO(';', 100)
_SET_IOMMU, _CHECK_EXTENSION = _FIRST + 2, _FIRST + 1
_GROUP_STATUS, _GROUP_SET_CONTAINER, _GROUP_DEVICE_FD = _FIRST + 3, _FIRST + 4, _FIRST + 6
_REGION_INFO, _SET_IRQS, _DEVICE_RESET = _FIRST + 8, _FIRST + 10, _FIRST + 11
_MAP_DMA, _UNMAP_DMA = _FIRST + 13, _FIRST + 14

_TYPE1V2: Final = 3
_VIABLE: Final = 1
_READ, _WRITE = 1, 2
_DATA_NONE, _DATA_EVENTFD, _ACTION_UNMASK, _ACTION_TRIGGER = 1, 4, 1 << 4, 1 << 5

_STATUS = struct.Struct("=II")
_REGION = struct.Struct("=IIIIQQ")  # argsz, flags, index, cap_offset, size, offset
_IRQS = struct.Struct("=IIIII")  # argsz, flags, index, start, count
_DMA_MAP = struct.Struct("=IIQQQ")  # argsz, flags, vaddr, iova, size
_DMA_UNMAP = struct.Struct("=IIQQ")

PCI_DEVICES: Final = Path("/sys/bus/pci/devices")
PCI_DRIVERS: Final = Path("/sys/bus/pci/drivers")


class VfioError(Exception):
    """VFIO cannot give us the card; the message says what to do."""


def bind(address: str) -> None:
    """Give a PCI function (``0000:00:03.0``) to vfio-pci, whoever drives it now. VfioError."""
    folder = PCI_DEVICES / address
    if not folder.exists():
        raise VfioError(f"no PCI function {address}")
    driver = folder / "driver"
    try:
        if driver.exists():
            if driver.resolve().name == "vfio-pci":
                return
            (driver / "unbind").write_text(address)
        (folder / "driver_override").write_text("vfio-pci")
        (PCI_DRIVERS.parent / "drivers_probe").write_text(address)
    except OSError as error:
        raise VfioError(f"cannot bind {address} to vfio-pci: {error}; be root, modprobe vfio-pci") from error
    if not driver.exists() or driver.resolve().name != "vfio-pci":
        raise VfioError(f"{address} did not go to vfio-pci; modprobe vfio-pci first")


def find(vendor_device: tuple[int, int] = (0x8086, 0x10D3)) -> list[str]:
    """Return the addresses of the PCI functions with these ids."""
    found = []
    for folder in sorted(PCI_DEVICES.iterdir()):
        ids = tuple(int((folder / name).read_text(), 16) for name in ("vendor", "device"))
        if ids == vendor_device:
            found.append(folder.name)
    return found


def huge_memory(length: int) -> DmaMemory:
    """Make DMA memory of hugepages; of ordinary pages where there are none."""
    try:
        fd = os.memfd_create("ringwalk-dma", os.MFD_CLOEXEC | os.MFD_HUGETLB | os.MFD_HUGE_2MB)
    except OSError:  # a kernel without hugetlbfs
        return DmaMemory(length, MEMORY_BASE)
    try:
        os.ftruncate(fd, length)
        return DmaMemory(length, MEMORY_BASE, fd)
    except OSError:  # fewer hugepages are free than we need
        return DmaMemory(length, MEMORY_BASE)
    finally:
        os.close(fd)


def _device_fd(group: int, address: str) -> int:
    """Ask for the device's descriptor.

    By libc: ``fcntl.ioctl`` returns the bytes of its argument, and it is the call's own result that counts.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    name = ctypes.create_string_buffer(address.encode())
    fd = int(libc.ioctl(group, ctypes.c_ulong(_GROUP_DEVICE_FD), name))
    if fd < 0:
        raise VfioError(f"VFIO does not give {address}: {os.strerror(ctypes.get_errno())}")
    return fd


class MappedBar:
    """A BAR mapped into this process; every access is one load or store of 32 bits."""

    def __init__(self, fd: int, offset: int, length: int) -> None:
        self._map = mmap.mmap(fd, length, offset=offset)
        self._words = (ctypes.c_uint32 * (length // 4)).from_buffer(self._map)

    def read32(self, offset: int) -> int:
        """Read a register."""
        return int(self._words[offset >> 2])

    def write32(self, offset: int, value: int) -> None:
        """Write a register."""
        self._words[offset >> 2] = value


class FileBar:
    """A BAR by reads and writes of the device's file: for what cannot be mapped."""

    def __init__(self, fd: int, offset: int) -> None:
        self._fd = fd
        self._offset = offset

    def read32(self, offset: int) -> int:
        """Read a register."""
        return int.from_bytes(os.pread(self._fd, 4, self._offset + offset), "little")

    def write32(self, offset: int, value: int) -> None:
        """Write a register."""
        os.pwrite(self._fd, value.to_bytes(4, "little"), self._offset + offset)


class KernelBackend:
    """``miniport.hal.eventfds.Backend`` over VFIO's files."""

    def __init__(self, address: str) -> None:
        """Open container, group and device. VfioError."""
        self._bars: dict[int, tuple[MappedBar | FileBar, int]] = {}
        try:
            group = (PCI_DEVICES / address / "iommu_group").resolve().name
            self.container = os.open("/dev/vfio/vfio", os.O_RDWR | os.O_CLOEXEC)
            self._group = os.open(f"/dev/vfio/{group}", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise VfioError(
                f"cannot open VFIO for {address}: {error}; it needs an IOMMU and vfio-pci bound to the card"
            ) from error
        status = bytearray(_STATUS.pack(_STATUS.size, 0))
        fcntl.ioctl(self._group, _GROUP_STATUS, status)
        if not _STATUS.unpack(status)[1] & _VIABLE:
            raise VfioError(f"the IOMMU group of {address} holds devices that other drivers have")
        fcntl.ioctl(self._group, _GROUP_SET_CONTAINER, struct.pack("=i", self.container))
        fcntl.ioctl(self.container, _SET_IOMMU, _TYPE1V2)
        self._device: int = _device_fd(self._group, address)
        self._config = self._region(CONFIG)[1]
        fcntl.ioctl(self._device, _DEVICE_RESET)

    def map_dma(self, memory: DmaMemory) -> None:
        """Let the card reach the memory. OSError."""
        first = ctypes.addressof(ctypes.c_char.from_buffer(memory.map))
        request = _DMA_MAP.pack(_DMA_MAP.size, _READ | _WRITE, first, memory.base, memory.length)
        fcntl.ioctl(self.container, _MAP_DMA, request)

    def unmap_dma(self, memory: DmaMemory) -> None:
        """Take it away. OSError."""
        request = bytearray(_DMA_UNMAP.pack(_DMA_UNMAP.size, 0, memory.base, memory.length))
        fcntl.ioctl(self.container, _UNMAP_DMA, request)

    def close(self) -> None:
        """Close every file; the kernel resets the card."""
        for fd in (self._device, self._group, self.container):
            os.close(fd)

    def registers(self, bar: int) -> tuple[MappedBar | FileBar, int]:
        """Map a BAR, once."""
        if bar not in self._bars:
            size, offset = self._region(bar)
            try:
                mapped: MappedBar | FileBar = MappedBar(self._device, offset, size)
            except OSError:  # the page of an MSI-X table may be forbidden
                mapped = FileBar(self._device, offset)
            self._bars[bar] = mapped, size
        return self._bars[bar]

    def read_config(self, offset: int, length: int) -> bytes:
        """Read configuration space."""
        return os.pread(self._device, length, self._config + offset)

    def write_config(self, offset: int, data: bytes) -> None:
        """Write configuration space."""
        os.pwrite(self._device, data, self._config + offset)

    def arm(self, index: int, eventfds: list[int]) -> None:
        """Arm."""
        self._irqs(_DATA_EVENTFD | _ACTION_TRIGGER, index, len(eventfds), eventfds)

    def disarm(self, index: int) -> None:
        """Disarm."""
        self._irqs(_DATA_NONE | _ACTION_TRIGGER, index, 0, [])

    def unmask_line(self) -> None:
        """Let INTx come again."""
        self._irqs(_DATA_NONE | _ACTION_UNMASK, 0, 1, [])

    def programs_messages(self) -> bool:
        """Yes: the kernel owns MSI and MSI-X."""
        return True

    def _region(self, index: int) -> tuple[int, int]:
        raw = bytearray(_REGION.pack(_REGION.size, 0, index, 0, 0, 0))
        fcntl.ioctl(self._device, _REGION_INFO, raw)
        *_, size, offset = _REGION.unpack(raw)
        return size, offset

    def _irqs(self, flags: int, index: int, count: int, fds: list[int]) -> None:
        data = struct.pack(f"={len(fds)}i", *fds)
        request = _IRQS.pack(_IRQS.size + len(data), flags, index, 0, count) + data
        fcntl.ioctl(self._device, _SET_IRQS, request)


class VfioBus(EventfdBus):
    """``miniport.hal.contract.Bus`` over a PCI function that vfio-pci has."""

    def __init__(
        self,
        address: str,
        reactor: Reactor,
        *,
        mode: Signalling = Signalling.MSIX,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """Open the card and map its DMA memory. VfioError, OSError."""
        self.backend = KernelBackend(address)
        memory = huge_memory(memory_bytes)
        self.backend.map_dma(memory)
        super().__init__(self.backend, memory, reactor, mode)

    def close(self) -> None:
        """Give the card back."""
        self.backend.unmap_dma(self.memory)
        self.backend.close()
        self.memory.close()
