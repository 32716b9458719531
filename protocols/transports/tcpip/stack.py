"""The stack: one host's TCP/IP, put together. The only module that applications and links need.

How to drive it: call ``receive(interface, frames, now)`` when frames come, ``advance(now)`` when
``next_deadline()`` is reached, and ``flush()`` after calls of one's own (``send``, ``tcp_connect``,
...). Callbacks are made, and frames are handed to links, inside those three.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from protocols.transports.tcpip import addresses, igmp, mld, nd, slaac
from protocols.transports.tcpip.addresses import Prefix
from protocols.transports.tcpip.arp import Arp
from protocols.transports.tcpip.classify import Classification
from protocols.transports.tcpip.coalesce import coalesce
from protocols.transports.tcpip.context import Context, StackConfig
from protocols.transports.tcpip.dhcp import DhcpClient
from protocols.transports.tcpip.dns_client import DnsClient
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.icmp_layer import IcmpLayer
from protocols.transports.tcpip.interface import AddressState, Interface, InterfaceAddress
from protocols.transports.tcpip.ip import Ip
from protocols.transports.tcpip.link_local import LinkLocal
from protocols.transports.tcpip.llmnr import Llmnr
from protocols.transports.tcpip.loopback import LoopbackLink
from protocols.transports.tcpip.neighbours import NeighbourCache
from protocols.transports.tcpip.ping import EchoResult, Pinger
from protocols.transports.tcpip.raw import RawEndpoint
from protocols.transports.tcpip.routes import Route
from protocols.transports.tcpip.tcp.service import Tcp
from protocols.transports.tcpip.udp import Datagram, Udp, UdpEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocols.transports.tcpip.classify import Classifier
    from protocols.transports.tcpip.icmp import Message
    from protocols.transports.tcpip.link import Link, RxFrame, TxFrame
    from protocols.transports.tcpip.packet import Packet
    from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler
    from protocols.transports.tcpip.tcp.listener import Listener


def _no_turn() -> None:
    """Do nothing: an owner without an executive calls ``flush`` itself."""


MAX_ROUNDS = 256  # of loopback traffic in one call; the rest comes with the next

__all__ = ["Stack", "StackConfig"]


class Stack:
    """A host. Addresses are ``bytes`` (see ``addresses.parse``); times are nanoseconds."""

    def __init__(
        self,
        entropy: Callable[[int], bytes],
        now: int = 0,
        config: StackConfig | None = None,
        host_name: str = "ringwalk",
    ) -> None:
        """Make a host with only its loopback interface."""
        self.config = config or StackConfig()
        self.request_turn: Callable[[], None] = _no_turn
        """What an edge calls after calls of its own: the owner has ``flush`` follow soon."""
        self.context = Context(now, entropy, self.config)
        self._unhandled: deque[tuple[Interface, RxFrame]] = deque()
        """Frames that came together with one whose handling has failed."""
        self._loopback = LoopbackLink()
        self.interfaces: list[Interface] = [Interface(0, self._loopback, loopback=True)]
        self.ip = Ip(self.context, self.interfaces)
        self.icmp = IcmpLayer(self.context, self.ip)
        self.igmp = igmp.Igmp(self.context, self.ip)
        self.mld = mld.Mld(self.context, self.ip, self.icmp)
        self.udp = Udp(self.context, self.ip, self._membership)
        self.tcp = Tcp(self.context, self.ip)
        self.pinger = Pinger(self.context, self.ip, self.icmp)
        self.nd: dict[int, nd.Nd] = {}
        self.slaac: dict[int, slaac.Slaac] = {}
        self.dhcp: dict[int, DhcpClient] = {}
        self.link_local: dict[int, LinkLocal] = {}
        self.dns = DnsClient(self.context, self.udp, self.tcp)
        self.llmnr = Llmnr(self.context, self.udp, self.interfaces, host_name)
        self._hang_nd()
        loopback = self.interfaces[0]
        loopback.add_address(InterfaceAddress(addresses.IPV4_LOOPBACK, 8, origin="loopback"))
        if self.config.ipv6:
            loopback.add_address(InterfaceAddress(addresses.IPV6_LOOPBACK, 128, origin="loopback"))

    @property
    def counters(self) -> dict[str, int]:
        """What happened how often, by ``layer.event``."""
        return dict(self.context.counters)

    # Interfaces and addresses

    def add_interface(self, link: Link) -> Interface:
        """Bind a link. With IPv6 on, its link-local address is made at once."""
        interface = Interface(len(self.interfaces), link)
        arp = Arp(self.context, interface)
        discovery = nd.Nd(self.context, self.ip, interface)
        interface.neighbours4 = NeighbourCache(
            self.context, arp.solicit, interface.emit, self._unreachable(interface)
        )
        interface.neighbours6 = NeighbourCache(
            self.context, discovery.solicit, interface.emit, self._unreachable(interface)
        )
        self.interfaces.append(interface)
        self.ip.arp[interface.index] = arp
        self.nd[interface.index] = discovery
        self._membership(interface, addresses.IPV4_ALL_HOSTS, joined=True)
        if self.config.ipv6:
            self._membership(interface, addresses.IPV6_ALL_NODES, joined=True)
            if self.config.forwarding:
                self._membership(interface, addresses.IPV6_ALL_ROUTERS, joined=True)
            auto = slaac.Slaac(
                self.context,
                self.ip,
                interface,
                lambda entry: self._add_entry(interface, entry),
                lambda address: self.remove_address(interface, address),
            )
            self.slaac[interface.index] = auto
            discovery.no_router = auto.no_router
            auto.start()
        self.context.timers.timer(lambda: None).start(0)
        return interface

    def interface_of(self, address: bytes) -> int:
        """Return the index of the interface that has an address. LookupError when none has."""
        for interface in self.interfaces:
            if interface.owns(address):
                return interface.index
        raise LookupError(addresses.text(address))

    def set_order(self, interfaces: Sequence[Interface]) -> None:
        """Prefer interfaces in this order: their routes where costs are the same, their DNS servers."""
        first = {one.index: at for at, one in enumerate(interfaces)}
        for one in self.interfaces:
            one.priority = first.get(one.index, len(first) + one.index)
        self.ip.routes.sort()

    def add_address(self, interface: Interface, address: bytes, prefix_length: int) -> None:
        """Give an interface a fixed address, with the route to its network."""
        self.context.catch_up()
        state = AddressState.PREFERRED
        if len(address) == 16 and self.config.dad_transmits:
            state = AddressState.TENTATIVE
        entry = InterfaceAddress(address, prefix_length, state)
        self._add_entry(interface, entry)
        self.ip.routes.add(Route(entry.prefix, interface, origin="connected"))
        if len(address) == 4:
            self.ip.arp[interface.index].announce(address)

    def remove_address(self, interface: Interface, address: bytes) -> None:
        """Take an address away; connections that use it end."""
        entry = interface.remove_address(address)
        if entry is None:
            return
        if len(address) == 16:
            self._membership(interface, addresses.solicited_node(address), joined=False)
        if not any(e.prefix == entry.prefix for e in interface.addresses.values()):
            self.ip.routes.remove(entry.prefix, interface)
        for connection in list(self.tcp.connections.values()):
            if connection.key.local == address:
                self.tcp.delete(connection, Failure.ADDRESS_REMOVED)

    def add_route(
        self, prefix: str, interface: Interface, gateway: bytes | None = None, metric: int = 10
    ) -> None:
        """Add a route, written as ``10.0.0.0/8`` or ``::/0``."""
        self.ip.routes.add(Route(Prefix.parse(prefix), interface, gateway, metric))

    def set_link_state(self, interface: Interface, *, up: bool) -> None:
        """Tell that the cable was plugged or pulled (NDIS media connect and disconnect)."""
        if interface.up == up:
            return
        self.context.catch_up()
        interface.up = up
        self.ip.routes.generation += 1
        if not up:
            for cache in (interface.neighbours4, interface.neighbours6):
                for address in list(cache.entries):
                    cache.remove(address)
            return
        if interface.index in self.dhcp:
            self.dhcp[interface.index].start()
        if interface.index in self.slaac:
            self.slaac[interface.index].start()

    def start_dhcp(self, interface: Interface) -> DhcpClient:
        """Configure an interface by DHCP, with 169.254/16 while no server answers."""
        self.context.catch_up()
        fallback = LinkLocal(
            self.context,
            interface,
            self.ip.arp[interface.index],
            lambda entry: self._configure(interface, entry),
            lambda address: self.remove_address(interface, address),
        )
        self.link_local[interface.index] = fallback
        client = DhcpClient(
            self.context,
            self.udp,
            self.ip,
            interface,
            fallback=fallback,
            add=lambda entry: self._configure(interface, entry),
            remove=lambda address: self.remove_address(interface, address),
        )
        self.dhcp[interface.index] = client
        client.start()
        return client

    def dns_servers(self) -> list[bytes]:
        """Return the resolvers: set by hand, then DHCP's, then those of advertisements; by binding order."""
        found = list(self.dns.servers)
        ordered = [one.index for one in sorted(self.interfaces, key=lambda one: one.priority)]
        for client in (self.dhcp[index] for index in ordered if index in self.dhcp):
            found += client.dns_servers
        now = self.context.now
        for auto in (self.slaac[index] for index in ordered if index in self.slaac):
            found += [a for a, until in auto.dns_servers.items() if until is None or until > now]
        return list(dict.fromkeys(found))

    # Endpoints

    def tcp_listen(
        self,
        port: int,
        on_accept: Callable[[Connection], ConnectionHandler],
        local: bytes | None = None,
    ) -> Listener:
        """Accept connections; ``on_accept`` returns the owner of each."""
        return self.tcp.listen(local, port, on_accept)

    def tcp_connect(
        self,
        remote: bytes,
        port: int,
        handler: ConnectionHandler,
        *,
        local: bytes | None = None,
        local_port: int = 0,
    ) -> Connection:
        """Open a connection; NetworkError when that is impossible from the start."""
        return self.tcp.connect(remote, port, handler, local=local, local_port=local_port)

    def udp_bind(
        self,
        port: int,
        on_datagram: Callable[[Datagram], None],
        local: bytes | None = None,
        *,
        share: bool = False,
    ) -> UdpEndpoint:
        """Open a UDP port (0: any)."""
        return self.udp.bind(local, port, on_datagram, share=share)

    def raw_open(self, version: int, protocol: int, on_packet: Callable[[Packet], None]) -> RawEndpoint:
        """Speak an IP protocol directly."""
        return RawEndpoint(self.ip, version, protocol, on_packet)

    def ping(
        self,
        destination: bytes,
        on_result: Callable[[EchoResult], None],
        *,
        data: bytes = b"abcdefghijklmnopqrstuvwabcdefghi",
        timeout: int = 4_000_000_000,
        ttl: int = 0,
    ) -> None:
        """Send an echo request; ``on_result`` is called once."""
        self.pinger.ping(destination, on_result, data=data, timeout=timeout, ttl=ttl)

    def resolve(self, name: str, on_addresses: Callable[[list[bytes]], None]) -> None:
        """Look a name up: DNS, or LLMNR for a single label or when there is no server."""
        servers = self.dns_servers()
        if servers and "." in name.rstrip("."):
            self.dns.resolve(name, on_addresses, servers)
        else:
            self.llmnr.resolve(name, on_addresses)

    # A filtering engine

    def set_classifier(self, classifier: Classifier | None) -> None:
        """Have ``classifier`` asked at its classify points from now on; None: nobody."""
        counters = self.context.counters

        def count(name: str) -> None:
            counters[name] += 1

        self.context.classification = Classification(classifier, count) if classifier is not None else None
        self._forget_judgements()

    def policy_changed(self) -> None:
        """Ask anew about what was remembered: the classifier's rules, or its points, are others now."""
        if self.context.classification is not None:
            self.context.classification.policy_changed()
        self._forget_judgements()

    def _forget_judgements(self) -> None:
        for interface in self.interfaces:
            interface.correspondents.clear()

    # The three calls that drive everything

    def receive(self, interface: Interface, frames: Sequence[RxFrame], now: int) -> None:
        """Take frames that arrived on an interface, then do all that follows from them."""
        self.context.timers.advance(now)
        if self._unhandled:
            self._handle_the_rest()
        if interface.up:
            is_joined = len(frames) > 1
            if self.context.classification is not None:
                engine = self.context.classification.engine
                is_joined &= engine is None or not engine.wants_single_packets
                frames = self.context.classification.inbound_frames(interface, frames)
            arrived = iter(coalesce(frames) if is_joined else frames)
            try:
                for frame in arrived:
                    interface.counters["in_frames"] += 1
                    self.ip.receive(interface, frame)
            except Exception:
                self._unhandled.extend((interface, frame) for frame in arrived)
                raise  # a failure of ours with one frame: those behind it are for the next turn
        self.flush()

    def advance(self, now: int) -> None:
        """Let time pass: fire timers, then do all that follows from them."""
        self.context.timers.advance(now)
        self.flush()

    def flush(self) -> None:
        """Make callbacks and hand frames to the links, until all is quiet."""
        if self._unhandled:
            self._handle_the_rest()
        classification = self.context.classification
        for _ in range(MAX_ROUNDS):
            if classification is not None and classification.engine is not None:
                classification.engine.run()
            self.tcp.settle()
            for interface in self.interfaces:
                if interface.outbox:
                    frames, interface.outbox = interface.outbox, []
                    if classification is not None:
                        frames = classification.outbound_frames(interface, frames)
                    if interface.up:
                        interface.counters["out_frames"] += len(frames)
                        interface.link.send(frames)
            if not self._loopback.frames:
                return
            for frame in self._loopback.take():
                self.ip.receive(self.interfaces[0], frame)

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is to be called at the latest; None: not without an event."""
        return self.context.timers.next_deadline()

    # Inside

    def _handle_the_rest(self) -> None:
        """Handle the frames that were behind one that failed, before any that came later."""
        while self._unhandled:
            interface, frame = self._unhandled.popleft()
            interface.counters["in_frames"] += 1
            self.ip.receive(interface, frame)

    def _hang_nd(self) -> None:
        handlers = self.icmp.handlers6

        def solicitation(about: Packet, message: Message) -> None:
            if about.interface.index in self.nd:
                self.nd[about.interface.index].on_solicitation(about, message)

        def advertisement(about: Packet, message: Message) -> None:
            if about.interface.index in self.nd:
                self.nd[about.interface.index].on_advertisement(about, message)

        def router(about: Packet, message: Message) -> None:
            if about.interface.index in self.slaac:
                self.slaac[about.interface.index].on_advertisement(about, message)

        handlers[nd.NEIGHBOUR_SOLICITATION] = solicitation
        handlers[nd.NEIGHBOUR_ADVERTISEMENT] = advertisement
        handlers[nd.ROUTER_ADVERTISEMENT] = router

    def _configure(self, interface: Interface, entry: InterfaceAddress) -> None:
        self._add_entry(interface, entry)
        self.ip.routes.add(Route(entry.prefix, interface, origin=entry.origin))

    def _add_entry(self, interface: Interface, entry: InterfaceAddress) -> None:
        interface.add_address(entry)
        self.ip.routes.generation += 1
        if len(entry.address) == 16:
            self._membership(interface, addresses.solicited_node(entry.address), joined=True)
            if entry.state is AddressState.TENTATIVE:
                discovery = self.nd[interface.index]
                discovery.start_dad(entry, lambda unique: self._dad_done(unique=unique))

    def _dad_done(self, *, unique: bool) -> None:
        self.ip.routes.generation += 1
        self.context.counters["nd.dad_passed" if unique else "nd.dad_failed"] += 1

    def _membership(self, interface: Interface, group: bytes, joined: bool) -> None:  # noqa: FBT001 - the shape that Udp calls
        if not addresses.is_multicast(group):
            raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, addresses.text(group))
        protocol = self.igmp if len(group) == 4 else self.mld
        if joined and interface.join(group):
            protocol.joined(interface, group)
        elif not joined and interface.leave(group):
            protocol.left(interface, group)

    def _unreachable(self, interface: Interface) -> Callable[[list[TxFrame]], None]:
        def report(frames: list[TxFrame]) -> None:
            for frame in frames:
                self.icmp.own_packet_failed(interface, frame)

        return report
