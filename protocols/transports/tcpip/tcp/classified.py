"""A connection whose data pass the STREAM classify point, both ways.

Made in place of a plain one while a classifier wants to see streams; what is blocked ends the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.transport import TCP
from protocols.transports.tcpip.classify import Point, Subject
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.tcp.connection import Connection

if TYPE_CHECKING:
    from formats.checksum import Buffer


class ClassifiedConnection(Connection):
    """Each byte is shown once: when it is taken from the program, and when it is given to it."""

    __slots__ = ()

    def send(self, data: Buffer) -> int:
        """Queue bytes that are permitted. NetworkError(PROHIBITED): they are not; the connection is reset."""
        room = self.send_limit - (self.send_buffer.end - self.send_buffer.start)
        piece = data[: max(room, 0)]
        if len(piece) and not self._permitted(piece, is_inbound=False):
            self.abort()
            raise NetworkError(Failure.PROHIBITED, "STREAM")
        return super().send(data)

    def receive_buffers(self, limit: int = 1 << 30) -> list[Buffer]:
        """Take received bytes that are permitted; none when they are not, and the connection is reset."""
        found = super().receive_buffers(limit)
        if found and not self._permitted(b"".join(found), is_inbound=True):
            self.abort()
            return []
        return found

    def _permitted(self, data: Buffer, *, is_inbound: bool) -> bool:
        classification = self.tcp.context.classification
        if classification is None or Point.STREAM not in classification.points:
            return True
        key = self.key
        return classification.stream(
            Subject(
                Point.STREAM,
                TCP,
                key.local,
                key.local_port,
                key.remote,
                key.remote_port,
                is_inbound,
                self.path.interface.index,
                data,
            )
        )
