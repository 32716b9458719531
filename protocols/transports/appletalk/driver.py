"""The declarations of sfmatalk.sys, AppleTalk under TDI, and of wshatalk.dll, its Winsock helper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.appletalk import DdpType
from ndis.wrapper import Ndis
from ntos.netcfg.driver import Driver, State
from ntos.netcfg.osi import Component, Layer
from protocols.interfaces.edge.bindings import NdisBindings
from protocols.interfaces.tdi.registration import TdiRegistry
from protocols.transports.appletalk.edge import AppletalkEdge
from protocols.transports.appletalk.helper import AppletalkHelper
from protocols.transports.appletalk.tdi import DEVICE, DdpDriver

if TYPE_CHECKING:
    from ntos.netcfg.system import System
    from protocols.transports.appletalk.node import Node

NAME = "AppleTalk"
DEVICES = tuple(f"{DEVICE}{kind.value}" for kind in DdpType)


class AppletalkObject(NdisBindings):
    """The driver object: an NDIS protocol below, a device a DDP type above."""

    def __init__(self, system: System) -> None:
        ndis = system.find(Ndis)
        self.drivers = [DdpDriver(system.io, kind) for kind in DdpType]
        self.edge = AppletalkEdge(ndis, self._went)
        for driver in self.drivers:
            driver.edge = self.edge
        super().__init__(system, ndis, ndis.register_protocol(NAME, self.edge))
        self._io, self._registry = system.io, system.find(TdiRegistry)
        pairs = zip(self.drivers, DEVICES, strict=True)
        self._devices = [system.io.create_device(driver, name) for driver, name in pairs]
        self._registry.register_provider(NAME)
        for name in DEVICES:
            self._registry.register_device_object(name)
        self._registry.provider_ready(NAME)
        system.export(self.edge)

    def unload(self) -> None:
        """DriverUnload: no binding and no open file is left."""
        super().unload()
        self.edge.stop()
        for device in self._devices:
            self._registry.deregister_device_object(device.name)
            self._io.delete_device(device)
        self._registry.deregister_provider(NAME)

    def _went(self, node: Node) -> None:
        for driver in self.drivers:
            driver.stop(node)


def load_helper(_system: System) -> AppletalkHelper:
    """DllMain of wshatalk.dll."""
    return AppletalkHelper()


DRIVERS = (
    Driver(
        name=NAME,
        binary="sfmatalk.sys",
        title="AppleTalk",
        components=(
            Component(
                "appletalk",
                (Layer.TRANSPORT, Layer.NETWORK),
                "tdi",
                "ndis protocol",
                "Inside AppleTalk, 2nd edition",
                "",
            ),
        ),
        seed="001, Protocol Drivers",
        proof="ringwalk interop appletalk",
        judge="Linux 6.12's appletalk; tshark. NBP, ZIP, ATP: two of ours. ADSP, PAP, ASP to come",
        entry=AppletalkObject,
        state=State.PART,
        devices=DEVICES,
        rows=(42,),
    ),
    Driver(
        name="wshatalk",
        binary="wshatalk.dll",
        title="Winsock helper of AppleTalk",
        components=(),
        seed="",
        proof="pytest tests/integration/protocols/test_appletalk_dissected.py",
        judge="",
        entry=load_helper,
    ),
)
