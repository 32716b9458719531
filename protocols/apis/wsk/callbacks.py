"""A socket's event callbacks: which are enabled, which are being made, and who waits for their end.

Enabled statically (WSK_SET_STATIC_EVENT_CALLBACKS) they stay so. A callback that is disabled while it is in
progress is disabled when it has returned. Source: SO_WSK_EVENT_CALLBACK (WDK).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ntos.executive.irql import Irql
from protocols.apis.wsk.constants import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.irql import IrqlModel

Said = TypeVar("Said")


class Callbacks:
    """The callbacks of one socket. They are made at DISPATCH_LEVEL."""

    def __init__(self, irql: IrqlModel, static: Event) -> None:
        """Have those enabled that are so for every socket of the client."""
        self.static = static
        self._irql = irql
        self._enabled = Event.NONE
        self._running: list[Event] = []
        self._waiting: list[tuple[Event, Callable[[], object]]] = []

    def __contains__(self, event: Event) -> bool:
        """Whether an event is enabled."""
        return bool((self.static | self._enabled) & event)

    @property
    def enabled(self) -> Event:
        """Those enabled by SO_WSK_EVENT_CALLBACK."""
        return self._enabled

    @property
    def is_idle(self) -> bool:
        """Whether none is in progress."""
        return not self._running

    def enable(self, events: Event) -> None:
        """Enable some."""
        self._enabled |= events

    def disable(self, event: Event, done: Callable[[], None]) -> bool:
        """Disable one; return whether it is done. If it is in progress, ``done`` is called afterwards."""
        if event not in self._running:
            self._enabled &= ~event
            return True
        self._waiting.append((event, done))
        return False

    def when_idle(self, done: Callable[[], object]) -> bool:
        """Call ``done`` when none is in progress any more; True: that is so already."""
        if self.is_idle:
            return True
        self._waiting.append((Event.NONE, done))
        return False

    def call(self, event: Event, callback: Callable[..., Said], *arguments: object) -> Said:
        """Make a callback."""
        self._running.append(event)
        before = self._irql.raise_to(Irql.DISPATCH)
        try:
            said = callback(*arguments)
        finally:
            self._irql.lower_to(before)
        self._running.remove(event)
        for one in [
            w for w in self._waiting if (not self._running if not w[0] else w[0] not in self._running)
        ]:
            self._waiting.remove(one)
            self._enabled &= ~one[0]
            one[1]()
        return said
