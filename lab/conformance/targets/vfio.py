"""``vfio:DDDD:BB:DD.F``: real silicon, or a card in a guest with a vIOMMU, through Linux VFIO. Plain ioctls.

The function must be bound to ``vfio-pci`` (``driverctl set-override DDDD:BB:DD.F vfio-pci``). The kernel
filters configuration space and owns INTx and the MSI-X table, and DMA outside of what is mapped is an IOMMU
fault: checks that need those are skipped. With ``,wire=IFNAME`` the far end of the cable is another interface
of this machine (up, without addresses, MTU 16384 if it can), and frames pass it by a packet socket.

Between checks the kernel resets the function, if it knows a way, and CTRL.RST does it once more: what the
kernel takes for a reset (D3 and back) is none for QEMU's model. A check that wrote to the PHY leaves a reset
of the PHY behind, with the seconds that its negotiation takes.

Source: linux/vfio.h and Documentation/driver-api/vfio.rst of Linux; ioctl numbers are _IO(';', 100 + n).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from device.wire.frame import Frame
from device.wire.packet import PacketPort, open_packet_socket
from lab.conformance.bench import BenchError, Capability, Signal
from lab.errors import UsageError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

DMA = range(0x0100_0000, 0x0120_0000)
CONFIG_REGION = 7
COMMAND_ALL = 0x0007
INTX, MSI, MSIX = 0, 1, 2
VECTORS = 5
IRQS = {Signal.INTX: (INTX, 1), Signal.MSI: (MSI, 1), Signal.MSIX: (MSIX, VECTORS)}

_BASE = ord(";") << 8 | 100
GET_API_VERSION, CHECK_EXTENSION, SET_IOMMU = _BASE, _BASE + 1, _BASE + 2
GROUP_GET_STATUS, GROUP_SET_CONTAINER, GROUP_GET_DEVICE_FD = _BASE + 3, _BASE + 4, _BASE + 6
DEVICE_GET_REGION_INFO, DEVICE_SET_IRQS, DEVICE_RESET = _BASE + 8, _BASE + 10, _BASE + 11
IOMMU_MAP_DMA = _BASE + 13
TYPE1 = 1
GROUP_VIABLE = 1
MAP_READ_WRITE = 3
IRQ_NONE, IRQ_EVENTFD, IRQ_TRIGGER = 1 << 0, 1 << 2, 1 << 5
BARS = (0, 1, 2, 3, CONFIG_REGION)
SETTLE_S = 0.002
SETTLE_WIRED_S = 0.040  # a frame has crossed to the other interface by then, even under TCG
MOST_SETTLES = 50
RESET_S = 0.010
CTRL, IMC, MDIC = NIC["CTRL"], NIC["IMC"], NIC["MDIC"]
MDIC_WRITE = 1
POWER_UP = 0x1340 | MDIC["PHYADD"].put(1) | MDIC["OP"].put(MDIC_WRITE)
"""BMCR: on, negotiate, begin. The reset is to do that, but QEMU's model keeps what the last driver wrote."""
KEPT = ("PBA", "WUC", "WUFC")  # what only power-on resets, and drivers write
REGION = struct.Struct("<IIIIQQ")  # argsz, flags, index, cap_offset, size, offset
MAP = struct.Struct("<IIQQQ")  # argsz, flags, vaddr, iova, size
SET_IRQS = struct.Struct("<IIIII")  # argsz, flags, index, start, count


