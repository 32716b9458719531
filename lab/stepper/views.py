"""Looking at a card without touching it: rings, descriptors, registers, as objects that expressions use.

``tx[0].desc[5].length``, ``regs.ICR.TXDW``. Everything is read by ``peek`` and from guest memory at the
moment of asking; nothing here has a side effect on the card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from device.effects import DmaError
from device.regs.nic import NIC
from device.rings.index import DESCRIPTOR_SIZE, base, pending
from device.rings.receive import ExtendedRx, LegacyRx, RxStatus
from device.rings.transmit import DD, ContextTx, DataTx, TxCommand, TxDescriptor, TxStatus
from device.rings.transmit import parse as parse_tx
from device.trace.facts import descriptor as descriptor_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from device.effects import GuestMemory
    from lab.stepper.driver_side import DriverSide

_EXTEN = NIC["RFCTL"]["EXTEN"].mask
_EVERY = NIC["IVAR"]["TX_EVERY_WB"].mask
_SHOWN = 20


class Peekable(Protocol):
    """What has registers to look at: an engine."""

    def peek(self, offset: int) -> int:
        """Return a register's stored value."""


class RegisterValue(int):
    """A register's value, whose fields are attributes: ``regs.RCTL.BSIZE``."""

    name: str

    def __new__(cls, value: int, name: str) -> Self:
        """Keep the register's name."""
        made = super().__new__(cls, value)
        made.name = name
        return made

    def __getattr__(self, field: str) -> int:
        """Return a field, shifted down."""
        try:
            return NIC[self.name.partition("[")[0]][field].get(int(self))
        except KeyError:
            raise AttributeError(f"{self.name} has no field {field}") from None

    def __repr__(self) -> str:
        """Show it as the datasheet would."""
        return f"{int(self):#010x}"


class Registers:
    """The register file by name: ``regs.TDT0``, ``regs["RETA[3]"]``."""

    def __init__(self, engine: Peekable) -> None:
        """Look at an engine's registers."""
        self._engine = engine

    def __getitem__(self, name: str) -> RegisterValue:
        """Return a register by name, arrays with their index. KeyError."""
        plain, _, index = name.partition("[")
        register = NIC[plain]
        at = register.at(int(index.rstrip("]")) if index else 0)
        return RegisterValue(self._engine.peek(at), name)

    def __getattr__(self, name: str) -> RegisterValue:
        """Return a register by name."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no register {name}") from None

    def __dir__(self) -> list[str]:
        """Name the registers, for completion."""
        return [register.name for register in NIC]

    def values(self) -> dict[int, int]:
        """Return every register's value by offset."""
        peek = self._engine.peek
        return {offset: peek(offset) for register in NIC for offset in register.offsets()}


