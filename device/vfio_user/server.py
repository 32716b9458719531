"""The server: accepts one client after the other and moves messages between it and a session.

Nothing is decided here: ``Session`` answers, ``Channel`` keeps the order, a ``Transport`` moves the
bytes. When a client goes (EOF, a kill, a broken stream, a failure of ours in its service), the device is
detached and reset, and the next may come.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from .access import AccessInProgress
from .channel import Channel
from .departure import attempt, tell
from .dma import DmaMap
from .errors import TransportError
from .hostmemory import Identity, MappedMemory
from .irqs import Irqs
from .listening import listen, peer_uid, unlink
from .session import SERVER_CAPABILITIES, Session
from .transport import SocketTransport, Transport

if TYPE_CHECKING:
    from .capabilities import Capabilities
    from .device import Device

_KNOWN_FILES = 1024
_PAUSE_MS = 100
_MOST_SEND = struct.pack("@ll", 5, 0)
"""struct timeval: how long a send may wait for room; a client that reads nothing for so long is closed."""

TransportFactory = Callable[[socket.socket], Transport]


class Serving(Protocol):
    """A server over any transport: what ``device.serving`` needs of ``Server`` and of ``LibvfioServer``."""

    def serve_forever(self) -> None:
        """Serve clients until ``stop``."""

    def stop(self) -> None:
        """Make ``serve_forever`` return soon; any thread may call it."""

    def __enter__(self) -> Self:
        """Be closed at the end of a ``with``."""

    def __exit__(self, *_: object) -> None:
        """Close."""


class ServerFactory(Protocol):
    """Makes a server; ``Server`` is one."""

    def __call__(
        self, at: str | socket.socket, device: Device, *, allowed_uids: Collection[int] | None
    ) -> Serving:
        """Listen at a path (or a socket, where the transport can) for one device."""


class Log(Protocol):
    """Where a server's events go; a structlog logger is one."""

    def info(self, event: str, **fields: object) -> object:
        """Note an event."""


class Silence:
    """A ``Log`` that keeps nothing."""

    def info(self, event: str, **fields: object) -> None:
        """Drop it."""


class Server:
    """Serves one device to one client at a time; further clients wait in the socket's queue."""

    def __init__(
        self,
        at: str | os.PathLike[str] | socket.socket,
        device: Device,
        *,
        transport_factory: TransportFactory = SocketTransport,
        offered: Capabilities = SERVER_CAPABILITIES,
        allowed_uids: Collection[int] | None = None,
        log: Log | None = None,
        messages: bool = True,
    ) -> None:
        """Listen at a path (ListenError), or at a socket that listens already and stays the caller's.

        ``transport_factory`` gets each connection and owns it; ``allowed_uids`` closes clients of other
        users; ``messages``: memory may come without an fd, and is then reached by messages.
        """
        self._messages = messages
        self._path = None if isinstance(at, socket.socket) else os.fspath(at)
        self._listening = at if isinstance(at, socket.socket) else listen(at)
        self._inode = 0 if self._path is None else Path(self._path).lstat().st_ino
        self._device = device
        self._transport_factory = transport_factory
        self._offered = offered
        self._allowed_uids = allowed_uids
        self._log: Log = log or Silence()
        self._own: deque[Identity] = deque(maxlen=_KNOWN_FILES)
        """The device's files, of this client and those before it: they are never DMA memory."""
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._pause = select.poll()
        self._pause.register(self._wake, select.POLLIN)
        self._connection: socket.socket | None = None
        self._access: AccessInProgress | None = None

    def serve_forever(self) -> None:
        """Serve clients until ``stop``."""
        while (connection := self._accept()) is not None:
            self._serve(connection)

    def serve_one(self) -> None:
        """Serve one client, until it goes or ``stop`` is called."""
        if (connection := self._accept()) is not None:
            self._serve(connection)

    def stop(self) -> None:
        """Make ``serve_forever`` return soon; any thread, or a signal's handler, may call it."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        connection = self._connection
        if connection is not None:
            _hang_up(connection)

    def answer_now(self, value: bytes | None = None) -> bool:
        """Answer the register access that the device is in the middle of; see ``AccessInProgress.answer``."""
        return self._access is not None and self._access.answer(value)

    def close(self) -> None:
        """Stop listening and remove the socket file; call it when serving has returned."""
        if self._path is not None:
            unlink(self._path, self._inode)
            self._listening.close()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    def __enter__(self) -> Self:
        """Be closed at the end of a ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _accept(self) -> socket.socket | None:
        """Return the next client's connection, or None when it is time to stop."""
        poll = select.poll()
        poll.register(self._listening, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._stopping:
            if self._listening.fileno() not in dict(poll.poll()):
                continue
            try:
                connection, _ = self._listening.accept()
            except OSError as failed:  # it hung up already, or descriptors ran out: look again, not at once
                self._log.info("client.lost", reason=str(failed))
                self._pause.poll(_PAUSE_MS)
                continue
            uid = peer_uid(connection)
            if self._allowed_uids is None or uid in self._allowed_uids:
                self._log.info("client.connected", uid=uid)
                return connection
            self._log.info("client.refused", uid=uid)
            connection.close()
        return None

    def _serve(self, connection: socket.socket) -> None:
        """Serve one client to its end and leave nothing of it."""
        dma = DmaMap(MappedMemory(self._own), max_maps=self._offered.max_dma_maps)
        irqs = Irqs(self._device.irq_counts)
        reason = "closed by the client"
        try:
            self._device.attached(dma, irqs)
            self._know_own_files()
            self._attend(connection, dma, irqs)
        except TransportError as broken:
            reason = str(broken)
        except Exception as failure:  # noqa: BLE001 - departure.py says why
            reason = tell(failure)
        finally:
            connection.close()
            if attempt(self._device.detached):  # else it may still use the memory: that stays mapped
                attempt(dma.clear)
            attempt(irqs.clear)
            self._device.reset()  # a device that cannot be reset serves nobody
        self._log.info("client.gone", reason=reason)

    def _attend(self, connection: socket.socket, dma: DmaMap, irqs: Irqs) -> None:
        """Exchange messages with a client until it goes, or until ``stop``. TransportError."""
        session = Session(self._device, dma, irqs, self._offered, messages=self._messages)
        channel = Channel(
            self._transport_factory(connection), lambda: session.client, hang_up=lambda: _hang_up(connection)
        )
        if self._messages:
            dma.messages = channel
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _MOST_SEND)
        self._connection = connection
        self._access = AccessInProgress(channel.send)
        try:
            if not self._stopping:
                exchange(channel, session, self._access)
        finally:
            self._connection = self._access = None
            channel.close()

    def _know_own_files(self) -> None:
        """Note the device's files: a client may have them mapped when another one is served."""
        for region in self._device.regions:
            if region.fd is not None:
                status = os.fstat(region.fd)
                self._own.append((status.st_dev, status.st_ino))


def exchange(channel: Channel, session: Session, access: AccessInProgress | None = None) -> None:
    """Move messages until the client has gone: the whole of the server's work. TransportError."""
    access = access or AccessInProgress(channel.send)
    while (message := channel.receive()) is not None:
        access.begin(message.header, message.payload)
        reply = session.handle(message.header, message.payload, message.fds)
        if access.end() and reply is not None:
            channel.send(reply.data, reply.fds)


def _hang_up(connection: socket.socket) -> None:
    """Wake whoever reads ``connection``, in C or in Python, with an end of file."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has gone by itself
