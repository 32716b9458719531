"""A selector over two worlds: sockets of an NT host, and descriptors of this machine.

Winsock's side is a poll that AFD keeps; its end writes an event descriptor, so one sleep in the machine's own
selector waits for both. Level-triggered, as ``selectors`` wants it: every ``select`` polls afresh.
"""

from __future__ import annotations

import collections.abc
import os
import selectors
from typing import TYPE_CHECKING, Any

from protocols.apis.winsock.constants import PollFlag
from protocols.apis.winsock.pysocket import FIRST_FILENO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READS = PollFlag.RDNORM | PollFlag.ERR | PollFlag.HUP | PollFlag.NVAL
WRITES = PollFlag.OUT | PollFlag.ERR | PollFlag.HUP | PollFlag.NVAL


class StackSelector(selectors.BaseSelector):
    """``selectors.DefaultSelector`` for programs that hold sockets of ``winsock`` and descriptors.

    ``winsock`` is a process's Winsock that may be called from any thread (``locked_winsock.Locked``).
    """

    def __init__(self, winsock: Any) -> None:  # noqa: ANN401 - Winsock behind a lock
        """Watch nothing but the event descriptor."""
        self._winsock = winsock
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._machine = selectors.DefaultSelector()
        self._event = os.eventfd(0, os.EFD_NONBLOCK)
        self._machine.register(self._event, selectors.EVENT_READ)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # noqa: ANN401 - as the base
        """Watch a socket of the stack, by itself or by its ``fileno``, or a descriptor."""
        number = _number(fileobj)
        if not events or events & ~(selectors.EVENT_READ | selectors.EVENT_WRITE):
            raise ValueError(f"invalid events: {events!r}")
        if number in self._keys:
            raise KeyError(f"{fileobj!r} is already registered")
        if number < FIRST_FILENO:
            self._machine.register(number, events)
        key = self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:  # noqa: ANN401 - as the base
        """Watch it no more. KeyError when it was not."""
        key = self._keys.pop(self._find(fileobj))
        if key.fd < FIRST_FILENO:
            self._machine.unregister(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # noqa: ANN401 - as the base
        """Watch it for other events."""
        old = self.unregister(fileobj)
        return self.register(old.fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; sleep up to ``timeout`` seconds when nothing is, None: until something is."""
        keys = [key for key in self._keys.values() if key.fd >= FIRST_FILENO]
        asked = [(key.fd - FIRST_FILENO, _flags(key.events)) for key in keys]
        pending = self._winsock.begin_poll(asked, self._wake)
        machine = self._machine.select(timeout)
        answers = self._winsock.end_poll(pending)
        if any(key.fd == self._event for key, _events in machine):
            os.eventfd_read(self._event)
        ready = [(self._keys[key.fd], events) for key, events in machine if key.fd != self._event]
        for key, answer in zip(keys, answers, strict=True):
            events = (selectors.EVENT_READ if answer & READS else 0) | (
                selectors.EVENT_WRITE if answer & WRITES else 0
            )
            if events & key.events:
                ready.append((key, events & key.events))
        return ready

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return the keys by file object or number."""
        return KeyMap(self)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:  # noqa: ANN401 - as the base
        """Return the key of one. KeyError."""
        return self._keys[self._find(fileobj)]

    def close(self) -> None:
        """Give the event descriptor back."""
        self._keys.clear()
        self._machine.close()
        os.close(self._event)

    def _wake(self) -> None:
        os.eventfd_write(self._event, 1)

    def _find(self, fileobj: Any) -> int:  # noqa: ANN401 - as the base
        """Return the number that a file was registered by, even when it is closed now."""
        try:
            return _number(fileobj)
        except ValueError:
            for key in self._keys.values():
                if key.fileobj is fileobj:
                    return key.fd
            raise


class KeyMap(collections.abc.Mapping[Any, selectors.SelectorKey]):
    """What ``get_map`` returns: keys by file object or number."""

    def __init__(self, selector: StackSelector) -> None:
        """Look into a selector, which may change."""
        self._selector = selector

    def __len__(self) -> int:
        """Return how many are watched."""
        return len(self._selector._keys)  # noqa: SLF001 - the map is the selector's own

    def __iter__(self) -> Iterator[Any]:
        """Walk the numbers."""
        return iter(self._selector._keys)  # noqa: SLF001 - the map is the selector's own

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:  # noqa: ANN401 - as the base
        """Return a key. KeyError."""
        return self._selector.get_key(fileobj)


def _number(fileobj: Any) -> int:  # noqa: ANN401 - a number, or what has one
    number = int(fileobj if isinstance(fileobj, int) else fileobj.fileno())
    if number < 0:
        raise ValueError(f"{fileobj!r} is closed")
    return number


def _flags(events: int) -> PollFlag:
    found = PollFlag.RDNORM if events & selectors.EVENT_READ else PollFlag.NONE
    return found | PollFlag.OUT if events & selectors.EVENT_WRITE else found
