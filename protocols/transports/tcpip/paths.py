"""How packets get from here to one destination: interface, next hop, source and path MTU."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from formats import ipv4, ipv6
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.routes import Route, RouteTable

PMTU_LIFETIME = 600 * SECOND  # RFC 1191 6.3: ten minutes
MAX_PMTU_ENTRIES = 1024
PLATEAUS = (32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68)  # RFC 1191 7.1


class Path(NamedTuple):
    """A resolved way; stale once the route table's generation has moved on."""

    interface: Interface
    source: bytes
    destination: bytes
    next_hop: bytes
    generation: int
    unicast: bool = False
    """Whether a neighbour's MAC is wanted. False: look at the interface and the destination."""


class Paths:
    """Chooses paths and remembers path MTUs."""

    def __init__(self, context: Context, routes: RouteTable, interfaces: list[Interface]) -> None:
        """Share the stack's route table and list of interfaces (the first is loopback)."""
        self._context = context
        self._routes = routes
        self._interfaces = interfaces
        self.lowered: dict[bytes, tuple[int, int]] = {}
        """The destinations whose path MTU is below the link's: that, and until when it is believed."""

    @property
    def generation(self) -> int:
        """The route table's generation: a path made under another one is stale."""
        return self._routes.generation

    def resolve(
        self,
        destination: bytes,
        source: bytes | None = None,
        interface: Interface | None = None,
    ) -> Path:
        """Return the way to an address; NetworkError when there is none."""
        generation = self._routes.generation
        local = self._local(destination, source)
        if local is not None:
            return Path(self._interfaces[0], local, destination, destination, generation)
        found = interface or self._by_source(source)
        route: Route | None = None
        if destination == addresses.IPV4_BROADCAST or addresses.is_multicast(destination):
            found = found or self._default_interface(destination)
        else:
            route = self._routes.lookup(destination, found)
            found = route.interface if route else None
        if found is None or not found.up:
            raise NetworkError(Failure.NET_UNREACHABLE, addresses.text(destination))
        chosen = source or found.source_for(destination)
        if chosen is None:
            if len(destination) == 16:
                raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, found.name)
            chosen = addresses.IPV4_ANY  # DHCP has to begin somehow
        hop = route.gateway if route and route.gateway else destination
        unicast = route is not None and not found.loopback and not found.is_broadcast(destination)
        return Path(found, chosen, destination, hop, generation, unicast)

    def mtu(self, path: Path) -> int:
        """Return the largest packet that fits the whole way, as far as we know."""
        link = path.interface.mtu if len(path.destination) == 4 else path.interface.mtu6
        known = self.lowered.get(path.destination)
        if known is None:
            return link
        if known[1] <= self._context.now:
            del self.lowered[path.destination]
            return link
        return min(link, known[0])

    def lower_mtu(self, destination: bytes, mtu: int, packet_bytes: int) -> int:
        """Believe an ICMP error about a packet of ``packet_bytes``; return the new path MTU.

        0 means that a router of before RFC 1191 did not say: then the next plateau is tried.
        Nothing here raises a path MTU (RFC 8201 4), and the floor is the version's minimum
        (for IPv4 552 bytes as in Linux's min_pmtu, against ICMP lies).
        """
        if len(destination) == 4:
            if not mtu:
                mtu = next((p for p in PLATEAUS if p < packet_bytes), ipv4.MINIMUM_MTU)
            mtu = max(mtu, 552)
        else:
            mtu = max(mtu, ipv6.MINIMUM_MTU)
        known = self.lowered.get(destination)
        if known is None or mtu < known[0]:
            if len(self.lowered) >= MAX_PMTU_ENTRIES:
                self.lowered.pop(next(iter(self.lowered)))
            self.lowered[destination] = (mtu, self._context.now + PMTU_LIFETIME)
        return self.lowered[destination][0]

    def is_local(self, address: bytes) -> bool:
        """Tell whether an address is one of this host's."""
        return addresses.is_loopback(address) or any(i.owns(address) for i in self._interfaces)

    def _local(self, destination: bytes, source: bytes | None) -> bytes | None:
        return (source or destination) if self.is_local(destination) else None

    def _by_source(self, source: bytes | None) -> Interface | None:
        # Strong host model, as Windows since Vista: a bound source decides the interface.
        if source is None or addresses.is_unspecified(source):
            return None
        return next((i for i in self._interfaces if source in i.addresses), None)

    def _default_interface(self, destination: bytes) -> Interface | None:
        route = self._routes.lookup(bytes(len(destination)))
        if route is not None:
            return route.interface
        able = [i for i in self._interfaces if i.up and not i.loopback]
        return min(able, key=lambda i: i.priority, default=None)
