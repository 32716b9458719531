"""The receiving half of a stream socket: from TDI's indications to the requests that wait.

What arrives is taken from TDI while SO_RCVBUF has room; beyond that it stays in the transport, whose window
closes, and is asked for once half of the room is free again.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING

from ntos.io.status import NtStatus
from protocols.apis.afd.endpoint import Endpoint
from protocols.apis.afd.received import ReceiveBuffer
from protocols.apis.afd.requests import Poll, Receive
from protocols.interfaces.tdi.events import Taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntos.io.device import FileObject
    from ntos.io.irp import Irp, Memory
    from protocols.apis.afd.endpoint import EndpointHost
    from protocols.apis.afd.requests import AfdOpen
    from protocols.interfaces.tdi.requests import Flags

REFILL_BYTES = 65536


class State(enum.Enum):
    """The life of a stream socket."""

    OPEN = enum.auto()
    BOUND = enum.auto()
    PROMISED = enum.auto()  # to an AcceptEx: it becomes the next connection, and nothing else
    CONNECTING = enum.auto()
    CONNECTED = enum.auto()
    LISTENING = enum.auto()
    FAILED = enum.auto()


class ReceivingEndpoint(Endpoint):
    """What a stream socket does with what comes in."""

    def __init__(self, driver: EndpointHost, opened: AfdOpen) -> None:
        super().__init__(driver, opened)
        self.state = State.OPEN
        self.connection: FileObject | None = None
        self._buffered = ReceiveBuffer()
        self._receives: deque[Irp] = deque()
        self._urgent_receives: deque[Irp] = deque()
        self._refilling = False
        self._refused = False  # TDI holds data that did not fit here
        self._no_receive = False
        self._eof = False
        self._aborted: NtStatus | None = None
        self._first_data: Irp | None = None  # an AcceptEx that waits for it

    def receive(self, irp: Irp) -> NtStatus:  # noqa: PLR0911 - one return for each reason to refuse
        """IOCTL_AFD_RECEIVE: 0 bytes at the end of the stream."""
        asked: Receive = irp.location.parameters
        if asked.out_of_band:
            return self.receive_urgent(irp)
        if self._no_receive:
            return self.io.complete(irp, NtStatus.LOCAL_DISCONNECT)
        if self.state not in (State.CONNECTED, State.FAILED) and not self._buffered.size:
            return self.io.complete(irp, NtStatus.CONNECTION_INVALID)
        is_over, size = self._eof or self._aborted is not None, self._buffered.size
        wanted = max(irp.length, 1) if asked.wait_all else 1
        if (size and is_over) or (size >= wanted and not self._receives):
            return self.io.complete(irp, NtStatus.SUCCESS, self._take_into(irp, peek=asked.peek))
        if is_over:
            return self.io.complete(irp, self._aborted or NtStatus.SUCCESS)
        if asked.immediate:
            self.rearm(Poll.RECEIVE)
            return self.io.complete(irp, NtStatus.DEVICE_NOT_READY)
        self._receives.append(irp)
        return self.io.pend_cancellable(irp, self._cancel_receive)

    def receive_urgent(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_RECEIVE of out-of-band data; INVALID_PARAMETER when that lies in the stream."""
        asked: Receive = irp.location.parameters
        if self._buffered.inline:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        if self._buffered.urgent:
            return self._serve_urgent(irp)
        if self._aborted is not None or self._eof:
            return self.io.complete(irp, self._aborted or NtStatus.SUCCESS)
        if asked.immediate:
            self.rearm(Poll.OOB_RECEIVE)
            return self.io.complete(irp, NtStatus.DEVICE_NOT_READY)
        self._urgent_receives.append(irp)
        return self.io.pend_cancellable(irp, self._cancel_receive)

    def data_arrived(self, buffers: Sequence[Memory], *, is_asked: bool = False) -> NtStatus:
        """ClientEventChainedReceive; what AFD has asked for is never too much."""
        if not is_asked and self._buffered.size >= self.receive_limit:
            self._refused = True
            return NtStatus.DATA_NOT_ACCEPTED
        self._buffered.append(buffers)
        self._serve()
        if self._no_receive and self._buffered.size:
            self._undeliverable()
            return NtStatus.SUCCESS
        if self._buffered.size:
            self.record(Poll.RECEIVE)
        return NtStatus.SUCCESS

    def urgent_arrived(self, _flags: Flags, _available: int, data: Memory) -> Taken:
        """ClientEventReceiveExpedited: all of it is taken, whatever SO_RCVBUF says."""
        self._buffered.append_urgent(data)
        if self._buffered.inline:
            self._serve()
            self.record(Poll.RECEIVE)
        while self._urgent_receives and self._buffered.urgent:
            irp = self._urgent_receives.popleft()
            if self.io.claim(irp):
                self._serve_urgent(irp)
        if self._buffered.urgent:
            self.record(Poll.OOB_RECEIVE)
        return Taken(NtStatus.SUCCESS, len(data))

    def _serve(self) -> None:
        first, self._first_data = self._first_data, None
        if first is not None and self.io.claim(first):
            self._first_arrived(first)
        while self._receives:
            irp, size = self._receives[0], self._buffered.size
            asked: Receive = irp.location.parameters
            wanted = max(irp.length, 1) if asked.wait_all else 1
            if size < wanted and not self._eof and self._aborted is None:
                return
            self._receives.popleft()
            if not self.io.claim(irp):
                continue
            if size:
                self.io.complete(irp, NtStatus.SUCCESS, self._take_into(irp, peek=asked.peek))
            else:
                self.io.complete(irp, self._aborted or NtStatus.SUCCESS)

    def _take_into(self, irp: Irp, *, peek: bool = False) -> int:
        if peek:
            return self._buffered.peek(irp)
        copied = self._buffered.take(irp)
        if self._refused:
            self._refill()
        if self._wanted or self._recorded:
            self.rearm(Poll.RECEIVE)
        if self._eof and not self._buffered.size:
            self.record(Poll.DISCONNECT)
        return copied

    def _serve_urgent(self, irp: Irp) -> NtStatus:
        copied = self._buffered.take_urgent(irp, peek=irp.location.parameters.peek)
        self.rearm(Poll.OOB_RECEIVE)
        return self.io.complete(irp, NtStatus.SUCCESS, copied)

    def _refill(self) -> None:
        """Ask TDI for what it holds back, once half of the buffer is free."""
        if not self._refused or self._refilling or self.connection is None:
            return
        if self._buffered.size * 2 > self.receive_limit:
            return
        self._refused = False
        self._refilling = True
        room = bytearray(min(REFILL_BYTES, max(self.receive_limit, 1)))

        def refilled(lower: Irp) -> None:
            self._refilling = False
            if lower.status.ok and lower.information:
                self.data_arrived([memoryview(room)[: lower.information]], is_asked=True)

        self.tdi.receive(self.connection, [room], refilled)

    def _undeliverable(self) -> None:
        """Reset: there is data, and SD_RECEIVE was said (shutdown, "Remarks")."""
        raise NotImplementedError

    def _cancel_receive(self, irp: Irp) -> None:
        for queue in (self._receives, self._urgent_receives):
            if irp in queue:
                queue.remove(irp)
        self.io.complete(irp, NtStatus.CANCELLED)

    def _first_arrived(self, irp: Irp) -> None:
        """Complete the AcceptEx that waited for data."""
        raise NotImplementedError
