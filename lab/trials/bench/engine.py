"""``bench engine``: how fast the engines walk rings on host memory: no guest, no socket, no wire.

*sink*: frames leave into the void, so that the ring's work alone is left (no byte of a frame is read).
*copy*: each frame is copied out, as effects are. *loop*: frames go round the MAC loopback, through the
transmitter and the receiver into another buffer. *memcpy*: one call that copies as many bytes, the least that
*copy* could take. Time is the thread's own, since others may run, too; figures are medians of rounds in which
all variants take their turn, and the
ratio to memcpy is of one round (``lab.trials.bench.pairing``).
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from device.effects import DmaError
from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.regs.nic import NIC
from device.rings.receive import ExtendedRxRead
from device.rings.transmit import DataTx, TxCommand
from device.wire.contract import Framing
from lab.errors import UsageError
from lab.trials.bench import contract
from lab.trials.bench.contract import Target
from lab.trials.bench.pairing import Spread, paired, spread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from device.trace.events import Event
    from lab.trials.parts import Progress

NAME: Final = "engine"
HELP: Final = "descriptors and bytes a second on host memory, both engines, against memcpy"
COUNT: Final = 1024
"""Descriptors in a ring."""
BUFFER_BYTES: Final = 2048
ROUNDS: Final = 15
ROUND_S: Final = 0.02
"""How long one variant runs in one round."""
SIZES: Final = (60, 1514)
BURSTS: Final = (1, 32, 256)
COMPARED: Final = 256
"""The burst whose figures have targets."""
_TX, _RX = 0, COUNT * 16
_TX_DATA = 2 * COUNT * 16
_RX_DATA = _TX_DATA + COUNT * BUFFER_BYTES
_MEMORY = _RX_DATA + COUNT * BUFFER_BYTES
_IOVA = 1 << 30


@dataclass(frozen=True, slots=True)
class Row:
    """One variant's measurement: nanoseconds a frame (a descriptor, which is the same here), one a round."""

    what: str
    size_bytes: int
    burst: int
    samples: tuple[float, ...]

    @property
    def ns(self) -> float:
        """The median."""
        return spread(self.samples).median

    @property
    def million_a_second(self) -> float:
        """Frames in a second, in millions."""
        return 1e3 / self.ns

    @property
    def gigabytes_a_second(self) -> float:
        """Bytes of frames in a second, in 10^9."""
        return self.size_bytes / self.ns


class Registers(Protocol):
    """What the rig needs of an engine; both have it."""

    def write(self, offset: int, value: int) -> None:
        """Write a register."""

    def run(self) -> int:
        """Do the work."""

    def set_link(self, *, up: bool) -> None:
        """Plug the cable in."""

    def set_mastering(self, *, enabled: bool) -> None:
        """Allow DMA."""


