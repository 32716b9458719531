"""The native engine does what the reference does: registers, guest memory and effects, on random programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from device.effects import DmaError, Effect
from device.engine.contract import InterruptMode
from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.regs.bank import Owner
from device.regs.nic import NIC
from tests.property.engine_programs import BASE, Program, make, prepare, program

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.engine.contract import Engine


class Ram:
    """Guest memory at one place of the bus."""

    def __init__(self, content: bytes) -> None:
        """Start with ``content`` at ``BASE``."""
        self.content = bytearray(content)

    def read(self, address: int, length: int) -> bytes:
        """Return bytes; DmaError outside."""
        at = address - BASE
        if at < 0 or at + length > len(self.content):
            raise DmaError(address, length)
        return bytes(self.content[at : at + length])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; DmaError outside."""
        at = address - BASE
        if at < 0 or at + len(data) > len(self.content):
            raise DmaError(address, len(data))
        self.content[at : at + len(data)] = data


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that can be seen of an engine after a program."""

    answers: tuple[object, ...]
    effects: tuple[Effect, ...]
    registers: dict[str, int]
    memory: bytes
    deadline: int | None
    now: int


DEEDS: dict[str, Callable[..., object]] = {
    "write": lambda engine, offset, value: engine.write(offset, value),
    "read": lambda engine, offset: engine.read(offset),
    "run": lambda engine: engine.run(),
    "step": lambda engine: engine.step(),
    "receive": lambda engine, frame, offload: engine.receive(frame, offload),
    "advance": lambda engine, now: engine.advance(now),
    "mode": lambda engine, number: engine.set_interrupt_mode(InterruptMode(number)),
    "link": lambda engine, up: engine.set_link(up=bool(up)),
    "loopback": lambda engine, enabled: engine.set_loopback(enabled=bool(enabled)),
    "mastering": lambda engine, enabled: engine.set_mastering(enabled=bool(enabled)),
    "causes": lambda engine, causes: engine.raise_causes(causes),
    "reset": lambda engine, *keep: engine.reset(keep=frozenset(keep)),
}
"""What an action of a program does; the answer is compared."""


def perform(engine: Engine, ram: Ram, what: Program, *, fresh: bool = True) -> Outcome:
    """Run a program on an engine; a ``fresh`` one is prepared for it."""
    answers: list[object] = []
    effects: list[Effect] = []
    if fresh:
        prepare(engine, what)
    for action, *arguments in what.actions:
        answers += [DEEDS[str(action)](engine, *arguments), engine.can_receive()]
        effects += engine.effects()
    times = [int(str(action[1])) for action in what.actions if action[0] == "advance"]
    registers = {
        NIC.name_of(offset): value
        for register in NIC
        if register.owner is Owner.ENGINE and register.name != "PBM"
        for offset in register.offsets()
        if (value := engine.peek(offset))
    }
    return Outcome(
        tuple(answers),
        tuple(effects),
        registers,
        bytes(ram.content),
        engine.deadline(),
        max(times, default=0),
    )


def both(what: Program, *, mapped: bool) -> tuple[Outcome, Outcome]:
    """Run a program on both engines; the native one's memory is mapped, or reached by callback."""
    first, second = Ram(what.memory), Ram(what.memory)
    reference = ReferenceEngine(first, offload=what.offload)
    if not mapped:
        native = NativeEngine(second, offload=what.offload)
        return perform(reference, first, what), perform(native, second, what)
    native = NativeEngine(offload=what.offload)
    loan = native.lend(BASE, second.content)
    try:
        return perform(reference, first, what), perform(native, second, what)
    finally:
        loan.end()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(make(69073), 5)  # the arbitration's count of frames below 0
@given(program(), st.integers(0, 40))
def test_each_engine_goes_on_where_the_other_was_saved(what: Program, cut: int) -> None:
    """Half of a program on one engine, the other half on the other: nobody sees the change."""
    early = Program(what.seed, what.memory, what.offload, what.settings, what.actions[:cut])
    late = Program(what.seed, what.memory, what.offload, [], what.actions[cut:])
    outcomes = []
    for first_kind, second_kind in ((ReferenceEngine, NativeEngine), (NativeEngine, ReferenceEngine)):
        ram = Ram(what.memory)
        first = first_kind(ram, offload=what.offload)
        before = perform(first, ram, early)
        second = second_kind(ram, offload=what.offload)
        second.advance(before.now)

        second.restore(first.save())

        outcomes.append((before, perform(second, ram, late, fresh=False)))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "callback"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_both_engines_agree_on_random_programs(mapped: bool, data: st.DataObject) -> None:  # noqa: FBT001 - a parameter of the table
    """Random rings, descriptors, contexts, frames, registers, modes and times."""
    what = data.draw(program())

    reference, native = both(what, mapped=mapped)

    assert native.answers == reference.answers
    assert native.effects == reference.effects
    assert native.registers == reference.registers
    assert native.deadline == reference.deadline
    assert native.memory == reference.memory
