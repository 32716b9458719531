"""The declaration of afd.sys: over every transport with TDI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.driver import Driver, DriverObject
from ntos.netcfg.osi import Component, Layer
from protocols.apis.afd.dispatch import AfdDriver

if TYPE_CHECKING:
    from ntos.netcfg.system import System


class AfdBindings(DriverObject):
    """AFD over the devices of transports: while they are parted, no socket can be made there."""

    def __init__(self, system: System, afd: AfdDriver) -> None:
        self._system = system
        self._afd = afd

    def bind(self, lower: str) -> None:
        """Open the transport's devices to AFD."""
        self._afd.offer(self._devices(lower))
        self._afd.transports.append(lower)
        self._changed()

    def unbind(self, lower: str) -> None:
        """End every socket of the transport; make no more."""
        self._afd.withdraw(self._devices(lower))
        self._afd.transports.remove(lower)
        self._changed()

    def reorder(self, lowers: list[str]) -> None:
        """Prefer the transports in this order."""
        self._afd.transports.sort(key=lowers.index)
        self._changed()

    def _changed(self) -> None:
        for watcher in self._afd.watchers:
            watcher()

    def _devices(self, lower: str) -> frozenset[str]:
        return frozenset(self._system.drivers[lower].devices)


def driver_entry(system: System) -> DriverObject:
    """DriverEntry."""
    afd = AfdDriver(system.io)
    system.export(afd)
    return AfdBindings(system, afd)


DRIVER = Driver(
    name="Afd",
    binary="afd.sys",
    title="Ancillary function driver (AFD)",
    components=(Component("afd", (Layer.SESSION,), "afd", "tdi", "ReactOS drivers/network/afd", ""),),
    seed="001, Network APIs: Winsock",
    proof="ringwalk interop wine",
    judge="C programs under Wine 8",
    entry=driver_entry,
    rows=(4,),
)
