"""A connection used both ways: the client's commands in order, and our DMA_READ and DMA_WRITE to it.

Knows threads, no device. The thread that made it is the serving thread; only that one may call ``receive``. A
command of ours from the serving thread reads on until its reply is there and keeps the client's commands, in
order, for the next ``receive``; from any other thread it waits for the serving thread to read the reply.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING

from .capabilities import Capabilities
from .errors import DmaError, MalformedError, TransportError
from .messages import DmaAccess, command
from .protocol import Command, DmaLayout, HeaderFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .transport import Incoming, Transport

MAX_QUEUED = 65536
"""How many commands are kept while a reply is awaited; a client that sends more is closed."""


MAX_PIECE_BYTES = 16384
"""The most data in one DMA_READ or DMA_WRITE, whatever the client allows.

QEMU 11.1.3 takes a reply of which its socket took only a part for sent (hw/vfio-user/proxy.c,
vfio_user_send_qio), so one of 1 MiB never ends. Linux puts this much into a stream socket in one piece or not
at all.
"""


class Channel:
    """One client's connection; it is a ``DmaMessages`` too."""

    def __init__(
        self,
        transport: Transport,
        peer: Callable[[], Capabilities] = Capabilities,
        timeout_s: float = 5.0,
    ) -> None:
        """Use ``transport``.

        ``peer`` tells what the client proposed; ``timeout_s`` bounds the wait of other threads for a reply.
        """
        self._transport = transport
        self._peer = peer
        self._timeout_s = timeout_s
        self._serving = threading.get_ident()
        self._queued: deque[Incoming] = deque()
        self._awaited: dict[int, Incoming | None] = {}
        self._changed = threading.Condition()
        self._gone = False
        self._next_id = 0
        self._layout: DmaLayout | None = None

    def receive(self) -> Incoming | None:
        """Return the client's next command; None when it has gone."""
        if self._queued:
            return self._queued.popleft()
        return self._next_command()

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send a whole message."""
        self._transport.send(data, fds)

    def close(self) -> None:
        """Wake every waiting thread with an error and drop what was not handled."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()
        while self._queued:
            _discard(self._queued.popleft())
        self._transport.close()

    def dma_read(self, address: int, count: int) -> bytes:
        """DMA_READ, in pieces that the client's ``max_data_xfer_size`` and its sockets allow. DmaError."""
        parts = []
        for at, length in self._pieces(address, count):
            request = DmaAccess(at, length).emit()
            raw = self._ask(Command.DMA_READ, request, at, length)
            parts.append(self._data(raw, at, length))
        return b"".join(parts)

    def dma_write(self, address: int, data: bytes) -> None:
        """DMA_WRITE, in pieces as ``dma_read``. DmaError."""
        for at, length in self._pieces(address, len(data)):
            part = data[at - address : at - address + length]
            self._write(at, part, self._layout or DmaLayout.SPECIFIED)
            if self._layout is None and self._went_astray(at, part):
                self._write(at, part, DmaLayout.EARLY_QEMU)

    def _went_astray(self, address: int, data: bytes) -> bool:
        """Find out, after a first write, whether it was in a layout that the client does not have.

        The last byte that is not 0 is read back. A client with the specified layout returns it; one with
        the early layout has put it four bytes further on, and whatever it returns tells which it is.
        """
        told = data.rstrip(b"\0")
        if not told:
            return False  # zeros are right in both layouts
        try:
            self.dma_read(address + len(told) - 1, 1)
        except DmaError:
            return False  # a region that is only for writing
        self._layout = self._layout or DmaLayout.EARLY_QEMU
        return self._layout is DmaLayout.EARLY_QEMU

    def _write(self, address: int, data: bytes, layout: DmaLayout) -> None:
        request = DmaAccess(address, len(data), data).emit(layout)
        self._ask(Command.DMA_WRITE, request, address, len(data))

    def _pieces(self, address: int, count: int) -> list[tuple[int, int]]:
        most = min(self._peer().max_data_xfer_size, MAX_PIECE_BYTES)
        if not most:
            raise DmaError(address, count, "the client takes no data")
        end = address + count
        return [(at, min(most, end - at)) for at in range(address, end, most)]

    def _data(self, raw: bytes, address: int, count: int) -> bytes:
        """Take the data out of a reply to DMA_READ, in whichever layout it is (see ``DmaLayout``).

        The layouts have the same length. Where the specified one has the count's upper half, always 0, the
        early one has data; where the specified one has its last data, the early one has 0. So whichever is
        not 0 tells, from then on; data that leaves both 0 is read as specified.
        """
        if any(raw[12:16]):
            self._layout = DmaLayout.EARLY_QEMU
        elif any(raw[-4:]):
            self._layout = DmaLayout.SPECIFIED
        try:
            access = DmaAccess.parse(raw, self._layout or DmaLayout.SPECIFIED)
        except MalformedError as bad:
            raise DmaError(address, count, str(bad)) from bad
        if len(access.data) != count:
            raise DmaError(address, count, f"the client sent {len(access.data):#x} bytes")
        return access.data

    def _ask(self, number: Command, payload: bytes, address: int, count: int) -> bytes:
        """Send one command and return the payload of its reply, or raise DmaError."""
        with self._changed:
            self._next_id = (self._next_id + 1) & 0xFFFF
            message_id = self._next_id
            if self._gone or message_id in self._awaited:
                raise DmaError(address, count, "the connection cannot take it")
            self._awaited[message_id] = None
        try:
            self._transport.send(command(message_id, number, payload))
            answer = self._await(message_id)
        finally:
            with self._changed:
                self._awaited.pop(message_id, None)
        if answer is None:
            raise DmaError(address, count, "the client did not answer")
        if answer.header.flags & HeaderFlags.ERROR:
            raise DmaError(address, count, f"the client answered errno {answer.header.error}")
        return answer.payload

    def _await(self, message_id: int) -> Incoming | None:
        """Return the reply to our command, or None when there will be none."""
        if threading.get_ident() != self._serving:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._gone or self._awaited[message_id] is not None, self._timeout_s
                )
                return self._awaited[message_id]
        while self._awaited[message_id] is None:
            incoming = self._transport.receive()
            if incoming is None:
                self._end()
                return None
            if not self._routed(incoming):
                if len(self._queued) >= MAX_QUEUED:
                    _discard(incoming)
                    raise TransportError(f"more than {MAX_QUEUED} commands and no reply")
                self._queued.append(incoming)
        return self._awaited[message_id]

    def _next_command(self) -> Incoming | None:
        while not self._gone:
            incoming = self._transport.receive()
            if incoming is None:
                self._end()
            elif not self._routed(incoming):
                return incoming
        return None

    def _routed(self, incoming: Incoming) -> bool:
        """Hand a reply to who waits for it; one that came too late is dropped.

        False: it is a command.
        """
        if not incoming.header.is_reply:
            return False
        _discard(incoming)  # only the fds: no reply of a client has any
        with self._changed:
            if incoming.header.message_id in self._awaited:
                self._awaited[incoming.header.message_id] = incoming
                self._changed.notify_all()
        return True

    def _end(self) -> None:
        with self._changed:
            self._gone = True
            self._changed.notify_all()


def _discard(incoming: Incoming) -> None:
    for fd in incoming.fds:
        os.close(fd)
