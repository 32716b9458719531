"""The seam to the byte stream: whole messages in and out, with their fds; and the transport in Python.

Knows framing and fd passing, no command. Another ``Transport`` (a native engine's) may answer some messages
itself inside ``receive`` and return only the others; it must leave every message to the caller until it has
sent a reply to VERSION that is no error.
"""

from __future__ import annotations

import array
import os
import select
import socket
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from .errors import TransportError
from .janitor import JANITOR
from .messages import Header
from .protocol import DEFAULT_MAX_DATA_XFER_BYTES, HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MESSAGE_BYTES = HEADER_BYTES + DEFAULT_MAX_DATA_XFER_BYTES + 4096
"""The longest message that is believed: the largest transfer, with room for what stands before it."""

_INT = array.array("i").itemsize
_KERNEL_MAX_FDS = 253  # SCM_MAX_FD: room for all that can come, so that all can be closed
_ANCILLARY_BYTES = socket.CMSG_SPACE(_KERNEL_MAX_FDS * _INT)


@dataclass(frozen=True, slots=True)
class Incoming:
    """One received message. Whoever holds it owns the fds."""

    header: Header
    payload: bytes
    fds: tuple[int, ...] = ()


class Transport(Protocol):
    """A connection that carries messages."""

    def receive(self, *, inline: bool = True, until: float | None = None) -> Incoming | None:
        """Wait for the next message; None when the other side has gone.

        ``inline``: messages may be answered in here and only the others returned. False: the caller is
        in the middle of a device access and holds its locks, so every message is returned. ``until``: when
        to give up, by ``time.monotonic``; a message that comes in drops is not waited for, either.
        TransportError: it is no message, or nothing whole came in time.
        """

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send one whole message; any thread may. TransportError when the other side has gone."""

    def close(self) -> None:
        """Close the connection; a second time does nothing."""


class SocketTransport:
    """A ``Transport`` over a connected AF_UNIX stream socket, which it owns."""

    def __init__(self, connection: socket.socket, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Take over ``connection``; its timeout, if it has one, holds for each system call."""
        self._socket = connection
        self._max_bytes = max_message_bytes
        self._sending = Lock()
        self._until: float | None = None

    def receive(
        self,
        *,
        inline: bool = True,  # noqa: ARG002 - it answers none itself
        until: float | None = None,
    ) -> Incoming | None:
        """Read one message."""
        fds: list[int] = []
        self._until = until
        try:
            message = self._receive(fds)
        except TransportError:
            _close_all(fds)
            raise
        except (ConnectionError, TimeoutError) as lost:
            _close_all(fds)
            if isinstance(lost, TimeoutError):
                raise TransportError("nothing came in time") from lost
            return None
        if message is None:
            _close_all(fds)
        return message

    def _receive(self, fds: list[int]) -> Incoming | None:
        raw = self._exactly(HEADER_BYTES, fds)
        if raw is None:
            return None
        header = Header(*Header.FORMAT.unpack(raw))
        if not HEADER_BYTES <= header.size <= self._max_bytes:
            raise TransportError(f"a message of {header.size:#x} bytes")
        payload: bytes | None = b""
        if header.size > HEADER_BYTES:
            payload = self._exactly(header.size - HEADER_BYTES, fds)
            if payload is None:
                return None
        return Incoming(header, payload or b"", tuple(fds))

    def _exactly(self, count: int, fds: list[int]) -> bytes | None:
        """Read ``count`` bytes, which may come in pieces; None at the end of the stream."""
        self._wait()
        raw, ancillary, flags, _ = self._socket.recvmsg(count, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        if ancillary or flags:
            self._collect(ancillary, flags, fds)
        if len(raw) == count:
            return raw
        parts = [raw]
        missing = count - len(raw)
        while raw and missing:
            self._wait()
            raw, ancillary, flags, _ = self._socket.recvmsg(
                missing, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
            )
            if ancillary or flags:
                self._collect(ancillary, flags, fds)
            parts.append(raw)
            missing -= len(raw)
        return None if missing else b"".join(parts)

    def _wait(self) -> None:
        """Wait until there is something to read, or TimeoutError; for ever where nobody asked for an end."""
        if self._until is None:
            return
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(max(0.0, self._until - time.monotonic()) * 1000):
            raise TimeoutError("nothing came in time")

    @staticmethod
    def _collect(ancillary: list[tuple[int, int, bytes]], flags: int, fds: list[int]) -> None:
        """Take the fds out of what recvmsg returned."""
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds += array.array("i", data[: len(data) - len(data) % _INT])
        if flags & socket.MSG_CTRUNC:
            raise TransportError("fds were lost: too many of them, or our own limit is reached")

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Write one message."""
        try:
            with self._sending:
                if not fds:
                    self._write(data)
                    return
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
                sent = self._socket.sendmsg([data], [rights])
                if sent < len(data):
                    self._socket.sendall(data[sent:])
        except OSError as failed:
            raise TransportError(f"could not send: {failed}") from failed

    def _write(self, data: bytes) -> None:
        """Write all of it: by one system call, where ``sendall`` asks a socket with a timeout first."""
        try:
            done = os.write(self._socket.fileno(), data)
        except BlockingIOError:
            done = 0
        if done < len(data):
            self._socket.sendall(data[done:])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        JANITOR.close(fd)
