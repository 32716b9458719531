"""Winsock for several threads: each call holds the host's lock, which waits give up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Locked:
    """Any object, entered by one thread at a time."""

    def __init__(self, target: Any, lock: AbstractContextManager[object]) -> None:  # noqa: ANN401 - any object
        """Guard ``target``."""
        self._target = target
        self._lock = lock

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the target's
        """Return a method that takes the lock, or the attribute itself."""
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the target's
            with self._lock:
                return found(*arguments, **named)

        self.__dict__[name] = call  # the next time it is found without coming here
        return call
