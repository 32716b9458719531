"""A card that tells its observer of every register access, and may write its life down.

``Card`` shows the engine's accesses to the engine's observer; the registers that the card itself answers
(reset, link, PHY, NVM) it answers alone. ``TracedCard`` adds those. With a ``Journal`` each input, and
what came of it, is recorded; nested calls are one input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from device.card import Card, NoInterrupts
from device.effects import DmaError
from device.trace.events import RegisterRead, RegisterWritten
from device.trace.records import FIXED_PARTNER, NO_MODE, Kind, frame_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from device.card import InterruptSink
    from device.effects import FrameSent, GuestMemory, MessageSignalled, Offload
    from device.engine.contract import Engine, InterruptMode
    from device.nvm import Nvm
    from device.trace.events import Observer
    from device.trace.recording import Entry, Writer


# Plain numbers: an enum's member costs as much to look up as the rest of a record.
_ADVANCE, _READ, _WRITE = int(Kind.ADVANCE), int(Kind.READ), int(Kind.WRITE)
_DMA_READ, _DMA_WRITE = int(Kind.DMA_READ), int(Kind.DMA_WRITE)
_ANSWER, _FRAME, _RECEIVE, _STORED = (
    int(kind) for kind in (Kind.ANSWER, Kind.FRAME, Kind.RECEIVE, Kind.STORED)
)


def _forget(_: Entry) -> None:
    """Take what comes after a recording's end."""


class Keeper(Protocol):
    """Where records go: ``device.trace.recording.Writer``."""

    append: Callable[[Entry], None]

    @property
    def full(self) -> bool:
        """Whether no more is wanted."""

    def settle(self) -> None:
        """Write what is due."""

    def close(self, reason: str = ...) -> None:
        """Write the end."""


class Journal:
    """The order of inputs and outcomes.

    An ``advance`` that did nothing is not written by itself; its time goes before the next record.
    """

    def __init__(self, keeper: Keeper) -> None:
        """Record into ``keeper``, from power-on."""
        self._keeper = keeper
        self._append = keeper.append
        self._now = self._written = 0
        self.open = False

    def advance(self, now_ns: int) -> None:
        """Note that time passes."""
        self._now = max(self._now, now_ns)

    def input(self, kind: int, which: int = 0, amount: int = 0, value: int = 0, data: bytes = b"") -> None:
        """Write an input down, before it is worked on; ``done`` ends it."""
        if self._keeper.full:
            self._keeper.close("the limit was reached")
            self._append = _forget
        self._keeper.settle()
        if self._now != self._written:
            self._tell_time()
        self._append((kind, which, amount, value, data))
        self.open = True

    def outcome(self, kind: int, which: int = 0, amount: int = 0, value: int = 0, data: bytes = b"") -> None:
        """Write down what comes of the present input, or of time."""
        if self._now != self._written:
            self._tell_time()
        self._append((kind, which, amount, value, data))

    def _tell_time(self) -> None:
        self._written = self._now
        self._append((_ADVANCE, 0, 0, self._now, b""))

    def done(self) -> None:
        """End the present input."""
        self.open = False

    def close(self, reason: str = "closed") -> None:
        """End the recording."""
        if self._now != self._written:
            self._tell_time()
        self._keeper.close(reason)


