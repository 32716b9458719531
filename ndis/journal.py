"""The observer behind ``ndis log``: it keeps the last events, and what drivers answered last."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ndis.events import Kind
from ndis.requests import Request, RequestKind
from ndis.status import Status

if TYPE_CHECKING:
    from ndis.events import Event, Observer
    from ndis.wrapper import Ndis

LINES = 1000


class Journal:
    """The last ``lines`` events. ``answers``: (adapter, OID) to status and bytes of the last query."""

    def __init__(self, lines: int = LINES) -> None:
        self.events: deque[Event] = deque(maxlen=lines)
        self.answers: dict[tuple[str, int], tuple[Status, bytes]] = {}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        self.events.append(event)
        request = event.subject
        if event.kind is not Kind.REQUEST_COMPLETE or not isinstance(request, Request):
            return
        if request.kind is RequestKind.QUERY:
            answer = Status[event.name], request.driver_buffer.answer
            self.answers[event.adapter, request.oid] = answer


class Tee:
    """Several observers as one, in order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def __call__(self, event: Event) -> None:
        """Tell all."""
        for observer in self.observers:
            observer(event)


def attach(ndis: Ndis, observer: Observer) -> Observer | None:
    """Have ``observer`` see what happens from now on, beside who saw it before; return that for ``restore``.

    Packets of pools that were made without an observer do not tell who looks into them.
    """
    before = ndis.observer
    restore(ndis, observer if before is None else Tee(before, observer))
    return before


def restore(ndis: Ndis, observer: Observer | None) -> None:
    """Make ``observer`` the only one, from the next crossing on."""
    ndis.observer = observer
    for adapter in ndis.adapters:
        adapter.observer = observer
