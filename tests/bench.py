"""The one place that joins driver and device: guest memory, rings, and an engine between them.

A test writes frames and descriptors as a driver would, rings the doorbell, and looks at what left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from device.effects import DmaError, Effect, FrameSent, GuestMemory, LineChanged, MessageSignalled
from device.engine.contract import Engine, InterruptMode
from device.regs.nic import NIC
from device.rings.receive import ExtendedRx, ExtendedRxRead, LegacyRx, RxError, RxStatus, SplitRx, SplitRxRead
from device.rings.transmit import ContextTx, DataTx, LegacyTx, TxCommand, TxDescriptor, TxOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

MAC = bytes.fromhex("525400123456")
PEER = bytes.fromhex("020000000001")
MEMORY = 1 << 20
TX_RING = (0x1000, 0x3000)
RX_RING = (0x5000, 0x7000)
TX_BUFFERS = 0x10000
RX_BUFFERS = 0x80000

EOP = TxCommand.EOP
SEND = TxCommand.EOP | TxCommand.IFCS | TxCommand.RS


class EngineFactory(Protocol):
    """Makes an engine: the class of one."""

    def __call__(self, memory: GuestMemory, *, offload: bool) -> Engine:
        """Make it."""


class Ram:
    """Guest memory from address 0 on; what is beyond it is not mapped."""

    def __init__(self, size: int = MEMORY) -> None:
        self.data = bytearray(size)
        self._view = memoryview(self.data)  # one copy a read, not two

    def _check(self, address: int, length: int) -> None:
        if address < 0 or address + length > len(self.data):
            raise DmaError(address, length)

    def read(self, address: int, length: int) -> bytes:
        """Return bytes."""
        self._check(address, length)
        return bytes(self._view[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes."""
        self._check(address, len(data))
        self.data[address : address + len(data)] = data


