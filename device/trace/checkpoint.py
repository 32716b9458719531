"""The whole state of a card with the reference engine, kept in this process, to go back to.

It is made of the attributes that are plain values, named in one table; a test holds the table against
the objects, so that a new attribute cannot be forgotten. ``Engine.save`` is for other processes and other
engines; this is for ``seek`` and ``reverse-step``, and takes what surrounds the engine along.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from device.engine.reference import ReferenceEngine
    from device.trace.card import TracedCard

_CORE: Final = ("words", "now", "link", "mastering", "loopback", "paused_until", "effects")
_INTERRUPTS: Final = (
    "mode",
    "now",
    "asserted",
    "signalled",
    "delayed_receive",
    "delayed_transmit",
    "timers",
    "quiet_until",
    "held",
)
_QUEUE: Final = (
    "chunks",
    "context",
    "css",
    "dropping",
    "options",
    "segmentation",
    "segmenting",
    "size",
    "stamp",
    "started",
)
_PHY = ("_now", "_carrier", "_registers", "_fell", "state", "_done_at", "_partner_base", "_partner_next")
Values = list[dict[str, Any]]


def parts(card: TracedCard, engine: ReferenceEngine) -> list[tuple[object, tuple[str, ...]]]:
    """Return the stateful objects of a card and the attributes that are their state."""
    eeprom = card.nvm.eeprom
    command = eeprom._command  # noqa: SLF001 - the whole state is what this module is about
    return [
        (engine.core, _CORE),
        (engine.interrupts, _INTERRUPTS),
        (engine.core.time, ("base", "since_ns", "timinca")),
        (engine.flow, ("partner",)),
        (engine.receiver, ("stored",)),
        (engine.receiver.buffer, ("_frames", "held")),
        (engine.transmitter, ("turn", "left", "unfinished", "_work_done")),
        *((queue, _QUEUE) for queue in engine.transmitter.queues),
        (card.phy, _PHY),
        (card.nvm, ("flash", "_words")),
        (eeprom, ("_status", "_selected", "_clock", "output")),
        (command, tuple(command.__dataclass_fields__)),
        (card.msix, ("_table", "_used", "pending")),
        (card.function.config, ("_image",)),
        (card.control, ("mastering_allowed", "held")),
        (card.account, tuple(card.account.__dataclass_fields__)),
        (card, ("_io_address", "_stored", "_forced", "faults", "wire_full")),
    ]


def capture(card: TracedCard, engine: ReferenceEngine) -> Values:
    """Return the state, as values that later changes do not touch: flat containers of immutable things."""
    return [{name: copy.copy(getattr(thing, name)) for name in names} for thing, names in parts(card, engine)]


def restore(card: TracedCard, engine: ReferenceEngine, values: Values) -> None:
    """Go back. Lists and the like are filled in place: other parts of the engine hold on to them."""
    for (thing, _), saved in zip(parts(card, engine), values, strict=True):
        for name, value in saved.items():
            _put(thing, name, copy.copy(value))


def _put(thing: object, name: str, value: Any) -> None:  # noqa: ANN401 - any attribute's value
    old = getattr(thing, name)
    if isinstance(old, (list, bytearray)):
        old[:] = value
    elif isinstance(old, (dict, set)):
        old.clear()
        old.update(value)
    else:
        setattr(thing, name, value)
