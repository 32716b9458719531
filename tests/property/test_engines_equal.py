"""The native engine does what the reference does: registers, guest memory and effects, on random programs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.effects import DmaError, Effect, Offload
from device.engine.contract import InterruptMode
from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.regs.bank import Owner
from device.regs.nic import NIC
from engine_programs import BASE, RAM_BYTES, Program, prepare, program

if TYPE_CHECKING:
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


def perform(engine: Engine, ram: Ram, what: Program) -> Outcome:
    """Run a program on an engine."""
    answers: list[object] = []
    effects: list[Effect] = []
    prepare(engine, what)
    for action, *arguments in what.actions:
        if action == "write":
            engine.write(*arguments)
        elif action == "read":
            answers.append(engine.read(*arguments))
        elif action == "run":
            answers.append(engine.run())
        elif action == "step":
            answers.append(engine.step())
        elif action == "receive":
            answers.append(engine.receive(*arguments))
        elif action == "advance":
            engine.advance(*arguments)
        elif action == "mode":
            engine.set_interrupt_mode(InterruptMode(*arguments))
        elif action == "link":
            engine.set_link(up=bool(*arguments))
        elif action == "loopback":
            engine.set_loopback(enabled=bool(*arguments))
        elif action == "mastering":
            engine.set_mastering(enabled=bool(*arguments))
        elif action == "causes":
            engine.raise_causes(*arguments)
        elif action == "reset":
            engine.reset(keep=frozenset(arguments))
        answers.append(engine.can_receive())
        effects += engine.effects()
    registers = {
        NIC.name_of(offset): value
        for register in NIC
        if register.owner is Owner.ENGINE and register.name not in ("PBM",)
        for offset in register.offsets()
        if (value := engine.peek(offset))
    }
    return Outcome(tuple(answers), tuple(effects), registers, bytes(ram.content), engine.deadline())


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
