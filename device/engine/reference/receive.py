"""The receive side: a frame through the filters into a ring (datasheet, Receive).

A queue's descriptors from RDH up to RDT belong to the card. A frame's whole way is planned before a
byte is stored: which descriptors, which buffers. Where they do not suffice the frame waits::

    wire ─► length ─► PAUSE? ─► VLAN, address filters ─► [packet buffer] ─► strip ─► hash, checksums
         ─► plan ─► buffers ─► DD ─► RXT0 ─► (RDTR)

Invariants: nothing is stored beyond a buffer's programmed size; a descriptor is written back after its
buffers; a frame costs at most one walk of the ring a try; frames are stored in the order in which they came;
nothing here transmits but PAUSE frames, which no loop carries, so a loop does not recurse.

NULL buffers take no data and are written back with length 0 (datasheet, Receive, "null descriptor padding");
the frame goes on in the next descriptor.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from device import filters, statistics
from device.engine.contract import MOST_SLOTS, InterruptMode
from device.engine.reference import wake
from device.engine.reference.buffer import PacketBuffer, Waiting, charge
from device.engine.reference.core import ADDRESS_MASK
from device.engine.reference.metadata import Metadata, describe
from device.engine.reference.timestamp import stamp
from device.interrupts import ACK, RXDMT0, RXO, RXQ, RXT0, SRPD
from device.regs.nic import NIC, QUEUES
from device.regs.words import place, ring_places
from device.rings.receive import ExtendedRx, RxStatus, SplitRx
from device.trace.events import (
    DataStored,
    DescriptorFetched,
    DescriptorWrittenBack,
    FrameArrived,
    FrameBuffered,
    FrameDropped,
    FrameFiltered,
    FrameUnbuffered,
)
from formats import packet
from formats.checksum import FCS_SIZE, checksum, fcs

if TYPE_CHECKING:
    from device.effects import Offload
    from device.engine.reference.core import Core
    from device.engine.reference.flow import FlowControl

SHORTEST: Final = 60
LONGEST: Final = 1522
"""Bytes with FCS that pass without RCTL.LPE."""
LONGEST_LPE: Final = 16384
_PAUSE_OPCODE: Final = 1
_PAUSE_QUANTUM_NS: Final = 512  # 512 bit times (IEEE 802.3 annex 31B) at 1 Gb/s

_RCTL, _RFCTL, _CTRL, _PSRCTL = place("RCTL"), place("RFCTL"), place("CTRL"), place("PSRCTL")
_RSRPD, _RAID, _VET = place("RSRPD"), place("RAID"), place("VET")
_FCAL, _FCT, _RAL = place("FCAL"), place("FCT"), place("RAL")
_EN, _SBP, _LPE = (NIC["RCTL"][name].mask for name in ("EN", "SBP", "LPE"))
_DPF, _PMCF, _SECRC = (NIC["RCTL"][name].mask for name in ("DPF", "PMCF", "SECRC"))
_BSIZE, _BSEX, _FLXBUF = NIC["RCTL"]["BSIZE"], NIC["RCTL"]["BSEX"].mask, NIC["RCTL"]["FLXBUF"]
_DTYP, _RDMTS = NIC["RCTL"]["DTYP"], NIC["RCTL"]["RDMTS"]
_EXTEN, _IPFRSP_DIS = NIC["RFCTL"]["EXTEN"].mask, NIC["RFCTL"]["IPFRSP_DIS"].mask
_VME, _RFCE = NIC["CTRL"]["VME"].mask, NIC["CTRL"]["RFCE"].mask
_DD, _EOP, _VP = int(RxStatus.DD), int(RxStatus.EOP), int(RxStatus.VP)
_PIF, _TST = int(RxStatus.PIF), int(RxStatus.TST)
_SPLIT_READ: Final = Struct("<QQQQ")
_LEGACY_HALF: Final = Struct("<HHBBH")


class Ring(NamedTuple):
    """Where a receive queue's registers are."""

    number: int
    low: int
    high: int
    length: int
    rdh: int
    rdt: int


