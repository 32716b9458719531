"""The declaration of llc.sys: a library, with which the transports over LLC are linked."""

from __future__ import annotations

from ntos.netcfg.driver import Driver, State
from ntos.netcfg.osi import Component, Layer

DRIVER = Driver(
    name="LLC",
    binary="llc.sys",
    title="IEEE 802.2 LLC, classes I and II, for NBF and DLC",
    components=(Component("llc", (Layer.LLC,), "llc", "ndis protocol", "ISO/IEC 8802-2:1998", ""),),
    seed="001, Protocol Drivers",
    proof="pytest tests/property/test_llc_wire.py tests/integration/protocols/test_llc_dissected.py",
    judge="tshark",
    state=State.PART,
    rows=(43,),
)
