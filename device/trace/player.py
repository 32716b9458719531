"""Plays a recording on a card: the inputs go in again, the outcomes are compared. No guest, no clock.

A turn is one input with what came of it. Guest memory is the recording's: within a turn a read is answered
with what was read in that turn, else with the newest bytes known (``Image``), for another engine may read
in other pieces or other order. A read of bytes that the recording never saw is a difference, and faults.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from device.effects import DmaError
from device.engine.contract import InterruptMode
from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.regs.nic import VECTORS
from device.trace import checkpoint
from device.trace.card import TracedCard
from device.trace.image import Image
from device.trace.judge import Played, judge
from device.trace.recording import Place
from device.trace.records import INPUTS, NO_MODE, OUTCOMES, Kind, Record, frame_data, frame_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from device.effects import FrameSent, GuestMemory
    from device.engine.contract import Engine
    from device.trace.events import Observer
    from device.trace.recording import Recording

CHECKPOINT_TURNS: Final = 2000
_MOST_DIFFERENCES: Final = 1000


class EngineFactory(NamedTuple):
    """How to make an engine by name."""

    name: str
    make: Callable[[GuestMemory, bool], Engine]


REFERENCE: Final = EngineFactory(
    "reference", lambda memory, offload: ReferenceEngine(memory, offload=offload)
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where an engine did other than the recording says. ``turn`` counts inputs from 0."""

    turn: int
    time_ns: int
    input: Record
    what: str
    recorded: str
    played: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"input {self.turn}: {self.what}: recorded {self.recorded}, played {self.played}"


class SeenMemory:
    """What the recording has shown of guest memory, to look at: reading it changes nothing."""

    def __init__(self, image: Image) -> None:
        self._image = image

    def read(self, address: int, length: int) -> bytes:
        """Return bytes; DmaError where the card has never been."""
        data = self._image.get(address, length)
        if data is None:
            raise DmaError(address, length)
        return data

    def write(self, address: int, data: bytes) -> None:
        """Refuse: a recording is over."""
        raise DmaError(address, len(data))


class _Memory:
    """The recording's guest memory, for one turn at a time."""

    def __init__(self) -> None:
        self.image = Image()
        self.seen = SeenMemory(self.image)
        self.written: list[tuple[int, bytes]] = []
        self.unknown: list[tuple[int, int]] = []
        self._reads: dict[tuple[int, int], deque[bytes]] = {}
        self._faults: list[tuple[int, int, int]] = []

    def begin(self, outcomes: list[Record]) -> None:
        self.written.clear()
        self.unknown.clear()
        self._reads.clear()
        self._faults.clear()
        for record in outcomes:
            if record.kind == Kind.DMA_READ:
                key = (record.value, len(record.data))
                self._reads.setdefault(key, deque()).append(record.data)
                self.image.put(record.value, record.data)
            elif record.kind in (Kind.DMA_READ_FAULT, Kind.DMA_WRITE_FAULT):
                length = int.from_bytes(record.data, "little")
                self._faults.append((record.kind, record.value, record.value + length))

    def _refuse(self, kind: Kind, address: int, length: int) -> None:
        for which, start, stop in self._faults:
            if which == kind and address < stop and address + length > start:
                raise DmaError(address, length)

    def read(self, address: int, length: int) -> bytes:
        queue = self._reads.get((address, length))
        if queue:
            return queue[0] if len(queue) == 1 else queue.popleft()
        self._refuse(Kind.DMA_READ_FAULT, address, length)
        data = self.image.get(address, length)
        if data is None:
            self.unknown.append((address, length))
            raise DmaError(address, length)
        return data

    def write(self, address: int, data: bytes) -> None:
        self._refuse(Kind.DMA_WRITE_FAULT, address, len(data))
        self.written.append((address, bytes(data)))
        self.image.put(address, data)


