"""The wires that need nobody at the other end: ``none`` and ``loopback``."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from device.wire.contract import Framing

_SOCKET_BUFFER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class NoWire:
    """No cable in the socket: no carrier, and what is sent is lost."""

    spec: str = "none"
    fd: int = -1
    framing: Framing = Framing.NONE
    link: bool = False

    def close(self) -> None:
        """Nothing is held."""


class LoopbackWire:
    """A plug that joins transmit to receive: a datagram socket connected to itself.

    The queue in between is the socket's buffer. It needs no thread.
    """

    framing = Framing.DATAGRAM
    link = True

    def __init__(self, spec: str = "loopback") -> None:
        self.spec = spec
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        self._socket.bind("")  # Linux gives it an abstract name of its own: unix(7), autobind
        self._socket.connect(self._socket.getsockname())

    @property
    def fd(self) -> int:
        """The socket; -1 once closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
