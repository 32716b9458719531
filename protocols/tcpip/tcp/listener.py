"""A port that is open for connections; what arrives for it is handled in ``passive``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.tcpip.tcp.connection import Connection, ConnectionHandler, FourTuple
    from protocols.tcpip.tcp.service import Tcp


class Listener:
    """A port that is open for connections.

    ``on_accept(connection)`` is called when a handshake is over and returns the connection's owner.
    ``admit(address, port)`` may refuse a SYN silently, as a full backlog does.
    """

    def __init__(
        self,
        tcp: Tcp,
        local: bytes | None,
        port: int,
        on_accept: Callable[[Connection], ConnectionHandler],
    ) -> None:
        """Made by ``Tcp.listen``."""
        self._tcp = tcp
        self.local = local
        self.port = port
        self.on_accept = on_accept
        self.admit: Callable[[bytes, int], bool] = lambda _address, _port: True
        self.half_open: dict[FourTuple, Connection] = {}
        self.cookies_until = 0  # cookies are believed only shortly after some were sent
        self.open = True

    def close(self) -> None:
        """Stop listening; connections that were accepted live on, half-open ones are reset."""
        if self.open:
            self.open = False
            self._tcp.unlisten(self)