class VfioBench:
    """The function at a PCI address, taken from the kernel for as long as the bench is open."""

    dma = DMA

    def __init__(self, address: str, interface: str = "") -> None:
        """Take the function, and the interface at the far end of its cable; raises ``UsageError``."""
        link = Path("/sys/bus/pci/devices") / address / "iommu_group"
        if not link.exists():
            raise UsageError(
                f"{address} is no PCI function with an IOMMU group: give DDDD:BB:DD.F, IOMMU enabled"
            )
        try:
            self._container = os.open("/dev/vfio/vfio", os.O_RDWR | os.O_CLOEXEC)
            self._group = os.open(f"/dev/vfio/{link.resolve().name}", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(
                f"{error.filename}: {error.strerror}: bind the function first:"
                f" driverctl set-override {address} vfio-pci"
            ) from error
        self._device = self._take(address)
        self._area = mmap.mmap(-1, len(DMA))
        self._map()
        self._offsets = {index: self._region(index) for index in BARS}
        self._eventfds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(VECTORS)]
        self._armed: int | None = None
        self._phy_written = True  # by the driver that had it: Linux's powers the PHY down when it goes
        self._kernel_resets = True
        self._heard: list[bytes] = []
        self._packet = self._plug(interface) if interface else None
        self._port = PacketPort(self._packet) if self._packet is not None else None

    @property
    def capabilities(self) -> Capability:
        """What the kernel leaves to us, and the wire where there is one."""
        found = Capability.MSI | Capability.MSIX
        return found | Capability.WIRE if self._port is not None else found

    def read(self, offset: int, width: int = 4, bar: int = 0) -> int:
        """Read a BAR by pread: the kernel does the access in the width asked."""
        with self._loss():
            return int.from_bytes(os.pread(self._device, width, self._offsets[bar] + offset), "little")

    def write(self, offset: int, value: int, width: int = 4, bar: int = 0) -> None:
        """Write a BAR."""
        if bar == 0 and offset == MDIC.offset and MDIC["OP"].get(value) == MDIC_WRITE:
            self._phy_written = True
        with self._loss():
            os.pwrite(self._device, value.to_bytes(width, "little"), self._offsets[bar] + offset)

    def config_read(self, offset: int, width: int = 4) -> int:
        """Read configuration space, as the kernel shows it."""
        return self.read(offset, width, CONFIG_REGION)

    def config_write(self, offset: int, value: int, width: int = 4) -> None:
        """Write configuration space, as far as the kernel lets us."""
        self.write(offset, value, width, CONFIG_REGION)

    def memory_read(self, address: int, length: int) -> bytes:
        """Read the memory that is mapped for the card."""
        return self._area[address - DMA.start : address - DMA.start + length]

    def memory_write(self, address: int, data: bytes) -> None:
        """Write the memory that is mapped for the card."""
        self._area[address - DMA.start : address - DMA.start + len(data)] = data

    def send(self, frame: bytes) -> None:
        """Send from the other interface."""
        if self._port is None:
            raise BenchError(f"no wire to put {len(frame)} bytes on")
        with self._loss():
            self._port.write(Frame(frame))

    def frames(self) -> list[bytes]:
        """Collect what the other interface got."""
        self._hear()
        heard, self._heard = self._heard, []
        return heard

    def settle(self) -> None:
        """Give the card, and the way to it, a moment; and again for as long as frames come."""
        if self._port is None:
            time.sleep(SETTLE_S)
            return
        for _ in range(MOST_SETTLES):
            time.sleep(SETTLE_WIRED_S)
            if not self._hear():
                break

    def _hear(self) -> bool:
        """Take what the other interface got; tell whether there was anything."""
        before = len(self._heard)
        while self._port is not None and (frame := self._port.read()) is not None:
            self._heard.append(frame.data)
        return len(self._heard) > before

    def signal(self, how: Signal) -> None:
        """Have the kernel enable one kind of interrupt."""
        index, count = IRQS[how]
        self._disarm()
        fds = struct.pack(f"<{count}i", *self._eventfds[:count])
        size = SET_IRQS.size + len(fds)
        with self._loss():
            fcntl.ioctl(
                self._device,
                DEVICE_SET_IRQS,
                SET_IRQS.pack(size, IRQ_EVENTFD | IRQ_TRIGGER, index, 0, count) + fds,
            )
        self._armed = index

    def line(self) -> bool:
        """INTx is the kernel's."""
        raise BenchError("the level of INTx cannot be seen through VFIO")

    def messages(self) -> frozenset[int]:
        """Read the eventfds."""
        seen = set()
        for vector, descriptor in enumerate(self._eventfds):
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(descriptor)
                seen.add(vector)
        return frozenset(seen)

    def advance(self, step_ns: int) -> None:
        """Sleep."""
        time.sleep(max(step_ns / 1e9, SETTLE_S))

    def reset(self) -> None:
        """Have the kernel reset the function (FLR, power state, slot), then let it master the bus."""
        self._disarm()
        self._reset_function()
        self.config_write(0x04, COMMAND_ALL, 2)
        self._reset_by_register()
        for register in (NIC[name] for name in KEPT):
            self.write(register.offset, register.reset)
        if self._phy_written:
            self.write(CTRL.offset, self.read(CTRL.offset) | CTRL["PHY_RST"].mask)
            time.sleep(RESET_S)
            self.write(CTRL.offset, self.read(CTRL.offset) & ~CTRL["PHY_RST"].mask)
            time.sleep(RESET_S)
            self.write(MDIC.offset, POWER_UP)
            self._phy_written = False
        self.settle()
        self.frames()
        self.messages()

    def _reset_function(self) -> None:
        """Ask the kernel; ENOTTY or EINVAL says that it knows no way."""
        if not self._kernel_resets:
            return
        try:
            fcntl.ioctl(self._device, DEVICE_RESET)
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise BenchError(f"vfio: {error.strerror}") from error
            self._kernel_resets = False

    def _reset_by_register(self) -> None:
        self.write(IMC.offset, 0xFFFF_FFFF)
        self.write(CTRL.offset, self.read(CTRL.offset) | CTRL["RST"].mask)
        time.sleep(RESET_S)

    def close(self) -> None:
        """Give the function back."""
        for descriptor in (*self._eventfds, self._device, self._group, self._container):
            os.close(descriptor)
        if self._packet is not None:
            self._packet.close()

    @staticmethod
    def _plug(interface: str) -> socket.socket:
        try:
            return open_packet_socket(interface)
        except OSError as error:
            raise UsageError(f"wire={interface}: {error.strerror or error}; see: ip link") from error

    def _take(self, address: str) -> int:
        status = bytearray(struct.pack("<II", 8, 0))
        fcntl.ioctl(self._group, GROUP_GET_STATUS, status)
        if not struct.unpack("<II", status)[1] & GROUP_VIABLE:
            raise UsageError(
                f"the IOMMU group of {address} has other drivers: bind all of its functions to vfio-pci"
            )
        fcntl.ioctl(self._group, GROUP_SET_CONTAINER, struct.pack("<i", self._container))
        fcntl.ioctl(self._container, SET_IOMMU, TYPE1)
        # A mutable argument: with an immutable one Python returns the bytes, not the descriptor.
        return int(fcntl.ioctl(self._group, GROUP_GET_DEVICE_FD, bytearray(address.encode() + b"\0")))

    def _map(self) -> None:
        where = ctypes.addressof(ctypes.c_char.from_buffer(self._area))
        fcntl.ioctl(
            self._container, IOMMU_MAP_DMA, MAP.pack(MAP.size, MAP_READ_WRITE, where, DMA.start, len(DMA))
        )

    def _region(self, index: int) -> int:
        info = bytearray(REGION.pack(REGION.size, 0, index, 0, 0, 0))
        fcntl.ioctl(self._device, DEVICE_GET_REGION_INFO, info)
        return int(REGION.unpack(info)[5])

    def _disarm(self) -> None:
        if self._armed is None:
            return
        with self._loss():
            fcntl.ioctl(
                self._device,
                DEVICE_SET_IRQS,
                SET_IRQS.pack(SET_IRQS.size, IRQ_NONE | IRQ_TRIGGER, self._armed, 0, 0),
            )
        self._armed = None

    @staticmethod
    @contextlib.contextmanager
    def _loss() -> Iterator[None]:
        """Turn a refusal of the kernel into a ``BenchError``."""
        try:
            yield
        except OSError as error:
            raise BenchError(f"vfio: {error.strerror}") from error
