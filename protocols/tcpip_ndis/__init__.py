"""TCP/IP's edge to NDIS: a protocol driver whose bindings are the stack's links.

``driver.TcpipDriver`` is registered with NDIS; each adapter that it is bound to becomes an interface.
"""

from protocols.tcpip_ndis.driver import TcpipDriver
from protocols.tcpip_ndis.link import NdisLink

__all__ = ["NdisLink", "TcpipDriver"]
