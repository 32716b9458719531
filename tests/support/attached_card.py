"""A card behind a socket with descriptors attached, and a driver's view of it, for several tests.

Waits are for events, bounded by ``PATIENCE_S``.
"""

from __future__ import annotations

import enum
import mmap
import os
import select
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from device.engine.contract import InterruptMode
from device.engine.native import NativeEngine
from device.engine.transport import transport_factory
from device.regs.nic import BAR0_SIZE, NIC
from device.rings.receive import LegacyRx, RxStatus
from device.rings.transmit import LegacyTx, TxCommand
from device.vfio_user import Client, PciIrq, Server
from device.vfio_user.device import NO_REGION, RegionInfo
from device.vfio_user.protocol import RegionFlags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from device.vfio_user.device import Feature
    from device.vfio_user.dma import DmaMap
    from device.vfio_user.irqs import Irqs

PATIENCE_S = 20
IOVA, RAM_BYTES = 0x4000_0000, 0x4_0000
TX_RING, RX_RING, TX_DATA, RX_DATA = 0x0000, 0x1000, 0x2000, 0x2_0000
COUNT = 8
TCTL_EN, RCTL_EN = NIC["TCTL"]["EN"].mask, NIC["RCTL"]["EN"].mask
OPEN = RCTL_EN | NIC["RCTL"]["UPE"].mask | NIC["RCTL"]["BAM"].mask | NIC["RCTL"]["SECRC"].mask
FRAME = bytes(range(200))


class Framing(enum.Enum):
    """As ``device.wire.contract.Framing``, which belongs to another layer."""

    VNET = "vnet"
    DATAGRAM = "datagram"
    STREAM = "stream"
    NONE = "none"


class BareCard:
    """A vfio-user device that is an engine and no more: what C does not answer comes here."""

    features: Mapping[int, Feature] = {}

    def __init__(self, engine: NativeEngine) -> None:
        self.engine = engine
        self.regions = (RegionInfo(BAR0_SIZE, RegionFlags.READ | RegionFlags.WRITE), *[NO_REGION] * 8)
        self.irq_counts = (1, 1, 5, 1, 1)
        self.asked: list[int] = []

    def read_region(self, _index: int, offset: int, count: int) -> bytes:
        """Answer what C left to Python."""
        self.asked.append(offset)
        return self.engine.read(offset).to_bytes(8, "little")[:count]

    def write_region(self, _index: int, offset: int, data: bytes) -> None:
        """Do what C left to Python."""
        self.asked.append(offset)
        self.engine.write(offset, int.from_bytes(data, "little"))
        self.engine.run()

    def reset(self) -> None:
        """Power on."""
        self.engine.reset()

    def attached(self, dma: DmaMap, irqs: Irqs) -> None:
        """Give the client's memory and interrupts to the engine."""
        self.engine.memory = dma
        self._ends = [dma.on_change(self.engine.dma_changed), irqs.on_change(self.engine.irqs_changed)]

    def detached(self) -> None:
        """Take them away."""
        for region in self.engine_regions():
            self.engine.unmap(*region)

    @staticmethod
    def engine_regions() -> list[tuple[int, int]]:
        """Return a range that holds every region."""
        return [(0, (1 << 64) - 1)]


