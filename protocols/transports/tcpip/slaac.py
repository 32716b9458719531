"""Stateless address autoconfiguration on one interface (RFC 4862), from router advertisements.

Makes the link-local address, solicits routers, keeps default routers, prefixes, MTU, hop limit and
the DNS servers of RFC 8106.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from formats.ipv6 import MINIMUM_MTU
from formats.transport import ICMPV6
from protocols.transports.tcpip import addresses, icmp
from protocols.transports.tcpip.addresses import Prefix
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.interface import AddressState, InterfaceAddress
from protocols.transports.tcpip.ip import SendOptions
from protocols.transports.tcpip.nd import (
    HOP_LIMIT,
    ROUTER_SOLICITATION,
    SOURCE_LINK_ADDRESS,
    link_address,
    options,
    well_formed,
)
from protocols.transports.tcpip.routes import Route
from protocols.transports.tcpip.timers import SECOND, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.icmp import Message
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.packet import Packet

LIFETIMES_BYTES = 8  # reachable time, retransmit timer; the first word is in the ICMP header
PREFIX = Struct("!BBBBIII16s")
OPTION_PREFIX = 3
OPTION_MTU = 5
OPTION_RDNSS = 25
ON_LINK = 0x80
AUTONOMOUS = 0x40
INFINITE = 0xFFFFFFFF
MAX_SOLICITATIONS = 3
SOLICITATION_INTERVAL = 4 * SECOND
TWO_HOURS = 7200
MAX_PREFIXES = 16  # per interface: a flood of advertisements must not fill memory
MAX_ROUTERS = 8
MAX_SERVERS = 8
LINK_LOCAL_NETWORK = Prefix(addresses.IPV6_LINK_LOCAL_PREFIX + bytes(8), 64)


class Slaac:
    """Autoconfigures one interface. ``add`` gives it an address (and starts its DAD)."""

    def __init__(
        self,
        context: Context,
        ip: Ip,
        interface: Interface,
        add: Callable[[InterfaceAddress], None],
        remove: Callable[[bytes], None],
    ) -> None:
        self._context = context
        self._ip = ip
        self._interface = interface
        self._add = add
        self._remove = remove
        self._solicits = 0
        self._timer = context.timers.timer(self._solicit)
        self._routers: dict[bytes, Timer] = {}
        self._on_link: dict[Prefix, Timer] = {}
        self._lifetimes: dict[bytes, tuple[Timer, Timer]] = {}
        self.dns_servers: dict[bytes, int | None] = {}

    def start(self) -> None:
        """Make the link-local address and begin to ask for routers."""
        address = addresses.IPV6_LINK_LOCAL_PREFIX + addresses.eui64(self._interface.mac)
        self._ip.routes.add(Route(LINK_LOCAL_NETWORK, self._interface, origin="link"))
        self._add(InterfaceAddress(address, 64, AddressState.TENTATIVE, "slaac"))
        if self._context.config.accept_router_adverts and not self._context.config.forwarding:
            self._solicits = 0
            self._timer.start(self._context.random(30))

    def on_advertisement(self, about: Packet, message: Message) -> None:
        """Handle a router advertisement (RFC 4861 6.3.4, RFC 4862 5.5.3)."""
        body = message.body
        config = self._context.config
        if (
            about.ttl != HOP_LIMIT
            or message.code
            or len(body) < LIFETIMES_BYTES
            or not addresses.is_link_local(about.source)
            or not well_formed(body[8:])
        ):
            self._context.counters["nd.in_errors"] += 1
            return
        if not config.accept_router_adverts or config.forwarding:
            return
        self._timer.stop()
        hops = message.rest >> 24
        if hops:
            self._interface.hop_limit6 = hops
        mac = link_address(body[8:], SOURCE_LINK_ADDRESS)
        if mac is not None:
            self._interface.neighbours6.heard(about.source, mac)
        self._router(about.source, message.rest & 0xFFFF)
        for kind, option in options(body[8:]):
            if kind == OPTION_PREFIX and len(option) == 32:
                self._prefix(option)
            elif kind == OPTION_MTU and len(option) == 8:
                mtu = int.from_bytes(option[4:8])
                if MINIMUM_MTU <= mtu <= self._interface.link.mtu:
                    self._interface.mtu6 = mtu
            elif kind == OPTION_RDNSS and len(option) >= 24:
                self._servers(option)

    def no_router(self, address: bytes) -> None:
        """Use a neighbour as a default router no more: it advertises itself as a host (RFC 4861 7.2.5)."""
        if address in self._routers:
            self._forget_router(address)

    def _solicit(self) -> None:
        self._solicits += 1
        interface = self._interface
        source = interface.source_for(addresses.IPV6_ALL_ROUTERS)
        option = b""
        if source is not None:
            option = bytes((SOURCE_LINK_ADDRESS, 1)) + interface.mac
        source = source or addresses.IPV6_ANY
        raw = icmp.build6(ROUTER_SOLICITATION, 0, 0, option, (source, addresses.IPV6_ALL_ROUTERS))
        try:
            path = self._ip.resolve(addresses.IPV6_ALL_ROUTERS, source, interface)
            self._ip.send(path, ICMPV6, raw, [], SendOptions(ttl=HOP_LIMIT))
        except NetworkError:
            self._context.counters["nd.out_errors"] += 1
        if self._solicits < MAX_SOLICITATIONS:
            self._timer.start(SOLICITATION_INTERVAL)

    def _router(self, router: bytes, lifetime: int) -> None:
        default = Prefix(bytes(16), 0)
        timer = self._routers.get(router)
        if not lifetime:
            if timer is not None:
                self._forget_router(router)
            return
        if timer is None:
            if len(self._routers) >= MAX_ROUTERS:
                return
            timer = self._context.timers.timer(lambda: self._forget_router(router))
            self._routers[router] = timer
            self._ip.routes.add(Route(default, self._interface, router, metric=256, origin="ra"))
        timer.start(lifetime * SECOND)

    def _forget_router(self, router: bytes) -> None:
        self._routers.pop(router).stop()
        self._ip.routes.remove(Prefix(bytes(16), 0), self._interface, router)

    def _prefix(self, option: memoryview) -> None:
        _, _, length, flags, valid, preferred, _, network = PREFIX.unpack(option)
        if length > 128 or preferred > valid or addresses.is_link_local(network):
            return
        if addresses.is_multicast(network):
            return
        prefix = Prefix.of(network, length)
        if flags & ON_LINK:
            self._link_prefix(prefix, valid)
        if flags & AUTONOMOUS and length == 64:
            self._autoconfigure(prefix, valid, preferred)

    def _link_prefix(self, prefix: Prefix, valid: int) -> None:
        timer = self._on_link.get(prefix)
        if not valid:
            if timer is not None:
                self._off_link(prefix)
            return
        if timer is None:
            if len(self._on_link) >= MAX_PREFIXES:
                return
            timer = self._context.timers.timer(lambda: self._off_link(prefix))
            self._on_link[prefix] = timer
            self._ip.routes.add(Route(prefix, self._interface, metric=256, origin="ra"))
        if valid == INFINITE:
            timer.stop()
        else:
            timer.start(valid * SECOND)

    def _off_link(self, prefix: Prefix) -> None:
        self._on_link.pop(prefix).stop()
        self._ip.routes.remove(prefix, self._interface)

    def _autoconfigure(self, prefix: Prefix, valid: int, preferred: int) -> None:
        address = prefix.network[:8] + addresses.eui64(self._interface.mac)
        entry = self._interface.addresses.get(address)
        now = self._context.now
        if entry is None:
            if not valid or len(self._lifetimes) >= MAX_PREFIXES:
                return
            entry = InterfaceAddress(address, 64, AddressState.TENTATIVE, "slaac")
            self._lifetimes[address] = (
                self._context.timers.timer(lambda: self._deprecate(address)),
                self._context.timers.timer(lambda: self._invalidate(address)),
            )
            self._add(entry)
        elif entry.origin != "slaac":
            return
        elif entry.valid_until is not None and valid != INFINITE:
            # RFC 4862 5.5.3 e: nobody may cut a life below two hours from outside.
            left = max(0, (entry.valid_until - now) // SECOND)
            if valid <= TWO_HOURS and valid <= left:
                valid = min(left, TWO_HOURS)
        entry.valid_until = None if valid == INFINITE else now + valid * SECOND
        entry.preferred_until = None if preferred == INFINITE else now + preferred * SECOND
        if preferred and entry.state is AddressState.DEPRECATED:
            entry.state = AddressState.PREFERRED
        deprecate, invalidate = self._lifetimes[address]
        deprecate.stop()
        invalidate.stop()
        if entry.preferred_until is not None:
            deprecate.start(preferred * SECOND)
        if entry.valid_until is not None:
            invalidate.start(valid * SECOND)

    def _deprecate(self, address: bytes) -> None:
        entry = self._interface.addresses.get(address)
        if entry is not None and entry.state is AddressState.PREFERRED:
            entry.state = AddressState.DEPRECATED

    def _invalidate(self, address: bytes) -> None:
        self._lifetimes.pop(address)[0].stop()
        self._remove(address)

    def _servers(self, option: memoryview) -> None:
        lifetime = int.from_bytes(option[4:8])
        until = None if lifetime == INFINITE else self._context.now + lifetime * SECOND
        for at in range(8, len(option) - 15, 16):
            server = bytes(option[at : at + 16])
            if not lifetime:
                self.dns_servers.pop(server, None)
            elif server in self.dns_servers or len(self.dns_servers) < MAX_SERVERS:
                self.dns_servers[server] = until
