"""The native engine: ``device.engine.contract`` over the C core, by cffi.

It has two ways to be used. *By hand* it is sans I/O like the reference: memory, frames and time come in
as arguments, effects go out as values. *Attached*, frames go to a wire's descriptor, interrupts to
eventfds, the guest's memory is reached by address, and ``start`` gives the card threads of its own:
nothing of a frame's way is Python then. ``device.engine.transport`` is the socket's half of that.

A call into C releases the GIL (cffi does so); the locks are in C (csrc/card.h).
"""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

from device.effects import (
    DmaError,
    DmaFault,
    FrameSent,
    GsoType,
    LineChanged,
    MessageSignalled,
    Offload,
    WakeRaised,
)
from device.engine import native_state
from device.engine._core import ffi, lib
from device.regs.nic import VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from device.effects import Effect, GuestMemory
    from device.engine.contract import InterruptMode

_EVERYWHERE = (1 << 64) - 1
_GSO = {GsoType.TCPV4: 1, GsoType.UDP: 3, GsoType.TCPV6: 4}
_GSO_OF = {number: kind for kind, number in _GSO.items()}
MAPPED_DOORBELLS = range(lib.RW_MAPPED_FIRST, lib.RW_MAPPED_FIRST + lib.RW_MAPPED_BYTES)
"""The offsets in BAR0 of the pages that ``NativeEngine.map_doorbells`` is about."""
_FRAMINGS = {
    "none": lib.RW_FRAMING_NONE,
    "vnet": lib.RW_FRAMING_VNET,
    "datagram": lib.RW_FRAMING_DATAGRAM,
    "stream": lib.RW_FRAMING_STREAM,
}


class NoMemory:
    """A ``GuestMemory`` in which nothing is mapped: what an attached card starts with."""

    def read(self, address: int, length: int) -> bytes:
        """Refuse."""
        raise DmaError(address, length)

    def write(self, address: int, data: bytes) -> None:
        """Refuse."""
        raise DmaError(address, len(data))


class Region(Protocol):
    """A part of the IOVA map, as ``device.vfio_user.dma.DmaRegion`` has it."""

    @property
    def iova(self) -> int:
        """Where it begins on the card's bus."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    @property
    def protection(self) -> int:
        """1: the card may read, 2: it may write."""

    @property
    def address(self) -> int | None:
        """Where it begins in this process; None: it is reached by ``GuestMemory``."""


class Change(Protocol):
    """A change of the IOVA map, as ``device.vfio_user.dma.DmaChange`` has it."""

    @property
    def added(self) -> Sequence[Region]:
        """What came."""

    @property
    def removed(self) -> Sequence[Region]:
        """What went, and is still there for the length of the call."""


class IrqChange(Protocol):
    """A change of what the client armed, as ``device.vfio_user.irqs.IrqChange`` has it."""

    @property
    def index(self) -> int:
        """The interrupt type."""

    @property
    def eventfds(self) -> Sequence[int]:
        """One a vector; -1 is none."""

    @property
    def masked(self) -> Sequence[bool]:
        """One a vector."""

    @property
    def unmasked(self) -> Sequence[int]:
        """The vectors that were unmasked just now."""


class Framing(Protocol):
    """How frames lie in a wire's bytes: a member of ``device.wire.contract.Framing``."""

    @property
    def value(self) -> str:
        """``vnet``, ``datagram``, ``stream`` or ``none``."""


class IrqType(enum.IntEnum):
    """The interrupt types of a PCI function, numbered as VFIO numbers them."""

    INTX = 0
    MSI = 1
    MSIX = 2


@dataclass(frozen=True, slots=True)
class Account:
    """What the card did since it was made. Counts; octets include the FCS."""

    frames_sent: int
    frames_received: int
    octets_sent: int
    octets_received: int
    tx_descriptors: int
    rx_descriptors: int
    doorbells: int
    tx_batches: int
    rx_batches: int
    interrupts: int
    moderated: int
    """Interrupts that ITR or EITR held back."""
    faults: int
    """DMA to what no region covers."""
    sigbus: int
    """Accesses to memory whose file the client had cut short."""
    wire_lost: int
    wire_refused: int
    wire_blocked: int
    """Times the wire could take nothing and transmission waited."""
    rx_discarded: int
    rx_starved: int
    """Times the wire was not read because the packet buffer was full."""
    inline_reads: int
    inline_writes: int
    forwarded: int
    """Messages of the vfio-user socket that Python answered."""


