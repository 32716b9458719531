"""The observer: feeds events to the rules, keeps histories, collects reports."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ndis.events import Event, Kind
from ndis.verifier.rule import Actor, Report, Rule
from ndis.verifier.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HISTORY = 16
SUBJECTS = 16384
"""How many packets and requests have a history at a time: the oldest loses its own first."""

_PUSH = {Kind.ENTER: Actor.MINIPORT, Kind.CALLOUT: Actor.PROTOCOL, Kind.UPCALL: Actor.NDIS}
_POP = frozenset({Kind.EXIT, Kind.CALLOUT_END, Kind.UPCALL_END})


class Verifier:
    """An NDIS observer with rules. ``reports`` grows; nothing is stopped. ``events`` counts what it saw.

    ``storm_limit``: interrupts in a row that a driver may claim without doing anything (V34).
    ``isr_registers``: the only registers an ISR may touch; None does not check (V29).
    """

    def __init__(
        self,
        rules: Iterable[type[Rule]] = RULES,
        *,
        storm_limit: int = 100,
        isr_registers: frozenset[int] | None = None,
        on_report: Callable[[Report], None] | None = None,
    ) -> None:
        """Switch the given rules on."""
        self.storm_limit = storm_limit
        self.isr_registers = isr_registers
        self.reports: list[Report] = []
        self.events = 0
        self._on_report = on_report
        self._actors: dict[int, list[tuple[Actor, str]]] = {}
        self.locks: dict[int, list[str]] = {}
        self._histories: dict[object, deque[Event]] = {}
        self._rules: dict[Kind, list[Rule]] = {}
        for kind in rules:
            rule = kind(self)
            for wanted in rule.KINDS:
                self._rules.setdefault(wanted, []).append(rule)

    @property
    def broken(self) -> set[str]:
        """Numbers of the rules that were broken."""
        return {report.rule for report in self.reports}

    def actor(self, context: int) -> Actor:
        """Return whose code the context is in."""
        stack = self._actors.get(context)
        return stack[-1][0] if stack else Actor.PROTOCOL

    def handlers(self, context: int) -> list[str]:
        """Return the names of the crossings the context is inside of, outermost first."""
        return [name for _, name in self._actors.get(context, [])]

    def history(self, subject: object) -> tuple[str, ...]:
        """Return what happened to a packet, list or request, oldest first."""
        return tuple(
            f"{event.at_ns / 1e9:.6f} s CPU {event.context} {event.kind.name} {event.name}"
            for event in self._histories.get(subject, ())
        )

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self.events += 1
        self._remember(event)
        for rule in self._rules.get(event.kind, ()):
            what = rule.see(event)
            if what is not None:
                self.report(rule.NUMBER, rule.TITLE, event, what)
        self._follow(event)

    def report(self, number: str, title: str, event: Event, what: str) -> None:
        """Add a report."""
        past = self.history(event.subject) if _has_history(event) else ()
        made = Report(number, title, event.adapter, what, event.at_ns, event.context, past)
        self.reports.append(made)
        if self._on_report is not None:
            self._on_report(made)

    def _follow(self, event: Event) -> None:
        if event.kind in _PUSH:
            stack = self._actors.setdefault(event.context, [])
            stack.append((_PUSH[event.kind], event.name))
        elif event.kind in _POP:
            self._actors[event.context].pop()
        elif event.kind is Kind.LOCK:
            self.locks.setdefault(event.context, []).append(event.name)
        elif event.kind is Kind.UNLOCK:
            self.locks[event.context].remove(event.name)

    def _remember(self, event: Event) -> None:
        if event.kind in _WITH_HISTORY and event.subject is not None:
            past = self._histories.get(event.subject)
            if past is None:
                if len(self._histories) >= SUBJECTS:
                    del self._histories[next(iter(self._histories))]
                past = self._histories[event.subject] = deque(maxlen=HISTORY)
            past.append(event)


_WITH_HISTORY = frozenset(
    {
        Kind.SUBMIT,
        Kind.SEND,
        Kind.SEND_STATUS,
        Kind.SEND_COMPLETE,
        Kind.REQUEUE,
        Kind.COMPLETED,
        Kind.INDICATE,
        Kind.RETAINED,
        Kind.RETURN,
        Kind.RETURNED,
        Kind.TOUCH,
        Kind.REQUEST,
        Kind.REQUEST_COMPLETE,
    }
)


def _has_history(event: Event) -> bool:
    return event.kind in _WITH_HISTORY and event.subject is not None
