"""Takes the part of libvfio-user's ``samples/server``, so that its ``samples/client`` judges the binding.

The device that the client expects, over the library:

- configuration space of the library's: dead:beef, subsystem cafe:babe.
- BAR0, 8 bytes: a write is an instant (``time_t``); then INTx, and DMA by messages, 4 KiB there and back. A
  read says how long ago it was.
- BAR1, three pages, the first and the last of which can be mapped.
- Migration, version 1: before the copy BAR1, in stop-and-copy BAR1 and BAR0. The client starts ``server -v``
  of its own folder as the destination.

``--speed`` makes this device's seconds shorter: the client sets an alarm ten seconds ahead and measures
nothing.

Sources: samples/client.c, which says what it wants; lib/migration.c for the order of the calls.
"""

from __future__ import annotations

import argparse
import errno
import json
import mmap
import os
import select
import struct
import sys
import time
from pathlib import Path

from ..errors import DmaError, RequestRefused
from ..libvfio import Context, LibraryError, load
from ..messages import MmapArea

BAR0, BAR1, MIGRATION = 0, 1, 9
TIME = struct.Struct("<q")
PAGE = 4096
BAR1_BYTES = 3 * PAGE
DMA_BYTES = 4096
STOP, RUNNING, STOP_AND_COPY, PRE_COPY, RESUME = range(5)