@ffi.def_extern(error=1)  # type: ignore[untyped-decorator,misc,unused-ignore]  # cffi's decorator is not typed
def rw_python_dma(context: object, address: int, length: int, data: object, write: int) -> int:
    """Reach memory that has no host address; 0, or 1 where nothing is mapped."""
    engine: NativeEngine = ffi.from_handle(context)
    try:
        if write:
            engine.memory.write(address, bytes(ffi.buffer(data, length)))
        else:
            ffi.memmove(data, engine.memory.read(address, length), length)
    except DmaError:
        return 1
    return 0


def ask_before_waiting() -> None:
    """Let the calling thread ask the socket's to answer nothing in C before it waits for the client.

    For threads that are not the socket's and may reach memory without a descriptor: the answer to their
    message would be awaited while the thread that reads the socket may be waiting for them (csrc/card.h).
    """
    lib.rw_thread_without_slow()


class Loan:
    """A buffer of this process that a card may reach."""

    def __init__(self, engine: NativeEngine, iova: int, view: memoryview) -> None:
        """Keep what keeps the buffer where it is: a view, as a kept ``from_buffer`` crashes the collector."""
        self._engine = engine
        self._iova = iova
        self._view: memoryview | None = view

    def end(self) -> None:
        """Unmap the buffer and let go of it; a second time does nothing."""
        if self._view is not None:
            self._engine.unmap(self._iova, self._view.nbytes)
            self._view.release()
            self._view = None