class HostMemory:
    """A ``GuestMemory`` over a buffer, for the reference engine."""

    def __init__(self, buffer: bytearray) -> None:
        """Answer for ``buffer`` at ``_IOVA``."""
        self._buffer = buffer

    def read(self, address: int, length: int) -> bytes:
        """Return bytes; DmaError outside."""
        at = address - _IOVA
        if not 0 <= at <= len(self._buffer) - length:
            raise DmaError(address, length)
        return bytes(self._buffer[at : at + length])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; DmaError outside."""
        at = address - _IOVA
        if not 0 <= at <= len(self._buffer) - len(data):
            raise DmaError(address, len(data))
        self._buffer[at : at + len(data)] = data


class Rig:
    """An engine with a transmit ring of ready frames, and a receive ring of empty buffers."""

    def __init__(
        self,
        engine: Registers,
        memory: bytearray,
        size_bytes: int,
        drain: Callable[[], object],
        *,
        loop: bool,
    ) -> None:
        """Fill the rings; every frame is one data descriptor that asks for its write-back."""
        self.memory, self.engine, self._drain, self._loop = memory, engine, drain, loop
        engine.set_link(up=True)
        engine.set_mastering(enabled=True)
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
        done = self.engine.run()
        self._drain()
        return done


@dataclass(frozen=True, slots=True)
class Variant:
    """Something to be measured: ``work`` does some units and returns how many."""

    what: str
    size_bytes: int
    burst: int
    work: Callable[[], int]
    close: Callable[[], object] = lambda: None


def native(what: str, size_bytes: int, burst: int) -> Variant:
    """Return a variant of the native engine: sink, copy or loop."""
    memory, engine = bytearray(_MEMORY), NativeEngine()
    loan = engine.lend(_IOVA, memory)
    if what != "copy":
        engine.attach_wire(-1, Framing.NONE)

    def drain() -> None:
        if what == "copy":
            engine.forget_effects()

    rig = Rig(engine, memory, size_bytes, drain, loop=what == "loop")
    return Variant(f"native {what}", size_bytes, burst, lambda: rig.batch(burst), loan.end)


def reference(size_bytes: int, *, traced: bool) -> Variant:
    """Return a variant of the reference engine; ``traced`` with an observer that counts the events."""
    seen = 0

    def observe(_event: Event) -> None:
        nonlocal seen
        seen += 1

    memory = bytearray(_MEMORY)
    engine = ReferenceEngine(HostMemory(memory), observer=observe if traced else None)
    rig = Rig(engine, memory, size_bytes, engine.effects, loop=False)
    name = "reference copy, traced" if traced else "reference copy"
    return Variant(name, size_bytes, COMPARED, lambda: rig.batch(COMPARED))


def copying(size_bytes: int) -> Variant:
    """Return memcpy of whole frames between two areas, in one call a batch."""
    source, target = bytearray(COUNT * size_bytes), bytearray(COUNT * size_bytes)
    kind = ctypes.c_char * len(source)
    to, start = kind.from_buffer(target), kind.from_buffer(source)

    def work() -> int:
        ctypes.memmove(to, start, len(source))
        return COUNT

    return Variant("memcpy", size_bytes, COUNT, work)


def variants() -> list[Variant]:
    """Return everything that is measured."""
    found: list[Variant] = []
    for size in SIZES:
        found += [native("sink", size, burst) for burst in BURSTS]
        found += [native("copy", size, COMPARED), native("loop", size, 512)]
        found += [copying(size), reference(size, traced=False), reference(size, traced=True)]
    return found


def once(variant: Variant, seconds: float) -> float:
    """Return the thread's nanoseconds a unit, over at least ``seconds``."""
    done, clock = 0, time.thread_time_ns
    began = now = clock()
    while now - began < seconds * 1e9:
        done += variant.work()
        now = clock()
    return (now - began) / done


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return every measurement; some seconds."""
    measured = variants()
    try:
        samples: list[list[float]] = [[] for _ in measured]
        for _ in range(rounds):
            for variant, taken in zip(measured, samples, strict=True):
                taken.append(once(variant, ROUND_S))
    finally:
        for variant in measured:
            variant.close()
    return [Row(v.what, v.size_bytes, v.burst, tuple(s)) for v, s in zip(measured, samples, strict=True)]


TARGETS: Final = {
    ("native sink", 60, COMPARED): Target(20),
    ("reference copy", 60, COMPARED): Target(0.5),
    ("reference copy, traced", 60, COMPARED): Target(0.4),
}
"""Millions of descriptors a second."""


def figures(rows: list[Row]) -> list[contract.Row]:
    """Return the measurements as the tables show them, with the ratios of *copy* to memcpy."""
    found = []
    by_name = {(row.what, row.size_bytes, row.burst): row for row in rows}
    for key, row in by_name.items():
        rates = spread([1e3 / ns for ns in row.samples])
        note = f"{row.ns:.0f} ns, {row.gigabytes_a_second:.2f} GB/s"
        what = f"{row.what}, {row.size_bytes} B, burst {row.burst}"
        found.append(_figure(what, rates, "M/s", TARGETS.get(key), note))
    for size in SIZES:
        ratio = paired(by_name["native copy", size, COMPARED].samples, by_name["memcpy", size, COUNT].samples)
        if ratio is not None:
            target = Target(1.6, ceiling=True) if size == max(SIZES) else None
            found.append(_figure(f"native copy ÷ memcpy, {size} B", ratio, "ratio of ns", target))
    return found


def _figure(what: str, of: Spread, unit: str, target: Target | None, note: str = "") -> contract.Row:
    return contract.Row(NAME, what, of.median, unit, target, (of.least, of.greatest), note)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"rounds (default {ROUNDS})")


def run(args: argparse.Namespace, progress: Progress) -> list[contract.Row]:
    """Measure."""
    if args.rounds < 1:
        raise UsageError(f"--rounds {args.rounds}: give at least 1")
    progress(f"{args.rounds} rounds")
    return figures(measure(args.rounds))


def main() -> None:
    """Print the measurements."""
    print(f"{'':24}{'bytes':>6}{'burst':>7}{'ns':>9}{'M/s':>8}")
    for row in measure():
        print(f"{row.what:24}{row.size_bytes:6}{row.burst:7}{row.ns:9.1f}{row.million_a_second:8.2f}")


if __name__ == "__main__":
    main()
