"""Runs hostile programs on both engines and compares all that can be seen.

Knows no process and no clock but the thread's own, for what a program cost. The engines live on from program
to program, so a reset that forgets something is found too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from device.engine._core import lib

from device.effects import DmaError
from device.engine.contract import InterruptMode
from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.regs.words import CANONICAL
from lab.trials.fuzz.programs import BASE, OFFSETS, RAM_BYTES, READ, TX_DATA, WRITE, make

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.effects import Effect
    from device.engine.contract import Engine
    from lab.trials.fuzz.programs import Program, Window


_PLACES = tuple(CANONICAL[offset >> 2] for offset in OFFSETS)


class Ram:
    """Guest memory of which parts are mapped, with rights."""

    def __init__(self) -> None:
        self.content = bytearray(RAM_BYTES)
        self.windows: tuple[Window, ...] = ()

    def load(self, program: Program) -> None:
        """Become the memory of a program."""
        self.content[:] = program.memory
        self.windows = program.windows

    def _check(self, address: int, length: int, right: int) -> int:
        start = address - BASE
        at, end = start, start + length
        for window in self.windows:
            if window.start <= at < window.end:
                if not window.protection & right:
                    break
                at = window.end
                if at >= end:
                    return start
        if length == 0:
            return start
        raise DmaError(address, length)

    def read(self, address: int, length: int) -> bytes:
        """Return bytes. DmaError where they are not mapped for reading."""
        start = self._check(address, length, READ)
        return bytes(self.content[start : start + length])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes. DmaError where they are not mapped for writing."""
        start = self._check(address, len(data), WRITE)
        self.content[start : start + len(data)] = data


class WatchedRam(Ram):
    """Guest memory that notices when the card writes what it has read as a frame in the same batch.

    A frame that loops back into a buffer among its own bytes: whoever gathers it at once sends what was
    there, and whoever reads segment by segment sends what it has just stored. Hardware promises neither; the
    engines differ, and nothing that follows is compared.
    """

    def __init__(self) -> None:
        """Watch from the first batch on."""
        super().__init__()
        self.ambiguous = False
        self._frames: list[tuple[int, int]] = []

    def load(self, program: Program) -> None:
        """Become the memory of a program, of which nothing was read."""
        super().load(program)
        self.ambiguous = False
        self._frames.clear()

    def begin(self) -> None:
        """Forget what was read: the next batch starts."""
        self._frames.clear()

    def read(self, address: int, length: int) -> bytes:
        """As ``Ram.read``."""
        data = super().read(address, length)
        if length and address - BASE >= TX_DATA:  # below are the rings, of which a slot is read, then written
            self._frames.append((address, address + length))
        return data

    def write(self, address: int, data: bytes) -> None:
        """As ``Ram.write``."""
        super().write(address, data)
        end = address + len(data)
        self.ambiguous |= any(start < end and address < stop for start, stop in self._frames)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that can be seen of an engine after a program."""

    answers: list[object]
    effects: list[Effect]
    registers: list[int]
    deadline: int | None
    memory: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a program showed: the difference, if there was one, and what the native engine's time was."""

    difference: str | None
    native_seconds: float
    """Of the thread's CPU, so that a busy machine does not count."""
    compared: bool
    """Not where what is read first decides: see ``WatchedRam`` and ``Program.overlapping``."""


_DO: dict[str, Callable[..., object]] = {
    "write": lambda engine, offset, value: engine.write(offset, value),
    "poke": lambda engine, offset, value: engine.poke(offset, value),
    "read": lambda engine, offset: engine.read(offset),
    "run": lambda engine: engine.run(),
    "step": lambda engine: engine.step(),
    "receive": lambda engine, frame: engine.receive(frame),
    "mode": lambda engine, mode: engine.set_interrupt_mode(mode),
    "link": lambda engine, up: engine.set_link(up=up),
    "loopback": lambda engine, on: engine.set_loopback(enabled=on),
    "mastering": lambda engine, on: engine.set_mastering(enabled=on),
    "causes": lambda engine, causes: engine.raise_causes(causes),
    "reset": lambda engine: engine.reset(),
}