class NativeEngine:
    """One card's data path, in C."""

    name = "native"

    def __init__(self, memory: GuestMemory | None = None, *, offload: bool = False) -> None:
        """Start in the state after power-on.

        With ``memory`` every address is asked of it; without, memory comes by ``map`` or ``dma_changed``.
        MemoryError when the card's few MiB are not to be had.
        """
        self.memory: GuestMemory = NoMemory() if memory is None else memory
        self.card = ffi.gc(lib.rw_new(offload), lib.rw_free)
        if self.card == ffi.NULL:
            raise MemoryError("no memory for a card")
        self._handle = ffi.new_handle(self)
        lib.rw_dma_slow(self.card, lib.rw_python_dma, self._handle)
        if memory is not None:
            lib.rw_dma_map(self.card, 0, _EVERYWHERE, ffi.NULL, lib.RW_DMA_READ | lib.RW_DMA_WRITE)

    # -- the register file -------------------------------------------------------------------------

    def peek(self, offset: int) -> int:
        """Return the stored value, aliases resolved; 0 where nothing is declared."""
        return int(lib.rw_peek(self.card, offset)) if 0 <= offset <= _WORD else 0

    def poke(self, offset: int, value: int) -> None:
        """Store a value as it is."""
        if 0 <= offset <= _WORD:
            lib.rw_poke(self.card, offset, value & _WORD)

    def read(self, offset: int) -> int:
        """Do what a 32-bit read does."""
        return int(lib.rw_read(self.card, offset)) if 0 <= offset <= _WORD else 0

    def write(self, offset: int, value: int) -> None:
        """Do what a 32-bit write does; work is left to ``step`` and ``run``."""
        if 0 <= offset <= _WORD:
            lib.rw_write(self.card, offset, value & _WORD)

    # -- work -----------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Consume one transmit descriptor; False when there is none."""
        return bool(lib.rw_step(self.card))

    def run(self) -> int:
        """Step until there is nothing to do; return the steps done."""
        return int(lib.rw_run(self.card))

    def can_receive(self) -> bool:
        """Tell whether the receiver is on and has room for the longest frame."""
        return bool(lib.rw_can_receive(self.card))

    def receive(self, frame: bytes, offload: Offload | None = None) -> bool:
        """Take a frame off the wire; False: not stored, or not yet."""
        work = ffi.NULL if offload is None else _to_c(offload)
        return bool(lib.rw_receive(self.card, ffi.from_buffer(frame), len(frame), work))

    @property
    def stored(self) -> int:
        """Frames stored in a ring since the engine was made."""
        return int(lib.rw_stored(self.card))

    # -- time -------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Set the clock and fire every timer that is due. Once started, the card keeps its own time."""
        lib.rw_advance(self.card, now_ns)

    def deadline(self) -> int | None:
        """Return when ``advance`` is next needed."""
        at = ffi.new("uint64_t *")
        return int(at[0]) if lib.rw_deadline(self.card, at) else None

    # -- surroundings -----------------------------------------------------------------------------------

    def raise_causes(self, causes: int) -> None:
        """Set bits of ICR."""
        lib.rw_raise(self.card, causes)

    def set_interrupt_mode(self, mode: InterruptMode) -> None:
        """Switch the way of signalling."""
        lib.rw_set_mode(self.card, mode.value)

    def set_mastering(self, *, enabled: bool) -> None:
        """Allow or forbid DMA; when this returns, none that is forbidden is under way."""
        lib.rw_set_mastering(self.card, enabled)

    def set_loopback(self, *, enabled: bool) -> None:
        """Return transmitted frames to the receiver."""
        lib.rw_set_loopback(self.card, enabled)

    def set_link(self, *, up: bool) -> None:
        """Tell whether there is a link."""
        lib.rw_set_link(self.card, up)

    def reset(self, *, keep: frozenset[int] = frozenset()) -> None:
        """Return the registers to their reset values but those at offsets ``keep``."""
        lib.rw_reset(self.card, sorted(keep), len(keep))

    def effects(self) -> list[Effect]:
        """Return and forget the effects since the last call."""
        length = ffi.new("size_t *")
        start = lib.rw_effects(self.card, length)
        if not length[0]:
            return []
        raw = bytes(ffi.buffer(start, length[0]))
        lib.rw_effects_forget(self.card)
        return list(_effects(raw))

    def forget_effects(self) -> None:
        """Drop the effects since the last call, unread."""
        lib.rw_effects_forget(self.card)

    # -- state ----------------------------------------------------------------------------------------------

    def save(self) -> bytes:
        """Return the whole state, as the reference engine would."""
        return native_state.save(self.card)

    def restore(self, state: bytes) -> None:
        """Take a saved state of either engine over; ValueError when it is not one."""
        native_state.restore(self.card, state)

    # -- attached: memory, wire, interrupts, threads ------------------------------------------------------

    def map(self, iova: int, size: int, address: int | None, protection: int = 3) -> None:
        """Let the card reach ``size`` bytes at ``iova``; they are at ``address`` here. OSError."""
        host = ffi.NULL if address is None else ffi.cast("void *", address)
        _check(lib.rw_dma_map(self.card, iova, size, host, protection))

    def lend(self, iova: int, buffer: bytearray | memoryview, protection: int = 3) -> Loan:
        """Map a writable buffer of this process; it stays mapped until the loan's ``end``."""
        view = memoryview(buffer)
        address = int(ffi.cast("uintptr_t", ffi.from_buffer(view, require_writable=True)))
        self.map(iova, view.nbytes, address, protection)
        return Loan(self, iova, view)

    def unmap(self, iova: int, size: int) -> None:
        """Take every region that the range touches away; when this returns, nothing uses it. OSError."""
        _check(lib.rw_dma_unmap(self.card, iova, size))

    def unmap_all(self) -> None:
        """Take all memory away; when this returns, nothing uses it."""
        lib.rw_dma_clear(self.card)

    def dma_changed(self, change: Change) -> None:
        """Follow a change of the IOVA map (a listener of ``device.vfio_user.dma.DmaMap``)."""
        for region in change.removed:
            self.unmap(region.iova, region.size)
        for region in change.added:
            self.map(region.iova, region.size, region.address, int(region.protection))

    def attach_wire(self, fd: int, framing: Framing) -> None:
        """Send frames to ``fd`` and, once started, receive from it. It stays the caller's, and non-blocking.

        With framing ``none`` what is sent is lost. Not while the card's threads run.
        """
        lib.rw_attach_wire(self.card, fd, _FRAMINGS[framing.value])

    def attach_irqs(self) -> None:
        """Signal by eventfds from now on, those that ``set_irqs`` names."""
        lib.rw_attach_irqs(self.card, True)  # noqa: FBT003 - C has no keywords

    def set_irqs(
        self,
        kind: int,
        eventfds: Sequence[int],
        masked: Sequence[bool],
        unmasked: Iterable[int] = (),
    ) -> None:
        """Follow what the client armed and masked (``device.vfio_user.irqs.IrqChange``'s fields).

        An eventfd of -1 is none. When this returns, one that was replaced is no more used.
        """
        if kind > IrqType.MSIX:
            return  # ERR and REQ are not the data path's
        again = frozenset(unmasked)
        for vector, (fd, mask) in enumerate(zip(eventfds, masked, strict=True)):
            lib.rw_set_irq(self.card, kind, vector, fd, mask, vector in again)

    def irqs_changed(self, change: IrqChange) -> None:
        """Follow a SET_IRQS (a listener of ``device.vfio_user.irqs.Irqs``)."""
        self.set_irqs(change.index, change.eventfds, change.masked, change.unmasked)

    def hold_messages(self, vectors: Iterable[int]) -> None:
        """Let these MSI-X vectors owe what they have to say, and the others say it."""
        lib.rw_hold_messages(self.card, sum(1 << vector for vector in vectors))

    @property
    def pending_messages(self) -> set[int]:
        """The MSI-X vectors that owe a message: masked, or without an eventfd."""
        owed = lib.rw_pending_messages(self.card)
        return {vector for vector in range(VECTORS) if owed >> vector & 1}

    def map_doorbells(self, address: int, spin_us: int) -> None:
        """Take writes to the ring registers from shared memory at ``address``, too (csrc/mapped.c). OSError.

        It holds BAR0's ``MAPPED_DOORBELLS`` and stays until ``unmap_doorbells``. A thread looks at it, and
        sleeps when ``spin_us`` brought nothing.
        """
        _check(lib.rw_mapped_start(self.card, ffi.cast("void *", address), spin_us))

    def unmap_doorbells(self) -> None:
        """End that thread; the memory may go. Not while another thread is in ``NativeTransport.receive``."""
        lib.rw_mapped_stop(self.card)

    def start(self) -> None:
        """Start the timers' thread and, with a wire, the wire's. The card keeps its own time. OSError."""
        _check(lib.rw_start(self.card))

    def stop(self) -> None:
        """Stop the threads; what they had begun is done."""
        lib.rw_stop(self.card)

    @property
    def line(self) -> bool:
        """Whether the INTx line is asserted (the Interrupt Status bit of configuration space)."""
        return bool(lib.rw_line(self.card))

    @property
    def wire_closed(self) -> bool:
        """Whether the wire's other end went away."""
        return bool(lib.rw_wire_closed(self.card))

    def account(self) -> Account:
        """Return what the card did so far."""
        out = ffi.new("struct rw_account *")
        lib.rw_account_of(self.card, out)
        return Account(**{field.name: int(getattr(out, field.name)) for field in fields(Account)})


