"""An 82574L behind a vfio-user socket as a ``LiveHost``'s card: full rings, real DMA, its own process."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from miniport.adapter import Adapter
from miniport.adapter6 import Adapter6
from miniport.hal.vfio_user import VfioUserBus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.nt.live import LiveHost

RINGS: dict[str, object] = {
    "*ReceiveBuffers": 1024,
    "*TransmitBuffers": 1024,
    "ReceiveSpares": 1024,
    "*RscIPv4": True,
    "*RscIPv6": True,
}


class Driver(enum.Enum):
    """The kinds of our miniport: how it is registered, and what that needs in the registry."""

    SERIALIZED = enum.auto()
    DESERIALIZED = enum.auto()
    NDIS6 = enum.auto()


_KINDS: dict[Driver, tuple[type, tuple[int, int], dict[str, object]]] = {
    Driver.SERIALIZED: (Adapter, (5, 1), {}),
    Driver.DESERIALIZED: (Adapter, (5, 1), {"Deserialized": True}),
    Driver.NDIS6: (Adapter6, (6, 0), {}),
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
        self.bus = VfioUserBus(
            path, host.executive, later=lambda call: host.executive.queue_dpc("posted writes", call)
        )
        miniport, version, needed = _KINDS[driver]
        self.name = host.add_card(miniport, self.bus, {**RINGS, **needed, **(configuration or {})}, version)

    def close(self) -> None:
        """Hang up."""
        self.bus.close()
