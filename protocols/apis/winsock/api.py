"""ws2_32: what a program sees. Each call goes through the catalog to a provider.

Names are Windows' in Python's case, less the ``WSA`` where no BSD name is in the way. A call that would
return SOCKET_ERROR raises ``WinsockError``; ``get_last_error`` keeps its code, as WSAGetLastError does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.apis.winsock.constants import Af, Proto, Sock
from protocols.apis.winsock.data import DataCalls
from protocols.apis.winsock.sockets import SocketCalls
from protocols.apis.winsock.waiting import WaitingCalls
from protocols.transports.tcpip.tdi_edge.devices import RAWIP, TCP, UDP

if TYPE_CHECKING:
    from protocols.apis.winsock.spi import Catalog, Provider


class Winsock(WaitingCalls, SocketCalls, DataCalls):
    """The library in one process: its sockets are handles of that process."""


def install_tcpip(catalog: Catalog, provider: Provider) -> None:
    """Put TCP/IP's six protocols into a catalog, as the WinSock 2 helper does at installation."""
    for family, name in ((Af.INET, "IP"), (Af.INET6, "IPv6")):
        catalog.install(provider, f"MSAFD Tcpip [TCP/{name}]", family, Sock.STREAM, Proto.TCP, TCP)
        catalog.install(provider, f"MSAFD Tcpip [UDP/{name}]", family, Sock.DGRAM, Proto.UDP, UDP, 65467)
        catalog.install(provider, f"MSAFD Tcpip [RAW/{name}]", family, Sock.RAW, 0, RAWIP, 32767)