def registers(engine: Engine) -> list[int]:
    """Return the stored values at ``OFFSETS``, by each engine's shortest way."""
    if isinstance(engine, ReferenceEngine):
        words = engine.core.words
        return [words[where] for where in _PLACES]
    peek, card = lib.rw_peek, engine.card  # type: ignore[attr-defined]  # there are two engines
    return [peek(card, offset) for offset in OFFSETS]


def perform(engine: Engine, ram: Ram, program: Program, started_ns: int) -> Outcome:
    """Run a program on an engine whose clock is at ``started_ns``; leave the engine as after power-on."""
    engine.set_link(up=True)
    engine.set_mastering(enabled=True)
    answers: list[object] = []
    effects: list[Effect] = []
    for kind, *arguments in program.actions:
        if isinstance(ram, WatchedRam):
            ram.begin()
        if kind == "advance":
            engine.advance(started_ns + int(str(arguments[0])))
        else:
            answers.append(_DO[str(kind)](engine, *arguments))
        effects += engine.effects()
    outcome = Outcome(answers, effects, registers(engine), engine.deadline(), bytes(ram.content))
    engine.reset()
    engine.set_interrupt_mode(InterruptMode.NONE)
    engine.set_loopback(enabled=False)
    engine.effects()
    return outcome


class Duel:
    """Two engines and their memories."""

    def __init__(self) -> None:
        """Make them; one pair with a wire that takes offloads, one without."""
        self.rams = WatchedRam(), Ram()
        self.pairs = {
            offload: (
                ReferenceEngine(self.rams[0], offload=offload),
                NativeEngine(self.rams[1], offload=offload),
            )
            for offload in (False, True)
        }
        self.started_ns = 0

    def fight(self, seed: int) -> Verdict:
        """Run the program of a seed on both; tell whether they differ, and where first."""
        program = make(seed)
        reference, native = self.pairs[program.offload]
        first = self._reference(reference, program)
        began = time.thread_time()
        second = self._native(native, program)
        took = time.thread_time() - began
        self.started_ns += 1 << 40
        compared = not program.overlapping and not self.rams[0].ambiguous
        return Verdict(difference(first, second) if compared else None, took, compared)

    def _reference(self, engine: ReferenceEngine, program: Program) -> Outcome:
        self.rams[0].load(program)
        engine.advance(self.started_ns)
        return perform(engine, self.rams[0], program, self.started_ns)

    def _native(self, engine: NativeEngine, program: Program) -> Outcome:
        ram = self.rams[1]
        ram.load(program)
        engine.unmap_all()
        view = memoryview(ram.content)
        for window in program.windows:
            part = view[window.start : window.end]
            if window.direct:
                engine.lend(BASE + window.start, part, window.protection)
            else:
                engine.map(BASE + window.start, len(part), None, window.protection)
        engine.advance(self.started_ns)
        return perform(engine, ram, program, self.started_ns)


def difference(first: Outcome, second: Outcome) -> str | None:
    """Name the first thing in which two outcomes differ: reference, then native."""
    for what, ours, theirs in (
        ("answers", first.answers, second.answers),
        ("effects", first.effects, second.effects),
        ("registers", first.registers, second.registers),
    ):
        if ours != theirs:
            return f"{what}: {_first_difference(ours, theirs)}"
    if first.deadline != second.deadline:
        return f"deadline: {first.deadline} against {second.deadline}"
    if first.memory != second.memory:
        return f"memory: {_first_difference(first.memory, second.memory)}"
    return None


def _first_difference(first: Any, second: Any) -> str:  # noqa: ANN401 - two sequences of anything
    for at, (ours, theirs) in enumerate(zip(first, second, strict=False)):
        if ours != theirs:
            return f"at {at}: {ours!r:.200} against {theirs!r:.200}"
    return f"{len(first)} against {len(second)} of them"
