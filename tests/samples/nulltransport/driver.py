"""The declarations of the null transport: nulltransport.sys, and wshnull.dll for Winsock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.wrapper import Ndis
from ntos.netcfg.driver import Driver
from ntos.netcfg.osi import Component, Layer
from protocols.interfaces.edge.bindings import NdisBindings
from protocols.interfaces.tdi.registration import TdiRegistry

from .edge import NullEdge
from .helper import NullHelper
from .tdi import DEVICE, NullDriver

if TYPE_CHECKING:
    from ntos.netcfg.system import System

NAME = "NullTransport"


class NullTransport(NdisBindings):
    """The driver object: an NDIS protocol below, a TDI device above."""

    def __init__(self, system: System) -> None:
        ndis = system.find(Ndis)
        self.driver = NullDriver(system.io)
        self.driver.edge = self.edge = NullEdge(ndis, self.driver.arrived)
        super().__init__(system, ndis, ndis.register_protocol(NAME, self.edge))
        self._io, self._registry = system.io, system.find(TdiRegistry)
        self._device = system.io.create_device(self.driver, DEVICE)
        self._registry.register_provider(NAME)
        self._registry.register_device_object(DEVICE)
        self._registry.provider_ready(NAME)

    def unload(self) -> None:
        """DriverUnload: no binding and no open file is left."""
        super().unload()
        self.edge.stop()
        self._registry.deregister_device_object(DEVICE)
        self._registry.deregister_provider(NAME)
        self._io.delete_device(self._device)


def driver_entry(system: System) -> NullTransport:
    """DriverEntry."""
    made = NullTransport(system)
    system.export(made)
    return made


def load_helper(_system: System) -> NullHelper:
    """DllMain of wshnull.dll."""
    return NullHelper()


DRIVERS = (
    Driver(
        name=NAME,
        binary="nulltransport.sys",
        title="Null transport",
        components=(
            Component("null", (Layer.TRANSPORT, Layer.NETWORK), "tdi", "ndis protocol", "the sample", ""),
        ),
        seed="",
        proof="pytest tests/integration/protocols/test_null_transport.py",
        judge="",
        entry=driver_entry,
        devices=(DEVICE,),
    ),
    Driver(
        name="wshnull",
        binary="wshnull.dll",
        title="Winsock helper of the null transport",
        components=(),
        seed="",
        proof="",
        judge="",
        entry=load_helper,
    ),
)
