"""How fast the native engine walks rings: no guest, no socket, no wire.

Run it by ``python -m lab.bench.engine``.

*sink*: frames leave into the void, so that the ring's work alone is left. *loop*: frames go round the MAC
loopback, through the transmitter and the receiver into another buffer. *memcpy*: a copy of as many bytes
from one area to another, for comparison. Machines are noisy: the figure is the best of several rounds.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.engine.native import NativeEngine
from device.regs.nic import NIC
from device.rings.receive import ExtendedRxRead
from device.rings.transmit import DataTx, TxCommand
from device.wire.contract import Framing

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT: Final = 1024
"""Descriptors in a ring."""
BUFFER_BYTES: Final = 2048
ROUNDS: Final = 5
BATCHES: Final = 400
SIZES: Final = (60, 1514)
_TX, _RX = 0, COUNT * 16
_TX_DATA = 2 * COUNT * 16
_RX_DATA = _TX_DATA + COUNT * BUFFER_BYTES
_MEMORY = _RX_DATA + COUNT * BUFFER_BYTES
_IOVA = 1 << 30


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: nanoseconds a frame (a descriptor, which is the same here)."""

    what: str
    size_bytes: int
    burst: int
    ns: float

    @property
    def million_a_second(self) -> float:
        """Frames in a second, in millions."""
        return 1e3 / self.ns


class Rig:
    """An engine with a transmit ring of ready frames, and a receive ring of empty buffers."""

    def __init__(self, size_bytes: int, *, loop: bool) -> None:
        """Fill the rings; every frame is one data descriptor that asks for its write-back."""
        self.memory = bytearray(_MEMORY)
        self.engine = NativeEngine()
        self.loan = self.engine.lend(_IOVA, self.memory)
        self.engine.set_link(up=True)
        self.engine.set_mastering(enabled=True)
        self.engine.attach_wire(-1, Framing.NONE)
        command = TxCommand.EOP | TxCommand.IFCS | TxCommand.RS | TxCommand.DEXT
        for n in range(COUNT):
            frame = _IOVA + _TX_DATA + BUFFER_BYTES * n
            self._put(_TX + 16 * n, DataTx(frame, size_bytes, command).emit())
            self._put(_RX + 16 * n, ExtendedRxRead(_IOVA + _RX_DATA + BUFFER_BYTES * n).emit())
        for prefix, at in (("TD", _TX), ("RD", _RX)):
            self._write(f"{prefix}BAL0", _IOVA + at)
            self._write(f"{prefix}LEN0", COUNT * 16)
        rctl = NIC["RCTL"]
        mode = rctl["EN"].mask | rctl["UPE"].mask | rctl["SECRC"].mask
        self._write("RCTL", mode | rctl["LBM"].put(1) if loop else mode)
        self._write("TCTL", NIC["TCTL"]["EN"].mask)
        self._loop = loop
        self._tail = 0
        self._empty = bytes(self.memory[_RX : _RX + COUNT * 16])

    def _put(self, at: int, data: bytes) -> None:
        self.memory[at : at + len(data)] = data

    def _write(self, name: str, value: int) -> None:
        self.engine.write(NIC[name].offset, value)

    def batch(self, burst: int) -> int:
        """Ring the doorbell for ``burst`` frames; return the descriptors done."""
        self._tail = (self._tail + burst) % COUNT
        if self._loop:
            self.memory[_RX : _RX + COUNT * 16] = self._empty
            self._write("RDT0", (self._tail + COUNT - 1) % COUNT)
        self._write("TDT0", self._tail)
        return self.engine.run()

    def close(self) -> None:
        """Give the memory back."""
        self.loan.end()


def best(work: Callable[[], int]) -> float:
    """Return the least nanoseconds a unit that ``work`` took in any round; it returns its units."""
    least = float("inf")
    for _ in range(ROUNDS):
        done = 0
        start = time.perf_counter_ns()
        for _ in range(BATCHES):
            done += work()
        least = min(least, (time.perf_counter_ns() - start) / done)
    return least


def copying(size_bytes: int) -> Row:
    """Measure memcpy of whole frames between two areas, in one call a batch."""
    source, target = bytearray(COUNT * size_bytes), bytearray(COUNT * size_bytes)
    kind = ctypes.c_char * len(source)
    to, start = kind.from_buffer(target), kind.from_buffer(source)

    def work() -> int:
        ctypes.memmove(to, start, len(source))
        return COUNT

    return Row("memcpy", size_bytes, COUNT, best(work))


def walking(size_bytes: int, burst: int, *, loop: bool) -> Row:
    """Measure the engine."""
    rig = Rig(size_bytes, loop=loop)
    try:
        return Row("loop" if loop else "sink", size_bytes, burst, best(lambda: rig.batch(burst)))
    finally:
        rig.close()


def measure() -> list[Row]:
    """Return every measurement; a second or two."""
    rows: list[Row] = []
    for size in SIZES:
        rows += [walking(size, burst, loop=False) for burst in (1, 32, 256)]
        rows += [walking(size, 512, loop=True), copying(size)]
    return rows


def main() -> None:
    """Print the measurements."""
    print(f"{'':8}{'bytes':>6}{'burst':>7}{'ns':>9}{'M/s':>8}")
    for row in measure():
        print(f"{row.what:8}{row.size_bytes:6}{row.burst:7}{row.ns:9.1f}{row.million_a_second:8.2f}")


if __name__ == "__main__":
    main()
