"""A driver of a hundred lines for the card, in this process, with faults to plant: something to step through.

It does what the smallest driver must: one transmit and one receive ring of legacy descriptors, MSI-X with a
vector each, completion by DD. It reaches the card as a VMM would: by regions, guest memory, messages.
Those are mistakes that driver writers make (``lab.stepper.planted``); the walk in docs/stepping.md finds one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from device.card import BAR0, CONFIG
from device.effects import DmaError
from device.engine.contract import InterruptMode
from device.pci.function import BUS_MASTER, COMMAND, MEMORY_ENABLE
from device.regs.nic import NIC
from device.rings.receive import LegacyRx, RxStatus
from device.rings.transmit import DD, LegacyTx, TxCommand

if TYPE_CHECKING:
    from device.card import Card

MAC: Final = bytes.fromhex("525400825701")
PEER: Final = bytes.fromhex("020000000001")
SLOTS: Final = 8
_TX_RING, _RX_RING = 0x1000, 0x2000
_TX_BUFFERS, _RX_BUFFERS = 0x10000, 0x20000
_BUFFER: Final = 2048
_RX_VECTOR, _TX_VECTOR = 0, 1
_LINK_UP_NS: Final = 1_000_000_000


class Ram:
    """Guest memory from address 0 on."""

    def __init__(self, size: int = 1 << 20) -> None:
        self.data = bytearray(size)

    def read(self, address: int, length: int) -> bytes:
        """Return bytes; DmaError beyond the end."""
        if address + length > len(self.data):
            raise DmaError(address, length)
        return bytes(self.data[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; DmaError beyond the end."""
        if address + len(data) > len(self.data):
            raise DmaError(address, len(data))
        self.data[address : address + len(data)] = data


class Messages:
    """The sink: vectors wait here until the driver's interrupt handler runs."""

    def __init__(self) -> None:
        self.waiting: list[int] = []

    def message(self, vector: int) -> bool:
        """Keep a message for the driver."""
        self.waiting.append(vector)
        return True

    def level(self, *, asserted: bool) -> None:
        """INTx is not used."""


