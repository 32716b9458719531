"""TCP/IP's provider of TLNPI: an adapter over the stack, beside ``tdi_edge``."""

from protocols.transports.tcpip.tl_edge.provider import TcpipTransport

__all__ = ["TcpipTransport"]
