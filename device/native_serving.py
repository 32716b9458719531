"""Runs one card with the native engine: C moves the frames, Python answers what is not hot. The I/O shell.

Four threads: the socket's (``Server``; it stays in C while messages are for the data path's registers), the
wire's and the timers' (C's own), and the housekeeper (link negotiation, carrier). One Python lock covers the
card's policy; C's own locks (csrc/card.h) cover the rings, and are taken inside it, never around it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import select
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from device.card import REGION_SIZES, Account, Card
from device.engine.native import MAPPED_DOORBELLS, NativeEngine, ask_before_waiting
from device.engine.transport import transport_factory
from device.regs.nic import VECTORS
from device.served import CARRIER_POLL_S, LOG, ServedBase, stop_when
from device.trace.native import NativeRecorder, RecordedCard
from device.trace.recording import About
from device.vfio_user import NO_REGION, RegionInfo, Server, ServerFactory
from device.vfio_user.hostmemory import MappedMemory
from device.vfio_user.messages import MmapArea
from device.vfio_user.protocol import Protection
from device.vfio_user.session import SERVER_CAPABILITIES
from device.wire.contract import Framing
from device.worker import Worker

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Collection

    from device.vfio_user import DmaChange, DmaMap, IrqChange, Irqs
    from device.wire.contract import Wire

_CONFIG: Final = 7
_MSIX: Final = 3
"""BAR3: the table and the pending bits."""
MAPPED_SPIN_US: Final = 200
"""How long mapped doorbells are looked at after the last one, unless told."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the way from the VMM to the card is tuned to (docs/performance.md)."""

    spin_us: int | None = None
    """How long the socket's thread looks for the next message before it sleeps, keeping a core busy.

    None: for a moment, and only while messages come close together (csrc/busy_poll.c).
    """
    write_multiple: bool = False
    """Whether REGION_WRITE_MULTI is offered."""
    dma_messages: bool = False
    """Whether a guest's memory may come without a descriptor, to be reached by messages to the client."""
    mapped_doorbells: bool = False
    """Whether the client may map the rings' registers. QEMU then posts no write to the card any more."""


@dataclass(frozen=True, slots=True)
class Tape:
    """Where a recording goes: a file that is open for writing, which stays the caller's."""

    fd: int
    limit: int
    """Bytes of records after which the recording ends by itself."""


class DoorbellPages:
    """The pages of BAR0 that one client may map, as a file whose size nobody can change any more."""

    def __init__(self) -> None:
        """Make the file and map it. OSError."""
        self.fd = os.memfd_create("doorbells", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, REGION_SIZES[0])
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self._memory = MappedMemory()
        place = MAPPED_DOORBELLS
        self.address = self._memory.map(self.fd, place.start, len(place), Protection.READ | Protection.WRITE)

    @property
    def region(self) -> RegionInfo:
        """BAR0 with these pages."""
        area = MmapArea(MAPPED_DOORBELLS.start, len(MAPPED_DOORBELLS))
        return RegionInfo(REGION_SIZES[0], fd=self.fd, mmap_areas=(area,))

    def close(self) -> None:
        """Unmap and close."""
        self._memory.unmap(self.address)
        os.close(self.fd)