@dataclass(slots=True)
class SmallDriver:
    """One transmit queue, one receive queue."""

    card: Card
    ram: Ram
    fault: str = ""
    sent: int = 0
    refused: int = 0
    completed: int = 0
    received: list[bytes] = field(default_factory=list)
    now_ns: int = 0
    _tail: int = 0
    _clean: int = 0
    _next_rx: int = 0

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Write a register."""
        self.card.write_region(BAR0, NIC[name].at(index), (value & 0xFFFF_FFFF).to_bytes(4, "little"))

    def read(self, name: str) -> int:
        """Read a register."""
        return int.from_bytes(self.card.read_region(BAR0, NIC[name].offset, 4), "little")

    def wait(self, duration_ns: int) -> None:
        """Let time pass."""
        self.now_ns += duration_ns
        self.card.advance(self.now_ns)

    def start(self) -> None:
        """Reset, set the rings up, wait for the link."""
        card = self.card
        card.set_carrier(present=True)
        self.write("IMC", 0xFFFF_FFFF)
        self.write("CTRL", NIC["CTRL"]["RST"].mask)
        card.write_region(CONFIG, COMMAND, (BUS_MASTER | MEMORY_ENABLE).to_bytes(2, "little"))
        card.set_interrupt_mode(InterruptMode.MSIX)
        self.write("CTRL", NIC["CTRL"]["SLU"].mask)
        self.write("RAL", int.from_bytes(MAC[:4], "little"))
        self.write("RAH", int.from_bytes(MAC[4:], "little") | NIC["RAH"]["AV"].mask)
        self._start_transmit()
        self._start_receive()
        valid = 0 if self.fault == "wrong-ivar" else 8
        ivar = NIC["IVAR"]
        self.write("IVAR", ivar["RXQ0"].put(8 | _RX_VECTOR) | ivar["TXQ0"].put(valid | _TX_VECTOR))
        self.write("EIAC", NIC["IMS"]["RXQ0"].mask | NIC["IMS"]["TXQ0"].mask)
        self.write("IMS", NIC["IMS"]["RXQ0"].mask | NIC["IMS"]["TXQ0"].mask)
        self.wait(_LINK_UP_NS)

    def _start_transmit(self) -> None:
        skew = 8 if self.fault == "unaligned-ring" else 0
        self.write("TDBAL0", _TX_RING + skew)
        self.write("TDBAH0", 0)
        self.write("TDLEN0", SLOTS * 16)
        self.write("TDH0", 0)
        self.write("TDT0", 0)
        self.write("TCTL", NIC["TCTL"]["EN"].mask | NIC["TCTL"]["PSP"].mask)

    def _start_receive(self) -> None:
        self.write("RDBAL0", _RX_RING)
        self.write("RDBAH0", 0)
        self.write("RDLEN0", SLOTS * 16)
        self.write("RDH0", 0)
        for slot in range(SLOTS):
            self.ram.write(_RX_RING + 16 * slot, LegacyRx(_RX_BUFFERS + slot * _BUFFER).emit())
        self.write("RDT0", SLOTS - 1)
        rctl = NIC["RCTL"]
        self.write("RCTL", rctl["EN"].mask | rctl["BAM"].mask | rctl["SECRC"].mask)

    def send(self, frame: bytes) -> bool:
        """Put a frame on the ring; False: the ring is full."""
        after = (self._tail + 1) % SLOTS
        if after == self._clean:
            self.refused += 1
            return False
        slot, buffer = self._tail, _TX_BUFFERS + self._tail * _BUFFER
        command = TxCommand.EOP | TxCommand.IFCS
        every_fourth = self.fault == "rs-every-fourth" and slot % 4 != 3
        if self.fault != "rs-forgotten" and not every_fourth:
            command |= TxCommand.RS
        self.ram.write(buffer, frame)
        self.ram.write(_TX_RING + 16 * slot, LegacyTx(buffer, len(frame), command=command).emit())
        self._tail = after
        self.sent += 1
        self.write("TDT0", slot if self.fault == "tail-off-by-one" else after)
        return True

    def interrupt(self, vector: int) -> None:
        """Handle a message."""
        if vector == _TX_VECTOR:
            self._reap()
        elif vector == _RX_VECTOR:
            self._collect()
        mask = NIC["IMS"]["TXQ0" if vector == _TX_VECTOR else "RXQ0"].mask
        self.write("IMS", mask)

    def _reap(self) -> None:
        while self._clean != self._tail:
            descriptor = LegacyTx.parse(self.ram.read(_TX_RING + 16 * self._clean, 16))
            if not descriptor.status & DD:
                break
            self._clean = (self._clean + 1) % SLOTS
            self.completed += 1

    def _collect(self) -> None:
        while True:
            where = _RX_RING + 16 * self._next_rx
            descriptor = LegacyRx.parse(self.ram.read(where, 16))
            if not descriptor.status & RxStatus.DD:
                break
            buffer = _RX_BUFFERS + self._next_rx * _BUFFER
            self.received.append(self.ram.read(buffer, descriptor.length))
            if self.fault != "stale-receive":
                self.ram.write(where, LegacyRx(buffer).emit())
            self.write("RDT0", self._next_rx)
            self._next_rx = (self._next_rx + 1) % SLOTS
            if self.fault == "stale-receive":
                break  # one an interrupt: with DD everywhere the loop would not end


def frame_number(number: int, *, to: bytes = PEER, source: bytes = MAC) -> bytes:
    """Return a numbered frame of 64 bytes, of a type for local experiments."""
    return (to + source + b"\x88\xb5" + number.to_bytes(4, "big")).ljust(64, bytes([number & 0xFF]))


@dataclass(frozen=True, slots=True)
class Symptom:
    """What the owner of the driver notices."""

    asked: int
    sent: int
    refused: int
    completed: int
    on_the_wire: int
    received: int

    def __str__(self) -> str:
        """Say it as they would."""
        return (
            f"asked to send {self.asked} frames: {self.sent} queued, {self.refused} refused (ring full),"
            f" {self.on_the_wire} on the wire, {self.completed} completed; received {self.received}"
        )


def work(driver: SmallDriver, messages: Messages, wire: list[bytes], frames: int = 20) -> Symptom:
    """Send and receive frames, one of each every 100 µs; return what was noticed."""
    driver.start()
    wire.clear()
    for number in range(frames):
        driver.wait(50_000)
        driver.send(frame_number(number))
        _deliver(driver, messages)
        driver.wait(50_000)
        driver.card.receive(frame_number(number, to=MAC, source=PEER))
        _deliver(driver, messages)
    driver.wait(2_000_000_000)
    _deliver(driver, messages)
    driver.read("STATUS")
    return Symptom(frames, driver.sent, driver.refused, driver.completed, len(wire), len(driver.received))


def _deliver(driver: SmallDriver, messages: Messages) -> None:
    while messages.waiting:
        driver.interrupt(messages.waiting.pop(0))
