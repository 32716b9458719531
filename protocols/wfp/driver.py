"""The declaration of bfe.dll and fwpkclnt.sys: one base filtering engine and one filter engine a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.driver import Driver, DriverObject, State
from ntos.netcfg.osi import Component, Layer
from protocols.transports.tcpip.stack import Stack
from protocols.wfp.bfe import Bfe
from protocols.wfp.engine import FilterEngine

if TYPE_CHECKING:
    from ntos.netcfg.system import System


class WfpObject(DriverObject):
    """Takes the engine out of the stack when it is unloaded."""

    def __init__(self, system: System, engine: FilterEngine) -> None:
        self._system = system
        self._engine = engine

    def unload(self) -> None:
        """DriverUnload: nobody is asked any more."""
        self._engine.stop()
        for kind in (Bfe, FilterEngine):
            self._system.withdraw(kind)


def driver_entry(system: System) -> DriverObject:
    """DriverEntry: read what is persistent, and stand at the stack's classify points if there is any."""
    stack = system.find(Stack)
    bfe = Bfe(system.registry)
    engine = FilterEngine(bfe, stack)
    system.export(bfe, engine)
    return WfpObject(system, engine)


DRIVER = Driver(
    name="BFE",
    binary="bfe.dll",
    title="Windows Filtering Platform: filtering engine, callouts",
    components=(
        Component(
            "wfp", (Layer.TRANSPORT, Layer.NETWORK), "fwpm, fwps", "ip", "WDK: Windows Filtering Platform", ""
        ),
    ),
    seed="000, Windows Filtering Platform",
    proof="ringwalk interop wfp",
    judge="nmap, hping3, tcpdump and curl on Linux",
    entry=driver_entry,
    state=State.PART,  # no conditions on programs and users
    rows=(8,),
)