class _Sink:
    """Answers a message as the recorded sink did, and keeps what was signalled."""

    def __init__(self) -> None:
        self.signals: list[tuple[int, int]] = []
        self.answers: deque[bool] = deque()

    def message(self, vector: int) -> bool:
        self.signals.append((Kind.MESSAGE, vector))
        return self.answers.popleft() if self.answers else True

    def level(self, *, asserted: bool) -> None:
        self.signals.append((Kind.LEVEL, int(asserted)))


class Point(NamedTuple):
    """A place in a recording to which a player can go back."""

    turn: int
    time_ns: int
    place: Place
    state: checkpoint.Values
    image: object
    position: int


class Player:
    """A card, and a recording that it lives through again."""

    def __init__(
        self,
        recording: Recording,
        factory: EngineFactory = REFERENCE,
        observer: Observer | None = None,
    ) -> None:
        """Power the card on. ``observer`` is told each stage; only the reference engine has them."""
        self.recording = recording
        self.differences: list[Difference] = []
        self.turn = 0
        self.time_ns = 0
        self.position = 0
        """Events seen, counted by whoever observes; kept with the points."""
        self.memory = _Memory()
        self._sink = _Sink()
        self.sent: list[tuple[int, bytes]] = []
        about = recording.about
        self.engine = factory.make(self.memory, about.offload)
        self.reference = self.engine if isinstance(self.engine, ReferenceEngine) else None
        mac = bytes.fromhex(about.mac.replace(":", ""))
        self.card = TracedCard(self.engine, mac, send=self._keep, sink=self._sink, observer=None)
        self._sink.signals.clear()
        self._vectors: list[int] | None = [] if about.engine == NativeEngine.name else None
        self.card.signals = self._vectors
        if observer is not None:
            self.observe(observer)
        self._place = Place()
        self._ahead: deque[tuple[Place, Record]] = deque()
        self._records = self._from(Place())
        self._actions: dict[int, Callable[[Record], Record | None]] = {
            Kind.ADVANCE: self._advance,
            Kind.READ: self._read,
            Kind.WRITE: self._write,
            Kind.RESET: lambda _: self.card.reset(),
            Kind.CARRIER: lambda record: self.card.set_carrier(present=bool(record.which)),
            Kind.MODE: self._mode,
            Kind.REARM: lambda _: self.card.rearm(),
            Kind.RECEIVE: self._receive,
            Kind.HOLD: lambda record: self.card.hold_back(full=bool(record.which)),
        }

    def observe(self, observer: Observer | None) -> None:
        """Show every stage to ``observer`` from now on. ValueError: the engine has no stages."""
        if self.reference is None:
            raise ValueError(f"the {self.engine.name} engine shows no stages: use the reference engine")
        self.reference.observer = observer
        self.card.watch(observer)

    def _keep(self, effect: FrameSent) -> None:
        self.sent.append(frame_data(effect.data, effect.offload))

    # -- the recording ---------------------------------------------------------------------------------

    def _from(self, place: Place) -> Iterator[tuple[Place, Record]]:
        self._ahead.clear()
        records = self.recording.records(place)
        if place == Place():  # what the card did at power-on it did again above
            for after, record in records:
                if record.kind in INPUTS or record.kind == Kind.END:
                    self._ahead.append((after, record))
                    break
        return records

    def _next(self) -> tuple[Place, Record] | None:
        return self._ahead.popleft() if self._ahead else next(self._records, None)

    def _gather(self) -> tuple[Record, list[Record]] | None:
        """Return the next input and its outcomes; notes are passed over."""
        while True:
            found = self._next()
            if found is None or found[1].kind == Kind.END:
                return None
            if found[1].kind in INPUTS:
                break
        self._place, given = found
        outcomes: list[Record] = []
        while True:
            found = self._next()
            if found is None:
                if self.recording.damage is not None:
                    return None  # what came of the last input was cut off
                break
            if found[1].kind in INPUTS or found[1].kind == Kind.END:
                self._ahead.append(found)
                break
            self._place = found[0]
            if found[1].kind in OUTCOMES:
                outcomes.append(found[1])
        return given, outcomes

    @property
    def lived_ns(self) -> int:
        """How long the card lived so far, from the first input on; its clock may have begun anywhere."""
        first = next((r.value for _, r in self.recording.records() if r.kind == Kind.ADVANCE), self.time_ns)
        return max(0, self.time_ns - first)

    @property
    def place(self) -> Place:
        """Where the next input begins."""
        return self._place

    def move(self, place: Place) -> None:
        """Go on from another place: what lies between was played by somebody else."""
        self._place = place
        self._records = self._from(place)

    # -- playing ---------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Play one input and compare what came of it; False at the recording's end."""
        found = self._gather()
        if found is None:
            return False
        given, outcomes = found
        self.memory.begin(outcomes)
        self.sent.clear()
        self._sink.signals.clear()
        if self._vectors is not None:
            self._vectors.clear()
        self._sink.answers = deque(bool(r.amount) for r in outcomes if r.kind == Kind.MESSAGE)
        waiting = next((r.value for r in outcomes if r.kind == Kind.PENDING), None)
        if waiting is not None:  # who armed what is the client's matter, not the recording's
            self.card.msix.pending = {vector for vector in range(VECTORS) if waiting >> vector & 1}
        result = self._actions[given.kind](given)
        self.compare(given, outcomes, result)
        self.turn += 1
        return True

    def run(self) -> int:
        """Play to the end; return the inputs played."""
        start = self.turn
        while self.step():
            pass
        return self.turn - start

    def _advance(self, record: Record) -> None:
        self.time_ns = record.value
        if record.which:
            self.card.advance_engine(record.value)
        else:
            self.card.advance(record.value)

    def _read(self, record: Record) -> Record:
        data = self.card.read_region(record.which, record.value, record.amount)
        return Record(Kind.ANSWER, data=data)

    def _write(self, record: Record) -> None:
        self.card.write_region(record.which, record.value, record.data)

    def _mode(self, record: Record) -> None:
        mode = None if record.which == NO_MODE else InterruptMode(record.which)
        self.card.set_interrupt_mode(mode)

    def _receive(self, record: Record) -> Record:
        frame, offload = frame_of(record)
        return Record(Kind.STORED, int(self.card.receive(frame, offload)))

    def compare(self, given: Record, outcomes: list[Record], result: Record | None) -> None:
        """Hold what the card did against what the recording says; a subclass has something else."""
        played = Played(result, self.sent, self._sink.signals, self.memory.written, self.memory.unknown)
        if self._vectors is not None:
            played.signals.extend((Kind.SIGNAL, vector) for vector in self._vectors)
        for what, recorded, done in judge(outcomes, played):
            if len(self.differences) < _MOST_DIFFERENCES:
                self.differences.append(Difference(self.turn, self.time_ns, given, what, recorded, done))

    # -- going back ----------------------------------------------------------------------------------------

    def point(self) -> Point:
        """Return where the player is, to come back to. Between two inputs; reference engine only."""
        if self.reference is None:
            raise ValueError("only the reference engine can go back")
        return Point(
            self.turn,
            self.time_ns,
            self._place,
            checkpoint.capture(self.card, self.reference),
            self.memory.image.snapshot(),
            self.position,
        )

    def go_back(self, point: Point) -> None:
        """Return to a point, even out of the middle of an input that was given up."""
        if self.reference is None:
            raise ValueError("only the reference engine can go back")
        checkpoint.restore(self.card, self.reference, point.state)
        self.memory.image.restore(point.image)  # type: ignore[arg-type]  # opaque to everybody but the image
        self.turn, self.time_ns, self.position = point.turn, point.time_ns, point.position
        self._place = point.place
        self.differences = [one for one in self.differences if one.turn < point.turn]
        self._records = self._from(point.place)
