"""Runs one card: a vfio-user socket on one side, a wire on the other, the clock between. The I/O shell.

With the reference engine three parties share the card under one lock: the thread of ``serve`` (the
socket: register accesses and the transmit work they make), the cable's thread (frames from the wire,
timers, carrier), and nobody else. The native engine brings threads of its own (``_ENGINES``).
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from device.card import CONFIG, REGION_SIZES, Account, Card, InterruptSink
from device.effects import FrameSent, GuestMemory, Offload
from device.engine.reference import ReferenceEngine
from device.native_serving import NativeServedCard, Tape, Tuning, serve_native
from device.regs.nic import NIC
from device.served import CARRIER_POLL_S, LOG, ServedBase, stop_when
from device.vfio_user import NO_REGION, PciIrq, RegionInfo, Server, ServerFactory
from device.vfio_user.session import SERVER_CAPABILITIES
from device.wire.contract import Framing, Wire, WireClosed
from device.wire.frame import Frame, Gso, GsoFlag, GsoType
from device.wire.port import Port
from device.worker import Worker

if TYPE_CHECKING:
    import socket

    from device.vfio_user import DmaMap, IrqChange, Irqs

DEFAULT_TUNING: Final = Tuning()
BACKLOG: Final = 1024
"""Frames kept while the wire takes none; more are lost, as in a switch."""

_SLICE_PAUSE_S: Final = 0.001
_BATCH: Final = 64  # frames taken off the wire before the lock is given up
_RCTL, _RCTL_EN = NIC["RCTL"].offset, NIC["RCTL"]["EN"].mask


class ClientInterrupts:
    """The eventfds of whoever is attached."""

    def __init__(self) -> None:
        self.irqs: Irqs | None = None

    def message(self, vector: int) -> bool:
        """Signal the MSI-X vector, or MSI's; False when neither is armed."""
        if self.irqs is None:
            return False
        if self.irqs.armed(PciIrq.MSIX):
            return self.irqs.trigger(PciIrq.MSIX, vector)
        return vector == 0 and self.irqs.trigger(PciIrq.MSI, 0)

    def level(self, *, asserted: bool) -> None:
        """Drive the INTx pin."""
        if self.irqs is not None:
            self.irqs.set_level(asserted)


def frame_of(effect: FrameSent) -> Frame:
    """Return the wire's frame for one that an engine sent."""
    offload = effect.offload
    if offload is None:
        return Frame(effect.data)
    return Frame(
        effect.data,
        Gso(
            GsoType(offload.gso.value) if offload.gso else GsoType.NONE,
            offload.hdr_len,
            offload.gso_size,
            offload.csum_start,
            offload.csum_offset,
            GsoFlag.NEEDS_CSUM if offload.needs_csum else GsoFlag.NONE,
            offload.ecn,
        ),
    )


def plain_card(
    memory: GuestMemory,
    offload: bool,  # noqa: FBT001 - the seam's shape
    mac: bytes,
    send: Callable[[FrameSent], None],
    sink: InterruptSink,
) -> Card:
    """Make a card with the reference engine."""
    engine = ReferenceEngine(memory, offload=offload)
    engine.clock = time.monotonic_ns  # nobody records, where a run has to end the same each time
    return Card(engine, mac, send=send, sink=sink)


