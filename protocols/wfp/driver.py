"""The declaration of bfe.dll and fwpkclnt.sys: one base filtering engine and one filter engine a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.driver import Driver, DriverObject
from ntos.netcfg.osi import Component, Layer
from protocols.transports.tcpip.stack import Stack
from protocols.wfp.bfe import Bfe
from protocols.wfp.engine import FilterEngine

if TYPE_CHECKING:
    from ntos.netcfg.system import System


class WfpObject(DriverObject):
    """Takes the engine out of the stack when it is unloaded."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def unload(self) -> None:
        """DriverUnload: nobody is asked any more."""
        self._stack.set_classifier(None)


def driver_entry(system: System) -> DriverObject:
    """DriverEntry: read what is persistent, and stand at the stack's classify points if there is any."""
    stack = system.find(Stack)
    bfe = Bfe(system.registry)
    system.export(bfe, FilterEngine(bfe, stack))
    return WfpObject(stack)


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
    rows=(8,),
)
