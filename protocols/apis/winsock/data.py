"""Sending and receiving, also overlapped. Buffers are WSABUFs: a list is gathered from, or scattered into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.apis.winsock.errors import WinsockError
from protocols.apis.winsock.library import Library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntos.io.irp import Memory
    from protocols.apis.win32.overlapped import Overlapped
    from protocols.interfaces.tdi.address import TdiAddress

MEMORY = (bytes, bytearray, memoryview)
"""What stands for one WSABUF where a list of them may."""


class DataCalls(Library):
    """The functions."""

    def send(
        self,
        number: int,
        data: Memory | Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSASend."""
        buffers = [data] if isinstance(data, MEMORY) else list(data)
        return int(self._call(number, "send", buffers, flags, overlapped))

    def sendto(
        self,
        number: int,
        data: Memory | Sequence[Memory],
        address: TdiAddress | None,
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSASendTo."""
        buffers = [data] if isinstance(data, MEMORY) else list(data)
        return int(self._call(number, "sendto", buffers, flags, address, overlapped))

    def recv(
        self,
        number: int,
        into: bytearray | memoryview | Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSARecv: bytes received; 0 at the end of the stream."""
        buffers = [into] if isinstance(into, MEMORY) else list(into)
        return int(self._call(number, "recv", buffers, flags, overlapped))

    def recvfrom(
        self,
        number: int,
        into: bytearray | memoryview | Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> tuple[int, TdiAddress | None]:
        """WSARecvFrom. WSAEMSGSIZE: the datagram was longer; the buffer holds its beginning."""
        buffers = [into] if isinstance(into, MEMORY) else list(into)
        count, source = self._call(number, "recvfrom", buffers, flags, overlapped)
        return count, source

    def get_overlapped_result(self, number: int, overlapped: Overlapped, *, wait: bool = False) -> int:
        """WSAGetOverlappedResult."""
        entry = self._entry(number)
        try:
            return int(entry.provider.get_overlapped_result(entry.handle, overlapped, wait=wait))
        except WinsockError as error:
            raise self._failed(error) from None
