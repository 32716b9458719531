"""``bench doorbell``: from the write of TDT to DD in memory, as a driver behind our vfio-user client sees it.

The card is a process of its own (``ringwalk serve``), the driver is this one: it posts one descriptor, rings,
and looks at the descriptor's last word until DD is there. The MAC loops frames back to a receiver that is
off, so the way is doorbell, descriptor fetch, frame, write-back, and no cable; the client's own share is one
send(2) and a few hundred ns of Python.
"""

from __future__ import annotations

import mmap
import os
import shutil
import socket
import struct
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC
from device.rings.transmit import DD, LegacyTx, TxCommand
from device.vfio_user import Client
from device.vfio_user.messages import RegionAccess, command
from device.vfio_user.protocol import Command
from lab.errors import UsageError
from lab.machines import scratch
from lab.machines.card_process import start_card
from lab.trials.bench.contract import Row, Target
from lab.trials.bench.pairing import spread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from lab.trials.parts import Progress

NAME: Final = "doorbell"
HELP: Final = "from the doorbell to the write-back, over the vfio-user socket"
IOVA: Final = 1 << 30
COUNT: Final = 256
RING_BYTES: Final = COUNT * 16
BUFFER: Final = 2 * RING_BYTES
MEMORY_BYTES: Final = 1 << 16
FRAME_BYTES: Final = 60
BAR0: Final = 0
CONFIG: Final = 7
COMMAND_REGISTER: Final = 4
BUS_MASTER: Final = 0x6
ANSWER_S: Final = 5.0
SPIN_US: Final = 1000
WARM_UP: Final = 200

VARIANTS: Final[dict[str, tuple[tuple[str, ...], Target]]] = {
    "blocking": ((), Target(12, ceiling=True)),
    "spinning": (("--spin-us", str(SPIN_US)), Target(5, ceiling=True)),
    "mapped": (("--doorbell", "mmap", "--spin-us", str(SPIN_US)), Target(1, ceiling=True)),
}
"""The card's arguments, and what the median is to reach, µs."""


class Driver:
    """The transmit half of a driver, behind our own client."""

    def __init__(self, path: Path) -> None:
        """Connect, share memory, and set one ring up."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.connect(str(path))
        self.client = Client(self._socket)
        self._fd = os.memfd_create("doorbell")
        os.ftruncate(self._fd, MEMORY_BYTES)
        self.memory = mmap.mmap(self._fd, MEMORY_BYTES)
        self.client.map_dma(IOVA, self.memory, fd=self._fd)
        self.client.write(CONFIG, COMMAND_REGISTER, struct.pack("<H", BUS_MASTER))
        self.write("TDBAL0", IOVA)
        self.write("TDLEN0", RING_BYTES)
        self.write("RCTL", NIC["RCTL"]["LBM"].put(1))
        self.write("TCTL", NIC["TCTL"]["EN"].mask)
        self._tail = 0
        self._tail_register = memoryview(bytearray(4)).cast("I")
        self._descriptor = LegacyTx(
            IOVA + BUFFER, FRAME_BYTES, command=TxCommand.EOP | TxCommand.IFCS | TxCommand.RS
        ).emit()
        self._message = [
            command(
                1,
                Command.REGION_WRITE,
                RegionAccess(NIC["TDT0"].offset, BAR0, 4, struct.pack("<I", n)).emit(),
                reply=False,
            )
            for n in range(COUNT)
        ]

    def write(self, name: str, value: int) -> None:
        """Write a register and wait for the reply."""
        self.client.write(BAR0, NIC[name].offset, struct.pack("<I", value))

    def doorbell(self, ring: Callable[[int], None]) -> float:
        """Send one frame; return the µs from just before ``ring`` until DD is seen."""
        at = self._tail * 16
        self.memory[at : at + 16] = self._descriptor
        self._tail = (self._tail + 1) % COUNT
        memory, status, tail = self.memory, at + 12, self._tail
        clock = time.perf_counter_ns
        began = clock()
        ring(tail)
        while not memory[status] & DD:
            if clock() - began > ANSWER_S * 1e9:
                raise UsageError(f"no write-back came within {ANSWER_S:g} s")
        return (clock() - began) / 1000

    def over_socket(self, tail: int) -> None:
        """Ring by a posted REGION_WRITE, made beforehand."""
        self._socket.send(self._message[tail])

    def by_store(self, tail: int) -> None:
        """Ring by a store into the mapped register."""
        self._tail_register[0] = tail

    def map_tail(self) -> None:
        """Map BAR0's pages. ``UsageError`` when the card has none to map."""
        offset = NIC["TDT0"].offset
        for area, pages in self.client.map_region(BAR0):
            if area.offset <= offset < area.offset + area.size:
                at = offset - area.offset
                self._tail_register = memoryview(pages)[at : at + 4].cast("I")
                return
        raise UsageError("the card's doorbells cannot be mapped: serve it with --doorbell mmap")

    def close(self) -> None:
        """Go."""
        self.client.unmap_all_dma()
        self.client.close()
        self.memory.close()
        os.close(self._fd)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--count", type=int, default=5000, metavar="N", help="doorbells of each kind")
    parser.add_argument(
        "--gap-us",
        type=int,
        default=100,
        metavar="N",
        help="pause between two, so that a card that blocks does sleep",
    )


def run(args: argparse.Namespace, progress: Progress) -> list[Row]:
    """Measure each variant."""
    if args.count < 1:
        raise UsageError(f"--count {args.count}: give at least 1")
    rows = []
    for name, (extra, target) in VARIANTS.items():
        progress(f"{name}: {args.count} doorbells")
        times = measure(extra, args.count, 0 if extra else args.gap_us)
        found = spread(times)
        ordered = sorted(times)
        tenth, most = ordered[len(ordered) // 10], ordered[len(ordered) * 9 // 10]
        note = f"10 % within {tenth:.1f}, 90 % within {most:.1f} µs"
        rows.append(
            Row(
                NAME,
                f"doorbell → DD, {name}",
                found.median,
                "µs",
                target,
                (found.least, found.greatest),
                note,
            )
        )
    return rows


def measure(extra: tuple[str, ...], count: int, gap_us: int) -> list[float]:
    """Start a card, ring, and return the µs of each doorbell."""
    with ExitStack() as stack:
        folder = scratch.make()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        card = start_card(folder / "card", "none", options=tuple(extra))
        stack.callback(card.close)
        driver = Driver(folder / "card")
        stack.callback(driver.close)
        ring = driver.over_socket
        if "mmap" in extra:
            driver.map_tail()
            ring = driver.by_store
        for _ in range(WARM_UP):
            driver.doorbell(ring)
        times = []
        for _ in range(count):
            if gap_us:
                time.sleep(gap_us / 1e6)
            times.append(driver.doorbell(ring))
        return times
