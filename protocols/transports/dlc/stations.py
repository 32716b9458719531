"""SAPs and link stations of an adapter, as CCB commands number them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocols.interfaces.llc import Link, Sap
    from protocols.transports.dlc.ccb import Ccb, Received


@dataclass(eq=False, slots=True)
class LinkStation:
    """A link station. ``link`` is there from CONNECT, or the peer's SABME, until it is down."""

    number: int
    remote_node: bytes
    remote_sap: int
    link: Link | None = None
    connecting: Ccb | None = None
    closing: Ccb | None = None
    is_accepted: bool = False
    """CONNECT.STATION was completed: until then the peer's I PDUs are not taken."""
    is_busy: bool = False
    """FLOW.CONTROL said so."""
    transmits: deque[Ccb] = field(default_factory=deque)
    held: deque[Received] = field(default_factory=deque)
    """What came when no RECEIVE or no buffer was there: a window at most, as the link is busy then."""


@dataclass(eq=False, slots=True)
class SapStation:
    """An open SAP with its link stations by number."""

    number: int
    sap: Sap
    stations_limit: int
    links: dict[int, LinkStation] = field(default_factory=dict)
    closing: Ccb | None = None

    def by_link(self, link: Link) -> LinkStation | None:
        """Return the station of a link."""
        return next((one for one in self.links.values() if one.link is link), None)

    def free_number(self) -> int | None:
        """Return a number for a new link station; None: as many as were asked for are open."""
        if len(self.links) >= self.stations_limit:
            return None
        return next((n for n in range(self.number + 1, self.number + 256) if n not in self.links), None)
