"""The transmit side: one descriptor a step (datasheet, Transmit).

A queue's descriptors from TDH up to TDT belong to the card. Each is fetched, its buffer read, and written
back where the driver asked (RS, or IVAR bit 31); the descriptor with EOP sends what was gathered::

    fetch ─► legacy / data: buffer ─► gathered ─(EOP)─► checksums, segmentation, tag, padding ─► wire or loop
         └─► context: remembered                                    write back DD ─► TXDW, TXQn ─► (TIDV)

Invariants: a descriptor is read once; DD is in memory before its cause is raised; what a frame may gather
is bounded; a fault or garbage costs that frame and no more.

Rules that the datasheet leaves to drivers, and where they come from:

* POPTS, TSE are taken from a frame's first data descriptor; VLE, IFCS, IC, special from its last one
  (Linux sets them on all; QEMU's e1000e_process_tx_desc reads them so).
* Each queue has two contexts, chosen by TSE, as the 8254x manual 3.3.5 describes.
* Without IFCS the last four bytes are the FCS that the driver computed: they are taken off, and a frame
  in which they are wrong is lost, as the peer's MAC would lose it.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from device import statistics
from device.effects import DmaError, FrameSent
from device.engine.contract import (
    GATHER_BYTES,
    SLICE_NS,
    WORK_BUDGET,
    WORK_FCS_BITS,
    WORK_GATHER_BITS,
    WORK_LOOPED,
    WORK_SEGMENT,
    WORK_SUM_BITS,
    InterruptMode,
)
from device.engine.reference.core import ADDRESS_MASK
from device.engine.reference.segment import (
    Context,
    cut,
    left_to_wire,
    passes_whole,
    put_checksums,
    shifted,
    tag,
    valid,
    whole,
)
from device.interrupts import TXD_LOW, TXDW, TXQ, TXQE
from device.regs.nic import NIC, QUEUES
from device.regs.words import place, ring_places
from device.rings.transmit import DD, DataTx, TxCommand, TxOptions
from device.trace.events import (
    DataFetched,
    DescriptorFetched,
    DescriptorWrittenBack,
    FrameCompleted,
    FrameDropped,
)
from formats import checksum

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.effects import Offload
    from device.engine.reference.core import Core

PREFETCH: Final = 64
"""Descriptors fetched at once (the card's own cache holds as many; datasheet, Transmit)."""

SHORTEST: Final = 60
"""TCTL.PSP pads to this, FCS not included."""

_RING: Final = Struct("<QII")
_GATHER_MASK: Final = (1 << WORK_GATHER_BITS) - 1
_TCTL, _CTRL, _VET = place("TCTL"), place("CTRL"), place("VET")
_IVAR = place("IVAR")
_TCTL_EN, _TCTL_PSP = NIC["TCTL"]["EN"].mask, NIC["TCTL"]["PSP"].mask
_CTRL_VME = NIC["CTRL"]["VME"].mask
_EVERY_WB = NIC["IVAR"]["TX_EVERY_WB"].mask
_TARC_ENABLE = NIC["TARC0"]["ENABLE"].mask
_TARC_COUNT = NIC["TARC0"]["COUNT"].mask
_LWTHRESH = NIC["TXDCTL0"]["LWTHRESH"]
_TSYNCTXCTL, _TXSTMPL = place("TSYNCTXCTL"), place("TXSTMPL")
_TSYNC_VALID, _TSYNC_ENABLED = NIC["TSYNCTXCTL"]["VALID"].mask, NIC["TSYNCTXCTL"]["ENABLED"].mask

_DEXT, _DTYP = 1 << 29, 0xF << 20
_EOP, _IFCS, _IC = 1 << 24, 1 << 25, 1 << 26
_RS, _VLE, _IDE = 1 << 27, 1 << 30, 1 << 31
_TSE = _IC
_TS = DataTx.TS
_POPTS = int(TxOptions.IXSM | TxOptions.TXSM)
# A frame of one descriptor that leaves as it is: an FCS to add, nothing to insert, cut or stamp. The
# command says so in these bits, a data descriptor's options in the others.
_PLAIN_MASK, _PLAIN = _EOP | _IFCS | _VLE | _IC, _EOP | _IFCS
_OPTIONS = _POPTS << 8 | _TS
_WRITTEN = tuple(bytes((status | DD,)) for status in range(256))
assert TxCommand.DEXT << 24 == _DEXT  # noqa: S101 - ties the shortcuts above to the declared format


class Queue:
    """One transmit queue: where its registers are, and the frame it is gathering."""

    __slots__ = (
        "chunks",
        "context",
        "css",
        "dropping",
        "high",
        "length",
        "low",
        "number",
        "options",
        "segmentation",
        "segmenting",
        "size",
        "stamp",
        "started",
        "tarc",
        "tdh",
        "tdt",
        "txdctl",
    )

    def __init__(self, number: int) -> None:
        """Start with nothing gathered and empty contexts."""
        self.number = number
        self.low, self.high, self.length, self.tdh, self.tdt = ring_places("TD", number)
        self.txdctl = place(f"TXDCTL{number}")
        self.tarc = place(f"TARC{number}")
        self.chunks: list[bytes] = []
        self.clear()
        self.context = Context()  # for checksums
        self.segmentation = Context()

    def clear(self) -> None:
        """Forget the frame."""
        self.chunks.clear()
        self.size = 0
        self.options = 0
        self.css = 0
        self.started = False
        self.segmenting = False
        self.stamp = False
        self.dropping = ""


class Transmitter:
    """Both transmit queues and the arbitration between them."""

    def __init__(self, core: Core, loop: Callable[[bytes], object]) -> None:
        """``loop`` takes a transmitted frame back to the receiver."""
        self._core = core
        self._loop = loop
        self.queues = tuple(Queue(number) for number in range(QUEUES))
        self.turn = 0
        self.left = 1  # frames that the queue of the turn may still send
        self.unfinished = False  # the last run ended with its budget: there is more to do, at once
        self._work_done = 0  # of the run at hand: what its descriptors cost beyond one each

    def reset(self) -> None:
        """Drop what was gathered and remembered."""
        for queue in self.queues:
            queue.clear()
            queue.context = queue.segmentation = Context()
        self.turn, self.left = 0, 1
        self.unfinished = False

    # -- arbitration ------------------------------------------------------------------------------

    def _ready(self) -> bool:
        core = self._core
        if not (core.words[_TCTL] & _TCTL_EN and core.mastering):
            return False
        return (core.link and core.now >= core.paused_until) or core.looped()

    def pending(self, queue: Queue) -> int:
        """Return how many descriptors the queue may process; 0 with a head or tail outside the ring."""
        words = self._core.words
        count = words[queue.length] >> 4
        head, tail = words[queue.tdh], words[queue.tdt]
        if head >= count or tail >= count or not words[queue.tarc] & _TARC_ENABLE:
            return 0
        return (tail - head) % count

    def _choose(self) -> tuple[Queue, bool] | None:
        """Return the queue whose turn it is, and whether the other one waits (TARC, datasheet, Transmit)."""
        mine, other = self.queues[self.turn], self.queues[1 - self.turn]
        waits = self.pending(other) > 0
        if self.pending(mine) and (self.left > 0 or not waits):
            return mine, waits
        if not waits:
            return None
        self.turn = other.number
        self.left = (self._core.words[other.tarc] & _TARC_COUNT) or 1
        return other, self.pending(mine) > 0

    def step(self) -> bool:
        """Consume one descriptor; False when there is none."""
        return self._work(1) > 0

    def run(self, clock: Callable[[], int] | None = None) -> int:
        """Consume every descriptor there is; causes are raised once, at the end.

        With ``clock``, the monotonic one in ns, it ends after ``SLICE_NS``, too.
        """
        return self._work(1 << 30, clock)

    def _work(self, limit: int, clock: Callable[[], int] | None = None) -> int:
        self.unfinished = False
        if not self._ready():
            return 0
        self._work_done = 0
        done = causes = delayed = 0
        until = clock() + SLICE_NS if clock is not None else 0
        while done < limit and done + self._work_done < WORK_BUDGET and (chosen := self._choose()):
            if clock is not None and clock() >= until:
                self.unfinished = True
                break
            queue, contended = chosen
            steps, now, later = self._burst(queue, limit - done, WORK_BUDGET - done, one_frame=contended)
            done += steps
            causes |= now
            delayed |= later
        if done + self._work_done >= WORK_BUDGET:
            self.unfinished = any(self.pending(queue) for queue in self.queues)
        # What is due now takes with it what would have waited: one interrupt for both.
        if causes:
            self._core.interrupts.raise_causes(causes)
        if delayed & ~causes:
            self._core.interrupts.delay_transmit(delayed & ~causes)
        return done

    # -- one queue ----------------------------------------------------------------------------------

    def _fetch(self, queue: Queue, limit: int) -> tuple[int, bytes]:
        """Return the address and the bytes of up to ``limit`` descriptors from TDH, before the wrap."""
        core = self._core
        words = core.words
        head, tail = words[queue.tdh], words[queue.tdt]
        count = words[queue.length] >> 4
        run = min((tail if tail > head else count) - head, limit, PREFETCH)
        address = (words[queue.high] << 32 | words[queue.low]) + 16 * head & ADDRESS_MASK
        if run > 1:
            try:
                return address, core.memory.read(address, 16 * run)
            except DmaError:
                pass  # part of it may be there: one at a time, and the fault is told below
        raw = core.fetch(address, 16)
        # A ring outside memory reads as nothing: the card walks over it, sending and reporting nothing.
        return address, bytes(16) if raw is None else raw

    def _burst(self, queue: Queue, limit: int, budget: int, *, one_frame: bool) -> tuple[int, int, int]:  # noqa: C901, PLR0912, PLR0915 - the hot loop: a call costs a fifth of it
        """Consume descriptors; return how many, the causes due now, and those that may be delayed."""
        core = self._core
        words, observer = core.words, core.observer
        read, write = core.memory.read, core.memory.write
        head = words[queue.tdh]
        count = words[queue.length] >> 4
        threshold = _LWTHRESH.get(words[queue.txdctl]) * 8
        report = 0 if words[_IVAR] & _EVERY_WB else _RS  # the bits that have to be set for a write-back
        written = TXDW | TXQ[queue.number] if core.interrupts.mode is InterruptMode.MSIX else TXDW
        shortest = SHORTEST if words[_TCTL] & _TCTL_PSP else 0
        leave = None if core.looped() else core.effects.append
        plain: list[bytes] = []
        done = causes = delayed = 0
        address, raw = self._fetch(queue, limit)
        for buffer, low, high in _RING.iter_unpack(raw):
            if observer is not None:
                at = 16 * done
                observer(DescriptorFetched("tx", queue.number, head, address, raw[at : at + 16]))
            length = low & (0xF_FFFF if low & _DEXT else 0xFFFF)
            if (
                leave is not None
                and low & _PLAIN_MASK == _PLAIN
                and not queue.started
                and 0 < length <= GATHER_BYTES
                and (not low & _DEXT or (low & _DTYP and not high & _OPTIONS))
            ):
                if length > _GATHER_MASK:
                    self._work_done += length >> WORK_GATHER_BITS
                try:
                    data = read(buffer, length)
                except DmaError as error:
                    core.fault(error, write=False)
                else:
                    if length < shortest:
                        data += bytes(shortest - length)
                    if observer is not None:
                        observer(DataFetched(queue.number, buffer, data))
                        observer(FrameCompleted(queue.number, data, None, False))  # noqa: FBT003 - speed
                    leave(FrameSent(data))
                    plain.append(data)
                ended = True
            else:
                ended = self._consume(queue, buffer, low, high)
            if low & report == report:
                status = _WRITTEN[high & 0xFF]
                try:
                    write(address + 12 & ADDRESS_MASK, status)
                except DmaError as error:
                    core.fault(error, write=True)
                if low & _IDE:
                    delayed |= written
                else:
                    causes |= written
                if observer is not None:
                    observer(DescriptorWrittenBack("tx", queue.number, head, address + 12, status))
            done += 1
            address += 16
            head = head + 1 if head + 1 < count else 0
            words[queue.tdh] = head
            if threshold and (words[queue.tdt] - head) % count == threshold:
                causes |= TXD_LOW
            if ended:
                self.left -= 1
                if one_frame:
                    break
            if done + self._work_done >= budget:
                break
        if plain:
            statistics.tally(words, plain)
        if head == words[queue.tdt]:
            causes |= TXQE
        return done, causes, delayed

    def _consume(self, queue: Queue, buffer: int, low: int, high: int) -> bool:
        """Do what a descriptor of any kind says; tell whether it ended a frame."""
        if low & _DEXT and not low & _DTYP:
            context = Context.parse(buffer, low, high)
            if context.segments:
                queue.segmentation = context
            else:
                queue.context = context
            return False
        if low & _DEXT:
            length = low & 0xF_FFFF
            if not queue.started:
                queue.options = high >> 8 & _POPTS
                queue.segmenting = low & _TSE != 0
            if high & _TS:
                queue.stamp = True
        else:
            length = low & 0xFFFF
            if not queue.started:
                queue.css = high >> 8 & 0xFF
        queue.started = True
        if length and not queue.dropping:
            self._gather(queue, buffer, length)
        if low & _EOP:
            self._finish(queue, low, high)
            return True
        return False

    def _gather(self, queue: Queue, buffer: int, length: int) -> None:
        """Add a buffer to the frame; one that is not there or too much costs the frame."""
        core = self._core
        self._work_done += length >> WORK_GATHER_BITS
        if queue.size + length > GATHER_BYTES:
            queue.dropping = "longer than the card gathers"
            queue.chunks.clear()
            return
        data = core.fetch(buffer, length)
        if data is None:
            queue.dropping = "its data is not mapped"
            queue.chunks.clear()
            return
        if core.observer is not None:
            core.observer(DataFetched(queue.number, buffer, data))
        queue.chunks.append(data)
        queue.size += length

    # -- a whole frame --------------------------------------------------------------------------------

    def _finish(self, queue: Queue, low: int, high: int) -> None:  # noqa: C901 - a branch a kind of frame
        """Send what was gathered; ``low`` and ``high`` are the last descriptor's doublewords."""
        chunks = queue.chunks
        frame = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        dropping, options, segmenting = queue.dropping, queue.options, queue.segmenting
        stamp, css = queue.stamp, queue.css
        queue.clear()
        if dropping:
            self._drop(queue, dropping)
            if segmenting:
                statistics.count(self._core.words, statistics.TSCTFC)
            return
        if not frame:
            return
        if segmenting and low & _DEXT:
            self._segment(queue, frame, options, low, high)
            return
        out: bytes | bytearray = frame
        offload = None
        if options:
            self._work_done += len(frame) >> WORK_SUM_BITS
            out = bytearray(frame)
            context = queue.context
            if self._core.offload and not self._core.looped():
                if options & TxOptions.TXSM:
                    offload = left_to_wire(out, context)
                if offload is not None:
                    options &= ~TxOptions.TXSM
            put_checksums(out, context, options)
        elif low & _IC and not low & _DEXT:
            self._work_done += len(frame) >> WORK_SUM_BITS
            out = bytearray(frame)  # CSS of the first descriptor to the end, into CSO of the last (7.2.9.1.3)
            checksum.insert(out, css, len(out), low >> 16 & 0xFF)
        elif not low & (_IFCS | _VLE):
            self._work_done += len(frame) >> WORK_FCS_BITS
            out = frame[:-4]
            if not out or checksum.fcs(out) != frame[-4:]:
                self._drop(queue, "the driver's FCS is wrong, or all there is")
                return
        if stamp:
            self._stamp()
        self._leave(queue, out, offload, low, high)

    def _segment(self, queue: Queue, frame: bytes, options: int, low: int, high: int) -> None:
        core = self._core
        context = queue.segmentation
        if not valid(len(frame), context):
            statistics.count(core.words, statistics.TSCTFC)
            self._drop(queue, "its segmentation context does not fit")
            return
        statistics.count(core.words, statistics.TSCTC)
        if core.offload and not core.looped() and passes_whole(len(frame), context, options):
            out, offload = whole(frame, context, options)
            self._leave(queue, out, offload, low, high)
            return
        for segment in cut(frame, context, options):
            self._work_done += WORK_SEGMENT + (len(segment) >> WORK_SUM_BITS)
            self._leave(queue, segment, None, low, high)

    def _leave(
        self, queue: Queue, frame: bytes | bytearray, offload: Offload | None, low: int, high: int
    ) -> None:
        """Tag and pad the frame, count it, and send it to the wire or round the loop."""
        core = self._core
        words = core.words
        if low & _VLE and words[_CTRL] & _CTRL_VME and len(frame) >= 12:
            frame = tag(frame, words[_VET], high >> 16)
            if offload is not None:
                offload = shifted(offload, 4)
        size = len(frame)
        if size < SHORTEST and words[_TCTL] & _TCTL_PSP:
            frame = bytes(frame) + bytes(SHORTEST - size)
        data = bytes(frame)
        looped = core.looped()
        self._count(data, offload)
        if core.observer is not None:
            core.observer(FrameCompleted(queue.number, data, offload, looped))
        if looped:
            self._work_done += WORK_LOOPED + (len(data) >> WORK_FCS_BITS)
            self._loop(data)
        else:
            core.effects.append(FrameSent(data, offload))

    def _count(self, data: bytes, offload: Offload | None) -> None:
        words = self._core.words
        length = len(data) + checksum.FCS_SIZE
        if offload is None or offload.gso is None:
            statistics.sent(words, data[:6], length)
            return
        payload = len(data) - offload.hdr_len
        full, rest = divmod(payload, offload.gso_size)
        header = offload.hdr_len + checksum.FCS_SIZE
        if full:
            statistics.sent(words, data[:6], header + offload.gso_size, full)
        if rest:
            statistics.sent(words, data[:6], header + rest)

    def _stamp(self) -> None:
        """Hold the time of this frame, unless one is held already (datasheet, Time Sync)."""
        core = self._core
        words = core.words
        control = words[_TSYNCTXCTL]
        if control & _TSYNC_ENABLED and not control & _TSYNC_VALID:
            value = core.time.value(core.now)
            words[_TXSTMPL], words[_TXSTMPL + 1] = value & 0xFFFF_FFFF, value >> 32
            words[_TSYNCTXCTL] = control | _TSYNC_VALID

    def _drop(self, queue: Queue, reason: str) -> None:
        if self._core.observer is not None:
            self._core.observer(FrameDropped("tx", queue.number, reason))
