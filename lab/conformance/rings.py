"""Rings as a driver keeps them, for the checks: memory, tail, and what came back.

It knows the descriptor formats and the ring registers, no bench and no check.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.rings.receive import ExtendedRx, ExtendedRxRead, LegacyRx, RxStatus, SplitRx, SplitRxRead
from device.rings.transmit import DD, LegacyTx, TxCommand

if TYPE_CHECKING:
    from device.rings import transmit
    from lab.conformance.subject import Subject

DESCRIPTOR = 16
WHOLE = TxCommand.EOP | TxCommand.IFCS | TxCommand.RS
# TXDCTL as e1000_configure_tx sets it: count descriptors, write back each, and the bit that must be one.
TXDCTL_EVERY = 1 << 24 | 1 << 22 | 1 << 16 | 0x1F


class TxRing:
    """A transmit ring: ``tail`` is the next free slot, as TDT will say it."""

    def __init__(
        self, card: Subject, *, queue: int = 0, count: int = 16, base: int | None = None, psp: bool = True
    ) -> None:
        """Set the queue up empty and enable the transmitter."""
        self.card, self.queue, self.count = card, queue, count
        self.base = card.allocate(count * DESCRIPTOR, align=128) if base is None else base
        self.tail = 0
        if base is None:
            card.memory_write(self.base, bytes(count * DESCRIPTOR))
        for name, value in (
            ("TDBAL", self.base & 0xFFFF_FFFF),
            ("TDBAH", self.base >> 32),
            ("TDLEN", count * DESCRIPTOR),
            ("TDH", 0),
            ("TDT", 0),
            ("TXDCTL", TXDCTL_EVERY),
        ):
            card.write(f"{name}{queue}", value)
        card.set("TCTL", EN=1, PSP=int(psp), CT=0x0F, COLD=0x3F)

    def post(self, *descriptors: transmit.TxDescriptor | bytes) -> None:
        """Write descriptors at the tail without telling the card."""
        for one in descriptors:
            raw = one if isinstance(one, bytes) else one.emit()
            self.card.memory_write(self.base + self.tail * DESCRIPTOR, raw)
            self.tail = (self.tail + 1) % self.count

    def doorbell(self) -> None:
        """Write the tail and let the card work."""
        self.card.write(f"TDT{self.queue}", self.tail)
        self.card.soon(lambda: self.head == self.tail or None)
        self.card.bench.settle()

    def send(self, *descriptors: transmit.TxDescriptor | bytes) -> None:
        """Post and ring."""
        self.post(*descriptors)
        self.doorbell()

    def legacy(self, data: bytes, command: TxCommand = WHOLE, **fields: int) -> LegacyTx:
        """Return a descriptor of bytes that are stored in memory of their own."""
        return LegacyTx(
            self.card.buffer(data),
            len(data),
            command=command,
            cso=fields.get("cso", 0),
            css=fields.get("css", 0),
            special=fields.get("special", 0),
        )

    def raw(self, index: int) -> bytes:
        """Return a descriptor as it lies in memory."""
        return self.card.memory_read(self.base + index * DESCRIPTOR, DESCRIPTOR)

    def done(self, index: int) -> bool:
        """Tell whether DD is set in a descriptor."""
        return bool(self.raw(index)[12] & DD)

    @property
    def head(self) -> int:
        """What TDH says."""
        return self.card.read(f"TDH{self.queue}")


class Kind(enum.Enum):
    """The receive descriptor formats."""

    LEGACY = "legacy"
    EXTENDED = "extended"
    SPLIT = "split"


BUFFER_CODES = {  # buffer size in bytes: BSIZE, BSEX (datasheet, Receive Registers)
    256: (3, 0),
    512: (2, 0),
    1024: (1, 0),
    2048: (0, 0),
    4096: (3, 1),
    8192: (2, 1),
    16384: (1, 1),
}


@dataclass(frozen=True, slots=True)
class Received:
    """A frame out of the ring, and the write-backs of the descriptors it filled."""

    data: bytes
    descriptors: tuple[LegacyRx | ExtendedRx | SplitRx, ...]

    @property
    def last(self) -> LegacyRx | ExtendedRx | SplitRx:
        """The descriptor with EOP."""
        return self.descriptors[-1]

    @property
    def status(self) -> int:
        """The status bits of the last descriptor."""
        return self.last.status

    @property
    def extended(self) -> ExtendedRx:
        """The last descriptor, known to be extended."""
        assert isinstance(self.last, ExtendedRx)  # noqa: S101 - a check asked for the wrong format
        return self.last

    @property
    def legacy(self) -> LegacyRx:
        """The last descriptor, known to be legacy."""
        assert isinstance(self.last, LegacyRx)  # noqa: S101 - see above
        return self.last


class RxRing:
    """A receive ring with one buffer a descriptor (packet split: four)."""

    def __init__(
        self,
        card: Subject,
        *,
        queue: int = 0,
        count: int = 16,
        kind: Kind = Kind.EXTENDED,
        buffer_bytes: int = 2048,
        fill: int | None = None,
    ) -> None:
        """Set the queue up with ``fill`` descriptors handed over (all but one unless told)."""
        self.card, self.queue, self.kind = card, queue, kind
        self.size = 32 if kind is Kind.SPLIT else DESCRIPTOR
        # The index registers count 16 bytes in every format: e1000_alloc_rx_buffers_ps in Linux's netdev.c.
        self._unit = self.size // DESCRIPTOR
        self.count, self.buffer_bytes = count, buffer_bytes
        self.base = card.allocate(count * self.size, align=128)
        self.next = 0
        pieces = (128, 4096, 4096, 4096) if kind is Kind.SPLIT else (buffer_bytes,)
        self.buffers = [tuple(card.allocate(piece) for piece in pieces) for _ in range(count)]
        for index in range(count):
            self.give(index)
        if kind is Kind.SPLIT:
            card.write("PSRCTL", 1 | 4 << 8 | 4 << 16 | 4 << 24)
        card.set("RFCTL", EXTEN=int(kind is not Kind.LEGACY))
        for name, value in (
            ("RDBAL", self.base & 0xFFFF_FFFF),
            ("RDBAH", self.base >> 32),
            ("RDLEN", count * self.size),
            ("RDH", 0),
            ("RDT", 0),
        ):
            card.write(f"{name}{queue}", value)
        self.tail = count - 1 if fill is None else fill
        self._started = False

    def give(self, index: int) -> None:
        """Write a fresh descriptor into a slot."""
        addresses = self.buffers[index]
        if len(addresses) == 4:
            raw = SplitRxRead((addresses[0], addresses[1], addresses[2], addresses[3])).emit()
        elif self.kind is Kind.LEGACY:
            raw = LegacyRx(addresses[0]).emit()
        else:
            raw = ExtendedRxRead(addresses[0]).emit()
        self.card.memory_write(self.base + index * self.size, raw)

    def start(self, **fields: int) -> RxRing:
        """Enable the receiver with RCTL's fields given, CRC stripped unless told, and hand buffers over."""
        bsize, bsex = BUFFER_CODES[self.buffer_bytes]
        wanted = {"BSIZE": bsize, "BSEX": bsex, "SECRC": 1, "BAM": 1, **fields}
        if self.kind is Kind.SPLIT:
            wanted |= {"DTYP": 1}
        self.card.write("RCTL", 0)
        self.card.set("RCTL", **wanted, EN=1)
        self.hand_over(self.tail)
        return self

    def hand_over(self, tail: int) -> None:
        """Write the tail."""
        self.tail = tail
        self.card.write(f"RDT{self.queue}", tail * self._unit)
        self.card.bench.settle()

    def raw(self, index: int) -> bytes:
        """Return a descriptor as it lies in memory."""
        return self.card.memory_read(self.base + index * self.size, self.size)

    def data(self, index: int, length: int, piece: int = 0) -> bytes:
        """Return the first bytes of a slot's buffer."""
        return self.card.memory_read(self.buffers[index][piece], length)

    def parse(self, index: int) -> LegacyRx | ExtendedRx | SplitRx:
        """Read a descriptor as the card wrote it back."""
        formats: dict[Kind, type[LegacyRx | ExtendedRx | SplitRx]] = {
            Kind.LEGACY: LegacyRx,
            Kind.EXTENDED: ExtendedRx,
            Kind.SPLIT: SplitRx,
        }
        return formats[self.kind].parse(self.raw(index))

    def done(self, index: int) -> bool:
        """Tell whether a slot was written back."""
        at = 12 if self.kind is Kind.LEGACY else 8
        return bool(self.raw(index)[at] & RxStatus.DD)

    def take(self) -> Received | None:
        """Return the next whole frame, or None when its descriptors are not all written back."""
        data, parsed, index = b"", [], self.next
        for _ in range(self.count):
            if not self.done(index):
                return None
            one = self.parse(index)
            parsed.append(one)
            data += self._bytes(index, one)
            index = (index + 1) % self.count
            if one.status & RxStatus.EOP:
                self.next = index
                return Received(data, tuple(parsed))
        return None

    def drain(self) -> list[Received]:
        """Return every whole frame there is."""
        found = []
        while (one := self.take()) is not None:
            found.append(one)
        return found

    @property
    def head(self) -> int:
        """What RDH says."""
        return self.card.read(f"RDH{self.queue}") // self._unit

    def _bytes(self, index: int, one: LegacyRx | ExtendedRx | SplitRx) -> bytes:
        if not isinstance(one, SplitRx):
            return self.data(index, one.length)
        header = one.header_status & 0x3FF
        lengths = (one.length0, one.length1, one.length2, one.length3)
        split = bool(one.header_status & SplitRx.HEADER_SPLIT)
        first = self.data(index, header if split else one.length0)
        rest = [self.data(index, length, piece) for piece, length in enumerate(lengths[1:], 1)]
        return first + b"".join(rest)
