"""``vfio-user:SOCKET``: anybody's vfio-user server on a bench. Time is the world's here.

With ``,wire=LOCAL:REMOTE`` frames pass as datagrams: LOCAL is the path we bind, REMOTE the server's (the
frame format of QEMU's ``-netdev dgram``). Interrupts are eventfds; INTx is read from the status register.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from device.vfio_user import TransportError
from device.vfio_user.client import Client
from device.vfio_user.errors import ReplyError
from device.vfio_user.protocol import PciIrq, PciRegion
from lab.conformance.bench import BenchError, Capability, Signal
from lab.conformance.targets.capabilities import INTX_PENDING, STATUS, VECTORS
from lab.conformance.targets.settling import MOMENT_S, Rest, Sight
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DMA = range(0x0100_0000, 0x0120_0000)
COMMAND_ALL = 0x0007
BARS = ((0x10, 0xC000_0000), (0x18, 0xC000), (0x1C, 0xC004_0000))
FULL_S = 5.0  # a server that takes no frame for so long takes none
FRAME_LIMIT = 1 << 18
TIMEOUT_S = 10.0
IRQS = {Signal.INTX: (PciIrq.INTX, 1), Signal.MSI: (PciIrq.MSI, 1), Signal.MSIX: (PciIrq.MSIX, VECTORS)}


class VfioUserBench:
    """The device behind a vfio-user socket."""

    dma = DMA

    def __init__(self, path: str, wire: tuple[str, str] | None) -> None:
        """Connect, give the device its memory; raises ``UsageError`` when nobody listens."""
        try:
            self._client = Client.connect(path, timeout_s=TIMEOUT_S)
        except (OSError, TransportError, ReplyError) as error:
            raise UsageError(f"no vfio-user server answers at {path} ({error}): is it running?") from error
        self._fd = os.memfd_create("ringwalk-conform", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, len(DMA))
        self._area = mmap.mmap(self._fd, len(DMA))
        self._client.map_dma(DMA.start, self._area, fd=self._fd)
        self._wire = self._plug(wire) if wire else None
        self._eventfds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(VECTORS)]
        self._armed: PciIrq | None = None
        self._frames: list[bytes] = []
        self._heard = self._told = 0
        self._rest = Rest(self._look)

    @property
    def capabilities(self) -> Capability:
        """Everything but the clock and the table, which a VMM keeps; the wire when there is one."""
        found = Capability.LINE | Capability.MSI | Capability.MSIX | Capability.CONFIG | Capability.SPARE
        found |= Capability.FLASH
        return found | Capability.WIRE if self._wire else found

    def read(self, offset: int, width: int = 4, bar: int = 0) -> int:
        """Read a BAR."""
        return int.from_bytes(self._lost(lambda: self._client.read(bar, offset, width)), "little")

    def write(self, offset: int, value: int, width: int = 4, bar: int = 0) -> None:
        """Write a BAR."""
        with self._loss():
            self._client.write(bar, offset, value.to_bytes(width, "little"))

    def config_read(self, offset: int, width: int = 4) -> int:
        """Read configuration space."""
        return self.read(offset, width, PciRegion.CONFIG)

    def config_write(self, offset: int, value: int, width: int = 4) -> None:
        """Write configuration space."""
        self.write(offset, value, width, PciRegion.CONFIG)

    def memory_read(self, address: int, length: int) -> bytes:
        """Read the memory that we share with the server."""
        at = address - DMA.start
        return self._area[at : at + length]

    def memory_write(self, address: int, data: bytes) -> None:
        """Write the memory that we share with the server."""
        at = address - DMA.start
        self._area[at : at + len(data)] = data

    def send(self, frame: bytes) -> None:
        """Send a datagram, waiting while the server's socket is full (a few frames, on Linux). BenchError."""
        if self._wire is None:
            return
        deadline = time.monotonic() + FULL_S
        while time.monotonic() < deadline:
            with self._loss(), contextlib.suppress(BlockingIOError):
                self._wire.send(frame)
                self._told += 1
                return
            select.select([], [self._wire], [], 0.1)
        raise BenchError(f"the server has taken no frame off its wire for {FULL_S:g} s")

    def frames(self) -> list[bytes]:
        """Return the datagrams that came. BenchError."""
        self._hear()
        found, self._frames = self._frames, []
        return found

    def settle(self) -> None:
        """Wait until the server has come to rest, taking its frames off the wire meanwhile."""
        self._rest.wait()

    def signal(self, how: Signal) -> None:
        """Arm one kind of interrupt, as a VMM does when the guest enables it."""
        index, count = IRQS[how]
        with self._loss():
            if self._armed is not None:
                self._client.disable_irqs(self._armed)
            self._client.enable_irqs(index, self._eventfds[:count])
        self._armed = index

    def line(self) -> bool:
        """Read the Interrupt Status bit of configuration space."""
        return bool(self.config_read(STATUS, 2) & INTX_PENDING)

    def messages(self) -> frozenset[int]:
        """Read the eventfds."""
        seen = set()
        for vector, descriptor in enumerate(self._eventfds):
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(descriptor)
                seen.add(vector)
        return frozenset(seen) if self._armed is not PciIrq.INTX else frozenset()

    def advance(self, step_ns: int) -> None:
        """Sleep."""
        time.sleep(max(step_ns / 1e9, MOMENT_S))

    def reset(self) -> None:
        """DEVICE_RESET, then enable the function."""
        with self._loss():
            if self._armed is not None:
                self._client.disable_irqs(self._armed)
                self._armed = None
            self._client.reset()
        for at, address in BARS:
            self.config_write(at, address)
        self.config_write(0x04, COMMAND_ALL, 2)
        self._rest.begin()
        self.settle()
        self.frames()
        self.messages()

    def close(self) -> None:
        """Disconnect."""
        self._client.close()
        for descriptor in self._eventfds:
            os.close(descriptor)
        if self._wire is not None:
            Path(self._wire.getsockname()).unlink(missing_ok=True)
            self._wire.close()
        os.close(self._fd)

    def _plug(self, wire: tuple[str, str]) -> socket.socket:
        local, remote = wire
        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            Path(local).unlink(missing_ok=True)
            end.bind(local)
            end.connect(remote)
        except OSError as error:
            end.close()
            self._client.close()
            raise UsageError(f"the wire {local}:{remote} cannot be plugged: {error.strerror}") from error
        end.setblocking(False)  # noqa: FBT003 - the socket module's signature
        return end

    def _hear(self) -> None:
        """Take the datagrams that came off the wire. BenchError."""
        with self._loss(), contextlib.suppress(BlockingIOError):
            while self._wire is not None:
                self._frames.append(self._wire.recv(FRAME_LIMIT))
                self._heard += 1

    def _look(self) -> Sight:
        """See what the card is at. BenchError."""
        self._hear()
        return Sight.of(self.read, self._heard, self._told)

    def _lost(self, call: Callable[[], bytes]) -> bytes:
        with self._loss():
            return call()

    @staticmethod
    @contextlib.contextmanager
    def _loss() -> Iterator[None]:
        """Turn a server that went away, or refuses, into a ``BenchError``."""
        try:
            yield
        except (OSError, TransportError, ReplyError) as error:
            raise BenchError(f"the server: {error or type(error).__name__}") from error