_WORD = 0xFFFF_FFFF


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))


def _to_c(offload: Offload) -> object:
    return ffi.new(
        "struct rw_offload *",
        {
            "csum_start": offload.csum_start,
            "csum_offset": offload.csum_offset,
            "needs_csum": offload.needs_csum,
            "gso": _GSO[offload.gso] if offload.gso else 0,
            "hdr_len": offload.hdr_len,
            "gso_size": offload.gso_size,
            "ecn": offload.ecn,
        },
    )


def _effects(raw: bytes) -> Iterable[Effect]:
    """Take the records of effects.c apart."""
    buffer = ffi.from_buffer(raw)
    header = ffi.sizeof("struct rw_effect")
    at = 0
    while at < len(raw):
        record = ffi.cast("struct rw_effect *", buffer + at)
        at += header
        data = raw[at : at + record.length]
        at += -(-record.length // 8) * 8
        yield _effect(record, data)


def _effect(record: ffi.CData, data: bytes) -> Effect:
    value = int(record.address)
    if record.kind == lib.RW_FRAME_SENT:
        return FrameSent(data, _from_c(record.offload) if record.offloaded else None)
    if record.kind == lib.RW_MESSAGE:
        return MessageSignalled(value)
    if record.kind == lib.RW_LINE:
        return LineChanged(bool(value))
    if record.kind == lib.RW_FAULT:
        return DmaFault(value, int(record.size), bool(record.write))
    return WakeRaised(value)


def _from_c(work: ffi.CData) -> Offload:
    return Offload(
        csum_start=int(work.csum_start),
        csum_offset=int(work.csum_offset),
        needs_csum=bool(work.needs_csum),
        gso=_GSO_OF.get(int(work.gso)),
        hdr_len=int(work.hdr_len),
        gso_size=int(work.gso_size),
        ecn=bool(work.ecn),
    )
