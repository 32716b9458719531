"""Winsock for several threads: each call holds the host's lock, which waits give up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from lab.host.live import LiveExecutive


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
        call = self._guarded(found)
        self.__dict__[name] = call  # the next time it is found without coming here
        return call

    def _guarded(self, found: Callable[..., Any]) -> Callable[..., Any]:
        lock = self._lock

        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the target's
            with lock:
                return found(*arguments, **named)

        return call


class Entered(Locked):
    """An object whose methods are called as in ``with executive.entry:``."""

    def __init__(self, target: Any, executive: LiveExecutive) -> None:  # noqa: ANN401 - any object
        """Guard ``target``."""
        super().__init__(target, executive.entry)
        self._executive = executive

    def _guarded(self, found: Callable[..., Any]) -> Callable[..., Any]:
        """Do what ``Entry`` does, without its calls around each of the program's."""
        executive, lock = self._executive, self._executive.lock

        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the target's
            with lock:
                executive.is_entered = True
                try:
                    return found(*arguments, **named)
                finally:
                    executive.is_entered = False
                    if executive.queued:
                        executive.settle()

        return call
