"""What a rule is, and what a report says. No rule is in here."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter
    from ndis.events import Event, Kind


class Actor(enum.Enum):
    """Whose code a context is in."""

    NDIS = enum.auto()
    MINIPORT = enum.auto()
    PROTOCOL = enum.auto()


@dataclass(frozen=True, slots=True)
class Report:
    """One broken rule: who, what, when, and the history of the packet or request."""

    rule: str
    title: str
    adapter: str
    what: str
    at_ns: int
    context: int
    history: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the report as lines for people."""
        head = (
            f"{self.rule} {self.title}\n  who:  {self.adapter} on CPU {self.context}\n"
            f"  what: {self.what}\n  when: {self.at_ns / 1e9:.6f} s"
        )
        return head + "".join(f"\n        {line}" for line in self.history)


class Watch(Protocol):
    """What every rule may ask of its verifier.

    ``storm_limit``: interrupts in a row that a driver may claim without doing anything (V34).
    ``isr_registers``: the only registers an ISR may touch; None does not check (V29).
    ``locks``: the names of the locks that each context holds.
    """

    storm_limit: int
    isr_registers: frozenset[int] | None
    locks: dict[int, list[str]]

    def actor(self, context: int) -> Actor:
        """Return whose code the context is in."""

    def handlers(self, context: int) -> list[str]:
        """Return the names of the crossings the context is inside of, outermost first."""


class Rule:
    """One rule. ``KINDS`` are the events it wants; ``see`` returns what is wrong, or None.

    A rule keeps its own memory; a verifier makes one object of each.
    """

    NUMBER: ClassVar[str]
    TITLE: ClassVar[str]
    KINDS: ClassVar[frozenset[Kind]]

    def __init__(self, verifier: Watch) -> None:
        self.verifier = verifier

    def see(self, event: Event) -> str | None:
        """Judge one event."""
        raise NotImplementedError


def block(event: Event) -> MiniportAdapter:
    """Return the adapter that the event is about."""
    found: MiniportAdapter = event.details["block"]
    return found
