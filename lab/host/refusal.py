"""The machine's own network is refused to a program that runs over the stack.

Modules are replaced by names (``programs``). This is the net below: CPython audits each socket that is made
and each name that is asked for, whoever holds the function. Sockets of AF_UNIX stay: they reach no network.
Source: Python's library reference, "Audit events table".
"""

from __future__ import annotations

import contextlib
import errno
import socket as machine
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = frozenset(
    f"socket.{name}"
    for name in ("getaddrinfo", "gethostbyaddr", "gethostbyname", "getnameinfo", "sethostname")
)


class Refusal:
    """An audit hook can never be taken away: this one hears all, and says no while a program runs."""

    def __init__(self) -> None:
        self._running = 0
        self._installed = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Say no from now on."""
        with self._lock:
            if not self._installed:
                sys.addaudithook(self._hear)
                self._installed = True
            self._running += 1

    def end(self) -> None:
        """Say no no longer, if no other program runs."""
        with self._lock:
            self._running -= 1

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._running or not event.startswith("socket."):
            return
        if event in NAMES:
            raise PermissionError(errno.EACCES, f"{event}: this program has the stack's network only")
        if event == "socket.__new__" and arguments[1] not in (machine.AF_UNIX, -1):
            raise PermissionError(errno.EACCES, "a socket of the machine: this program has the stack's only")
        if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg") and isinstance(
            arguments[1], tuple
        ):
            raise PermissionError(errno.EACCES, f"{event}: this program has the stack's network only")


_refusal = Refusal()


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Refuse this process the machine's network, until the context ends."""
    _refusal.begin()
    try:
        yield
    finally:
        _refusal.end()
