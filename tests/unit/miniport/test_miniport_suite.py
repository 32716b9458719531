"""The suite of ``ndis.suite`` over our miniport: both engines, behind a socket, every kind of driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from lab.host.ndis_rigs import InProcessRig, RigBase, VfioUserRig
from miniport.hal.pci import Signalling
from ndis.suite.cases import CASES, Case
from ndis.suite.runner import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniport.hal.inprocess import EngineFactory

KINDS: dict[str, tuple[tuple[int, int], bool]] = {
    "serialized": ((5, 1), False),
    "deserialized": ((5, 1), True),
    "ndis6": ((6, 0), True),
}


def failures(make: Callable[[int], RigBase], cases: list[Case]) -> list[str]:
    """Run cases; return what failed, the verifier's reports included, and halt every adapter."""
    rigs: list[RigBase] = []

    def make_and_keep(cards: int) -> RigBase:
        rig = make(cards)
        rigs.append(rig)
        return rig

    outcomes = run(make_and_keep, cases, reports=lambda rig: rig.reports)  # type: ignore[attr-defined]  # the rigs are ours
    for rig in rigs:
        rig.close()
    late = [f"halt: {report.rule}: {report.what}" for rig in rigs for report in rig.reports]
    return [
        f"{outcome.case.identifier}: {outcome.failure}" for outcome in outcomes if not outcome.passed
    ] + late


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", [ReferenceEngine, NativeEngine], ids=["reference", "native"])
@pytest.mark.parametrize("mode", list(Signalling), ids=lambda m: m.value)
def test_every_case_passes_on_a_card_in_this_process(
    kind: str, engine: EngineFactory, mode: Signalling
) -> None:
    """All cases, one card and two, however the card signals."""
    version, deserialized = KINDS[kind]

    found = failures(
        lambda cards: InProcessRig(
            cards, {"Deserialized": deserialized}, engine=engine, mode=mode, version=version
        ),
        list(CASES),
    )

    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "kind"), [("reference", "serialized"), ("native", "ndis6")])
def test_every_case_passes_behind_a_vfio_user_socket(kind: str, engine: str) -> None:
    """Real eventfds, a real socket, DMA through a memfd."""
    version, deserialized = KINDS[kind]

    found = failures(
        lambda cards: VfioUserRig(cards, {"Deserialized": deserialized}, engine=engine, version=version),
        list(CASES),
    )

    assert found == []
