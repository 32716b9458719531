"""How fast our driver is, on each bus, in each mode, by each path: no guest, no wire at the far end.

*null* is a card that is done with every descriptor at once, so that the driver alone is measured: what
ixy.py's figures were shimmed with, too. The other cards are real models whose frames are lost. *Python*
hands over one frame after the other; *bytes* gives C a list of ``bytes``; *batch* gives it frames laid out
before; *loop* is in C, without the GIL, for its whole life. Serialized, two threads share a ring under the
miniport lock; deserialized, each has its own. Machines are noisy: rounds of all rows are interleaved, a row
is the median of its rounds, and two modes are compared round by round.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from lab.errors import UsageError
from lab.host.inprocess_stack import MAC, LocalStack, Stack
from lab.host.qtest_stack import DEVICE, QtestStack
from lab.host.vfio_user_stack import VfioUserStack
from lab.machines.card_process import CardProcess, start_card
from lab.machines.qemu import binary
from lab.machines.qtest.machine import Machine
from lab.trials.bench import contract
from lab.trials.bench.contract import Target
from lab.trials.bench.loop_cards import MappedCard, NativeCard, NullCards
from lab.trials.bench.pairing import Spread, spread
from miniport.burst import Batch, Gate, NullCard, Stop, TxBurst
from miniport.hal.memory import DmaMemory
from miniport.txring import TxRing
from ndis.packet import Buffer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from lab.trials.parts import Progress
    from ndis.packet import Packet

NAME: Final = "miniport"
HELP: Final = "our own driver, on each bus, in each mode, by each path"
COUNT: Final = 256
"""Descriptors in a ring."""
BURST: Final = 32
SIZES: Final = (60, 1514)
ROUNDS: Final = 9
ROUND_S: Final = 0.15
IXY_PUBLISHED: Final = {1: 0.08, 32: 0.14, 256: 0.16}
IXY_SHIMMED: Final = {1: 0.08, 32: 0.31, 256: 0.30}
"""ixy.py, million packets a second by batch: as published, and over faked hardware on the machine of
docs/miniport.md."""


@dataclass(slots=True)
class Row:
    """One measurement; ``rates`` are packets a second, one of each round."""

    bus: str
    path: str
    mode: str
    size_bytes: int
    rates: list[float] = field(default_factory=list)

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


class Rings(Protocol):
    """Cards whose transmit rings C can run: ``lab.trials.bench.loop_cards``."""

    def ring(self, queue: int, gate: Gate | None = None) -> TxBurst:
        """Return a transmit queue's ring, empty."""

    def close(self) -> None:
        """Give everything back."""


class OnCard:
    """A work that closes its card, too."""

    def __init__(self, work: Work, close: Callable[[], None]) -> None:
        self.row, self.round = work.row, work.round
        self.close = close


def loop_works(bus: str, size: int, make: Callable[[], Rings]) -> Iterator[Work]:
    """Measure loops in C over one kind of card: alone, two threads at one ring, two with a ring each."""
    for mode, rings in LOOPS.items():
        card = make()
        lanes = rings(card)
        yield OnCard(Loops(Row(bus, "loop", mode, size), lanes), card.close)


def one_thread(card: Rings) -> list[TxBurst]:
    """Return the lane of one thread."""
    return [card.ring(0)]


def serialized(card: Rings) -> list[TxBurst]:
    """Return the lanes of two threads at one ring, under the miniport lock."""
    shared = card.ring(0, Gate())
    return [shared, shared]


def deserialized(card: Rings) -> list[TxBurst]:
    """Return the lanes of two threads, each with a ring."""
    return [card.ring(0), card.ring(1)]


