"""A recording's driver against QEMU's model of the card: our engine and the model in lockstep, by qtest.

Each input of the recording is given to our reference engine, whose guest memory is the recording's, and to
the model, whose RAM is made to hold what the card read in that input. Then answers, write-backs and frames
are held against each other; interrupts are not: the model has a throttle of its own, and ICR shows enough.

Configuration space is each card's own, but for the way of signalling, which follows the recorded one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.engine.contract import InterruptMode
from device.engine.reference import ReferenceEngine
from device.engine.reference.receive import completed
from device.regs.nic import NIC
from device.rings.receive import ExtendedRx, LegacyRx
from device.trace.player import EngineFactory, Player
from device.trace.records import NO_MODE, Kind, frame_of
from formats import packet
from lab.conformance.bench import Signal
from lab.conformance.targets.qtest import Memory, QtestBench
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.recording import Recording
    from device.trace.records import Record
    from lab.machines.qemu.binary import Qemu

LOW_RAM_END: Final = 2 << 30
"""Where a q35 machine's memory below 4 GiB may end; a driver's buffers behind it cannot be had."""
_MIB: Final = 1 << 20
_MAILBOX_BYTES: Final = _MIB
_SHOWN: Final = 32
_SHORTEST: Final = 60
_PAUSE: Final = b"\x88\x08"
_TCP_FLAGS_AND_CHECKSUM: Final = (13, 16, 17)
_REGISTERS: Final = 0
_FORMATS: Final = (LegacyRx, ExtendedRx)
_WITHOUT_OFFLOAD: Final = EngineFactory("reference", lambda memory, _: ReferenceEngine(memory, offload=False))
_MODES: Final = {
    InterruptMode.MSIX: Signal.MSIX,
    InterruptMode.MSI: Signal.MSI,
    InterruptMode.INTX: Signal.INTX,
}


@dataclass(frozen=True, slots=True)
class Apart:
    """One difference between our engine and the model; ``turn`` counts inputs from 0."""

    turn: int
    time_ns: int
    what: str
    """``read ICR``, ``frame 7``, ``rx0.desc[5]``, ``memory``: what patterns are matched against."""
    ours: str
    theirs: str
    bits: int = 0
    """Of a register: the bits that differ."""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"input {self.turn}: {self.what}: ours {self.ours}, the model {self.theirs}"


def memory_for(recording: Recording) -> Memory:
    """Return the RAM that a recording's addresses need. UsageError: no machine has some there."""
    top = 0
    kinds = (Kind.DMA_READ, Kind.DMA_WRITE, Kind.DMA_WRITE_SUM)
    for _, record in recording.records():
        if record.kind in kinds:
            length = len(record.data)
            if record.kind == Kind.DMA_WRITE_SUM:
                length = int.from_bytes(record.data[:4], "little")
            top = max(top, record.value + length)
    size = -(-top // _MIB) * _MIB + _MAILBOX_BYTES
    if size > LOW_RAM_END:
        raise UsageError(
            f"the driver has buffers at {top:#x}: record a guest of less than {LOW_RAM_END >> 30} GiB"
        )
    return Memory(max(size, 32 * _MIB), size - _MAILBOX_BYTES)


class Lockstep(Player):
    """Our engine, which lives the recording through, and the model beside it."""

    def __init__(self, recording: Recording, qemu: Qemu, device: str, tell: Callable[[Apart], bool]) -> None:
        """Power both on. ``tell`` is given each difference and says whether to go on."""
        super().__init__(recording, _WITHOUT_OFFLOAD)
        memory = memory_for(recording)
        self.model = QtestBench(qemu, device, memory, recording.about.mac)
        self._ram_bytes = memory.ram_bytes
        self._tell = tell
        self._going = True
        self.frames = 0
        """Frames that left both and were compared."""
        self._ours: deque[bytes] = deque()
        self._theirs: deque[bytes] = deque()
        self._clock = 0

    def lockstep(self) -> None:
        """Go through the recording until its end, or until ``tell`` says that it is enough."""
        try:
            while self._going and self.step():
                pass
            if self._going and len(self._ours) != len(self._theirs):
                left, right = len(self._ours), len(self._theirs)
                self._apart("frames at the end", f"{left} more", f"{right} more")
        finally:
            self.model.close()

    def compare(self, given: Record, outcomes: list[Record], result: Record | None) -> None:
        """Let the model have the same input, and compare what came of it."""
        for record in outcomes:
            if record.kind == Kind.DMA_READ and record.value + len(record.data) <= self._ram_bytes:
                self.model.memory_write(record.value, record.data)
        answer = self._do(given, outcomes)
        if answer is not None and result is not None and result.kind == Kind.ANSWER:
            self._compare_answer(given, int.from_bytes(result.data, "little"), answer)
        self._compare_memory()
        self._ours.extend(data for _, data in self.sent)
        self._theirs.extend(self.model.frames())
        self._compare_frames()

    def _apart(self, what: str, ours: str, theirs: str, bits: int = 0) -> None:
        if self._going:
            self._going = self._tell(Apart(self.turn, self.time_ns, what, ours, theirs, bits))

    # -- the model's side ------------------------------------------------------------------------------

    def _do(self, given: Record, outcomes: list[Record]) -> int | None:
        """Give the model an input; return what it answers to a read."""
        model = self.model
        if given.kind == Kind.ADVANCE:
            if 0 < self._clock < given.value:
                model.advance(given.value - self._clock)
            self._clock = max(self._clock, given.value)
        elif given.kind == Kind.READ and given.which == _REGISTERS and given.amount in (1, 2, 4):
            return model.read(given.value, given.amount)
        elif given.kind == Kind.WRITE and given.which == _REGISTERS and len(given.data) in (1, 2, 4):
            model.write(given.value, int.from_bytes(given.data, "little"), len(given.data))
        elif given.kind == Kind.RECEIVE:
            frame, offload = frame_of(given)
            model.send(completed(frame, offload) if offload is not None and offload.needs_csum else frame)
            if not next((r.which for r in outcomes if r.kind == Kind.STORED), 1):
                model.purge()
        elif given.kind == Kind.MODE and given.which != NO_MODE:
            how = _MODES.get(InterruptMode(given.which))
            if how is not None:
                model.signal(how)
        elif given.kind == Kind.RESET:
            model.reset()
        model.settle()
        return None

    # -- comparing -----------------------------------------------------------------------------------------

    def _compare_answer(self, given: Record, ours: int, theirs: int) -> None:
        if ours == theirs:
            return
        name = NIC.name_of(NIC.canonical(given.value) or given.value)
        found = NIC.find(given.value)
        fields = found[0].fields if found is not None else ()
        said = [
            f"{field.name} {field.get(ours):#x}≠{field.get(theirs):#x}"
            for field in fields
            if field.get(ours) != field.get(theirs)
        ]
        words = f" ({', '.join(said)})" if said else ""
        self._apart(f"read {name}", f"{ours:#x}", f"{theirs:#x}{words}", ours ^ theirs)

    def _compare_frames(self) -> None:
        while self._ours and self._theirs:
            if self._ours[0][12:14] == _PAUSE and self._theirs[0][12:14] != _PAUSE:
                self._apart("PAUSE frame", f"{len(self._ours.popleft())} bytes", "none")
                continue
            ours, theirs = self._ours.popleft(), self._theirs.popleft()
            if ours == theirs.ljust(_SHORTEST, b"\0") and len(theirs) < _SHORTEST:
                self._apart("frame: padding", f"{len(ours)} bytes", f"{len(theirs)} bytes")
            elif ours != theirs:
                what = "frame: TCP flags" if _flags_alone(ours, theirs) else f"frame {self.frames}"
                self._apart(what, *_parted(ours, theirs))
            self.frames += 1

    def _compare_memory(self) -> None:
        for address, data in self.memory.written:
            if address + len(data) > self._ram_bytes:
                continue
            theirs = self.model.memory_read(address, len(data))
            if theirs != data:
                self._tell_memory(address, data, theirs)
                self.model.memory_write(address, data)  # what follows is judged by itself

    def _tell_memory(self, address: int, ours: bytes, theirs: bytes) -> None:
        slot = self._slot(address)
        if slot is None:
            at, mine, other = _first(ours, theirs)
            self._apart(f"memory at {address + at:#x}", mine, other)
            return
        name, start, form = slot
        left = self.memory.image.get(start, 16)
        if form is None or left is None:
            self._apart(name, ours.hex(" "), theirs.hex(" "))
            return
        one, other_one = form.parse(left), form.parse(self.model.memory_read(start, 16))
        differ = [f for f in form.__dataclass_fields__ if getattr(one, f) != getattr(other_one, f)]
        if not differ:  # a part of the slot that no field is about
            self._apart(name, ours.hex(" "), theirs.hex(" "))
            return
        bits = 0
        for field in differ:
            bits |= int(getattr(one, field)) ^ int(getattr(other_one, field))
        left_said, right_said = (
            ", ".join(f"{f} {int(getattr(d, f)):#x}" for f in differ) for d in (one, other_one)
        )
        self._apart(f"{name} {' '.join(differ)}", left_said, right_said, bits)

    def _slot(self, address: int) -> tuple[str, int, type[LegacyRx | ExtendedRx] | None] | None:
        """Return the name and the start of the descriptor at an address, and a received one's format."""
        peek = self.engine.peek
        extended = bool(NIC["RFCTL"]["EXTEN"].get(peek(NIC["RFCTL"].offset)))
        for ring, form in (("tx", None), ("rx", _FORMATS[extended])):
            for queue in range(2):
                low, high, length = (
                    peek(NIC[f"{ring[0].upper()}D{part}{queue}"].offset) for part in ("BAL", "BAH", "LEN")
                )
                base = high << 32 | low
                if base <= address < base + length:
                    index = (address - base) // 16
                    return f"{ring}{queue}.desc[{index}]", base + 16 * index, form
        return None


def _flags_alone(ours: bytes, theirs: bytes) -> bool:
    """Tell whether two frames differ in the TCP flags, and so in the checksum, and in nothing else."""
    at = packet.parse(ours, 0).transport
    there = {n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b}
    return len(ours) == len(theirs) and bool(at) and there <= {at + n for n in _TCP_FLAGS_AND_CHECKSUM}


def _first(ours: bytes, theirs: bytes) -> tuple[int, str, str]:
    at = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), 0)
    return at, ours[at : at + _SHOWN].hex(" "), theirs[at : at + _SHOWN].hex(" ")


def _parted(ours: bytes, theirs: bytes) -> tuple[str, str]:
    at, mine, other = _first(ours, theirs)
    return f"{len(ours)} bytes, from {at} on {mine}", f"{len(theirs)} bytes, {other}"
