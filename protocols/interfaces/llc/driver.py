"""The declaration of llc.sys: a library, with which the transports over LLC are linked."""

from __future__ import annotations

from ntos.netcfg.driver import Driver
from ntos.netcfg.osi import Component, Layer

DRIVER = Driver(
    name="LLC",
    binary="llc.sys",
    title="IEEE 802.2 LLC, classes I and II, for NBF and DLC",
    components=(Component("llc", (Layer.LLC,), "llc", "ndis protocol", "ISO/IEC 8802-2:1998", ""),),
    seed="001, Protocol Drivers",
    proof="ringwalk interop llc",
    judge="Linux 6.12's llc2; tshark",
    rows=(43,),
)
