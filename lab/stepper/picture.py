"""What the full screen shows of a stop, as texts: made in the card's thread, while the card stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.effects import DmaError
from device.trace import events as ev
from device.trace.facts import is_doorbell, register_name
from lab.stepper import driver_side
from lab.stepper.command import CommandError
from lab.stepper.commands import execute

if TYPE_CHECKING:
    from lab.stepper.command import Context
    from lab.stepper.session import Stop
    from lab.stepper.views import RingView

_ABOUT: Final = {
    "DescriptorFetched": "descriptor",
    "DescriptorWrittenBack": "descriptor",
    "FrameCompleted": "frame",
    "FrameArrived": "frame",
}
"""The command that shows what an event is about; for others the interrupts."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A line of the rings' panel; ``ring`` is empty for a title."""

    text: str
    ring: str = ""
    index: int = 0
    owner: str = ""
    """``card`` or ``driver``, whoever has the slot; ``done`` where the driver may take it back."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The panels' contents."""

    title: str
    rings: tuple[Slot, ...]
    event: str
    changed: str
    history: str


def take(context: Context, stop: Stop) -> Picture:
    """Look at the card."""
    return Picture(
        title=str(stop),
        rings=tuple(_rings(context)),
        event=_about(context, stop),
        changed=f"{_newest_first(execute(context, 'writes'))}\n\n{execute(context, 'registers changed')}",
        history=execute(context, "history 40"),
    )


def _newest_first(text: str) -> str:
    return "\n".join(reversed(text.splitlines()))


def _rings(context: Context) -> list[Slot]:
    look = context.session.look
    slots = []
    if look.driver is not None:
        slots += [Slot(line) for line in driver_side.lines(look.driver, look.tx, look.rx)]
    for ring in (*look.tx, *look.rx):
        if ring.count:
            slots += [Slot(ring.title()), Slot(ring.bar())]
            name = f"{ring.kind}{ring.queue}"
            slots += [Slot(ring.slot(index), name, index, _owner(ring, index)) for index in ring.shown()]
    return slots or [Slot("no ring is set up yet")]


def _owner(ring: RingView, index: int) -> str:
    try:
        one = ring.desc[index]
    except DmaError:
        return ""
    return "card" if one.card_owns else "done" if one.done else "driver"


def _about(context: Context, stop: Stop) -> str:
    event = stop.event
    command = _ABOUT.get(type(event).__name__, "interrupts")
    if isinstance(event, (ev.RegisterRead, ev.RegisterWritten)):
        command = "descriptor" if is_doorbell(event) else f"registers {register_name(event.offset)}"
    try:
        return execute(context, command)
    except CommandError as error:
        return str(error)