LOOPS: Final = {
    "one thread": one_thread,
    "serialized, 2 threads": serialized,
    "deserialized, 2 threads": deserialized,
}


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
    single = NullCards().ring(0)
    frames = [frame(size)] * BURST
    prepared = Batch(frames)
    yield Repeated(Row("null", f"bytes/{BURST}", "one thread", size), lambda: single.send(frames))
    yield Repeated(Row("null", f"batch/{BURST}", "one thread", size), lambda: single.send_batch(prepared))
    yield from loop_works("null", size, NullCards)


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
    yield from loop_works("inprocess native", size, NativeCard)


class Served:
    """A native card in a process of its own, with no cable."""

    def __init__(self, *options: str) -> None:
        """Start it with options of ``serve``. UsageError."""
        self._folder = tempfile.TemporaryDirectory(prefix="ringwalk-")
        self.path = Path(self._folder.name) / "card"
        self._process: CardProcess = start_card(self.path, "none", mac=MAC.hex(":"), options=options)

    def close(self) -> None:
        """End it."""
        self._process.close()
        self._folder.cleanup()


class ServedRings:
    """``MappedCard`` and its process."""

    def __init__(self) -> None:
        """Start the card and connect."""
        self._served = Served("--doorbell", "mmap")
        self._card = MappedCard(self._served.path)
        self.ring = self._card.ring

    def close(self) -> None:
        """End both."""
        self._card.close()
        self._served.close()


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
            return stack.loop.step(10_000_000)

        yield stack_work(Row("vfio_user", f"ndis/{BURST}", mode, size), stack, settle, close)
    yield from loop_works("vfio_user mapped", size, ServedRings)


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
                        work.row.rates.append(work.round())
            finally:
                for work in works:
                    work.close()
            rows += [work.row for work in works]
    return rows


@dataclass(frozen=True, slots=True)
class Goal:
    """What was to be reached: a sentence, the ratios that were measured, and the least it must be."""

    sentence: str
    found: Spread
    least: float
    note: str = ""


def null_rates(rows: list[Row], path: str, mode: str = "one thread") -> list[float]:
    """Return the null card's rates of a path at 60 bytes, by round."""
    return next(row.rates for row in rows if row.name == ("null", path, mode, 60))


def over_ixy(rows: list[Row], path: str, sentence: str, least: float) -> Goal:
    """Return how a path compares with ixy.py over faked hardware, at the same batch; a note: with its own."""
    found = spread([rate / (IXY_SHIMMED[BURST] * 1e6) for rate in null_rates(rows, path)])
    published = found.median * IXY_SHIMMED[BURST] / IXY_PUBLISHED[BURST]
    note = f"÷ its published {IXY_PUBLISHED[BURST]:g} M/s: {published:.1f}"
    return Goal(f"{sentence} ÷ ixy.py", found, least, note)


def goals(rows: list[Row]) -> list[Goal]:
    """Return what was to be reached, and was measured, on the null card."""
    modes = (null_rates(rows, "loop", f"{mode}, 2 threads") for mode in ("deserialized", "serialized"))
    ratios = spread([two / one for two, one in zip(*modes, strict=True)])
    return [
        over_ixy(rows, f"python/{BURST}", "Python, a call a frame", 1.5),
        over_ixy(rows, f"bytes/{BURST}", "C, a bytes a frame", 5.0),
        over_ixy(rows, f"batch/{BURST}", "C, no Python objects", 30.0),
        Goal("deserialized ÷ serialized, two threads", ratios, 1.7),
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
        figure(f"{row.bus}, {row.path}, {row.mode}, {row.size_bytes} B", spread(row.rates), "kpps", 1e3)
        for row in rows
    ]
    if any(row.bus == "null" for row in rows):
        found += [
            figure(goal.sentence, goal.found, "ratio", target=Target(goal.least), note=goal.note)
            for goal in goals(rows)
        ]
    return found


def figure(
    what: str, found: Spread, unit: str, scale: float = 1.0, *, target: Target | None = None, note: str = ""
) -> contract.Row:
    """Return a line of the report."""
    span = found.least / scale, found.greatest / scale
    return contract.Row(NAME, what, found.median / scale, unit, target, span, note)
