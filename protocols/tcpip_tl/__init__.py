"""TCP/IP's provider of TLNPI: an adapter over ``protocols.tcpip``, beside ``protocols.tcpip_tdi``."""

from protocols.tcpip_tl.provider import TcpipTransport

__all__ = ["TcpipTransport"]