class Slot(NamedTuple):
    """A descriptor of the plan: where it is, and what of the frame goes to which of its buffers."""

    place: int
    address: int
    pieces: tuple[tuple[int, int, int], ...]  # (buffer address, from, to) of the frame's bytes
    lengths: tuple[int, ...]


class Arrival(NamedTuple):
    """A frame that is to be stored, with what its descriptors will say."""

    data: bytes
    """The frame, and the FCS when it is kept."""
    size: int
    """The frame alone."""
    parsed: packet.Packet
    metadata: Metadata
    vlan: int
    status: int


class Causes(NamedTuple):
    """What stored frames raise: at once, and after RDTR, RADV or RAID."""

    now: int
    delayed: int


class Receiver:
    """Both receive queues."""

    def __init__(self, core: Core, flow: FlowControl) -> None:
        """Receive on the core's register file and memory."""
        self._core = core
        self._flow = flow
        self.buffer = PacketBuffer(core.words)
        self.stored = 0
        """Frames that found their descriptors, since power-on."""
        self.rings = tuple(Ring(number, *ring_places("RD", number)) for number in range(QUEUES))

    # -- the way in ---------------------------------------------------------------------------------

    def can_receive(self) -> bool:
        """Tell whether the receiver is on, with DMA, and the buffer has room for the longest frame."""
        core = self._core
        rctl = core.words[_RCTL]
        if not (rctl & _EN and core.mastering and (core.link or core.looped())):
            return False
        return not self.buffer or self.buffer.fits(self._longest(rctl) - FCS_SIZE)

    @staticmethod
    def _longest(rctl: int) -> int:
        """Return the length, with FCS, up to which a frame is not oversize."""
        return LONGEST_LPE if rctl & (_LPE | _SBP) else LONGEST

    def receive(self, frame: bytes, offload: Offload | None) -> bool:
        """Take a frame off the wire; a short one is padded, as its sender's MAC would have."""
        if not self._core.link or self._core.looped():
            return False  # in loopback the wire is not listened to
        if len(frame) < 14:
            return False
        if offload is not None and offload.needs_csum:
            frame = completed(frame, offload)
        if len(frame) < SHORTEST:
            frame += bytes(SHORTEST - len(frame))
        return self._arrive(frame, looped=False)

    def loop(self, frame: bytes) -> bool:
        """Take a frame that the transmitter sent round the loop; nobody has padded it."""
        return self._arrive(frame, looped=True)

    def _arrive(self, frame: bytes, *, looped: bool) -> bool:
        core = self._core
        words, observer = core.words, core.observer
        if observer is not None:
            observer(FrameArrived(frame, looped))
        rctl = words[_RCTL]
        if not rctl & _EN:
            return self._drop(-1, "the receiver is off")
        length = len(frame) + FCS_SIZE
        statistics.seen(words, length)
        if len(frame) < SHORTEST:
            statistics.count(words, statistics.RUC)
            if not rctl & _SBP or len(frame) < 14:
                return self._drop(-1, "undersize")
        if length > self._longest(rctl):
            statistics.count(words, statistics.ROC)
            return self._drop(-1, "oversize")
        if int.from_bytes(frame[12:14], "big") == words[_FCT] != 0 and self._control(frame):
            return False
        decision = filters.decide(words, frame)
        if observer is not None:
            observer(FrameFiltered(decision.accepted, decision.reason))
        if not decision.accepted:
            return False
        return self._take(frame, 0 if decision.exact else _PIF)

    def _control(self, frame: bytes) -> bool:
        """Obey and count a MAC control frame; tell whether it ends here (RCTL.PMCF, DPF)."""
        core = self._core
        words = core.words
        rctl = words[_RCTL]
        if not self._for_us(frame[:6]):
            return not rctl & _PMCF
        if int.from_bytes(frame[14:16], "big") != _PAUSE_OPCODE:
            statistics.count(words, statistics.FCRUC)
            ends = not rctl & _PMCF
        else:
            quanta = int.from_bytes(frame[16:18], "big")
            statistics.count(words, statistics.XOFFRXC if quanta else statistics.XONRXC)
            if words[_CTRL] & _RFCE:
                core.paused_until = core.now + quanta * _PAUSE_QUANTUM_NS
            ends = bool(rctl & _DPF) or not rctl & _PMCF
        if ends:
            self._drop(-1, "a MAC control frame, consumed")
        return ends

    def _for_us(self, destination: bytes) -> bool:
        words = self._core.words
        low, high = int.from_bytes(destination[:4], "little"), int.from_bytes(destination[4:], "little")
        return (low, high) in (
            (words[_FCAL], words[_FCAL + 1]),
            (words[_RAL], words[_RAL + 1] & 0xFFFF),
        )

    def _drop(self, queue: int, reason: str) -> bool:
        if self._core.observer is not None:
            self._core.observer(FrameDropped("rx", queue, reason))
        return False

    # -- into a ring ----------------------------------------------------------------------------------

    def _free(self, ring: Ring) -> int:
        words = self._core.words
        count = words[ring.length] >> 4
        head, tail = words[ring.rdh], words[ring.rdt]
        if head >= count or tail >= count:
            return 0
        return (tail - head) % count

    def _take(self, frame: bytes, status: int) -> bool:
        """Store an accepted frame, or keep it in the buffer."""
        core = self._core
        words, buffer = core.words, self.buffer
        if not core.mastering and wake.armed(words):
            wake.consider(core, frame, exact=not status & _PIF)
            return self._drop(-1, "the card sleeps")
        arrival = self._describe(frame, status)
        at_once = core.mastering and not buffer and buffer.fits(len(frame))
        plan = self._plan(arrival) if at_once else None
        if plan is None and not self._wait(frame):
            return False
        if stamp(core, arrival.data[: arrival.size], arrival.parsed):
            arrival = arrival._replace(status=arrival.status | _TST)
            status |= _TST
        statistics.received(words, frame[:6], len(frame) + FCS_SIZE)
        if plan is not None:
            self._announce(self._store(arrival, plan))
            return True
        buffer.put(Waiting(frame, status))
        if core.observer is not None:
            core.observer(FrameBuffered(len(frame), buffer.held))
        self._flow.filled(buffer.held)
        return False

    def _wait(self, frame: bytes) -> bool:
        """Count a frame that finds no descriptors; one that has no room in the buffer is lost (MPC, RXO)."""
        words, size = self._core.words, charge(len(frame))
        if size <= self.buffer.capacity:
            statistics.count(words, statistics.RNBC)
        if self.buffer.held + size <= self.buffer.capacity:
            return True
        statistics.count(words, statistics.MPC)
        self._core.interrupts.raise_causes(RXO)
        self._flow.overflowed()
        return self._drop(-1, "the packet buffer is full")

    def deliver(self) -> None:
        """Store what waits in the buffer, as far as there are descriptors; one announcement for all of it."""
        core, buffer = self._core, self.buffer
        causes = Causes(0, 0)
        if not (core.mastering and core.words[_RCTL] & _EN):
            return
        while buffer:
            frame, status = buffer.first()
            arrival = self._describe(frame, status)
            if core.observer is not None:
                core.observer(FrameUnbuffered(len(frame), buffer.held))
            plan = self._plan(arrival)
            if plan is None:
                break
            raised = self._store(arrival, plan)
            causes = Causes(causes.now | raised.now, causes.delayed | raised.delayed)
            buffer.take()
        if causes.delayed:
            self._announce(causes)
            self._flow.drained(buffer.held)

    def _describe(self, frame: bytes, status: int) -> Arrival:
        """Strip an accepted frame and find what its descriptors will say."""
        words = self._core.words
        vlan = 0
        stripped = frame
        if words[_CTRL] & _VME and filters.tagged(words, frame):
            vlan = int.from_bytes(frame[14:16], "big")
            stripped = frame[:12] + frame[16:]
            status |= _VP
        crc = b"" if words[_RCTL] & _SECRC else fcs(frame)
        parsed = packet.parse(stripped, words[_VET])
        metadata = describe(words, stripped, parsed, crc)
        return Arrival(stripped + crc, len(stripped), parsed, metadata, vlan, status)

    def _sizes(self) -> tuple[int, ...]:
        """Return the programmed sizes of a descriptor's buffers in bytes: one, or four for packet split."""
        words = self._core.words
        rctl = words[_RCTL]
        if self._split():
            control = words[_PSRCTL]
            return (
                (control & 0x7F) * 128,
                (control >> 8 & 0x3F) * 1024,
                (control >> 16 & 0x3F) * 1024,
                (control >> 24 & 0x3F) * 1024,
            )
        if flexible := _FLXBUF.get(rctl):
            return (flexible * 1024,)
        size = 2048 >> _BSIZE.get(rctl)
        # BSEX with BSIZE = 0 is reserved (32 KiB would be meant): it is taken as without BSEX.
        return (size * 16 if rctl & _BSEX and size < 2048 else size,)

    def _split(self) -> bool:
        words = self._core.words
        return bool(words[_RFCTL] & _EXTEN) and words[_RCTL] & _DTYP.mask == _DTYP.put(1)

    def _header(self, arrival: Arrival, room: int) -> int:
        """Return how many bytes go to a packet split descriptor's header buffer; 0: no split."""
        parsed = arrival.parsed
        if not parsed.version or (parsed.fragment and self._core.words[_RFCTL] & _IPFRSP_DIS):
            return 0
        header = parsed.payload or parsed.transport
        return header if header <= room else 0

    def _plan(self, arrival: Arrival) -> list[Slot] | None:
        """Choose descriptors and buffers for the frame; None when its ring's do not suffice."""
        core = self._core
        words, observer = core.words, core.observer
        ring = self.rings[arrival.metadata.queue]
        free = self._free(ring)
        split = self._split()
        units = 2 if split else 1  # RDH and RDT count 16 bytes; a packet split descriptor has 32
        sizes = self._sizes()
        count = words[ring.length] >> 4
        base = words[ring.high] << 32 | words[ring.low]
        index, size, done = words[ring.rdh], len(arrival.data), 0
        header = self._header(arrival, sizes[0]) if split else 0
        plan: list[Slot] = []
        while done < size:
            if free < units or len(plan) == MOST_SLOTS:
                return None
            address = base + 16 * index & ADDRESS_MASK
            raw = core.fetch(address, 16 * units)
            if raw is None:
                raw = bytes(16 * units)  # a ring outside memory reads as NULL buffers
            if observer is not None:
                observer(DescriptorFetched("rx", ring.number, index, address, raw))
            pieces, lengths, done = _fill(raw, sizes, header, done, size)
            plan.append(Slot(index, address, pieces, lengths))
            free -= units
            index = (index + units) % count
        return plan

    def _store(self, arrival: Arrival, plan: list[Slot]) -> Causes:
        """Fill the planned buffers and write their descriptors back; return what that raises."""
        core = self._core
        words, observer = core.words, core.observer
        ring = self.rings[arrival.metadata.queue]
        before = self._free(ring)
        units = 2 if self._split() else 1
        count = words[ring.length] >> 4
        header = 0
        if units == 2:
            header = self._header(arrival, self._sizes()[0])
        last = len(plan) - 1
        for number, slot in enumerate(plan):
            for address, start, stop in slot.pieces:
                piece = arrival.data[start:stop]
                # A write that nothing covers is lost; being posted, the card does not notice.
                if core.store(address, piece) and observer is not None:
                    observer(DataStored(ring.number, address, piece))
            split = header if slot.lengths[0] == header and _starts(slot) else 0
            raw = self._written(arrival, slot, last=number == last, header=split)
            where = slot.address + (16 * units - len(raw)) & ADDRESS_MASK
            core.store(where, raw)
            words[ring.rdh] = (slot.place + units) % count
            if observer is not None:
                observer(DescriptorWrittenBack("rx", ring.number, slot.place, where, raw))
        self.stored += 1
        return self._causes(ring, arrival, before)

    def _written(self, arrival: Arrival, slot: Slot, *, last: bool, header: int) -> bytes:
        """Return the descriptor as it is written back."""
        words = self._core.words
        meta = arrival.metadata
        status = arrival.status | meta.status | _DD | (_EOP if last else 0)
        if not words[_RFCTL] & _EXTEN:
            # The driver's buffer address stays: the card writes the second half alone.
            return _LEGACY_HALF.pack(
                slot.lengths[0],
                meta.checksum,
                status & 0xFF if last else _DD,
                meta.errors if last else 0,
                arrival.vlan,
            )
        if not last:
            status = _DD  # the rest is said with EOP
        else:
            status |= meta.errors << 24
        if not self._split():
            return ExtendedRx.FORMAT.pack(
                meta.mrq, meta.ip_id, meta.checksum, status, slot.lengths[0], arrival.vlan
            )
        first, second, third, fourth = slot.lengths
        return SplitRx.FORMAT.pack(
            meta.mrq,
            meta.ip_id,
            meta.checksum,
            status,
            first,
            arrival.vlan,
            header | SplitRx.HEADER_SPLIT if header else 0,
            second,
            third,
            fourth,
            0,
        )

    def _causes(self, ring: Ring, arrival: Arrival, before: int) -> Causes:
        """Return what a stored frame raises; ``before``: the descriptors that there were."""
        words = self._core.words
        delayed = RXT0
        if self._core.interrupts.mode is InterruptMode.MSIX:
            delayed |= RXQ[ring.number]
        threshold = (words[ring.length] >> 4) >> (_RDMTS.get(words[_RCTL]) + 1)
        now = RXDMT0 if before > threshold >= self._free(ring) else 0
        if arrival.size + FCS_SIZE <= words[_RSRPD]:
            now |= SRPD
        if arrival.metadata.ack:
            if words[_RAID]:
                delayed |= ACK
            else:
                now |= ACK
        return Causes(now, delayed)

    def _announce(self, causes: Causes) -> None:
        """Raise what stored frames raise."""
        interrupts = self._core.interrupts
        if causes.now:
            interrupts.raise_causes(causes.now)
        interrupts.delay_receive(causes.delayed)


