"""A rig of sample adapters on one cable: what the suite runs over when no driver of a card is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.miniport import MiniportCharacteristics
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.executive.virtual import VirtualExecutive

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter
    from ndis.verifier.rule import Report

SLOTS = 16
SETTLE_NS = 10_000_000


class Silent:
    """A station that makes a cable one with somebody else on it."""

    def frame_arrives(self, frame: bytes) -> None:
        """Hear nothing."""


class SampleRig:
    """Adapters of ``kind`` on one cable, under the verifier, on a virtual clock."""

    def __init__(self, cards: int, kind: type = LoopbackAdapter, *, deserialized: bool = False) -> None:
        self.verifier = Verifier()
        self.executive = VirtualExecutive()
        self.ndis = Ndis(self.executive, self.verifier)
        driver = self.ndis.register_miniport(MiniportCharacteristics.of(kind))
        cable = Cable()
        cable.stations.append(Silent())
        for number in range(1, cards + 1):
            settings = {
                "Cable": cable,
                "NetworkAddress": bytes([2, 0, 0, 0, 0, number]),
                "Deserialized": deserialized,
                "Slots": SLOTS,
            }
            self.ndis.add_adapter(driver, f"card{number}", None, settings)

    @property
    def adapters(self) -> list[MiniportAdapter]:
        """The adapters."""
        return self.ndis.adapters

    @property
    def reports(self) -> list[Report]:
        """What the verifier says."""
        return self.verifier.reports

    def settle(self) -> None:
        """Let ten milliseconds pass."""
        self.executive.advance(SETTLE_NS)

    def close(self) -> None:
        """Take the adapters away."""
        for adapter in list(self.ndis.adapters):
            self.ndis.remove_adapter(adapter)
