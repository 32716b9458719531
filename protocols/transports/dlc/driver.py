"""The declaration of dlc.sys: command control blocks over LLC and raw Ethernet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.wrapper import Ndis
from ntos.netcfg.driver import Driver
from ntos.netcfg.osi import Component, Layer
from protocols.interfaces.edge.bindings import NdisBindings
from protocols.transports.dlc.edge import DlcEdge

if TYPE_CHECKING:
    from ntos.netcfg.system import System

NAME = "DLC"


class DlcObject(NdisBindings):
    """The driver object: an NDIS protocol below, ``DlcEdge.issue`` above."""

    def __init__(self, system: System) -> None:
        ndis = system.find(Ndis)
        self.edge = DlcEdge(ndis)
        super().__init__(system, ndis, ndis.register_protocol(NAME, self.edge))
        system.export(self.edge)

    def unload(self) -> None:
        """DriverUnload: no card is left."""
        super().unload()
        self.edge.stop()


DRIVER = Driver(
    name=NAME,
    binary="dlc.sys",
    title="Data link control (DLC)",
    components=(Component("dlc", (Layer.LLC,), "ccb", "llc", "IBM LAN Technical Reference: CCB", ""),),
    seed="001, Protocol Drivers",
    proof="ringwalk interop dlc",
    judge="Linux 6.12's llc2; tshark",
    entry=DlcObject,
    rows=(41,),
)
