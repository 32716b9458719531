"""ws2_32: what a program sees. Each call goes through the catalog to a provider.

Names are Windows' in Python's case, less the ``WSA`` where no BSD name is in the way. A call that would
return SOCKET_ERROR raises ``WinsockError``; ``get_last_error`` keeps its code, as WSAGetLastError does.
"""

from __future__ import annotations

from protocols.apis.winsock.data import DataCalls
from protocols.apis.winsock.sockets import SocketCalls
from protocols.apis.winsock.waiting import WaitingCalls


class Winsock(WaitingCalls, SocketCalls, DataCalls):
    """The library in one process: its sockets are handles of that process."""