@dataclass(frozen=True, slots=True)
class DescriptorView:
    """A slot of a ring as it lies in guest memory now."""

    ring: str
    queue: int
    index: int
    bus_address: int
    raw: bytes
    card_owns: bool
    extended: bool
    reports_all: bool = False
    """Whether every transmit descriptor is written back, with RS or without (IVAR bit 31)."""

    @property
    def parsed(self) -> TxDescriptor | LegacyRx | ExtendedRx:
        """The descriptor in its own format; a receive descriptor that is done as it was written back."""
        if self.ring == "tx":
            return parse_tx(self.raw)
        return ExtendedRx.parse(self.raw) if self.extended and self.done else LegacyRx.parse(self.raw)

    @property
    def done(self) -> bool:
        """Whether DD is set."""
        if self.ring == "tx":
            return bool(self.raw[12] & DD)
        return bool(self.raw[8 if self.extended else 12] & RxStatus.DD)

    @property
    def reports(self) -> bool:
        """Whether the card will write DD when it is done with it."""
        return self.ring == "rx" or self.reports_all or bool(self.raw[11] & TxCommand.RS)

    @property
    def status(self) -> str:
        """The status bits by name; of a sent descriptor that is never written back, that it is not."""
        if self.ring == "rx":
            return ""  # they are among its flags
        bits = "|".join(f.name or "" for f in TxStatus if f and self.raw[12] & f)
        if bits or self.card_owns or not any(self.raw):
            return bits
        return "no DD" if self.reports else "no RS, so no DD"

    @property
    def address(self) -> int:
        """The buffer's bus address."""
        return int.from_bytes(self.raw[:8], "little")

    @property
    def length(self) -> int:
        """The length in the descriptor: to send, or stored."""
        parsed = self.parsed
        return parsed.paylen if isinstance(parsed, ContextTx) else parsed.length

    @property
    def flags(self) -> frozenset[str]:
        """The names of the bits that are set."""
        if self.ring == "tx":
            flags = descriptor_facts("tx", self.raw).get("flag", frozenset())
            sent = frozenset(f.name or "" for f in TxStatus if f and self.raw[12] & f)
            return flags | sent if isinstance(flags, frozenset) else sent
        status = self.raw[8] if self.extended else self.raw[12]
        return frozenset(f.name or "" for f in RxStatus if f and f <= 0xFF and status & f)

    @property
    def kind(self) -> str:
        """``legacy``, ``data``, ``context``, or ``rx``."""
        parsed = self.parsed
        if isinstance(parsed, ContextTx):
            return "context"
        if isinstance(parsed, DataTx):
            return "data"
        return "legacy" if self.ring == "tx" else "extended" if self.extended else "legacy"

    def __str__(self) -> str:
        """Say it in one line."""
        owner = "card  " if self.card_owns else "driver"
        what = f"{self.kind:8} {self.length:6} bytes"
        if self.kind != "context" and not (self.ring == "rx" and self.extended and self.done):
            what += f"  buffer {self.address:#x}"
        status = f"  {self.status}" if self.status else ""
        bits = sorted(self.flags - {f.name for f in TxStatus} if self.ring == "tx" else self.flags)
        return f"[{self.index:3}] {owner} {what}  {'|'.join(bits)}{status}".rstrip()

    def fields(self) -> list[str]:
        """Return each field on a line."""
        parsed = self.parsed
        names = parsed.__slots__ if isinstance(parsed.__slots__, tuple) else ()
        lines = [f"  {name:10} {_shown(getattr(parsed, name))}" for name in names]
        if self.ring == "tx" and not isinstance(parsed, ContextTx):
            said = f"  {'status':10} {_shown(TxStatus(self.raw[12] & 0xF))}"
            lines = [said if name == "status" else line for name, line in zip(names, lines, strict=True)]
            lines += [] if "status" in names else [said]
            if not self.reports:
                lines.append("  RS is not set: the card writes no DD here")
        return lines


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, int) else f"{int(value):#x} ({int(value)})"
    names = getattr(value, "name", None)
    return f"{text} {names}" if names else text


class Descriptors:
    """The slots of a ring, by index."""

    def __init__(self, ring: RingView) -> None:
        """Look at a ring's memory."""
        self._ring = ring

    def __len__(self) -> int:
        """Return the number of slots."""
        return self._ring.count

    def __getitem__(self, index: int) -> DescriptorView:
        """Return a slot; IndexError beyond the ring, DmaError where nothing is mapped."""
        ring = self._ring
        if not 0 <= index < ring.count:
            raise IndexError(f"{ring.name} has {ring.count} slots")
        where = ring.base + index * DESCRIPTOR_SIZE
        raw = ring.memory.read(where, DESCRIPTOR_SIZE)
        owned = (index - ring.head) % ring.count < ring.pending
        return DescriptorView(
            ring.kind, ring.queue, index, where, raw, owned, ring.extended, ring.reports_all
        )

    def __iter__(self) -> Iterator[DescriptorView]:
        """Go through the slots in memory's order."""
        return (self[index] for index in range(len(self)))


