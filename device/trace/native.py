"""A card of the native engine that is recorded while its threads run (device/engine/csrc/record.c).

What C does it writes down itself; here is what Python does to the card: configuration space, PHY, resets,
link negotiation. Each such input is bracketed, so that C's threads wait and the file has one order. Twin of
``device.trace.card``, which records engines that are called by one thread.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.card import BAR3, CONFIG, Card
from device.engine._core import ffi, lib
from device.trace.recording import header_bytes
from device.trace.records import FIXED_PARTNER, NO_MODE, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from device.engine.contract import InterruptMode
    from device.engine.native import NativeEngine
    from device.trace.recording import About


class TapeError(Exception):
    """A recording cannot be begun: the message says why."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recorder did so far."""

    bytes: int
    """Of records; headers of blocks are not counted."""
    records: int
    inputs: int
    lost: int
    """Inputs that came after the recording's end."""
    waits: int
    """Times that the card waited for the disk."""
    error: int
    """The errno for which the file takes no more; 0: none."""

    def trouble(self) -> str | None:
        """Say what is missing in the file; None: nothing is."""
        if self.error:
            lost = f"; it lacks the last {self.lost} inputs" if self.lost else ""
            return f"the recording stopped before the card did: {os.strerror(self.error)}{lost}"
        if self.lost:
            return f"the recording reached its limit: it lacks the last {self.lost} inputs"
        return None


class NativeRecorder:
    """An engine's recorder, from power-on to ``stop``; the file stays the caller's."""

    def __init__(self, engine: NativeEngine, fd: int, about: About, *, limit: int) -> None:
        """Write the header and begin. Not while the engine's threads run. TapeError."""
        self._engine = engine
        header = header_bytes(about)
        try:
            written = os.write(fd, header)
        except OSError as error:
            raise TapeError(error.strerror) from error
        if written != len(header):
            raise TapeError("the disk is full")
        result = lib.rw_record_start(engine.card, fd, limit)
        if result < 0:
            raise TapeError(os.strerror(-result))
        self._inside = False
        self._last: Recorded | None = None

    def status(self) -> Recorded:
        """Return what was recorded so far."""
        if self._last is not None:
            return self._last
        raw = ffi.new("struct rw_record_status *")
        lib.rw_record_status_of(self._engine.card, raw)
        return Recorded(
            int(raw.bytes), int(raw.records), int(raw.inputs), int(raw.lost), int(raw.waits), -int(raw.error)
        )

    def stop(self, reason: str = "closed") -> Recorded:
        """Write the end; the engine's threads have ended. A second time does nothing."""
        if self._last is None:
            before = self.status()
            error = -int(lib.rw_record_stop(self._engine.card, reason.encode()))
            self._last = Recorded(
                before.bytes, before.records, before.inputs, before.lost, before.waits, error or before.error
            )
        return self._last

    @contextlib.contextmanager
    def bracket(self) -> Iterator[int]:
        """Let no other input in between; yields the card's time, to which it was brought."""
        now = int(lib.rw_record_enter(self._engine.card))
        try:
            yield now
        finally:
            lib.rw_record_leave(self._engine.card)

    def put(self, kind: int, which: int = 0, amount: int = 0, value: int = 0, data: bytes = b"") -> None:
        """Write a record, inside a bracket."""
        lib.rw_record_put(self._engine.card, kind, which, amount, value, data, len(data))


class RecordedCard(Card):
    """A card whose every input by Python is written down, before and after C's own."""

    def __init__(self, engine: NativeEngine, mac: bytes) -> None:
        """Power on; ``record`` begins the recording."""
        self._recorder: NativeRecorder | None = None
        self._native = engine
        self._depth = 0
        self._carrier: bool | None = None
        super().__init__(engine, mac)

    def record(self, recorder: NativeRecorder | None) -> None:
        """Write to a recorder from now on; one caller at a time uses the card, and holds its lock."""
        self._recorder = recorder

    @contextlib.contextmanager
    def _input(
        self, kind: int, which: int = 0, amount: int = 0, value: int = 0, data: bytes = b""
    ) -> Iterator[NativeRecorder | None]:
        """Bracket an input; one within another is a part of that, and yields no recorder."""
        recorder = self._recorder
        if recorder is None or self._depth:
            yield None
            return
        with recorder.bracket():
            recorder.put(kind, which, amount, value, data)
            self._depth += 1
            try:
                yield recorder
            finally:
                self._depth -= 1

    def reset(self) -> None:
        """Reset."""
        with self._input(Kind.RESET):
            super().reset()

    def set_partner(self, offers: Iterable[str]) -> None:
        """Refuse while a recording is written: a partner that changes is no input that it has. ValueError."""
        if self._recorder is not None:
            raise ValueError(FIXED_PARTNER)
        super().set_partner(offers)

    def set_carrier(self, *, present: bool) -> None:
        """Plug the cable in or out; only a change is an input."""
        if present == self._carrier:
            return
        self._carrier = present
        with self._input(Kind.CARRIER, int(present)):
            super().set_carrier(present=present)

    def set_interrupt_mode(self, mode: InterruptMode | None) -> None:
        """Take the mode from who arms the interrupts."""
        with self._input(Kind.MODE, NO_MODE if mode is None else mode.value):
            super().set_interrupt_mode(mode)

    def rearm(self) -> None:
        """Offer pending messages again."""
        with self._input(Kind.REARM):
            super().rearm()

    def advance(self, now_ns: int) -> None:
        """Let time pass, to what the recorder's clock says: it reads it when nobody else is in between."""
        recorder = self._recorder
        if recorder is None or self._depth:
            super().advance(now_ns)
            return
        with recorder.bracket() as now:
            recorder.put(Kind.ADVANCE, 0, 0, now)
            self._depth += 1
            try:
                super().advance(now)
            finally:
                self._depth -= 1

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Read a region; the line's level in configuration space is that of this instant."""
        with self._input(Kind.READ, index, count, offset) as recorder:
            if index == CONFIG:
                self.function.show_line(asserted=self._native.line)
            elif index == BAR3:
                self.msix.pending = self._native.pending_messages
                if recorder is not None:
                    recorder.put(Kind.PENDING, value=sum(1 << vector for vector in self.msix.pending))
            data = super().read_region(index, offset, count)
            if recorder is not None:
                recorder.put(Kind.ANSWER, data=data)
            return data

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write a region."""
        with self._input(Kind.WRITE, index, 0, offset, bytes(data)):
            super().write_region(index, offset, data)
