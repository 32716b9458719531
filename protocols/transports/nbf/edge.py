"""NBF over NDIS: a NetBIOS station and a device for each network card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from formats.llc import NETBIOS_SAP
from protocols.interfaces.llc.edge import LlcDriver, LlcLink
from protocols.transports.nbf.parameters import FUNCTIONAL_ADDRESS
from protocols.transports.nbf.station import NbfStation
from protocols.transports.nbf.tdi import PREFIX, NbfDevice

if TYPE_CHECKING:
    from ndis.wrapper import Ndis
    from ntos.io.device import DeviceObject
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.registration import TdiRegistry


@dataclass(frozen=True, slots=True)
class Card:
    """A card's station, and the device that is its upper side."""

    station: NbfStation
    driver: NbfDevice
    device: DeviceObject


class NbfEdge(LlcDriver):
    """The protocol driver."""

    name = "nbf"
    saps: ClassVar[frozenset[int]] = frozenset({NETBIOS_SAP})
    answers_null_sap = False

    def __init__(self, ndis: Ndis, io: IoSystem, registry: TdiRegistry) -> None:
        super().__init__(ndis)
        self._io, self._registry = io, registry
        self.cards: dict[str, Card] = {}

    def card_came(self, link: LlcLink) -> None:
        """Make the station and its device."""
        driver = NbfDevice(self._io, self.request_turn, self.now_ns)
        driver.station = NbfStation(link.station, driver)
        driver.station.now_ns = self.now_ns()
        device = self._io.create_device(driver, PREFIX + link.name)
        self.cards[link.name] = Card(driver.station, driver, device)
        self._registry.register_device_object(device.name)
        link.set_multicast(frozenset({FUNCTIONAL_ADDRESS}))

    def card_went(self, link: LlcLink) -> None:
        """End what the station has, and take its device back."""
        card = self.cards.pop(link.name)
        card.station.serve(self.now_ns())
        card.station.stop()
        card.driver.stop()
        self._registry.deregister_device_object(card.device.name)
        self._io.delete_device(card.device)

    def served(self, now_ns: int) -> None:
        """Serve all stations."""
        for card in list(self.cards.values()):
            card.station.serve(now_ns)

    def next_deadline(self) -> int | None:
        """Return the earliest deadline of the stations and their LLC."""
        due = [card.station.next_deadline() for card in self.cards.values()] + [super().next_deadline()]
        return min((one for one in due if one is not None), default=None)