class ServedCard(ServedBase):
    """A card as ``vfio_user.Server`` wants a device: every call under the lock, at the present time."""

    regions = tuple(RegionInfo(size) if size else NO_REGION for size in REGION_SIZES)

    def __init__(
        self,
        wire: Wire,
        mac: bytes,
        build: CardBuilder | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Power a card on, plugged into ``wire``, which stays the caller's; ``build`` makes another kind."""
        super().__init__(wire)
        self.clock = clock
        self.leaving: Callable[[], None] = lambda: None
        """Called when a client goes, while its memory and the registers are still there."""
        self.answer_now: Callable[[bytes | None], bool] = lambda _: False
        """Answers the register access in the middle of which an observer stands, where the server can."""
        self.accessed: Callable[[], None] = lambda: None
        """Called at the end of each access."""
        self.arrived: Callable[[], None] = lambda: None
        """Called when a client has come and its memory is the card's."""
        self.interrupts = ClientInterrupts()
        self.port = Port(wire.fd, wire.framing)
        self.backlog: deque[FrameSent] = deque()
        self.lost = 0
        make = build or plain_card
        self.card = make(self.memory, wire.framing is Framing.VNET, mac, self._send, self.interrupts)
        self.card.advance(self.clock())
        self.card.set_carrier(present=wire.link)
        self.listens = False
        self.sleeps_until: int | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    # -- the socket's thread -----------------------------------------------------------------------

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Read, at the present time: SYSTIM and the timers have moved on."""
        with self.lock:
            self.card.advance(self.clock())
            data = self.card.read_region(index, offset, count)
            self.accessed()
            return data

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write, and do the work that it makes."""
        with self.lock:
            self.card.advance(self.clock())
            self.card.write_region(index, offset, data)
            if index == CONFIG:
                self._configured()
            self._stir()
            self.accessed()

    def reset(self) -> None:
        """Power-cycle the card; the cable stays plugged in."""
        with self.lock:
            self.card.reset()
            self.card.advance(self.clock())
            self._stir()

    def attached(self, dma: DmaMap, irqs: Irqs) -> None:
        """Use this client's memory and interrupts."""
        with self.lock:
            self._use(dma)
            self.arrived()
            self.interrupts.irqs = irqs
            self._unsubscribe = irqs.on_change(self._armed)

    def detached(self) -> None:
        """Forget them."""
        with self.lock:
            self.leaving()
            self._unsubscribe()
            self.memory.dma = None
            self.interrupts.irqs = None
            self.card.set_interrupt_mode(None)

    def _armed(self, _change: IrqChange) -> None:
        """Follow what the client armed: QEMU arms what its guest enabled."""
        with self.lock:
            if self.interrupts.irqs is not None:
                self._follow(self.interrupts.irqs)
                self.card.rearm()

    def _stir(self) -> None:
        """Wake the cable's thread if it waits for something that has changed."""
        deadline = self.card.deadline()
        sooner = deadline is not None and (self.sleeps_until is None or deadline < self.sleeps_until)
        if sooner or self.backlog or (not self.listens and self._wants_frames()):
            os.eventfd_write(self.wake, 1)

    # -- the cable's thread --------------------------------------------------------------------------

    def _send(self, effect: FrameSent) -> None:
        if self.backlog or not self._write(effect):
            if len(self.backlog) < BACKLOG:
                self.backlog.append(effect)
            else:
                self.lost += 1

    def _write(self, effect: FrameSent) -> bool:
        try:
            return self.port.write(frame_of(effect))
        except WireClosed:
            self.lost += 1
            return True

    def _deaf(self) -> bool:
        """Tell whether the receiver is off: what arrives then is lost, not kept for later."""
        return not self.card.engine.peek(_RCTL) & _RCTL_EN or not self.card.phy.link

    def _wants_frames(self) -> bool:
        return self.wire.fd >= 0 and (self.card.can_receive() or self.card.sleeps or self._deaf())

    def run_cable(self) -> None:
        """Move frames and time until ``stop_cable``."""
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        registered = 0
        open_ended = True
        while not self.stopping:
            with self.lock:
                self.card.advance(self.clock())  # receive timestamps are of now, not of the last access
                if open_ended:
                    open_ended = self._take_frames()
                self._flush()
                self.card.advance(self.clock())
                self._follow_cable(ended=not open_ended)
                self.listens = open_ended and self._wants_frames()
                wanted = select.POLLIN * self.listens | select.POLLOUT * bool(self.backlog)
                deadline = self.sleeps_until = self.card.deadline()
            if wanted != registered and self.wire.fd >= 0:
                poll.register(self.wire.fd, wanted) if wanted else poll.unregister(self.wire.fd)
                registered = wanted
            timeout = CARRIER_POLL_S
            if deadline is not None:
                left_s = (deadline - self.clock()) / 1e9
                # Due already, right after ``advance``: a run used its budget. Whoever wants the lock gets it.
                timeout = min(timeout, left_s if left_s > 0 else _SLICE_PAUSE_S)
            # poll() counts milliseconds, the card's timers microseconds: the select call keeps the fraction.
            _wait(poll, timeout)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.wake)

    def _take_frames(self) -> bool:
        """Give the card what the wire has; False once the wire has ended."""
        card = self.card
        try:
            for _ in range(_BATCH):
                if not self._wants_frames():
                    break
                frame = self.port.read()
                if frame is None:
                    break
                card.receive(frame.data, _offload(frame))
        except WireClosed:
            return False
        return True

    def _flush(self) -> None:
        while self.backlog and self._write(self.backlog[0]):
            self.backlog.popleft()

    def stop_cable(self) -> None:
        """Make ``run_cable`` return; any thread may call it."""
        self.stopping = True
        os.eventfd_write(self.wake, 1)

    def account(self) -> Account:
        """Return what the card did so far."""
        return self.card.account

    def close(self) -> None:
        """Close what the shell opened itself; the threads have ended."""
        os.close(self.wake)


