"""An 82574L behind a vfio-user socket as a ``LiveHost``'s card: full rings, real DMA, its own process."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from miniport.adapter import Adapter
from miniport.hal.vfio_user import VfioUserBus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.host.live import LiveHost

RINGS: dict[str, object] = {
    "*ReceiveBuffers": 1024,
    "*TransmitBuffers": 1024,
    "ReceiveSpares": 1024,
    "*RscIPv4": True,
    "*RscIPv6": True,
    "TransmitCompletionMs": 10,
}


class Driver(enum.Enum):
    """The kinds of our NDIS 5.1 miniport."""

    SERIALIZED = enum.auto()
    DESERIALIZED = enum.auto()


_NEEDED: dict[Driver, dict[str, object]] = {
    Driver.SERIALIZED: {},
    Driver.DESERIALIZED: {"Deserialized": True},
}


class SocketCard:
    """The card at a socket; ``close`` after the host's."""

    def __init__(
        self,
        host: LiveHost,
        path: Path,
        configuration: Mapping[str, object] | None = None,
        driver: Driver = Driver.SERIALIZED,
    ) -> None:
        """Connect, and add the card to the host."""
        self.bus = VfioUserBus(path, host.executive)
        settings = {**RINGS, **_NEEDED[driver], **(configuration or {})}
        self.name = host.add_card(Adapter, self.bus, settings)

    def close(self) -> None:
        """Hang up."""
        self.bus.close()
