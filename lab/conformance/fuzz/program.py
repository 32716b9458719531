"""A program: what is done to a card, step by step, as data that can be stored. It knows no card.

Addresses are offsets into the bench's DMA area; a descriptor that holds an address is stored as a based
``Patch``, so that a program means the same on benches whose areas lie elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.conformance.bench import Bench

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Write:
    """Write a register; ``based``: the DMA area's address is added to the value."""

    offset: int
    value: int
    based: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """Read a register."""

    offset: int


@dataclass(frozen=True, slots=True)
class Patch:
    """Store bytes in the DMA area; ``based``: the first eight bytes are an offset into it."""

    at: int
    data: str
    based: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Put a frame on the wire."""

    frame: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass."""

    step_ns: int


Step = Write | Read | Patch | Send | Wait
KINDS: dict[str, type[Step]] = {kind.__name__.lower(): kind for kind in (Write, Read, Patch, Send, Wait)}


def perform(step: Step, bench: Bench) -> int | None:
    """Do a step; return what a read read."""
    base = bench.dma.start
    match step:
        case Write(offset, value, based):
            bench.write(offset, (value + base if based else value) & 0xFFFF_FFFF)
            bench.settle()
        case Read(offset):
            return bench.read(offset)
        case Patch(at, data, based):
            raw = bytes.fromhex(data)
            if based:
                address = int.from_bytes(raw[:8], "little") + base
                raw = address.to_bytes(8, "little") + raw[8:]
            bench.memory_write(base + at, raw)
        case Send(frame):
            bench.send(bytes.fromhex(frame))
            bench.settle()
        case Wait(step_ns):
            bench.advance(step_ns)
    return None


def dump(steps: Sequence[Step], targets: Sequence[str], difference: str) -> str:
    """Return the program as JSON, a step a line."""
    head = {"format": FORMAT, "targets": list(targets), "difference": difference}
    body = ",\n  ".join(json.dumps({"do": type(step).__name__.lower(), **asdict(step)}) for step in steps)
    return json.dumps(head)[:-1] + ',\n "steps": [\n  ' + body + "\n ]}\n"


def load(text: str) -> tuple[list[Step], list[str]]:
    """Return the steps and the targets of a stored program; raises ValueError when it is none."""
    try:
        stored = json.loads(text)
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']}")
        steps = [KINDS[entry.pop("do")](**entry) for entry in stored["steps"]]
        return steps, list(stored["targets"])
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
