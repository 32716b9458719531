"""How fast our driver is, on each bus, in each mode, by each path: no guest, no wire at the far end.

*null* is a card that is done with every descriptor at once, so that the driver alone is measured: what
ixy.py's figures were shimmed with, too. The other cards are real models whose frames are lost. *Python*
hands over one frame after the other; *bytes* gives C a list of ``bytes``; *batch* gives it frames laid out
before; *loop* is in C, without the GIL, for its whole life. Serialized, two threads share a ring under the
miniport lock; deserialized, each has its own. Machines are noisy: rounds of all rows are interleaved, and
the best of each counts.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from lab.bench import contract
from lab.bench.contract import Target
from lab.errors import UsageError
from lab.qemu import binary
from lab.qtest.machine import Machine
from lab.qtest_stack import DEVICE, QtestStack
from lab.serving import CardProcess, start_card
from lab.stack import MAC, LocalStack, Stack
from lab.vfio_user_stack import VfioUserStack
from miniport.burst import Batch, Gate, NullCard, Stop, TxBurst
from miniport.hal.memory import DmaMemory
from miniport.txring import TxRing
from ndis.packet import Buffer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from lab.bench.contract import Progress
    from ndis.packet import Packet

NAME: Final = "miniport"
HELP: Final = "our own driver, on each bus, in each mode, by each path"
COUNT: Final = 256
"""Descriptors in a ring."""
BURST: Final = 32
SIZES: Final = (60, 1514)
ROUNDS: Final = 3
ROUND_S: Final = 0.15
IXY_PUBLISHED: Final = {1: 0.08, 32: 0.14, 256: 0.16}
IXY_SHIMMED: Final = {1: 0.08, 32: 0.31, 256: 0.30}
"""ixy.py, million packets a second by batch: as published, and over faked hardware on the machine of
docs/miniport.md."""


@dataclass(slots=True)
class Row:
    """One measurement; ``rate`` is the best packets a second of any round."""

    bus: str
    path: str
    mode: str
    size_bytes: int
    rate: float = 0.0

    @property
    def name(self) -> tuple[str, str, str, int]:
        """What tells it from others."""
        return self.bus, self.path, self.mode, self.size_bytes


class Work(Protocol):
    """Something that can be measured."""

    row: Row

    def round(self) -> float:
        """Do a round; return packets a second."""

    def close(self) -> None:
        """Give everything back."""


def frame(size_bytes: int) -> bytes:
    """Return a frame to nobody."""
    return (bytes.fromhex("020000000002") + MAC + b"\x88\xb5").ljust(size_bytes, b"\xa5")


class Repeated:
    """Measures calls that each send some frames."""

    def __init__(self, row: Row, send: Callable[[], int], close: Callable[[], None] = lambda: None) -> None:
        """Measure ``send``, which returns how many frames it sent."""
        self.row = row
        self._send = send
        self.close = close

    def round(self) -> float:
        """Call for ``ROUND_S``."""
        done, begin = 0, time.perf_counter()
        end = begin + ROUND_S
        while time.perf_counter() < end:
            done += self._send()
        return done / (time.perf_counter() - begin)


class Loops:
    """Measures loops in C, a thread each."""

    def __init__(self, row: Row, rings: list[TxBurst]) -> None:
        """Run a loop for each entry of ``rings``; one ring may stand there twice."""
        self.row = row
        self._rings = rings

    def round(self) -> float:
        """Run them together for ``ROUND_S``."""
        stop, data = Stop(), frame(self.row.size_bytes)
        distinct = list(dict.fromkeys(self._rings))
        before = sum(ring.posted for ring in distinct)
        threads = [threading.Thread(target=ring.run, args=(data, BURST, 0, stop)) for ring in self._rings]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        time.sleep(ROUND_S)
        stop.set()
        for thread in threads:
            thread.join()
        return (sum(ring.posted for ring in distinct) - before) / (time.perf_counter() - begin)

    def close(self) -> None:
        """Nothing is held."""


def null_ring(arena: DmaMemory, gate: Gate | None = None) -> TxBurst:
    """Return a ring on a null card of its own."""
    card = NullCard()
    memory = arena.allocate(COUNT * 16), arena.allocate(COUNT * 2048)
    ring = TxBurst(*memory, COUNT, card.bell, gate)
    card.attach(ring)
    return ring


def null_works(size: int) -> Iterator[Work]:
    """Measure the driver alone."""
    arena = DmaMemory(16 << 20, 1 << 32)
    descriptors, stages = arena.allocate(COUNT * 16), arena.allocate(COUNT * 2048)
    card = NullCard()
    bell = card.bell
    alias = TxBurst(descriptors, stages, COUNT, bell)
    card.attach(alias)

    def ring_bell(tail: int) -> None:
        bell.raw.call(bell.raw.device, 0, tail)

    python: TxRing[int] = TxRing(descriptors, stages, COUNT, ring_bell)
    for batch in (1, BURST, COUNT):
        buffers = [Buffer(frame(size)) for _ in range(batch)]

        def send(buffers: list[Buffer] = buffers) -> int:
            done = 0
            for buffer in buffers:
                if not python.post(0, (buffer,), buffer.length):
                    break
                done += 1
            python.ring()
            python.reap()
            return done

        yield Repeated(Row("null", f"python/{batch}", "one thread", size), send)
    single = null_ring(arena)
    frames = [frame(size)] * BURST
    prepared = Batch(frames)
    yield Repeated(Row("null", f"bytes/{BURST}", "one thread", size), lambda: single.send(frames))
    yield Repeated(Row("null", f"batch/{BURST}", "one thread", size), lambda: single.send_batch(prepared))
    yield Loops(Row("null", "loop", "one thread", size), [null_ring(arena)])
    shared = null_ring(arena, Gate())
    yield Loops(Row("null", "loop", "serialized, 2 threads", size), [shared, shared])
    yield Loops(Row("null", "loop", "deserialized, 2 threads", size), [null_ring(arena), null_ring(arena)])


class Pump:
    """Sends arrays of packets through a whole stack, and waits for them to come back."""

    def __init__(self, stack: Stack, size: int, settle: Callable[[], object]) -> None:
        """Send ``BURST`` packets of ``size`` bytes at a time; ``settle`` lets the stack run."""
        self._stack = stack
        self._data = frame(size)
        self._settle = settle
        self._free: list[Packet] = [stack.pool.allocate(self._data) for _ in range(BURST)]

    def __call__(self) -> int:
        """Send one array; return how many came back."""
        recorder = self._stack.recorder
        self._stack.open.send_packets(self._free)
        while len(recorder.sent) < BURST:
            self._settle()
        recorder.sent.clear()
        return BURST


def stack_work(row: Row, stack: Stack, settle: Callable[[], object], close: Callable[[], None]) -> Repeated:
    """Measure NDIS and the driver over a stack."""
    return Repeated(row, Pump(stack, row.size_bytes, settle), close)


def local_works(size: int) -> Iterator[Work]:
    """Measure both engines in this process."""
    for engine in (ReferenceEngine, NativeEngine):
        for deserialized in (False, True):
            mode = "deserialized" if deserialized else "serialized"
            stack = LocalStack(engine=engine, configuration={"Deserialized": deserialized})
            row = Row(f"inprocess {engine.name}", f"ndis/{BURST}", mode, size)
            yield stack_work(row, stack, stack.settle, stack.halt)


class Served:
    """A native card in a process of its own, with no cable."""

    def __init__(self) -> None:
        """Start it. UsageError."""
        self._folder = tempfile.TemporaryDirectory(prefix="ringwalk-")
        self.path = Path(self._folder.name) / "card"
        self._process: CardProcess = start_card(self.path, "none", mac=MAC.hex(":"))

    def close(self) -> None:
        """End it."""
        self._process.close()
        self._folder.cleanup()


def served_works(size: int) -> Iterator[Work]:
    """Measure a card behind a socket."""
    for deserialized in (False, True):
        card = Served()
        stack = VfioUserStack(card.path, configuration={"Deserialized": deserialized})
        mode = "deserialized" if deserialized else "serialized"

        def close(stack: VfioUserStack = stack, card: Served = card) -> None:
            stack.close()
            card.close()

        def settle(stack: VfioUserStack = stack) -> object:
            return stack.loop.step(0.01)

        yield stack_work(Row("vfio_user", f"ndis/{BURST}", mode, size), stack, settle, close)


def qtest_works(size: int) -> Iterator[Work]:
    """Measure QEMU's model; nothing where there is no QEMU."""
    try:
        qemu = binary.find()
    except UsageError:
        return
    for deserialized in (False, True):
        machine = Machine(qemu.command, qemu.environ(), DEVICE)
        stack = QtestStack(machine, configuration={"Deserialized": deserialized})
        mode = "deserialized" if deserialized else "serialized"

        def close(stack: QtestStack = stack, machine: Machine = machine) -> None:
            stack.halt()
            machine.close()

        yield stack_work(Row("qtest", f"ndis/{BURST}", mode, size), stack, stack.settle, close)


