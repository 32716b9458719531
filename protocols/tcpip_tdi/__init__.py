"""TCP/IP's upper edge: the TDI devices Tcp, Udp and RawIp over one ``Stack``."""

from protocols.tcpip_tdi.devices import TcpipDevices

__all__ = ["TcpipDevices"]
