"""The declaration of ndis.sys: it comes with the system, and no INF file installs it."""

from __future__ import annotations

from ntos.netcfg.component import Service, StartType
from ntos.netcfg.driver import Driver
from ntos.netcfg.osi import Component, Layer

DRIVER = Driver(
    name="NDIS",
    binary="ndis.sys",
    title="NDIS: wrapper, packets, lists, filters, CoNDIS, offloads, power, verifier",
    components=(
        Component("ndis", (Layer.LLC, Layer.MAC), "ndis protocol", "ndis miniport", "Windows DDK: NDIS", ""),
    ),
    seed="000 and 001, NDIS",
    proof="ringwalk conform --suite ndis",
    judge="QEMU's e1000e",
    service=Service("NDIS", StartType.BOOT, "NDIS Wrapper", (), r"%12%\ndis.sys"),
    rows=(44, 47, 48, 49, 53, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66),
)
