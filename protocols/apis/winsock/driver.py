"""The declaration of ws2_32.dll: a library of programs, no driver. Its entry makes the list of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.driver import Driver, DriverObject
from ntos.netcfg.osi import Component, Layer
from protocols.apis.winsock.processes import WinsockProcesses

if TYPE_CHECKING:
    from ntos.netcfg.system import System


def attach(system: System) -> DriverObject:
    """DllMain, once for the host."""
    processes = WinsockProcesses(system)
    system.export(processes)
    return processes


DRIVER = Driver(
    name="Winsock",
    binary="ws2_32.dll",
    title="Winsock 2: API, SPI, the extensions of mswsock",
    components=(
        Component(
            "winsock",
            (Layer.APPLICATION, Layer.PRESENTATION, Layer.SESSION),
            "winsock 2",
            "afd",
            "Winsock 2 API",
            "",
        ),
    ),
    seed="000, Winsock: API, extensions, SPI",
    proof="ringwalk interop wine",
    judge="C programs under Wine 8",
    entry=attach,
    rows=(1, 2, 3),
)
