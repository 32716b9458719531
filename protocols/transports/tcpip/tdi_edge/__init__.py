"""TCP/IP's upper edge: the TDI devices Tcp, Udp and RawIp over one ``Stack``."""

from protocols.transports.tcpip.tdi_edge.devices import TcpipDevices

__all__ = ["TcpipDevices"]
