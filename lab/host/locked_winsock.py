"""Winsock for several threads: each call holds the host's lock, which waits give up."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ntos.executive.live_states import Duty

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ntos.executive.live import LiveExecutive


class Locked:
    """Any object, entered by one thread at a time."""

    def __init__(self, target: Any, lock: AbstractContextManager[object]) -> None:  # noqa: ANN401 - any object
        self._target = target
        self._lock = lock

    @cached_property
    def win32(self) -> Locked:
        """A Winsock's kernel32, entered in the same way."""
        return Locked(self._target.win32, self._lock)

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
        super().__init__(target, executive.entry)
        self._executive = executive

    @cached_property
    def win32(self) -> Locked:
        """A Winsock's kernel32, entered in the same way."""
        return Entered(self._target.win32, self._executive)

    def _guarded(self, found: Callable[..., Any]) -> Callable[..., Any]:
        """Do what ``Entry`` does, without its calls around each of the program's."""
        executive, lock = self._executive, self._executive.lock
        idle, entered = Duty.IDLE, Duty.ENTERED

        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the target's
            with lock:
                if executive.duty is not idle:  # from a routine, or from inside another call
                    with executive.entry:
                        return found(*arguments, **named)
                executive.duty = entered
                try:
                    return found(*arguments, **named)
                finally:
                    executive.duty = idle
                    if executive.queued or executive.waiting:
                        executive.settle()

        return call
