"""A card, a small driver and their memory in one process: stepping without QEMU, and recordings for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.engine.reference import ReferenceEngine
from device.trace.card import Journal, JournaledMemory, TracedCard
from device.trace.recording import About, Writer
from lab.stepper.hooks import Hooks
from lab.stepper.injection import HookedCard, HookedMemory, HookedSink
from lab.stepper.small_driver import MAC, Messages, Ram, SmallDriver, Symptom, work

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.effects import FrameSent, GuestMemory
    from device.trace.events import Observer


@dataclass(frozen=True, slots=True)
class Workbench:
    """The parts, joined."""

    card: TracedCard
    engine: ReferenceEngine
    ram: Ram
    driver: SmallDriver
    messages: Messages
    wire: list[bytes]
    journal: Journal | None

    def work(self, frames: int = 20) -> Symptom:
        """Let the driver send and receive; end the recording, if there is one."""
        symptom = work(self.driver, self.messages, self.wire, frames)
        if self.journal is not None:
            self.journal.close()
        return symptom


def build(
    fault: str = "",
    *,
    observer: Observer | None = None,
    write: Callable[[bytes], object] | None = None,
    hooks: Hooks | None = None,
) -> Workbench:
    """Join a driver, with a planted fault perhaps, to a card; ``write`` takes a recording's bytes."""
    ram, messages = Ram(), Messages()
    wire: list[bytes] = []
    journal = None
    hooks = hooks or Hooks()
    hooked = HookedMemory(ram, hooks)
    memory: GuestMemory = hooked
    if write is not None:
        journal = Journal(Writer(write, About(MAC.hex(":"), comment=f"small driver {fault}".strip())))
        memory = JournaledMemory(hooked, journal)
    engine = ReferenceEngine(memory, observer=observer)
    hooked.engine = engine
    sink = HookedSink(messages, hooks)

    def send(effect: FrameSent) -> None:
        wire.append(effect.data)

    card = HookedCard(engine, MAC, send=send, sink=sink, observer=observer, journal=journal, hooks=hooks)
    sink.later = hooked.later = card.later
    return Workbench(card, engine, ram, SmallDriver(card, ram, fault), messages, wire, journal)
