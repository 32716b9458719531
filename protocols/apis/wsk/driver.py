"""The declaration of wsk.sys: kernel sockets over every transport that the NMR attaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.driver import Driver, DriverObject
from ntos.netcfg.osi import Component, Layer
from protocols.apis.winsock.namespace import Namespaces
from protocols.apis.wsk.subsystem import WskSubsystem
from protocols.interfaces.nmr import Nmr

if TYPE_CHECKING:
    from ntos.netcfg.system import System


class WskBindings(DriverObject):
    """While it is parted from its transports, its sockets do not function."""

    def __init__(self, subsystem: WskSubsystem) -> None:
        self._subsystem = subsystem

    def bind(self, lower: str) -> None:
        """NmrRegisterClient: the transport has registered when its service was started."""
        del lower
        self._subsystem.start()

    def unbind(self, lower: str) -> None:
        """NmrDeregisterClient, and wait."""
        del lower
        self._subsystem.stop()

    def unload(self) -> None:
        """Part from the applications, then from all else."""
        self._subsystem.unload()


def driver_entry(system: System) -> DriverObject:
    """DriverEntry."""
    nmr, names = system.find(Nmr), system.find(Namespaces)
    subsystem = WskSubsystem(system.io, nmr, system.executive.irql, names)
    system.export(subsystem)
    return WskBindings(subsystem)


DRIVER = Driver(
    name="Wsk",
    binary="wsk.sys",
    title="Winsock Kernel (WSK) and the Network Module Registrar",
    components=(Component("wsk", (Layer.SESSION,), "winsock kernel", "tlnpi", "WDK: Winsock Kernel", ""),),
    seed="000, Winsock Kernel",
    proof="ringwalk interop wsk",
    judge="socat and iperf3 on Linux",
    entry=driver_entry,
    rows=(5,),
)
