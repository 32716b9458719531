"""What the sockets of one process share: Winsock, names, the default timeout, and sockets nobody closed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocols.apis.winsock.constants import So, Sol
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.pysocket import numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.apis.winsock.api import Winsock
    from protocols.apis.winsock.pysocket.names import Resolver


def _nothing() -> None:
    """Wake nobody: the next call of a socket closes what was abandoned."""


@dataclass(slots=True)
class World:
    """One process's. ``wake`` is told of an abandoned socket, from a collector: it may take no lock."""

    winsock: Winsock
    resolver: Resolver
    default_timeout: float | None = None
    wake: Callable[[], None] = _nothing
    abandoned: deque[int] = field(default_factory=deque)
    """Sockets that nobody holds, to be closed by the next call of any other."""

    def abandon(self, number: int) -> None:
        """Have a socket closed soon."""
        self.abandoned.append(number)
        self.wake()

    def close_abandoned(self) -> None:
        """Close what was abandoned."""
        while self.abandoned:
            try:
                number = self.abandoned.popleft()
            except IndexError:  # another thread has
                return
            try:
                self.close(number)
            except OSError as error:
                if error.errno != numbers.ERRNO[Wsae.WSAENOTSOCK]:
                    raise

    def close(self, number: int) -> None:
        """Close a socket. OSError."""
        try:
            self.winsock.closesocket(number)
        except WinsockError as error:
            if error.code is not Wsae.WSAEWOULDBLOCK:
                raise numbers.translated(error) from None
            # SO_LINGER on a non-blocking socket: Unix closes all the same, and TCP goes on alone.
            self.winsock.setsockopt(number, Sol.SOCKET, So.DONTLINGER, 1)
            self.winsock.closesocket(number)
