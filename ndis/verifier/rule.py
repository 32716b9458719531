"""What a rule is, and what a report says. No rule is in here."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter
    from ndis.events import Event, Kind
    from ndis.verifier.core import Verifier


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


class Rule:
    """One rule. ``KINDS`` are the events it wants; ``see`` returns what is wrong, or None.

    A rule keeps its own memory; a verifier makes one object of each.
    """

    NUMBER: ClassVar[str]
    TITLE: ClassVar[str]
    KINDS: ClassVar[frozenset[Kind]]

    def __init__(self, verifier: Verifier) -> None:
        """Know the verifier, for what all rules share: actors, locks, options."""
        self.verifier = verifier

    def see(self, event: Event) -> str | None:
        """Judge one event."""
        raise NotImplementedError


def block(event: Event) -> MiniportAdapter:
    """Return the adapter that the event is about."""
    found: MiniportAdapter = event.details["block"]
    return found