class Bench:
    """An engine, its memory, and a driver's bookkeeping of its rings."""

    def __init__(self, factory: EngineFactory, *, offload: bool = False, memory: Ram | None = None) -> None:
        """Power on, with link and DMA; interrupts are MSI-X."""
        self.ram = memory or Ram()
        self.engine = factory(self.ram, offload=offload)
        self.engine.set_link(up=True)
        self.engine.set_mastering(enabled=True)
        self.engine.set_interrupt_mode(InterruptMode.MSIX)
        self.tx_size = [0, 0]
        self.rx_size = [0, 0]
        self._next_buffer = TX_BUFFERS

    def close(self) -> None:
        """Let the engine go, if it has threads or memory of its own."""
        close = getattr(self.engine, "close", None)
        if close is not None:
            close()

    # -- registers --------------------------------------------------------------------------------

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Write a register by name."""
        self.engine.write(NIC[name].at(index), value)

    def read(self, name: str, index: int = 0) -> int:
        """Read a register by name: counters clear."""
        return self.engine.read(NIC[name].at(index))

    def peek(self, name: str, index: int = 0) -> int:
        """Look at a register without touching it."""
        return self.engine.peek(NIC[name].at(index))

    def poke(self, name: str, value: int, index: int = 0) -> None:
        """Set a register that the card owns (CTRL, CTRL_EXT)."""
        self.engine.poke(NIC[name].at(index), value)

    # -- transmit -----------------------------------------------------------------------------------

    def transmitter(self, count: int = 64, queue: int = 0, base: int | None = None) -> None:
        """Program a transmit ring and turn the transmitter on."""
        self.tx_size[queue] = count
        address = TX_RING[queue] if base is None else base
        self.write(f"TDBAL{queue}", address & 0xFFFF_FFFF)
        self.write(f"TDBAH{queue}", address >> 32)
        self.write(f"TDLEN{queue}", count * 16)
        self.write(f"TDH{queue}", 0)
        self.write(f"TDT{queue}", 0)
        self.write("TCTL", NIC["TCTL"]["EN"].mask)

    def buffer(self, data: bytes) -> int:
        """Lay bytes into memory; return where."""
        address = self._next_buffer
        self.ram.write(address, data)
        self._next_buffer += -(-len(data) // 64) * 64
        if self._next_buffer > RX_BUFFERS - 0x12000:
            self._next_buffer = TX_BUFFERS
        return address

    def post(self, *descriptors: TxDescriptor, queue: int = 0) -> None:
        """Put descriptors at the tail and ring the doorbell."""
        tail = self.peek(f"TDT{queue}")
        for descriptor in descriptors:
            self.ram.write(TX_RING[queue] + 16 * tail, descriptor.emit())
            tail = (tail + 1) % self.tx_size[queue]
        self.write(f"TDT{queue}", tail)

    def legacy(self, data: bytes, command: TxCommand = SEND, **fields: int) -> LegacyTx:
        """Return a legacy descriptor of a fresh buffer."""
        return LegacyTx(self.buffer(data), len(data), command=command, **fields)

    def data(
        self, data: bytes, command: TxCommand = SEND, options: TxOptions = TxOptions.NONE, **fields: int
    ) -> DataTx:
        """Return a data descriptor of a fresh buffer."""
        return DataTx(self.buffer(data), len(data), command | TxCommand.DEXT, options=options, **fields)

    @staticmethod
    def context(command: TxCommand = TxCommand.NONE, **fields: int) -> ContextTx:
        """Return a context descriptor."""
        return ContextTx(command=command | TxCommand.DEXT, **fields)

    def done(self, index: int, queue: int = 0) -> bool:
        """Tell whether DD is set in a transmit descriptor."""
        return bool(self.ram.data[TX_RING[queue] + 16 * index + 12] & 1)

    # -- receive ------------------------------------------------------------------------------------

    def receiver(
        self,
        count: int = 32,
        *,
        queue: int = 0,
        control: int = 0,
        extended: bool = True,
        buffer_size: int = 2048,
        fill: int | None = None,
    ) -> None:
        """Program a receive ring, hand over ``fill`` descriptors (all but one), turn the receiver on."""
        self.rx_size[queue] = count
        self.write("RAL", int.from_bytes(MAC[:4], "little"))
        self.write("RAH", int.from_bytes(MAC[4:], "little") | 1 << 31)
        self.write("RFCTL", NIC["RFCTL"]["EXTEN"].mask if extended else 0)
        self.write(f"RDBAL{queue}", RX_RING[queue])
        self.write(f"RDLEN{queue}", count * 16)
        self.write(f"RDH{queue}", 0)
        for index in range(count):
            address = RX_BUFFERS + queue * 0x20000 + index * buffer_size
            self.ram.write(RX_RING[queue] + 16 * index, ExtendedRxRead(address).emit())
        self.write(f"RDT{queue}", count - 1 if fill is None else fill)
        rctl = NIC["RCTL"]
        self.write("RCTL", control | rctl["EN"].mask | rctl["SECRC"].mask)

    def split_receiver(self, addresses: Iterable[tuple[int, int, int, int]], psrctl: int) -> None:
        """Program a ring of packet split descriptors, 32 bytes each, and turn the receiver on."""
        self.receiver(fill=0)
        for index, buffers in enumerate(addresses):
            self.ram.write(RX_RING[0] + 32 * index, SplitRxRead(buffers).emit())
        self.write("PSRCTL", psrctl)
        rctl = NIC["RCTL"]
        self.write("RCTL", rctl["DTYP"].put(1) | rctl["EN"].mask | rctl["SECRC"].mask)
        self.write("RDT0", 30)

    def extended(self, index: int, queue: int = 0) -> ExtendedRx:
        """Return a receive descriptor as the card wrote it."""
        return ExtendedRx.parse(self.ram.read(RX_RING[queue] + 16 * index, 16))

    def legacy_rx(self, index: int) -> LegacyRx:
        """Return a legacy receive descriptor."""
        return LegacyRx.parse(self.ram.read(RX_RING[0] + 16 * index, 16))

    def split(self, index: int) -> SplitRx:
        """Return a packet split descriptor as the card wrote it."""
        return SplitRx.parse(self.ram.read(RX_RING[0] + 32 * index, 32))

    def stored(self, index: int, length: int, queue: int = 0, buffer_size: int = 2048) -> bytes:
        """Return what lies in a receive buffer."""
        return self.ram.read(RX_BUFFERS + queue * 0x20000 + index * buffer_size, length)

    def status(self, index: int, queue: int = 0) -> RxStatus:
        """Return the status bits of an extended descriptor."""
        return RxStatus(self.extended(index, queue).status & 0xFFFF)

    def errors(self, index: int) -> RxError:
        """Return the error bits of an extended descriptor."""
        return self.extended(index).errors

    # -- effects --------------------------------------------------------------------------------------

    def effects(self) -> list[Effect]:
        """Return what came out since the last look."""
        return self.engine.effects()

    def run(self) -> list[Effect]:
        """Let the transmitter work; return what came out."""
        self.engine.run()
        return self.engine.effects()

    def sent(self) -> list[bytes]:
        """Let the transmitter work; return the frames that left."""
        return [effect.data for effect in self.run() if isinstance(effect, FrameSent)]


def signals(effects: Iterable[Effect]) -> list[int | bool]:
    """Return the interrupts among effects: vectors, or levels of the line."""
    out: list[int | bool] = []
    for effect in effects:
        if isinstance(effect, MessageSignalled):
            out.append(effect.vector)
        elif isinstance(effect, LineChanged):
            out.append(effect.asserted)
    return out


def ethernet(payload: bytes = b"", destination: bytes = MAC, ethertype: int = 0x88B5) -> bytes:
    """Return a frame of at least 60 bytes; the type is one for local experiments."""
    return (destination + PEER + ethertype.to_bytes(2, "big") + payload).ljust(60, b"\0")
