"""A connection used both ways: the client's commands in order, and our DMA_READ and DMA_WRITE to it.

Knows threads, no device. Whoever waits reads: one thread at a time reads the connection, for all of them.
It hands replies to the threads that asked and keeps the client's commands, in order, for ``receive``; when
it has what it wanted, another one that waits reads on. So a thread that asks for memory while it holds a
lock that the serving thread wants gets its reply all the same; unless the client answers nothing while it
waits for a reply itself, as QEMU does while a vCPU reads a register (docs/bring-your-own-driver.md).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from .capabilities import Capabilities
from .errors import DmaError, MalformedError, TransportError
from .janitor import JANITOR
from .messages import DmaAccess, command
from .protocol import Command, DmaLayout, HeaderFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .transport import Incoming, Transport

MAX_QUEUED = 65536
"""How many commands are kept while a reply is awaited; a client that sends more is closed."""
MAX_QUEUED_BYTES = 4 << 20
"""And how many bytes of them."""

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
        hang_up: Callable[[], None] = lambda: None,
    ) -> None:
        """Use ``transport``.

        ``peer`` tells what the client proposed. A client that leaves a command unanswered for ``timeout_s``
        is closed, whoever reads the connection meanwhile: ``hang_up`` then wakes the thread that does.
        """
        self._hang_up = hang_up
        self._queued_bytes = 0
        self._transport = transport
        self._peer = peer
        self._timeout_s = timeout_s
        self._reading = False
        self._broken: TransportError | None = None
        self._queued: deque[Incoming] = deque()
        self._awaited: dict[int, Incoming | None] = {}
        self._changed = threading.Condition()
        self._gone = False
        self._next_id = 0
        self._layout: DmaLayout | None = None

    def receive(self) -> Incoming | None:
        """Return the client's next command; None when it has gone."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queued or self._gone or not self._reading)
                if self._queued:
                    incoming = self._queued.popleft()
                    self._queued_bytes -= incoming.header.size
                    return incoming
                if self._broken:
                    raise self._broken
                if self._gone:
                    return None
                self._reading = True
            self._read_one()

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
        except TransportError as gone:  # the serving thread will notice by itself; here it is a fault
            raise DmaError(address, count, str(gone)) from gone
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

        def arrived() -> bool:
            return self._gone or self._awaited[message_id] is not None

        until = time.monotonic() + self._timeout_s
        while True:
            with self._changed:
                left_s = until - time.monotonic()
                settled = self._changed.wait_for(lambda: arrived() or not self._reading, max(left_s, 0))
                if arrived():
                    return self._awaited[message_id]
                if not settled or left_s <= 0:
                    self._gone = True
                    self._broken = self._broken or TransportError(
                        "a command of ours was not answered in time"
                    )
                    self._changed.notify_all()
                    break
                self._reading = True
            self._read_one(until)
        self._hang_up()
        return None

    def _read_one(self, until: float | None = None) -> None:
        """Read one message for whoever it is; the caller has set ``_reading``.

        ``until``: for somebody who awaits a reply, holds the locks of an access, and does so no longer. A
        broken stream is the serving thread's to report, whoever found it.
        """
        incoming: Incoming | None = None
        broken: TransportError | None = None
        try:
            if until is None:
                incoming = self._transport.receive()
            else:
                incoming = self._transport.receive(inline=False, until=until)
        except TransportError as error:
            broken = error
        finally:
            with self._changed:
                self._reading = False
                if incoming is None:
                    self._gone = True
                elif incoming.header.is_reply:
                    self._hand_over(incoming)
                else:
                    self._queued.append(incoming)
                    self._queued_bytes += incoming.header.size
                    if len(self._queued) > MAX_QUEUED or self._queued_bytes > MAX_QUEUED_BYTES:
                        self._gone = True
                        broken = TransportError(
                            f"{len(self._queued)} commands, {self._queued_bytes} bytes, and no reply"
                        )
                self._broken = broken or self._broken
                self._changed.notify_all()

    def _hand_over(self, reply: Incoming) -> None:
        """Give a reply to who waits for it; one that came too late is dropped."""
        _discard(reply)  # only the fds: no reply of a client has any
        if reply.header.message_id in self._awaited:
            self._awaited[reply.header.message_id] = reply


def _discard(incoming: Incoming) -> None:
    for fd in incoming.fds:
        JANITOR.close(fd)
