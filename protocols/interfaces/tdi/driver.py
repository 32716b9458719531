"""The declaration of tdi.sys: it comes with the system; TDI's clients and transports are linked with it."""

from __future__ import annotations

from ntos.netcfg.driver import Driver
from ntos.netcfg.osi import Component, Layer

DRIVER = Driver(
    name="TDI",
    binary="tdi.sys",
    title="Transport Driver Interface (TDI)",
    components=(
        Component("tdi", (Layer.SESSION, Layer.TRANSPORT), "tdi", "transport", "Windows DDK: TDI", ""),
    ),
    seed="001, TDI; 000, TDI",
    proof="pytest tests/conformance/test_tdi_suite.py",
    judge="",
    rows=(6,),
)