class Guest:
    """A driver's view: registers by the client, memory, eventfds, and the wire's far end."""

    def __init__(
        self,
        engine: NativeEngine,
        card: BareCard,
        client: Client,
        connection: socket.socket,
        far: socket.socket,
    ) -> None:
        """Share memory with the card and arm its vectors."""
        self.engine, self.card, self.client, self.far = engine, card, client, far
        self.connection = connection
        self.memfd = os.memfd_create("guest")
        os.ftruncate(self.memfd, RAM_BYTES)
        self.ram = mmap.mmap(self.memfd, RAM_BYTES)
        client.map_dma(IOVA, self.ram, fd=self.memfd)
        self.eventfds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(5)]

    def write(self, name: str, value: int) -> None:
        """Write a register, posted, as QEMU does."""
        self.client.write(0, NIC[name].offset, value.to_bytes(4, "little"), posted=True)

    def read(self, name: str) -> int:
        """Read a register; every write before it is done then."""
        return int.from_bytes(self.client.read(0, NIC[name].offset, 4), "little")

    def put(self, at: int, data: bytes) -> None:
        """Store into guest memory."""
        self.ram[at : at + len(data)] = data

    def enable(self) -> None:
        """Set the rings up and let MSI-X speak: vector 0 for receive, 1 for transmit."""
        for prefix, at in (("TD", TX_RING), ("RD", RX_RING)):
            self.write(f"{prefix}BAL0", IOVA + at)
            self.write(f"{prefix}LEN0", COUNT * 16)
        for n in range(COUNT):
            self.put(RX_RING + 16 * n, LegacyRx(IOVA + RX_DATA + 2048 * n).emit())
        self.write("RDT0", COUNT - 1)
        self.client.enable_irqs(PciIrq.MSIX, self.eventfds)
        self.engine.set_interrupt_mode(InterruptMode.MSIX)
        self.write("IVAR", 0x0009_0908)
        self.write("EIAC", 0x01F0_0000)
        self.write("IMS", 0x01F0_0000)
        self.write("TCTL", TCTL_EN)
        self.write("RCTL", OPEN)
        self.read("STATUS")

    def send(self, index: int, data: bytes) -> None:
        """Post a frame."""
        self.put(TX_DATA, data)
        descriptor = LegacyTx(
            IOVA + TX_DATA, len(data), command=TxCommand.EOP | TxCommand.IFCS | TxCommand.RS
        )
        self.put(TX_RING + 16 * index, descriptor.emit())
        self.write("TDT0", (index + 1) % COUNT)

    def interrupted(self, vector: int) -> bool:
        """Wait for an interrupt."""
        poll = select.poll()
        poll.register(self.eventfds[vector], select.POLLIN)
        if not poll.poll(PATIENCE_S * 1000):
            return False
        os.eventfd_read(self.eventfds[vector])
        return True

    def received(self, index: int) -> tuple[int, bytes]:
        """Return the status and the data of a receive descriptor."""
        done = LegacyRx.parse(self.ram[RX_RING + 16 * index : RX_RING + 16 * index + 16])
        start = RX_DATA + 2048 * index
        return done.status, self.ram[start : start + done.length]

    def harvest(self, count: int) -> list[bytes]:
        """Take ``count`` frames as interrupts tell of them, giving each slot back; fewer if they stop."""
        got: list[bytes] = []
        head = 0
        while len(got) < count and self.interrupted(0):
            while len(got) < count and self.received(head)[0] & RxStatus.DD:
                got.append(self.received(head)[1])
                self.put(RX_RING + 16 * head, LegacyRx(IOVA + RX_DATA + 2048 * head).emit())
                self.write("RDT0", head)
                head = (head + 1) % COUNT
        return got

    def close(self) -> None:
        """Close the descriptors; the memory goes with its last view, which the client has."""
        for fd in (self.memfd, *self.eventfds):
            os.close(fd)


@contextmanager
def running(
    path: Path,
    framing: Framing = Framing.DATAGRAM,
    *,
    offload: bool = False,
    threads: bool = True,
    spin_us: int | None = 0,
) -> Iterator[Guest]:
    """Run a card behind a socket, with a wire whose far end the guest holds."""
    kind = socket.SOCK_STREAM if framing is Framing.STREAM else socket.SOCK_DGRAM
    near, far = socket.socketpair(socket.AF_UNIX, kind)
    near.setblocking(False)  # noqa: FBT003 - no keyword
    far.settimeout(PATIENCE_S)
    engine = NativeEngine(offload=offload)
    engine.set_link(up=True)
    engine.set_mastering(enabled=True)
    engine.attach_wire(near.fileno(), framing)
    engine.attach_irqs()
    if threads:
        engine.start()
    card = BareCard(engine)
    server = Server(path / "socket", card, transport_factory=transport_factory(engine, spin_us=spin_us))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connection.connect(str(path / "socket"))
        with Client(connection) as client:
            guest = Guest(engine, card, client, connection, far)
            try:
                yield guest
            finally:
                guest.close()
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        server.close()
        engine.stop()
        near.close()
        far.close()
    assert not thread.is_alive()