class JournaledMemory:
    """Guest memory of which every access is written down."""

    def __init__(self, memory: GuestMemory, journal: Journal) -> None:
        self._read = memory.read
        self._write = memory.write
        self._outcome = journal.outcome

    def read(self, address: int, length: int) -> bytes:
        """Read, and keep what was read."""
        try:
            data = self._read(address, length)
        except DmaError:
            self._outcome(Kind.DMA_READ_FAULT, 0, 0, address, length.to_bytes(4, "little"))
            raise
        self._outcome(_DMA_READ, 0, 0, address, data)
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write, and keep what was written."""
        try:
            self._write(address, data)
        except DmaError:
            self._outcome(Kind.DMA_WRITE_FAULT, 0, 0, address, len(data).to_bytes(4, "little"))
            raise
        self._outcome(_DMA_WRITE, 0, 0, address, bytes(data))


class JournaledSink:
    """An interrupt sink whose every signal, and whether it could be sent, is written down."""

    def __init__(self, sink: InterruptSink, journal: Journal) -> None:
        self._sink = sink
        self._outcome = journal.outcome

    def message(self, vector: int) -> bool:
        """Send, and keep whether it went."""
        sent = self._sink.message(vector)
        self._outcome(Kind.MESSAGE, vector, int(sent))
        return sent

    def level(self, *, asserted: bool) -> None:
        """Drive the line, and keep it."""
        self._outcome(Kind.LEVEL, int(asserted))
        self._sink.level(asserted=asserted)


class TracedCard(Card):
    """A card whose register accesses all reach ``observer``, and whose inputs reach ``journal``."""

    def __init__(
        self,
        engine: Engine,
        mac: bytes,
        *,
        send: Callable[[FrameSent], None] = lambda _: None,
        sink: InterruptSink | None = None,
        nvm: Nvm | None = None,
        observer: Observer | None = None,
        journal: Journal | None = None,
    ) -> None:
        """Power on. The engine's memory is to be a ``JournaledMemory`` if there is a journal."""
        self._observer = observer
        self._journal = journal
        self._carrier: bool | None = None
        self._powered = False
        self.wire_full = False
        self.signals: list[int] | None = None
        """Where vectors go instead of to the sink, as they leave the engine; None: nowhere."""

        def kept(effect: FrameSent) -> None:
            if journal is not None:
                index, data = frame_data(effect.data, effect.offload)
                journal.outcome(_FRAME, index, 0, 0, data)
            send(effect)

        if journal is not None and sink is not None:
            sink = JournaledSink(sink, journal)
        super().__init__(engine, mac, send=kept, sink=sink, nvm=nvm)
        self._powered = True

    def watch(self, observer: Observer | None) -> None:
        """Tell another observer from now on."""
        self._observer = observer

    def _work(self) -> None:
        if not self.wire_full:
            super()._work()

    def _message(self, effect: MessageSignalled) -> None:
        if self.signals is None:
            super()._message(effect)
        else:
            self.signals.append(effect.vector)
            self.account.interrupts += 1

    def hold_back(self, *, full: bool) -> None:
        """Let the transmitter wait while the wire is full, as a recording says; then it goes on."""
        self.wire_full = full
        self._work()

    def advance_engine(self, now_ns: int) -> None:
        """Let time pass for the data path alone: the PHY has a clock of its own in a running card."""
        self.engine.advance(now_ns)
        self._work()

    # -- the registers that the card answers itself ------------------------------------------------

    def read_register(self, offset: int) -> int:
        """Read, and tell the observer."""
        value = super().read_register(offset)
        if self._observer is not None and self.control.owns(offset):
            self._observer(RegisterRead(offset, value))
        return value

    def write_register(self, offset: int, value: int) -> None:
        """Tell the observer, and write."""
        if self._observer is not None and self.control.owns(offset):
            self._observer(RegisterWritten(offset, value))
        super().write_register(offset, value)

    # -- inputs ----------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Reset; the first, at power-on, is no input."""
        if self._journal is None or not self._powered:
            super().reset()
            return
        self._journal.input(Kind.RESET)
        super().reset()
        self._journal.done()

    def set_carrier(self, *, present: bool) -> None:
        """Plug the cable in or out; only a change is an input."""
        if self._journal is not None and present != self._carrier:
            self._journal.input(Kind.CARRIER, int(present))
            self._carrier = present
        super().set_carrier(present=present)
        if self._journal is not None:
            self._journal.done()

    def set_partner(self, offers: Iterable[str]) -> None:
        """Refuse while a recording is written: a partner that changes is no input that it has. ValueError."""
        if self._journal is not None:
            raise ValueError(FIXED_PARTNER)
        super().set_partner(offers)

    def set_interrupt_mode(self, mode: InterruptMode | None) -> None:
        """Take the mode from who arms the interrupts."""
        if self._journal is not None:
            self._journal.input(Kind.MODE, NO_MODE if mode is None else mode.value)
        super().set_interrupt_mode(mode)
        if self._journal is not None:
            self._journal.done()

    def rearm(self) -> None:
        """Offer pending messages again; within another input it is a part of that."""
        if self._journal is None or self._journal.open:
            super().rearm()
            return
        self._journal.input(Kind.REARM)
        super().rearm()
        self._journal.done()

    def advance(self, now_ns: int) -> None:
        """Let time pass."""
        if self._journal is not None:
            self._journal.advance(now_ns)
        super().advance(now_ns)

    def receive(self, frame: bytes, offload: Offload | None = None) -> bool:
        """Take a frame off the wire."""
        journal = self._journal
        if journal is None:
            return super().receive(frame, offload)
        index, data = frame_data(frame, offload)
        journal.input(_RECEIVE, index, 0, 0, data)
        stored = super().receive(frame, offload)
        journal.outcome(_STORED, int(stored))
        journal.done()
        return stored

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Read a region."""
        journal = self._journal
        if journal is None:
            return super().read_region(index, offset, count)
        journal.input(_READ, index, count, offset)
        data = super().read_region(index, offset, count)
        journal.outcome(_ANSWER, 0, 0, 0, data)
        journal.done()
        return data

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write a region."""
        journal = self._journal
        if journal is None:
            super().write_region(index, offset, data)
            return
        journal.input(_WRITE, index, 0, offset, bytes(data))
        super().write_region(index, offset, data)
        journal.done()


def record(
    writer: Writer,
    build: Callable[[GuestMemory], Engine],
    memory: GuestMemory,
    mac: bytes,
    *,
    send: Callable[[FrameSent], None] = lambda _: None,
    sink: InterruptSink | None = None,
    observer: Observer | None = None,
) -> tuple[TracedCard, Journal]:
    """Return a card that is recorded from power-on, and its journal, which is to be closed."""
    journal = Journal(writer)
    engine = build(JournaledMemory(memory, journal))
    card = TracedCard(engine, mac, send=send, sink=sink or NoInterrupts(), observer=observer, journal=journal)
    return card, journal
