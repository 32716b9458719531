"""The declaration of the 82574L's miniport driver. A host registers it with NDIS for each card's bus."""

from __future__ import annotations

from ntos.netcfg.driver import Driver
from ntos.netcfg.osi import Component, Layer

DRIVER = Driver(
    name="rwnic",
    binary="rwnic.sys",
    title="Miniport driver of the 82574L: serialized, deserialized, NDIS 6; HAL",
    components=(
        Component("miniport", (Layer.MAC,), "ndis miniport", "registers and rings", "Windows DDK: NDIS", ""),
    ),
    seed="000 and 001, NDIS: miniports, HAL",
    proof="ringwalk conform --suite ndis",
    judge="QEMU's e1000e",
    rows=(45, 46, 54),
)
