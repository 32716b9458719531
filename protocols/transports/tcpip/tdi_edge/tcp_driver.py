r"""The transport behind \Device\Tcp: what opens make, and what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocols.interfaces.tdi.transport import TransportDriver
from protocols.transports.tcpip.tdi_edge.ip_driver import IpChannel, provider_info
from protocols.transports.tcpip.tdi_edge.sharing import Claims
from protocols.transports.tcpip.tdi_edge.tcp import TcpConnection
from protocols.transports.tcpip.tdi_edge.tcp_address import TcpAddress

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.requests import TransportAddress
    from protocols.transports.tcpip.stack import Stack


class TcpDriver(TransportDriver):
    """The transport."""

    name = "tcp"
    connection_kind = TcpConnection
    channel_kind = IpChannel

    def __init__(self, io: IoSystem, stack: Stack) -> None:
        super().__init__(io)
        self.stack = stack
        self.claims = Claims()

    def open_address(self, file: FileObject, asked: TransportAddress) -> TcpAddress:
        """Claim an address."""
        return TcpAddress(self, file, asked)

    def provider_info(self) -> dict[str, Any]:
        """TDI_PROVIDER_INFO."""
        return provider_info(self.name, connections=True, orderly=True, expedited=True)

    def statistics(self) -> dict[str, int]:
        """TDI_PROVIDER_STATISTICS."""
        return {k: v for k, v in self.stack.counters.items() if k.startswith("tcp.")}
