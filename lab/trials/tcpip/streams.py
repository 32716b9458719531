"""Endpoints that tests and benchmarks use: a sender of bytes and a collector of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler

if TYPE_CHECKING:
    from protocols.transports.tcpip.errors import Failure

CHUNK = 65536


class Transfer(ConnectionHandler):
    """Sends ``data`` as fast as it is taken, then closes; collects what comes; remembers all."""

    def __init__(self, data: bytes = b"", *, keep_open: bool = False) -> None:
        self.view = memoryview(data)
        self.sent = 0
        self.keep_open = keep_open
        self.received = bytearray()
        self.digest = hashlib.sha256()
        self.received_bytes = 0
        self.keep = True
        self.connection: Connection | None = None
        self.events: list[str] = []
        self.failure: Failure | None = None
        self.done = False

    def connected(self, connection: Connection) -> None:
        """Begin."""
        self.events.append("connected")
        self.connection = connection
        self._pump(connection)

    def writable(self, connection: Connection) -> None:
        """Send more."""
        self._pump(connection)

    def readable(self, connection: Connection) -> None:
        """Collect."""
        for buffer in connection.receive_buffers():
            self.received_bytes += len(buffer)
            if self.keep:
                self.received += buffer
            self.digest.update(buffer)

    def remote_closed(self, connection: Connection) -> None:
        """Close too, when everything was sent."""
        self.events.append("remote_closed")
        if self.sent == len(self.view) and not self.keep_open:
            connection.close()

    def urgent(self, connection: Connection) -> None:
        """Remember where the mark is."""
        self.events.append(f"urgent {connection.urgent_ahead}")

    def closed(self, connection: Connection, failure: Failure | None) -> None:
        """Remember how it ended."""
        self.connection = connection
        self.events.append("closed")
        self.failure = failure
        self.done = True

    def _pump(self, connection: Connection) -> None:
        while self.sent < len(self.view):
            taken = connection.send(bytes(self.view[self.sent : self.sent + CHUNK]))
            if not taken:
                return
            self.sent += taken
        if not self.keep_open and connection.fin_sequence is None:
            connection.shutdown()
