"""The routing table: longest prefix, then metric (RFC 1812 5.2.4.3), then the order of bindings.

Every change raises ``generation``, so that whoever cached an answer knows to ask again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from protocols.transports.tcpip.addresses import Prefix
    from protocols.transports.tcpip.interface import Interface


@dataclass(frozen=True, slots=True)
class Route:
    """One row. ``gateway`` None means that destinations are on the link."""

    prefix: Prefix
    interface: Interface
    gateway: bytes | None = None
    metric: int = 10
    origin: str = "manual"


class RouteTable:
    """Routes of both versions, most specific first."""

    def __init__(self) -> None:
        self._rows: list[Route] = []
        self.generation = 0

    def __iter__(self) -> Iterator[Route]:
        """Walk the rows, most specific first."""
        return iter(self._rows)

    def add(self, route: Route) -> None:
        """Insert a row; an equal one (prefix, interface, gateway) is replaced."""
        self.remove(route.prefix, route.interface, route.gateway)
        self._rows.append(route)
        self.sort()

    def sort(self) -> None:
        """Put the rows in order; call it when the interfaces have other priorities."""
        self._rows.sort(key=lambda row: (-row.prefix.length, row.metric, row.interface.priority))
        self.generation += 1

    def remove(self, prefix: Prefix, interface: Interface, gateway: bytes | None = None) -> bool:
        """Delete a row; False when there is none."""
        return self._keep(
            lambda row: (row.prefix, row.interface, row.gateway) != (prefix, interface, gateway)
        )

    def remove_origin(self, interface: Interface, origin: str) -> bool:
        """Delete all rows that somebody (``dhcp``, ``ra``) put on an interface."""
        return self._keep(lambda row: (row.interface, row.origin) != (interface, origin))

    def lookup(self, destination: bytes, interface: Interface | None = None) -> Route | None:
        """Return the best row for an address, on one interface if that is given."""
        for row in self._rows:
            if (
                destination in row.prefix
                and row.interface.up
                and (interface is None or row.interface is interface)
            ):
                return row
        return None

    def _keep(self, wanted: Callable[[Route], bool]) -> bool:
        kept = [row for row in self._rows if wanted(row)]
        changed = len(kept) != len(self._rows)
        if changed:
            self._rows = kept
            self.generation += 1
        return changed
