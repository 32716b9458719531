"""The declaration of netbt.sys: NetBIOS names over TCP/IP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.component import Service, StartType
from ntos.netcfg.driver import Driver, DriverObject, State
from ntos.netcfg.osi import Component, Layer
from protocols.transports.netbt.names import NameService
from protocols.transports.tcpip.stack import Stack

if TYPE_CHECKING:
    from ntos.netcfg.system import System


def driver_entry(system: System) -> DriverObject:
    """DriverEntry."""
    system.export(NameService(system.find(Stack)))
    return DriverObject()


DRIVER = Driver(
    name="NetBT",
    binary="netbt.sys",
    title="NetBIOS over TCP/IP (NetBT)",
    components=(Component("netbt", (Layer.SESSION,), "tdi", "transport", "RFC 1001, RFC 1002", ""),),
    seed="001, Protocol Drivers: NetBT; 000, NetBIOS",
    proof="ringwalk net nbtstat",
    judge="",
    entry=driver_entry,
    service=Service("NetBT", StartType.SYSTEM, "PNP_TDI", ("Tcpip",), r"%12%\netbt.sys"),
    state=State.PART,
    rows=(38,),
)