class Clocked:
    """The device; the public methods are what ``libvfio.MigrationCallbacks`` asks for."""

    def __init__(self, speed: float) -> None:
        """Power on, with seconds ``speed`` times as short."""
        self.speed = speed
        self.instant = 0
        self.alarm: float | None = None
        """When to interrupt, on the monotonic clock."""
        self.state = RUNNING
        self.pending = 0
        self.windows: list[tuple[int, int]] = []
        """The client's memory: IOVA and size, in the order it came."""
        self.bar1: mmap.mmap | bytearray = bytearray(BAR1_BYTES)
        self.told = {"alarms": 0, "dma_bytes": 0, "restored_bytes": 0}

    def declare(self, context: Context) -> None:
        """Set up the regions. BAR1 and the migration region lie in one file, as in the original."""
        registers = context.migration_register_bytes()
        data_bytes = -(-(BAR1_BYTES + TIME.size) // PAGE) * PAGE
        file = os.memfd_create("clocked", os.MFD_CLOEXEC)  # the library sends it, so it stays open
        os.ftruncate(file, BAR1_BYTES + registers + data_bytes)
        self.bar1 = mmap.mmap(file, BAR1_BYTES)
        context.pci(express=False, ids=(0xDEAD, 0xBEEF, 0xCAFE, 0xBABE))
        context.region(BAR0, TIME.size, memory=False)
        ends = (MmapArea(0, PAGE), MmapArea(2 * PAGE, PAGE))
        context.region(BAR1, BAR1_BYTES, memory=False, areas=ends, fd=file)
        area = MmapArea(registers, data_bytes)
        context.region(
            MIGRATION, registers + data_bytes, memory=False, areas=(area,), fd=file, offset=BAR1_BYTES
        )
        context.migration(registers)
        context.irqs((1, 0, 0, 1, 1))
        context.realize()

    # -- what the library calls -----------------------------------------------------------------------

    def access(self, index: int, offset: int, count: int, data: bytes | None) -> bytes:
        """BAR0 is one number, read and written whole; BAR1 is memory."""
        if index == BAR1:
            if data is None:
                return bytes(self.bar1[offset : offset + count])
            if self.state == PRE_COPY:
                self.pending = BAR1_BYTES  # all of it is to be copied again
            self.bar1[offset : offset + count] = data
            return b""
        if (offset, count) != (0, TIME.size):
            raise RequestRefused(errno.EINVAL, f"BAR0 {offset:#x}+{count:#x}")
        if data is None:
            return TIME.pack(int(time.time()) - self.instant)
        self.instant = TIME.unpack(data)[0]
        if self.state == RUNNING:
            self._arm()
        return b""

    def reset(self, reason: int) -> None:
        """Keep everything: the client resets before it has set anything up."""

    def log(self, level: int, text: str) -> None:
        """Print it: the client's run is read by people."""
        print(f"clocked: {level}: {text}", file=sys.stderr)  # noqa: T201 - a program

    def dma_added(self, iova: int, size: int, _protection: int, _address: int | None) -> None:
        """Note where DMA may go."""
        self.windows.append((iova, size))

    def dma_removed(self, iova: int, size: int) -> None:
        """Forget it."""
        self.windows.remove((iova, size))

    def transition(self, state: int) -> None:
        """Go through a migration; the alarm goes along."""
        if state == STOP_AND_COPY:
            self.alarm = None
        if state == RUNNING:
            self._arm()
        self.pending = {PRE_COPY: BAR1_BYTES, STOP_AND_COPY: BAR1_BYTES + TIME.size}.get(state, 0)
        self.state = state

    def pending_bytes(self) -> int:
        """Return how much this state has left to give."""
        return self.pending

    def read_state(self, offset: int, count: int) -> bytes:
        """Give all that is pending, in one go: the client reads it so."""
        if offset or count != self.pending:
            raise RequestRefused(errno.EINVAL, f"{offset:#x}+{count:#x} of the state")
        self.pending = 0
        return (bytes(self.bar1[:]) + TIME.pack(self.instant))[:count]

    def write_state(self, offset: int, data: bytes) -> None:
        """Take BAR1, or BAR1 and BAR0."""
        if offset or len(data) not in {BAR1_BYTES, BAR1_BYTES + TIME.size}:
            raise RequestRefused(errno.EINVAL, f"{offset:#x}+{len(data):#x} of the state")
        self.bar1[:] = data[:BAR1_BYTES]
        self.told["restored_bytes"] += len(data)
        if len(data) > BAR1_BYTES:
            self.instant = TIME.unpack(data[BAR1_BYTES:])[0]

    # -- the alarm ----------------------------------------------------------------------------------------

    def _arm(self) -> None:
        self.alarm = time.monotonic() + max(0, self.instant - time.time()) / self.speed

    def ring(self, context: Context) -> None:
        """Interrupt; then write to the client's memory by message, read it back, and compare."""
        self.alarm = None
        context.trigger(0)
        address, _ = self.windows[0]
        sent = b"A" * DMA_BYTES
        context.dma_write(address, sent)
        if context.dma_read(address, DMA_BYTES) != sent:
            raise DmaError(address, DMA_BYTES, "it does not read as it was written")
        self.told["alarms"] += 1
        self.told["dma_bytes"] += 2 * DMA_BYTES


def serve(context: Context, device: Clocked) -> None:
    """Serve one client to its end."""
    attached = False
    while True:
        left_ms = None if device.alarm is None else max(0.0, device.alarm - time.monotonic()) * 1000
        poll = select.poll()
        poll.register(context.fd, select.POLLIN)
        ready = poll.poll(left_ms)
        if device.alarm is not None and time.monotonic() >= device.alarm:
            device.ring(context)
        elif ready and not attached:
            attached = context.attach()
        elif ready and not context.run():
            return


def client_status() -> int:
    """Return how the client ended where it is our child: it forks and *becomes* the destination server."""
    try:
        _, status = os.wait()
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status)


def main() -> int:
    """Serve at a path, until the client goes; the client's failure is ours."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binding", type=Path, required=True, help="the compiled binding")
    parser.add_argument("--speed", type=float, default=1.0, help="how much shorter a second is")
    parser.add_argument("-v", action="store_true", help="as the original has it; nothing more is said")
    parser.add_argument("socket")
    args = parser.parse_args()
    device = Clocked(args.speed)
    context = Context(load(args.binding), args.socket, device)
    try:
        device.declare(context)
        serve(context, device)
        print(json.dumps(device.told), flush=True)  # noqa: T201 - a program
    except (LibraryError, DmaError) as failed:
        print(f"clocked: {failed}", file=sys.stderr)  # noqa: T201 - a program
        return 1
    finally:
        context.close()
        Path(args.socket).unlink(missing_ok=True)
    return client_status()


if __name__ == "__main__":
    sys.exit(main())
