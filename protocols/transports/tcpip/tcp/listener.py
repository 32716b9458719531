"""A port that is open for connections; what arrives for it is handled in ``passive``."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler, FourTuple
    from protocols.transports.tcpip.tcp.segment import Segment
    from protocols.transports.tcpip.timers import Timer


class Inspection(enum.Enum):
    """What becomes of a SYN: answered, answered by a reset, or kept until ``passive.conclude``."""

    ADMIT = enum.auto()
    REFUSE = enum.auto()
    KEEP = enum.auto()


class Kept(NamedTuple):
    """A SYN that waits for its inspection's end, and the timer that gives it up."""

    syn: Segment
    timer: Timer


class ListenerHost(Protocol):
    """What a listener asks of the host's TCP."""

    def unlisten(self, found: Listener) -> None:
        """Close its port."""


class Listener:
    """A port that is open for connections.

    ``on_accept(connection)`` is called when a handshake is over and returns the connection's owner.
    ``admit(address, port)`` may refuse a SYN silently, as a full backlog does; ``inspect(key)``, asked
    once of each SYN that was admitted, may refuse it aloud or have it wait in ``kept``; ``dropped(key)`` is
    told of a request that was not refused, and came to nothing. A listener that inspects sends no cookies.
    """

    def __init__(
        self,
        tcp: ListenerHost,
        local: bytes | None,
        port: int,
        on_accept: Callable[[Connection], ConnectionHandler],
    ) -> None:
        self._tcp = tcp
        self.local = local
        self.port = port
        self.on_accept = on_accept
        self.admit: Callable[[bytes, int], bool] = lambda _address, _port: True
        self.inspect: Callable[[FourTuple], Inspection] | None = None
        self.dropped: Callable[[FourTuple], None] = lambda _key: None
        self.kept: dict[FourTuple, Kept] = {}
        self.half_open: dict[FourTuple, Connection] = {}
        self.cookies_until = 0  # cookies are believed only shortly after some were sent
        self.open = True

    def close(self) -> None:
        """Stop listening; connections that were accepted live on, half-open ones are reset."""
        if self.open:
            self.open = False
            for kept in self.kept.values():
                kept.timer.stop()
            self.kept.clear()
            self._tcp.unlisten(self)
