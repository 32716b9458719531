"""What Tab offers: commands, then the words that may follow, then the facts an event can be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC
from device.trace.breakpoints import KINDS
from device.trace.facts import KEYS, NAMES
from lab.stepper.command import RINGS
from lab.stepper.commands import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

_REGISTERS: Final = tuple(register.name for register in NIC)
_CAUSES: Final = tuple(field.name for field in NIC["ICR"].fields)
_RINGED: Final = frozenset({"fetch", "descriptor", "writeback", "data", "store", "frame", "drop", "doorbell"})
_NAMED: Final = frozenset({"read", "write", "access"})
_STOPS: Final = frozenset({"break", "until"})
_LAST: Final = ("every=", "nth=", "if")


def complete(line: str) -> list[str]:
    """Return the words that the last word of a line may become."""
    words = line.split()
    last = "" if not line or line.endswith(" ") else words.pop()
    return sorted({word for word in _candidates(words) if word.lower().startswith(last.lower())})


def _candidates(words: list[str]) -> Iterable[str]:
    if not words:
        return tuple(BY_NAME)
    command = BY_NAME.get(words[0])
    if command is None:
        return ()
    if command.names[0] in _STOPS and len(words) > 1:
        return _of_event(words[1]) if "if" not in words else ("tx[0]", "rx[0]", "regs.", "driver.", "mem(")
    return command.completions


def _of_event(kind: str) -> Iterable[str]:
    """Return what may follow the word for a kind of event."""
    if kind not in KINDS:
        return ()
    keys = {key for event in KINDS[kind] for key in KEYS[NAMES[event]]}
    found = [f"{key}=" for key in keys]
    found += RINGS if kind in _RINGED else ()
    found += _REGISTERS if kind in _NAMED else ()
    found += _CAUSES if kind == "cause" else ()
    return (*found, *_LAST)
