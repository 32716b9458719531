"""A client process on one virtual host and a server process on another, every IRP checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.host.virtual import VirtualHosts
from protocols.apis.winsock.constants import Af, Sock
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    from protocols.apis.winsock import Winsock

SERVER = internet(parse("10.0.0.2"), 80)


class World:
    """A client process on one host, a server process on the other."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as the class below
        """Start both; ``options`` are ``VirtualHosts``'."""
        self.net = VirtualHosts(**options)
        self.client, self.server = (host.process() for host in self.net.hosts)
        for process in (self.client, self.server):
            process.startup()

    def listener(self, backlog: int = 5) -> int:
        """Listen on port 80 of the server."""
        number = self.server.socket(Af.INET, Sock.STREAM)
        self.server.bind(number, internet(bytes(4), 80))
        self.server.listen(number, backlog)
        return number

    def pair(self) -> tuple[int, int]:
        """Connect the client's end and the server's."""
        listener = self.listener()
        near = self.client.socket(Af.INET, Sock.STREAM)
        self.client.connect(near, SERVER)
        far, _peer = self.server.accept(listener)
        return near, far

    def reports(self) -> list[str]:
        """Return what the IRP verifiers found."""
        return [str(r) for host in self.net.hosts for r in host.verifier.reports]


def received(process: Winsock, number: int, length: int, flags: int = 0) -> bytes:
    """Receive once."""
    buffer = bytearray(length)
    return bytes(buffer[: process.recv(number, buffer, flags)])
