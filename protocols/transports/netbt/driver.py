"""The declaration of netbt.sys: a TDI client of TCP/IP's devices below, a provider of NetBIOS names above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.driver import Driver, DriverObject, State
from ntos.netcfg.osi import Component, Layer
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.registration import TdiRegistry
from protocols.transports.netbt.device import NETBT, NetbtDriver
from protocols.transports.netbt.names import NameService
from protocols.transports.tcpip.stack import Stack

if TYPE_CHECKING:
    from ntos.netcfg.system import System

NAME = "NetBT"


class NetbtObject(DriverObject):
    """The driver object: while it is parted from TCP/IP, no name is ours and none is answered for."""

    def __init__(self, system: System) -> None:
        """DriverEntry. Of the stack it takes clock and chance alone."""
        self._names = NameService(TdiClient(system.io), system.find(Stack).context)
        system.export(self._names)
        self._io, self._registry = system.io, system.find(TdiRegistry)
        self._device = system.io.create_device(NetbtDriver(system.io, self._names), NETBT)
        self._registry.register_provider(NAME)
        self._registry.register_device_object(NETBT)
        self._registry.provider_ready(NAME)

    def bind(self, lower: str) -> None:
        """Claim again what was claimed before the unbinding."""
        del lower
        self._names.resume()

    def unbind(self, lower: str) -> None:
        """Release every name, and close the port."""
        del lower
        self._names.suspend()

    def unload(self) -> None:
        """DriverUnload."""
        self._names.stop()
        self._registry.deregister_device_object(NETBT)
        self._registry.deregister_provider(NAME)
        self._io.delete_device(self._device)


DRIVER = Driver(
    name=NAME,
    binary="netbt.sys",
    title="NetBIOS over TCP/IP (NetBT): the name service of a B node",
    components=(Component("netbt", (Layer.SESSION,), "netbios", "tdi", "RFC 1001, RFC 1002", ""),),
    seed="001, Protocol Drivers: NetBT; 000, NetBIOS",
    proof="pytest tests/conformance/test_netbt_nmblookup.py",
    judge="Samba's nmblookup",
    entry=NetbtObject,
    devices=(NETBT,),
    state=State.PART,
    rows=(38,),
)
