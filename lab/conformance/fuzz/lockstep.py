"""Runs one program on two benches, step by step, and says where they part. It makes no program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from lab.conformance.fuzz.program import Read, Send, Step, Write, perform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.conformance.bench import Bench

MEMORY_EVERY = 32  # steps between two comparisons of the whole DMA area
AREA_BYTES = 0x8_0000  # where programs put their rings and buffers


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared: interrupts or not, and which parts of the area (offset, bytes)."""

    lines: bool
    parts: tuple[tuple[int, int], ...]


EVERYTHING = Scope(lines=True, parts=((0, AREA_BYTES),))
# Two models have throttles of their own, and QEMU puts checksums into the guest's transmit buffers
# (check OFF-BUFFER), which would be found again in every program.
RINGS_AND_FRAMES = Scope(lines=False, parts=((0, 0x1_0000), (0x4_0000, 0x4_0000)))


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference: after which step, in what, and what each side had."""

    step: int
    what: str
    left: str
    right: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"step {self.step}: {self.what}: {self.left} against {self.right}"


def describe(step: Step) -> str:
    """Return a step in the datasheet's words."""
    match step:
        case Write(offset, value, based):
            return f"write {NIC.name_of(offset)} = {'area + ' if based else ''}{value:#x}"
        case Read(offset):
            return f"read {NIC.name_of(offset)}"
        case Send(frame):
            return f"send {len(frame) // 2} bytes {frame[:40]}…"
        case _:
            return str(step)


def _seen(bench: Bench) -> dict[str, str]:
    frames = bench.frames()
    return {
        "frames on the wire": " ".join(frame.hex() for frame in frames) or "none",
        "INTx": str(bench.line()),
        "messages": str(sorted(bench.messages())),
    }


def _memory(left: Bench, right: Bench, scope: Scope) -> tuple[int, bytes, bytes] | None:
    for start, size in scope.parts:
        mine = left.memory_read(left.dma.start + start, size)
        other = right.memory_read(right.dma.start + start, size)
        if mine != other:
            at = next(index for index in range(size) if mine[index] != other[index]) & ~15
            return start + at, mine[at : at + 16], other[at : at + 16]
    return None


def run(steps: Sequence[Step], left: Bench, right: Bench, scope: Scope = EVERYTHING) -> Difference | None:
    """Reset both, run the program, return the first difference."""
    for bench in (left, right):
        bench.reset()
        bench.memory_write(bench.dma.start, bytes(AREA_BYTES))
    for index, step in enumerate(steps):
        got = perform(step, left), perform(step, right)
        if got[0] != got[1]:
            return Difference(index, describe(step), f"{got[0]:#x}", f"{got[1]:#x}")
        seen = _seen(left), _seen(right)
        for what, value in seen[0].items():
            if value != seen[1][what] and (scope.lines or what.startswith("frames")):
                return Difference(index, what, value, seen[1][what])
        if index % MEMORY_EVERY == MEMORY_EVERY - 1 or index == len(steps) - 1:
            apart = _memory(left, right, scope)
            if apart is not None:
                at, mine, other = apart
                return Difference(index, f"memory at area + {at:#x}", mine.hex(), other.hex())
    return None
