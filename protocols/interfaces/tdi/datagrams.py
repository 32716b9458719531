"""Address objects of datagram transports: the requests, and the way up.

A datagram goes to the oldest waiting receive request, else to the client's event handler, else it is lost:
TDI does not queue, APIs do.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.transport import AddressObject

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.interfaces.tdi.requests import Datagram
    from protocols.interfaces.tdi.transport import TransportDriver


class DatagramAddress(AddressObject):
    """A transport derives it, gives ``transmit``, and calls ``deliver``."""

    def __init__(self, driver: TransportDriver, file: FileObject, local: TdiAddress) -> None:
        super().__init__(driver, file, local)
        self._receives: deque[Irp] = deque()

    def transmit(self, data: bytes, remote: TdiAddress | None, source: tuple[bytes, int] | None) -> None:
        """Send one. NtError. ``remote`` None: to the connected peer; ``source``: as ``requests.Datagram``."""
        raise NotImplementedError

    def receive_datagram(self, irp: Irp) -> NtStatus:
        """TDI_RECEIVE_DATAGRAM: the next one; the result is its source."""
        self._receives.append(irp)
        return self.io.pend_cancellable(irp, self._cancel)

    def send_datagram(self, irp: Irp) -> NtStatus:
        """TDI_SEND_DATAGRAM."""
        buffers = irp.buffers
        data = bytes(buffers[0]) if len(buffers) == 1 else b"".join(buffers)
        asked: Datagram = irp.location.parameters
        try:
            self.transmit(data, asked.remote, asked.source)
        except NtError as error:
            return self.io.complete(irp, error.status)
        return self.io.complete(irp, NtStatus.SUCCESS, len(data))

    def deliver(self, data: memoryview, source: TdiAddress, details: dict[str, Any]) -> None:
        """Hand a datagram up."""
        while self._receives:
            irp = self._receives.popleft()
            if not self.io.claim(irp):
                continue
            copied = irp.scatter(data)
            status = NtStatus.SUCCESS if copied == len(data) else NtStatus.BUFFER_OVERFLOW
            self.io.complete(irp, status, copied, source)
            return
        handler = self.handlers.receive_datagram
        if handler is not None:
            handler(self, source, bytes(data), details)

    def cleanup(self) -> None:
        """Cancel what waits."""
        for irp in list(self._receives):
            self.io.cancel(irp)

    def _cancel(self, irp: Irp) -> None:
        if irp in self._receives:
            self._receives.remove(irp)
        self.io.complete(irp, NtStatus.CANCELLED)