class RingView:
    """One ring: its registers, and its slots."""

    def __init__(self, engine: Peekable, memory: GuestMemory, kind: str, queue: int) -> None:
        """Look at ring ``"tx"`` or ``"rx"`` of a queue."""
        self.kind, self.queue = kind, queue
        self.memory = memory
        self._engine = engine
        self._prefix = "TD" if kind == "tx" else "RD"

    @property
    def name(self) -> str:
        """``tx[0]``."""
        return f"{self.kind}[{self.queue}]"

    def _register(self, what: str) -> int:
        return self._engine.peek(NIC[f"{self._prefix}{what}{self.queue}"].offset)

    @property
    def base(self) -> int:
        """The ring's bus address."""
        return base(self._register("BAL"), self._register("BAH"))

    @property
    def count(self) -> int:
        """How many slots there are."""
        return self._register("LEN") // DESCRIPTOR_SIZE

    @property
    def head(self) -> int:
        """The card's index."""
        return self._register("H")

    @property
    def tail(self) -> int:
        """The driver's index."""
        return self._register("T")

    @property
    def pending(self) -> int:
        """How many slots the card owns."""
        return pending(self.head, self.tail, self.count)

    @property
    def wrapped(self) -> bool:
        """Whether the card's part goes round the end."""
        return self.pending > 0 and self.head > self.tail

    @property
    def extended(self) -> bool:
        """Whether receive descriptors are extended (RFCTL.EXTEN)."""
        return self.kind == "rx" and bool(self._engine.peek(NIC["RFCTL"].offset) & _EXTEN)

    @property
    def reports_all(self) -> bool:
        """Whether every transmit descriptor is written back (IVAR bit 31)."""
        return self.kind == "tx" and bool(self._engine.peek(NIC["IVAR"].offset) & _EVERY)

    @property
    def desc(self) -> Descriptors:
        """The slots."""
        return Descriptors(self)

    def shown(self, *, everything: bool = False) -> list[int]:
        """Return the slots worth showing: all of a small ring, or those about the head."""
        first = range(self.count)
        if self.count > _SHOWN and not everything:
            first = range(self.head - 4, self.head - 4 + _SHOWN)
        return [number % self.count for number in first]

    def title(self) -> str:
        """Return the ring's registers in a line."""
        if not self.count:
            return f"{self.name}  not set up (length 0)"
        return (
            f"{self.name}  base {self.base:#x}  {self.count} slots  head {self.head}  tail {self.tail}"
            f"  the card owns {self.pending}{' (wrapped)' if self.wrapped else ''}"
        )

    def slot(self, index: int) -> str:
        """Return a slot in a line, head and tail marked."""
        mark = f"{'H' if index == self.head else ' '}{'T' if index == self.tail else ' '}"
        try:
            return f"{mark} {self.desc[index]}"
        except DmaError:
            return f"{mark} [{index:3}] not mapped, or in a recording: never fetched"

    def lines(self, *, everything: bool = False) -> list[str]:
        """Return the ring as text: a title, a bar, and the slots about the head."""
        if not self.count:
            return [self.title()]
        shown = self.shown(everything=everything)
        lines = [self.title(), self.bar(), *map(self.slot, shown)]
        if len(shown) < self.count:
            lines.append(f"   ... {self.count - len(shown)} more: `ring {self.kind}{self.queue} all`")
        return lines

    def bar(self, width: int = 64) -> str:
        """Return who owns the ring as one line: ``#`` the card, ``.`` the driver."""
        count = self.count
        cells = []
        for cell in range(min(width, count)):
            first, last = cell * count // min(width, count), (cell + 1) * count // min(width, count)
            owned = any(
                (index - self.head) % count < self.pending for index in range(first, max(last, first + 1))
            )
            cells.append("#" if owned else ".")
        return "   " + "".join(cells)


@dataclass(frozen=True, slots=True)
class Look:
    """A card to look at."""

    engine: Peekable
    memory: GuestMemory
    driver: DriverSide | None = None
    """The driver's half, where the driver is in this process."""

    @property
    def regs(self) -> Registers:
        """The registers."""
        return Registers(self.engine)

    @property
    def tx(self) -> list[RingView]:
        """The transmit rings."""
        return [RingView(self.engine, self.memory, "tx", queue) for queue in (0, 1)]

    @property
    def rx(self) -> list[RingView]:
        """The receive rings."""
        return [RingView(self.engine, self.memory, "rx", queue) for queue in (0, 1)]

    def ring(self, name: str) -> RingView:
        """Return the ring ``tx0``, ``rx1``. KeyError."""
        rings = {f"{ring.kind}{ring.queue}": ring for ring in (*self.tx, *self.rx)}
        return rings[name if name[-1:].isdigit() else name + "0"]
