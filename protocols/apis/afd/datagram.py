"""Datagram and raw sockets: a queue as long as SO_RCVBUF allows; what comes beyond it is lost."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from ntos.io.status import NtError, NtStatus
from protocols.apis.afd.copying import keep
from protocols.apis.afd.endpoint import Endpoint
from protocols.apis.afd.requests import Disconnect, Kind, Poll, Receive, Send
from protocols.interfaces.tdi.requests import Connect, Event, Tdi

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from protocols.apis.afd.endpoint import EndpointHost
    from protocols.apis.afd.requests import AfdOpen
    from protocols.interfaces.tdi.address import TdiAddress


SWITCHES = {NtStatus.PORT_UNREACHABLE: "port_unreachable", NtStatus.HOPLIMIT_EXCEEDED: "hops_exceeded"}
"""What of a transport's errors a receive tells, and the option that silences it."""
MOST_QUEUED = 65536
"""Datagrams that wait, however short: SO_RCVBUF does not bound those of no bytes."""


class Queued(NamedTuple):
    """A datagram that waits, or an error in its place (a port that was unreachable)."""

    data: bytes
    source: TdiAddress
    details: dict[str, Any]
    status: NtStatus = NtStatus.SUCCESS


class DatagramEndpoint(Endpoint):
    """A datagram socket."""

    def __init__(self, driver: EndpointHost, opened: AfdOpen) -> None:
        super().__init__(driver, opened)
        self.dropped = 0
        self._queue: deque[Queued] = deque()
        self._queued_bytes = 0
        self._receives: deque[Irp] = deque()
        self._no_send = self._no_receive = False

    def ready(self) -> Poll:
        """Say that it is writable, always, and readable when something is queued."""
        return Poll.SEND | (Poll.RECEIVE if self._queue else Poll.NONE)

    def connect(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_CONNECT: fix the peer; port 0 dissolves it."""
        remote = irp.location.parameters.remote
        try:
            address = self._bound()
            self.tdi.must(self.tdi.request(address, Tdi.CONNECT, Connect(remote)))
        except NtError as error:
            return self.io.complete(irp, error.status)
        self.remote = None if remote.is_any else remote
        return self.io.complete(irp, NtStatus.SUCCESS)

    def send(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_SEND: to the peer."""
        if self.remote is None:
            return self.io.complete(irp, NtStatus.CONNECTION_INVALID)
        return self.send_datagram(irp)

    def send_datagram(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_SEND_DATAGRAM."""
        if self._no_send:
            return self.io.complete(irp, NtStatus.LOCAL_DISCONNECT)
        asked: Send = irp.location.parameters
        remote = asked.remote or self.remote
        if remote is None and asked.source is not None:
            return self.io.complete(irp, NtStatus.CONNECTION_INVALID)
        kept, copied = keep(irp.buffers, steady=False)
        self.copied_bytes += copied
        try:
            lower = self.tdi.send_datagram(self._bound(), kept, remote, source=asked.source)
        except NtError as error:
            return self.io.complete(irp, error.status)
        return self.io.complete(irp, lower.status, lower.information)

    def receive(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_RECEIVE."""
        return self.receive_datagram(irp)

    def receive_datagram(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_RECEIVE_DATAGRAM: the result is (source, details); too long: BUFFER_OVERFLOW."""
        asked: Receive = irp.location.parameters
        if self._no_receive:
            return self.io.complete(irp, NtStatus.LOCAL_DISCONNECT)
        if self.address is None:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        if self._queue:
            status = self._give(irp, self._queue[0])
            if not asked.peek:
                self._queued_bytes -= len(self._queue.popleft().data)
                self.rearm(Poll.RECEIVE)
            return status
        if asked.immediate:
            self.rearm(Poll.RECEIVE)
            return self.io.complete(irp, NtStatus.DEVICE_NOT_READY)
        self._receives.append(irp)
        return self.io.pend_cancellable(irp, self._cancel)

    def disconnect(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_DISCONNECT: shutdown of a direction."""
        asked: Disconnect = irp.location.parameters
        if self.remote is None:
            return self.io.complete(irp, NtStatus.CONNECTION_INVALID)
        self._no_send |= asked.send
        self._no_receive |= asked.receive
        self.changed()
        return self.io.complete(irp, NtStatus.SUCCESS)

    def options_changed(self, values: dict[str, Any]) -> NtStatus:
        """Tell the transport; joins and leaves are not kept as options."""
        for name in ("join", "leave"):
            self.options.pop(name, None)
        if self.address is None:
            if not {"join", "leave"} & values.keys():
                return NtStatus.SUCCESS
            try:
                self._bound()
            except NtError as error:
                return error.status
        try:
            self.tdi.set_information(self._bound(), **values)
        except NtError as error:
            return error.status
        return NtStatus.SUCCESS

    def information(self) -> dict[str, Any]:
        """Tell FIONREAD the bytes of all datagrams, as Windows does."""
        return {**super().information(), "available": self._queued_bytes, "dropped": self.dropped}

    def cleanup(self) -> None:
        """Give the port back."""
        for irp in list(self._receives):
            self.io.cancel(irp)
        if self.address is not None:
            self.io.close(self.address)
            self.address = None
        super().cleanup()

    def _bound(self) -> Any:  # noqa: ANN401 - a FileObject
        if self.address is None:
            self._open_any()
        return self.address

    def set_handlers(self, address: FileObject) -> None:
        """Hear of datagrams and of errors that came in their place."""
        self.tdi.set_event_handler(address, Event.RECEIVE_DATAGRAM, self._arrived)
        self.tdi.set_event_handler(address, Event.ERROR_EX, self._failed)

    def _arrived(
        self, _context: object, source: TdiAddress, data: bytes, details: dict[str, Any]
    ) -> NtStatus:
        self._enqueue(Queued(data, source, details))
        return NtStatus.SUCCESS

    def _failed(self, _context: object, status: NtStatus, remote: TdiAddress) -> None:
        # Windows reports these as WSAECONNRESET and WSAENETRESET of the next receive (recvfrom).
        switch = SWITCHES.get(status)
        if switch is not None and self.opened.kind is Kind.DATAGRAM and self.options.get(switch, 1):
            self._enqueue(Queued(b"", remote, {}, status))

    def _enqueue(self, one: Queued) -> None:
        while self._receives:
            irp = self._receives.popleft()
            if self.io.claim(irp):
                self._give(irp, one)
                return
        if self.options.get("circular"):  # SIO_ENABLE_CIRCULAR_QUEUEING: the oldest is lost, not the newest
            while self._queue and self._queued_bytes + len(one.data) > self.receive_limit:
                self._queued_bytes -= len(self._queue.popleft().data)
                self.dropped += 1
        if self._queued_bytes + len(one.data) > self.receive_limit or len(self._queue) >= MOST_QUEUED:
            self.dropped += 1
            return
        self._queue.append(one)
        self._queued_bytes += len(one.data)
        self.record(Poll.RECEIVE)

    def _give(self, irp: Irp, one: Queued) -> NtStatus:
        copied = irp.scatter(one.data)
        status = one.status
        if status.ok and copied < len(one.data):
            status = NtStatus.BUFFER_OVERFLOW
        return self.io.complete(irp, status, copied, (one.source, one.details))

    def _cancel(self, irp: Irp) -> None:
        if irp in self._receives:
            self._receives.remove(irp)
        self.io.complete(irp, NtStatus.CANCELLED)
