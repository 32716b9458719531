"""Congestion controllers, by name. Add one here and ``StackConfig.congestion`` knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.transports.tcpip.tcp.congestion.cubic import Cubic
from protocols.transports.tcpip.tcp.congestion.newreno import NewReno

if TYPE_CHECKING:
    from protocols.transports.tcpip.tcp.congestion.control import CongestionControl

CONTROLLERS: dict[str, type[NewReno]] = {"newreno": NewReno, "cubic": Cubic}


def controller(name: str, mss: int) -> CongestionControl:
    """Return a fresh controller; KeyError for a name that nobody has."""
    return CONTROLLERS[name](mss)
