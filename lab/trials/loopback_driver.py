"""A small driver of the card over a vfio-user connection: both rings, frames round a plug, counted.

It stands in for a guest where QEMU would be too slow or too large: to fuzz, to soak, to kill. Rings of 64
and memory of its own, 256 KiB, given to the card by a descriptor or, without ``shared``, by messages.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
from typing import TYPE_CHECKING, Final, Self

from device.regs.nic import NIC
from device.vfio_user import Client, PciIrq

if TYPE_CHECKING:
    from pathlib import Path

MEMORY_BYTES: Final = 0x4_0000
COUNT: Final = 64
TX_RING, RX_RING = 0x1000, 0x2000
TX_BUFFERS, RX_BUFFERS = 0x8000, 0x1_0000
BUFFER_BYTES: Final = 2048
_TX: Final = struct.Struct("<QHBBBBH")
_DD: Final = 1
_SEND: Final = 0x0B  # EOP, IFCS, RS
_CONFIG: Final = 7
_QUIET_S: Final = 0.05
_COMMAND: Final = 4
_MASTER_AND_MEMORY: Final = b"\x06\x00"
_RECEIVE: Final = sum(NIC["RCTL"][name].mask for name in ("EN", "BAM", "SECRC"))
PATTERN: Final = bytes(range(256)) * 8


class Exerciser:
    """One client that drives the card."""

    def __init__(self, at: str | Path, *, shared: bool = True, timeout_s: float = 30.0) -> None:
        """Connect, map memory, arm one vector. OSError, TransportError."""
        self.client = Client.connect(str(at), timeout_s=timeout_s)
        self.fd = os.memfd_create("exerciser", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.truncate(self.fd, MEMORY_BYTES)
        self.memory = mmap.mmap(self.fd, MEMORY_BYTES)
        self.vector = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.shared = shared
        self.sent = self.received = self.interrupts = 0
        self._tx = self._rx = self._reaped = 0

    def start(self, base: int = 0) -> Self:
        """Map memory at ``base`` and bring the card up, as after a reset."""
        self.base = base
        self.map()
        self.client.enable_irqs(PciIrq.MSIX, [self.vector])
        self.program()
        return self

    def map(self) -> None:
        """DMA_MAP of all memory."""
        self.client.map_dma(self.base, self.memory, fd=self.fd if self.shared else None)

    def unmap(self) -> None:
        """DMA_UNMAP of all memory."""
        self.client.unmap_dma(self.base, MEMORY_BYTES)

    def program(self) -> None:
        """Program both rings and turn the card on; everything starts at 0."""
        self._tx = self._rx = self._reaped = 0
        self.client.write(_CONFIG, _COMMAND, _MASTER_AND_MEMORY)
        for index in range(COUNT):
            self._give(index)
        for name, value in (
            ("IMS", 0xFFFF_FFFF),
            ("IVAR", 0x0008_0808),
            ("RDBAL0", (self.base + RX_RING) & 0xFFFF_FFFF),
            ("RDBAH0", (self.base + RX_RING) >> 32),
            ("RDLEN0", COUNT * 16),
            ("RDH0", 0),
            ("RDT0", COUNT - 1),
            ("RCTL", _RECEIVE),
            ("TDBAL0", (self.base + TX_RING) & 0xFFFF_FFFF),
            ("TDBAH0", (self.base + TX_RING) >> 32),
            ("TDLEN0", COUNT * 16),
            ("TDH0", 0),
            ("TDT0", 0),
            ("TCTL", NIC["TCTL"]["EN"].mask),
        ):
            self.write(name, value)

    def restart(self) -> None:
        """Reset the card by CTRL.RST, which keeps the link, program it anew, and let the cable run dry."""
        self.write("CTRL", NIC["CTRL"]["RST"].mask)
        self.write("CTRL", NIC["CTRL"]["SLU"].mask)
        self.wait_link()
        self.program()
        quiet = time.monotonic() + _QUIET_S
        while time.monotonic() < quiet:  # frames of before may still be on the cable
            if self.reap():
                quiet = time.monotonic() + _QUIET_S
        self.sent = self.received = 0

    def wait_link(self, timeout_s: float = 20.0) -> None:
        """Wait until the negotiation is over. TimeoutError."""
        until = time.monotonic() + timeout_s
        while not self.read("STATUS") & NIC["STATUS"]["LU"].mask:
            if time.monotonic() > until:
                raise TimeoutError("no link")
            time.sleep(0.01)

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self.client.write(0, NIC[name].offset, value.to_bytes(4, "little"))

    def read(self, name: str) -> int:
        """Read a register."""
        return int.from_bytes(self.client.read(0, NIC[name].offset, 4), "little")

    # -- frames -------------------------------------------------------------------------------------

    def _give(self, index: int) -> None:
        at = RX_RING + 16 * index
        self.memory[at : at + 16] = struct.pack("<QQ", self.base + RX_BUFFERS + BUFFER_BYTES * index, 0)

    def post(self, frames: int, length: int = 200, *, posted: bool = True) -> int:
        """Hand over up to ``frames`` frames and ring the doorbell; return how many there was room for."""
        room = (self._reaped - self._tx - 1) % COUNT
        some = min(frames, room)
        for _ in range(some):
            self.sent += 1
            body = self.sent.to_bytes(4, "big") + PATTERN[self.sent & 0xFF :][: length - 18]
            frame = b"\xff" * 6 + b"\x02\0\0\0\0\x01\x88\xb5" + body
            where = TX_BUFFERS + 512 * self._tx
            frame = frame[:512]
            self.memory[where : where + len(frame)] = frame
            at = TX_RING + 16 * self._tx
            self.memory[at : at + 16] = _TX.pack(self.base + where, len(frame), 0, _SEND, 0, 0, 0)
            self._tx = (self._tx + 1) % COUNT
        self.client.write(0, NIC["TDT0"].offset, self._tx.to_bytes(4, "little"), posted=posted)
        return some

    def post_raw(self, where: int, length: int, command: int) -> None:
        """Hand over one descriptor as it is: the start of a frame, when ``command`` has no EOP."""
        at = TX_RING + 16 * self._tx
        self.memory[at : at + 16] = _TX.pack(self.base + where, length, 0, command, 0, 0, 0)
        self._tx = (self._tx + 1) % COUNT
        self.write("TDT0", self._tx)

    def post_rest(self, length: int = 100) -> None:
        """Hand over the rest of a frame whose header ``post_raw`` began; it counts as sent."""
        self.sent += 1
        where = TX_BUFFERS + 512 * self._tx
        body = self.sent.to_bytes(4, "big") + PATTERN[self.sent & 0xFF :][:length]
        self.memory[where : where + len(body)] = body
        self.post_raw(where, len(body), _SEND)
        self._reaped = (self._tx - 1) % COUNT  # what came before it has no RS

    def reap(self) -> int:
        """Take back what the card is done with; return how many frames arrived, each checked.

        AssertionError when one is not what was sent.
        """
        while self._reaped != self._tx and self.memory[TX_RING + 16 * self._reaped + 12] & _DD:
            self._reaped = (self._reaped + 1) % COUNT
        arrived = 0
        while self.memory[RX_RING + 16 * self._rx + 12] & _DD:
            at = RX_RING + 16 * self._rx
            (length,) = struct.unpack_from("<H", self.memory, at + 8)
            where = RX_BUFFERS + BUFFER_BYTES * self._rx
            frame = self.memory[where : where + length]
            number = int.from_bytes(frame[14:18], "big")
            if frame[18:] != PATTERN[number & 0xFF :][: length - 18]:
                raise AssertionError(f"frame {number} came back changed: {frame!r}")
            self._give(self._rx)
            self._rx = (self._rx + 1) % COUNT
            arrived += 1
        if arrived:
            tail = (self._rx - 1) % COUNT
            self.client.write(0, NIC["RDT0"].offset, tail.to_bytes(4, "little"), posted=True)
        with contextlib.suppress(BlockingIOError):
            self.interrupts += os.eventfd_read(self.vector)
        self.received += arrived
        return arrived

    @property
    def under_way(self) -> int:
        """Frames handed over that the card is not done with, as far as was reaped."""
        return (self._tx - self._reaped) % COUNT

    def round_trip(self, frames: int, timeout_s: float = 30.0) -> int:
        """Send ``frames`` and wait until as many are back. TimeoutError."""
        until = time.monotonic() + timeout_s
        wanted, posted, back = frames, 0, 0
        while back < wanted:
            if posted < frames:
                posted += self.post(min(16, frames - posted))
            if not self.shared:
                self.client.process(0.001)
            back += self.reap()
            if time.monotonic() > until:
                raise TimeoutError(f"{back} of {wanted} frames came back")
        return back

    def close(self) -> None:
        """Hang up."""
        self.client.close()
        os.close(self.fd)
        os.close(self.vector)