def _offload(frame: Frame) -> Offload | None:
    gso = frame.gso
    if gso is None or not gso.flags & GsoFlag.NEEDS_CSUM:
        return None
    return Offload(csum_start=gso.csum_start, csum_offset=gso.csum_offset, needs_csum=True)


def _wait(poll: select.poll, timeout_s: float) -> None:
    """Wait for an event; below a millisecond, sleep the rest away and then look."""
    whole = int(timeout_s * 1000)
    if whole or timeout_s <= 0:
        poll.poll(whole)
    elif not poll.poll(0):
        time.sleep(timeout_s)


def _serve_reference(
    at: str | socket.socket,
    wire: Wire,
    mac: bytes,
    ready: _Ready,
    stop: threading.Event,
    *,
    tuning: Tuning,
    allowed_uids: Collection[int] | None,
    make: ServerFactory | None,
    tape: Tape | None,
) -> Account:
    if tape is not None:
        raise ValueError("a tape is the native engine's: record this one by device.trace.card")
    return serve_card(ServedCard(wire, mac), at, ready, stop, allowed_uids, tuning=tuning, make=make)


def serve_card(
    served: ServedCard,
    at: str | socket.socket,
    ready: _Ready,
    stop: threading.Event,
    allowed_uids: Collection[int] | None = None,
    *,
    tuning: Tuning = DEFAULT_TUNING,
    make: ServerFactory | None = None,
) -> Account:
    """Serve a card that was built until ``stop`` is set; see ``serve``. Its threads end before it returns."""
    cable = Worker("cable", served.run_cable, stop.set)
    offered = replace(SERVER_CAPABILITIES, write_multiple=tuning.write_multiple)
    ours = functools.partial(Server, log=LOG, offered=offered, messages=tuning.dma_messages)
    with (make or ours)(at, served, allowed_uids=allowed_uids) as server:
        watcher = Worker("stop", functools.partial(stop_when, stop, server), stop.set)
        if isinstance(server, Server):
            served.answer_now = server.answer_now
        cable.start()
        watcher.start()
        try:
            ready(served)
            server.serve_forever()
        finally:
            stop.set()
            served.stop_cable()
            ended = cable.end()
            watcher.end_surely()
    if ended:  # else an observer stands in it, and waits for its user
        served.close()
    return served.account()


CardBuilder = Callable[[GuestMemory, bool, bytes, Callable[[FrameSent], None], InterruptSink], Card]
"""Makes the card of a ``ServedCard``: memory, whether the wire takes offloads, address, wire, interrupts."""

_Ready = Callable[[ServedCard | NativeServedCard], None]


class _Serve(Protocol):
    """Serves a card with one of the engines."""

    def __call__(
        self,
        at: str | socket.socket,
        wire: Wire,
        mac: bytes,
        ready: _Ready,
        stop: threading.Event,
        *,
        tuning: Tuning,
        allowed_uids: Collection[int] | None,
        make: ServerFactory | None,
        tape: Tape | None,
    ) -> Account:
        """Serve until ``stop`` is set; return the account."""


_ENGINES: Final[Mapping[str, _Serve]] = {"reference": _serve_reference, "native": serve_native}


def serve(
    at: str | socket.socket,
    wire: Wire,
    mac: bytes,
    engine: str = "reference",
    *,
    ready: _Ready = lambda _: None,
    stop: threading.Event | None = None,
    tuning: Tuning = DEFAULT_TUNING,
    allowed_uids: Collection[int] | None = None,
    make: ServerFactory | None = None,
    tape: Tape | None = None,
) -> Account:
    """Serve a card at a socket path until ``stop`` is set, to any number of clients; return its account.

    ``ready`` is called once, when a client may connect; clients of other users than ``allowed_uids`` are
    refused (None: of none). ``make`` makes the server, where it is not to be our own. ListenError where the
    path cannot be used; KeyError for an engine there is not. Of ``tuning`` the reference engine has
    ``write_multiple`` and ``dma_messages`` alone, and a server from ``make`` nothing. ``tape``: where the
    native engine's recording goes; the reference engine has ``device.trace.card`` for that (ValueError).
    """
    stop = stop or threading.Event()
    serves = _ENGINES[engine]
    return serves(at, wire, mac, ready, stop, tuning=tuning, allowed_uids=allowed_uids, make=make, tape=tape)
