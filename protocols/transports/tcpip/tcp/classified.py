"""A connection whose data pass the STREAM classify point, both ways.

Made in place of a plain one while a classifier wants to see streams. An engine may change what passes, its
length too, keep it for later, and insert data of its own; what a classifier blocks ends the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.transport import TCP
from protocols.transports.tcpip.classify import Point, Subject
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.tcp.connection import Connection, Notice

if TYPE_CHECKING:
    from formats.checksum import Buffer
    from protocols.transports.tcpip.paths import Path
    from protocols.transports.tcpip.tcp.connection import FourTuple, TcpHost


class ClassifiedConnection(Connection):
    """Each byte is shown once: when it is taken from the program, and when it is given to it.

    Invariant: the first ``_seen`` bytes of the receive queue were shown.
    """

    __slots__ = ("_seen",)

    def __init__(self, tcp: TcpHost, key: FourTuple, path: Path, iss: int) -> None:
        super().__init__(tcp, key, path, iss)
        self._seen = 0

    def send(self, data: Buffer) -> int:
        """Queue what an engine makes of the bytes. NetworkError(PROHIBITED): the connection is reset."""
        room = self.send_limit - (self.send_buffer.end - self.send_buffer.start)
        piece = data[: max(room, 0)]
        if not len(piece):
            return super().send(data)
        super().send(b"")  # raises when nothing may be sent
        edited = self._edited(piece, is_inbound=False)
        if edited is None:
            self.abort()
            raise NetworkError(Failure.PROHIBITED, "STREAM")
        self.insert_outbound(edited)
        self.wants_room |= len(piece) < len(data)
        return len(piece)

    def shutdown(self) -> None:
        """Send a FIN behind what is queued, and behind what an engine has kept."""
        if self.fin_sequence is None and not self._is_blind:
            kept = self._edited(b"", is_inbound=False, is_last=True)
            if kept is None:
                self.abort()
                return
            self.insert_outbound(kept)
        super().shutdown()

    def receive_buffers(self, limit: int = 1 << 30) -> list[Buffer]:
        """Take what an engine makes of received bytes; none when it blocks them: the connection is reset."""
        if self.received.size > self._seen:
            everything = b"".join(super().receive_buffers())
            fresh = everything[self._seen :]
            edited = self._edited(fresh, is_inbound=True, is_last=self.remote_fin)
            if edited is None:
                self.abort()
                return []
            self._put_back(everything[: self._seen], edited)
        taken = super().receive_buffers(limit)
        self._seen -= sum(map(len, taken))
        return taken

    def notify(self, notice: Notice) -> None:
        """Have a callback made; before the peer's end is told, ask for what an engine has kept."""
        if notice is Notice.REMOTE_CLOSED and self.received.size == self._seen and not self._is_blind:
            kept = self._edited(b"", is_inbound=True, is_last=True)
            if kept:
                self.insert_inbound(kept)
        super().notify(notice)

    def insert_outbound(self, data: Buffer) -> None:
        """Queue bytes that nobody is shown, beyond the limit too (FwpsStreamInjectAsync)."""
        if len(data):
            self.send_buffer.append(data)
            self.tcp.dirty[self] = None

    def insert_inbound(self, data: Buffer) -> None:
        """Give the program bytes that nobody is shown, before those it has not read and nobody has seen."""
        everything = b"".join(self.received.take(self.received.size))
        shown, fresh = everything[: self._seen], everything[self._seen :]
        self._put_back(shown, data)
        if fresh:
            self.received.append(memoryview(fresh))
        super().notify(Notice.READABLE)

    @property
    def _is_blind(self) -> bool:
        """Nobody is shown anything now."""
        classification = self.tcp.context.classification
        return classification is None or Point.STREAM not in classification.points

    def _put_back(self, *pieces: Buffer) -> None:
        shown = b"".join(pieces)
        self._seen = len(shown)
        if shown:
            self.received.append(memoryview(shown))

    def _edited(self, data: Buffer, *, is_inbound: bool, is_last: bool = False) -> Buffer | None:
        classification = self.tcp.context.classification
        if classification is None or Point.STREAM not in classification.points:
            return data
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
                is_last=is_last,
            )
        )