class NativeServedCard(ServedBase):
    """A card whose data path is C's, as ``vfio_user.Server`` wants a device."""

    def __init__(self, wire: Wire, mac: bytes, tuning: Tuning, tape: Tape | None = None) -> None:
        """Power a card on, plugged into ``wire``, which stays the caller's; recorded, if there is a tape."""
        super().__init__(wire)
        self.regions = tuple(RegionInfo(size) if size else NO_REGION for size in REGION_SIZES)
        self.engine = NativeEngine(offload=wire.framing is Framing.VNET)
        self.engine.memory = self.memory
        self.engine.attach_wire(wire.fd, wire.framing)
        self.engine.attach_irqs()
        self.recorder: NativeRecorder | None = None
        if tape is None:
            self.card = Card(self.engine, mac)
        else:
            recorded = RecordedCard(self.engine, mac)
            epoch = time.time_ns() - time.monotonic_ns()
            offload = wire.framing is Framing.VNET
            about = About(mac.hex(":"), offload, self.engine.name, epoch_ns=epoch)
            self.recorder = NativeRecorder(self.engine, tape.fd, about, limit=tape.limit)
            recorded.record(self.recorder)
            self.card = recorded
        self.card.advance(time.monotonic_ns())
        self.card.set_carrier(present=wire.link)
        self._irqs: Irqs | None = None
        self._unsubscribe: tuple[Callable[[], None], ...] = ()
        self.engine.start()
        self._tuning = tuning
        self._doorbells: DoorbellPages | None = None

    # -- the socket's thread -----------------------------------------------------------------------

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Read what C left to us."""
        with self.lock:
            if index == _CONFIG:
                self.card.function.show_line(asserted=self.engine.line)
            elif index == _MSIX:
                self.card.msix.pending = self.engine.pending_messages
            return self.card.read_region(index, offset, count)

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write what C left to us, and do the work that it makes."""
        with self.lock:
            self.card.write_region(index, offset, data)
            if index in {_CONFIG, _MSIX}:
                self._follow_masks()
            if index == _CONFIG:
                self._configured()
        os.eventfd_write(self.wake, 1)  # negotiation may have begun

    # -- state ---------------------------------------------------------------------------------------

    def restore(self, state: bytes) -> None:
        """Take a saved state over, as ``ServedBase`` does, its masks too. ValueError."""
        with self.lock:
            super().restore(state)
            self._follow_masks()

    def _follow_masks(self) -> None:
        """Tell C which vectors the table and the function mask."""
        self.engine.hold_messages(vector for vector in range(VECTORS) if self.card.holds(vector))

    def reset(self) -> None:
        """Power-cycle the card; the cable stays plugged in."""
        with self.lock:
            self.card.reset()
            self._follow_masks()
            self.card.advance(time.monotonic_ns())
        os.eventfd_write(self.wake, 1)

    def attached(self, dma: DmaMap, irqs: Irqs) -> None:
        """Use this client's memory and interrupts; give it doorbells of its own, if it may map them."""
        if self._tuning.mapped_doorbells:
            self._doorbells = DoorbellPages()
            self.regions = (self._doorbells.region, *self.regions[1:])
            self.engine.map_doorbells(self._doorbells.address, self._tuning.spin_us or MAPPED_SPIN_US)
        with self.lock:
            self._use(dma)
            self._irqs = irqs
            self._unsubscribe = (dma.on_change(self._dma_changed), irqs.on_change(self._armed))

    def detached(self) -> None:
        """Forget them: when this returns, C uses neither, and what this client still maps rings nothing."""
        self._end_doorbells()
        with self.lock:
            for unsubscribe in self._unsubscribe:
                unsubscribe()
            self._unsubscribe = ()
            self.engine.unmap_all()
            self.engine.attach_irqs()
            self.memory.dma = None
            self._irqs = None
            self.card.set_interrupt_mode(None)

    def _dma_changed(self, change: DmaChange) -> None:
        """Have C follow, but for memory that nobody reaches: DMA there is a fault."""
        reached = tuple(
            region for region in change.added if region.address is not None or self._tuning.dma_messages
        )
        self.engine.dma_changed(replace(change, added=reached))

    def _end_doorbells(self) -> None:
        if self._doorbells is not None:
            doorbells, self._doorbells = self._doorbells, None
            self.engine.unmap_doorbells()
            self.regions = (RegionInfo(REGION_SIZES[0]), *self.regions[1:])
            doorbells.close()

    def _armed(self, change: IrqChange) -> None:
        self.engine.irqs_changed(change)
        with self.lock:
            if self._irqs is not None:
                self._follow(self._irqs)

    # -- the housekeeper -----------------------------------------------------------------------------

    def keep_house(self) -> None:
        """Let negotiation go on and follow the carrier, until ``stop``."""
        ask_before_waiting()
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        while not self.stopping:
            with self.lock:
                now = time.monotonic_ns()
                self.card.advance(now)
                self._follow_cable(ended=self.engine.wire_closed)
                deadline = self.card.phy.deadline()
            timeout_s = CARRIER_POLL_S
            if deadline is not None:
                timeout_s = min(timeout_s, max(0, deadline - now) / 1e9)
            poll.poll(timeout_s * 1000 + 1)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.wake)

    def stop(self) -> None:
        """Make ``keep_house`` return; any thread may call it."""
        self.stopping = True
        os.eventfd_write(self.wake, 1)

    def account(self) -> Account:
        """Return what the card did so far, C's part and Python's."""
        native, policy = self.engine.account(), self.card.account
        return Account(
            frames_sent=native.frames_sent,
            frames_received=native.frames_received,
            descriptors=native.tx_descriptors,
            doorbells=native.doorbells,
            interrupts=native.interrupts,
            dma_faults=native.faults,
            register_reads=native.inline_reads + policy.register_reads,
            register_writes=native.inline_writes + policy.register_writes,
        )

    def close(self) -> None:
        """End C's threads and close what the shell opened; the others have ended."""
        self._end_doorbells()
        self.engine.stop()
        if self.recorder is not None:
            self.recorder.stop()
        os.close(self.wake)


def serve_native(
    at: str | socket.socket,
    wire: Wire,
    mac: bytes,
    ready: Callable[[NativeServedCard], None],
    stop: threading.Event,
    *,
    tuning: Tuning,
    allowed_uids: Collection[int] | None = None,
    make: ServerFactory | None = None,
    tape: Tape | None = None,
) -> Account:
    """Serve a card at a socket path until ``stop`` is set; return its account. ``tape``: record it.

    A server from ``make`` brings all register accesses through Python; the rings stay C's.
    """
    served = NativeServedCard(wire, mac, tuning, tape)
    keeper = Worker("housekeeper", served.keep_house, stop.set)
    try:
        ours = functools.partial(
            Server,
            log=LOG,
            transport_factory=transport_factory(served.engine, spin_us=tuning.spin_us),
            offered=replace(SERVER_CAPABILITIES, write_multiple=tuning.write_multiple),
            messages=tuning.dma_messages,
        )
        with (make or ours)(at, served, allowed_uids=allowed_uids) as server:
            watcher = Worker("stop", functools.partial(stop_when, stop, server), stop.set)
            keeper.start()
            watcher.start()
            try:
                ready(served)
                server.serve_forever()
            finally:
                stop.set()
                served.stop()
                keeper.end_surely()
                watcher.end_surely()
        return served.account()
    finally:
        if not keeper.running:  # else it still uses the card
            served.close()