def _starts(slot: Slot) -> bool:
    """Tell whether the frame's first byte is in the slot's first buffer."""
    return bool(slot.pieces) and slot.pieces[0][1] == 0


def _fill(
    raw: bytes, sizes: tuple[int, ...], header: int, done: int, size: int
) -> tuple[tuple[tuple[int, int, int], ...], tuple[int, ...], int]:
    """Lay the frame from ``done`` on into one descriptor's buffers; return pieces, lengths, new ``done``."""
    if len(sizes) == 1:
        address = int.from_bytes(raw[:8], "little")
        take = min(sizes[0], size - done) if address else 0
        return ((address, done, done + take),) if take else (), (take,), done + take
    pieces = []
    lengths = []
    for number, (address, room) in enumerate(zip(_SPLIT_READ.unpack(raw), sizes, strict=True)):
        take = min(room, size - done) if address and not address & 1 else 0
        if number == 0 and header:
            take = min(take, header) if done == 0 else 0  # buffer 0 is for headers alone
        if take:
            pieces.append((address, done, done + take))
            done += take
        lengths.append(take)
    return tuple(pieces), tuple(lengths), done


def completed(frame: bytes, offload: Offload) -> bytes:
    """Return the frame with its checksum complete (``Offload.needs_csum``)."""
    where = offload.csum_start + offload.csum_offset
    if offload.csum_start >= len(frame) or where + 2 > len(frame):
        return frame
    value = checksum(frame[offload.csum_start :])
    if value == 0 and offload.csum_offset == 6:
        value = 0xFFFF
    return frame[:where] + value.to_bytes(2, "big") + frame[where + 2 :]