SOURCES: Final = {
    "null": null_works,
    "inprocess": local_works,
    "vfio_user": served_works,
    "qtest": qtest_works,
}


def measure(buses: list[str], sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Return every measurement of some buses. Rounds of one bus and size are interleaved."""
    rows: list[Row] = []
    for bus in buses:
        for size in sizes:
            works = list(SOURCES[bus](size))
            try:
                for _ in range(ROUNDS):
                    for work in works:
                        work.row.rate = max(work.row.rate, work.round())
            finally:
                for work in works:
                    work.close()
            rows += [work.row for work in works]
    return rows


def rate_of(rows: list[Row], path: str, mode: str, size: int) -> float:
    """Return the null card's rate of a path."""
    return next(r.rate for r in rows if r.name == ("null", path, mode, size))


def goals(rows: list[Row]) -> list[tuple[str, float, float]]:
    """Return what was to be reached: a sentence, the ratio, and the least it must be."""
    ixy = IXY_SHIMMED[BURST] * 1e6
    two = "2 threads"
    return [
        ("Python, a call a frame ÷ ixy.py", rate_of(rows, f"python/{BURST}", "one thread", 60) / ixy, 1.5),
        ("C, a bytes a frame ÷ ixy.py", rate_of(rows, f"bytes/{BURST}", "one thread", 60) / ixy, 5.0),
        ("C, no Python objects ÷ ixy.py", rate_of(rows, f"batch/{BURST}", "one thread", 60) / ixy, 30.0),
        (
            "deserialized ÷ serialized, two threads",
            rate_of(rows, "loop", f"deserialized, {two}", 60)
            / rate_of(rows, "loop", f"serialized, {two}", 60),
            1.7,
        ),
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--bus", action="append", choices=list(SOURCES), help="only this bus (repeatable)")


def run(args: argparse.Namespace, progress: Progress) -> list[contract.Row]:
    """Measure."""
    rows: list[Row] = []
    for bus in args.bus or list(SOURCES):
        progress(bus)
        rows += measure([bus])
    found = [
        contract.Row(
            NAME,
            f"{row.bus}, {row.path}, {row.mode}, {row.size_bytes} B",
            row.rate / 1e3,
            "kpps",
            note="best",
        )
        for row in rows
    ]
    if any(row.bus == "null" for row in rows):
        found += [
            contract.Row(NAME, sentence, ratio, "ratio", Target(least))
            for sentence, ratio, least in goals(rows)
        ]
    return found


def main(buses: list[str] | None = None) -> list[Row]:
    """Print the measurements; return them."""
    rows = measure(buses or list(SOURCES))
    print(f"{'bus':22}{'path':12}{'mode':26}{'bytes':>6}{'kpps':>10}")
    for row in rows:
        print(f"{row.bus:22}{row.path:12}{row.mode:26}{row.size_bytes:6}{row.rate / 1e3:10.1f}")
    if any(row.bus == "null" for row in rows):
        print(
            f"ixy.py at batch {BURST}: {IXY_PUBLISHED[BURST]} published, {IXY_SHIMMED[BURST]} shimmed, Mpps"
        )
        for sentence, ratio, least in goals(rows):
            print(f"{'ok  ' if ratio >= least else 'LOW '}{sentence}: {ratio:.2f} (wanted {least})")
    return rows


if __name__ == "__main__":
    main()
