"""The declarations of the intermediate drivers. Each has two INF files: its edge to cards, its virtual cards.

They have no DriverEntry of their own: a person puts one in, with an argument (``--im``).
"""

from __future__ import annotations

from ntos.netcfg.driver import Driver
from ntos.netcfg.osi import Component, Layer


def _intermediate(name: str, title: str, code: str, judge: str, row: int) -> Driver:
    layers = (Layer.LLC, Layer.MAC)
    return Driver(
        name=f"rw{name}",
        binary=f"rw{name}.sys",
        title=title,
        components=(Component(name, layers, "ndis protocol", "ndis protocol", "WDK: NDIS", code),),
        seed="000 and 001, NDIS: intermediate drivers",
        proof="pytest tests/guest/test_ndis_linux.py",
        judge=judge,
        rows=(row,),
    )


DRIVERS = (
    _intermediate("cap", "Capturing intermediate driver", "passthru", "tshark", 50),
    _intermediate("mux", "VLAN multiplexer (MUX)", "mux", "Linux VLANs", 51),
    _intermediate("lbfo", "Load balancing and failover (LBFO)", "lbfo", "Linux bonding", 52),
)
