"""TCP/IP's edge to NDIS: a protocol driver whose bindings are the stack's links.

``transport.TcpipDriver`` is registered with NDIS; each adapter that it is bound to becomes an interface.
"""

from protocols.transports.tcpip.ndis_edge.link import NdisLink
from protocols.transports.tcpip.ndis_edge.transport import TcpipDriver

__all__ = ["NdisLink", "TcpipDriver"]
