"""What ``--suite ndis`` can run over: a miniport, a bus, a mode; and which faults of it are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from lab.errors import UsageError
from lab.host.modes import MODES
from lab.host.ndis_rigs import InProcessRig, QtestRig, VfioUserRig
from lab.trials.suites.arguments import BUS_NAMES
from lab.trials.suites.sample import SampleRig
from ndis.suite.fixture import Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ndis.verifier.core import Verifier
    from ndis.verifier.rule import Report
    from ndis.wrapper import Ndis


class ClosableRig(Rig, Protocol):
    """A rig with an end, and a verifier's reports."""

    @property
    def ndis(self) -> Ndis:
        """The wrapper that its adapters are in."""

    @property
    def verifier(self) -> Verifier:
        """What watches it."""

    @property
    def reports(self) -> list[Report]:
        """What the verifier says."""

    def close(self) -> None:
        """Halt every adapter and give everything back."""


RIGS: tuple[Callable[..., ClosableRig], ...] = (InProcessRig, QtestRig, VfioUserRig)
BUSES = dict(zip(BUS_NAMES, RIGS, strict=True))
KNOWN: dict[str, dict[str, str]] = {
    "qtest": {
        "two-large-send": "tso-psh: QEMU's model takes PSH and FIN from every segment of a large send,"
        " the last included (datasheet, Transmit; net_tx_pkt of hw/net)",
    },
}
"""Cases that the device behind a bus fails, by identifier, and why. They are run all the same."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing to test; ``make`` builds a rig of one card or two."""

    name: str
    make: Callable[[int], ClosableRig]
    known: Mapping[str, str]


def subjects(miniport: str, buses: Sequence[str], modes: Sequence[str]) -> list[Subject]:
    """Return every combination that was asked for. Raises ``UsageError`` for one that there is not."""
    if miniport == "sample":
        return _samples(buses, modes)
    return [_card(bus, mode) for bus in buses or ("inprocess",) for mode in modes or tuple(MODES)]


def _samples(buses: Sequence[str], modes: Sequence[str]) -> list[Subject]:
    if buses:
        raise UsageError("the sample miniport has no hardware: leave --bus out, or take --miniport 82574l")
    if "ndis6" in modes:
        raise UsageError("the sample miniport is NDIS 5.1: take --mode serialized or deserialized")
    return [
        Subject(f"sample {mode}", partial(SampleRig, deserialized=MODES[mode][1]), {})
        for mode in modes or ("serialized", "deserialized")
    ]


def _card(bus: str, mode: str) -> Subject:
    version, deserialized = MODES[mode]

    def make(cards: int) -> ClosableRig:
        return BUSES[bus](cards, {"Deserialized": deserialized}, version=version)

    return Subject(f"82574l {bus} {mode}", make, KNOWN.get(bus, {}))
