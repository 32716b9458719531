"""The declaration of nbf.sys: NetBIOS frames over LLC, a TDI device for each card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.wrapper import Ndis
from ntos.netcfg.driver import Driver
from ntos.netcfg.osi import Component, Layer
from protocols.interfaces.edge.bindings import NdisBindings
from protocols.interfaces.tdi.registration import TdiRegistry
from protocols.transports.nbf.edge import NbfEdge

if TYPE_CHECKING:
    from ntos.netcfg.system import System

NAME = "Nbf"


class NbfObject(NdisBindings):
    """The driver object: an NDIS protocol below, devices above that come and go with the cards."""

    def __init__(self, system: System) -> None:
        ndis = system.find(Ndis)
        self._registry = system.find(TdiRegistry)
        self.edge = NbfEdge(ndis, system.io, self._registry)
        super().__init__(system, ndis, ndis.register_protocol(NAME, self.edge))
        self._registry.register_provider(NAME)
        self._registry.provider_ready(NAME)
        system.export(self.edge)

    def unload(self) -> None:
        """DriverUnload: no card is left."""
        super().unload()
        self.edge.stop()
        self._registry.deregister_provider(NAME)


DRIVER = Driver(
    name=NAME,
    binary="nbf.sys",
    title="NetBEUI (NetBIOS frames, NBF)",
    components=(
        Component(
            "nbf",
            (Layer.SESSION, Layer.TRANSPORT),
            "tdi",
            "llc",
            "IBM LAN Technical Reference: NetBIOS frames",
            "",
        ),
    ),
    seed="000 and 001, Protocol Drivers",
    proof="pytest tests/property/test_nbf_wire.py",
    judge="",
    entry=NbfObject,
    rows=(39,),
)
