"""Faults on purpose: what a hook's answers do to a card, between it and its surroundings.

A hook stands outside the journal: a recording holds what the card saw and did. So a run with injected faults
is played again without the hook.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from device.card import BAR0
from device.effects import FrameSent
from device.regs.nic import NIC
from device.rings.index import DESCRIPTOR_SIZE, base
from device.trace.card import TracedCard
from lab.stepper.hooks import Delay, Hooks, Verdict

if TYPE_CHECKING:
    from device.card import InterruptSink
    from device.effects import GuestMemory, Offload
    from lab.stepper.views import Peekable

_RINGS: Final = tuple((kind, queue) for kind in ("tx", "rx") for queue in (0, 1))


Later = Callable[[Delay, Callable[[], object]], object]
"""Does something when a delay is over."""


def at_once(_: Delay, action: Callable[[], object]) -> None:
    """Do it now: there is no card yet to keep time."""
    action()


class HookedMemory:
    """Guest memory in which a hook may change or lose descriptor write-backs."""

    def __init__(self, memory: GuestMemory, hooks: Hooks) -> None:
        """Stand before ``memory``; ``engine`` is set as soon as there is one, ``later`` by the card."""
        self._memory = memory
        self._hooks = hooks
        self.engine: Peekable | None = None
        self.later: Later = at_once

    def read(self, address: int, length: int) -> bytes:
        """Read; nothing is changed."""
        return self._memory.read(address, length)

    def write(self, address: int, data: bytes) -> None:
        """Write what the hook leaves of it."""
        slot = self._slot(address) if self._hooks.find("on_write_back") is not None else None
        if slot is not None:
            answer = self._hooks.ask("on_write_back", *slot, bytes(data))
            if answer is Verdict.DROP:
                return
            if isinstance(answer, Delay):
                kept = bytes(data)
                self.later(answer, lambda: self._memory.write(address, kept))
                return
            data = data if answer is None else answer
        self._memory.write(address, data)

    def _slot(self, address: int) -> tuple[str, int] | None:
        """Return the ring (``tx0``) and the index that an address belongs to."""
        if self.engine is None:
            return None
        for kind, queue in _RINGS:
            prefix = "TD" if kind == "tx" else "RD"

            def register(what: str, prefix: str = prefix, queue: int = queue) -> int:
                return self.engine.peek(NIC[f"{prefix}{what}{queue}"].offset) if self.engine else 0

            start = base(register("BAL"), register("BAH"))
            if start <= address < start + register("LEN"):
                return f"{kind}{queue}", (address - start) // DESCRIPTOR_SIZE
        return None


class HookedSink:
    """An interrupt sink in which a hook may lose or delay messages."""

    def __init__(self, sink: InterruptSink, hooks: Hooks) -> None:
        """Stand before ``sink``; ``later`` is set by the card."""
        self._sink = sink
        self._hooks = hooks
        self.later: Later = at_once

    def message(self, vector: int) -> bool:
        """Send, or not, or later."""
        answer = self._hooks.ask("on_interrupt", vector)
        if answer is Verdict.DROP:
            return True  # the card believes that it was sent: that is what losing means
        if isinstance(answer, Delay):
            self.later(answer, lambda: self._sink.message(vector))
            return True
        return self._sink.message(vector)

    def level(self, *, asserted: bool) -> None:
        """Drive the line; it has no messages to lose."""
        self._sink.level(asserted=asserted)


class HookedCard(TracedCard):
    """A card whose registers, frames and interrupts pass a hook."""

    def __init__(self, *arguments: Any, hooks: Hooks, **named: Any) -> None:  # noqa: ANN401 - TracedCard's own
        """Power on; ``hooks`` may load a tracer later."""
        self._hooks = hooks
        self._waiting: list[tuple[int, Callable[[], object]]] = []
        self._now = 0
        send: Callable[[FrameSent], None] = named.pop("send")

        def passed(effect: FrameSent) -> None:
            answer = hooks.ask("on_frame_sent", effect.data)
            if answer is Verdict.DROP:
                return
            if isinstance(answer, Delay):
                self.later(answer, lambda: send(effect))
            else:
                send(effect if answer is None else FrameSent(answer, effect.offload))

        super().__init__(*arguments, send=passed, **named)

    def later(self, delay: Delay, action: Callable[[], object]) -> None:
        """Do something when the delay is over."""
        self._waiting.append((self._now + delay.ns, action))

    def advance(self, now_ns: int) -> None:
        """Let time pass, and do what waited for it."""
        self._now = max(self._now, now_ns)
        super().advance(now_ns)
        if self._waiting:
            due = [action for at, action in self._waiting if at <= self._now]
            self._waiting = [one for one in self._waiting if one[0] > self._now]
            for action in due:
                action()

    def deadline(self) -> int | None:
        """Return when ``advance`` is next needed, delays included."""
        instants = [at for at, _ in self._waiting]
        own = super().deadline()
        return min(instants + ([own] if own is not None else []), default=None)

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Read; a whole register may be changed for the driver."""
        data = super().read_region(index, offset, count)
        if index == BAR0 and count == 4 and offset % 4 == 0:
            answer = self._hooks.register("r", offset, int.from_bytes(data, "little"))
            if isinstance(answer, int):
                return (answer & 0xFFFF_FFFF).to_bytes(4, "little")
        return data

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write; a whole register may be changed for the card, or the write lost."""
        if index == BAR0 and len(data) == 4 and offset % 4 == 0:
            answer = self._hooks.register("w", offset, int.from_bytes(data, "little"))
            if isinstance(answer, Verdict):
                return
            if isinstance(answer, Delay):
                kept, write = bytes(data), super().write_region
                self.later(answer, lambda: write(index, offset, kept))
                return
            data = (answer & 0xFFFF_FFFF).to_bytes(4, "little")
        super().write_region(index, offset, data)

    def receive(self, frame: bytes, offload: Offload | None = None) -> bool:
        """Take a frame off the wire, as the hook leaves it."""
        answer = self._hooks.ask("on_frame_received", frame)
        if answer is Verdict.DROP:
            return False
        if isinstance(answer, Delay):
            kept, receive = bytes(frame), super().receive
            self.later(answer, lambda: receive(kept, offload))
            return True  # the wire has given it away; whether a slot is free shows later
        return super().receive(frame if answer is None else answer, offload)
