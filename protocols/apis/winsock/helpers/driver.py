"""The declarations of our helper DLLs: no INF file installs them, a transport's names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.driver import Driver
from protocols.apis.winsock.helpers.tcpip import TcpipHelper

if TYPE_CHECKING:
    from ntos.netcfg.system import System


def load_tcpip(_system: System) -> TcpipHelper:
    """DllMain of wshtcpip.dll."""
    return TcpipHelper()


DRIVERS = (
    Driver(
        name="wshtcpip",
        binary="wshtcpip.dll",
        title="Winsock helper of TCP/IP",
        components=(),
        seed="000, Winsock: SPI",
        proof="ringwalk interop wine",
        judge="C programs under Wine 8",
        entry=load_tcpip,
    ),
)
