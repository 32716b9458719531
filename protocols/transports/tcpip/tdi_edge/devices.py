r"""The devices of tcpip.sys, \Device\Tcp, \Device\Udp, \Device\RawIp, and what TDI.SYS hears of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.tdi_edge.datagrams import RawIpDriver, UdpDriver
from protocols.transports.tcpip.tdi_edge.ip_driver import IpDriver
from protocols.transports.tcpip.tdi_edge.tcp_driver import TcpDriver

if TYPE_CHECKING:
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.registration import NetAddress, TdiRegistry
    from protocols.transports.tcpip.stack import Stack

IP, IPMULTICAST = "\\Device\\Ip", "\\Device\\IPMULTICAST"
TCP, UDP, RAWIP = "\\Device\\Tcp", "\\Device\\Udp", "\\Device\\RawIp"


class TcpipDevices:
    """The three transports of one stack."""

    def __init__(self, io: IoSystem, stack: Stack, registry: TdiRegistry) -> None:
        """Create the devices and register them."""
        self.tcp = TcpDriver(io, stack)
        self.udp = UdpDriver(io, stack)
        self.rawip = RawIpDriver(io, stack)
        for name in (IP, IPMULTICAST):
            io.create_device(IpDriver(io, stack), name)
        self._stack = stack
        self._registry = registry
        self._registered: dict[tuple[bytes, int], NetAddress] = {}
        registry.register_provider("Tcpip")
        for name, driver in ((TCP, self.tcp), (UDP, self.udp), (RAWIP, self.rawip)):
            io.create_device(driver, name)
            registry.register_device_object(name)
        self.addresses_changed()
        registry.provider_ready("Tcpip")

    def addresses_changed(self) -> None:
        """Register the addresses that have come, deregister those that have gone."""
        there = {
            (entry.address, interface.index)
            for interface in self._stack.interfaces
            for entry in interface.addresses.values()
            if entry.usable
        }
        for key in self._registered.keys() - there:
            self._registry.deregister_net_address(self._registered.pop(key))
        for address, index in sorted(there - self._registered.keys()):
            found = self._registry.register_net_address(internet(address, 0, index), TCP)
            self._registered[address, index] = found
