"""Neighbour discovery on one interface (RFC 4861), and duplicate address detection (RFC 4862 5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.transport import ICMPV6
from protocols.transports.tcpip import addresses, icmp
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.interface import AddressState, InterfaceAddress
from protocols.transports.tcpip.ip import SendOptions
from protocols.transports.tcpip.timers import SECOND, Timer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from formats.checksum import Buffer
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.icmp import Message
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.packet import Packet

ROUTER_SOLICITATION = 133
ROUTER_ADVERTISEMENT = 134
NEIGHBOUR_SOLICITATION = 135
NEIGHBOUR_ADVERTISEMENT = 136
REDIRECT = 137
SOURCE_LINK_ADDRESS = 1
TARGET_LINK_ADDRESS = 2
FLAG_ROUTER = 1 << 31
FLAG_SOLICITED = 1 << 30
FLAG_OVERRIDE = 1 << 29
HOP_LIMIT = 255  # nothing forwarded can have it: RFC 4861 7.1


def options(raw: Buffer) -> Iterator[tuple[int, memoryview]]:
    """Walk (type, whole option) pairs; stops silently at a bad length (the caller has checked)."""
    view = memoryview(raw)
    at = 0
    while at + 2 <= len(view) and view[at + 1] and at + view[at + 1] * 8 <= len(view):
        yield view[at], view[at : at + view[at + 1] * 8]
        at += view[at + 1] * 8


def well_formed(raw: Buffer) -> bool:
    """Tell whether options fill ``raw`` exactly (RFC 4861 7.1: a zero length drops the packet)."""
    return sum(len(option) for _, option in options(raw)) == len(raw)


def link_address(raw: Buffer, kind: int) -> bytes | None:
    """Return the MAC of a link-layer address option."""
    return next((bytes(o[2:8]) for k, o in options(raw) if k == kind and len(o) >= 8), None)


class Nd:
    """Solicits, answers and learns on one interface."""

    def __init__(self, context: Context, ip: Ip, interface: Interface) -> None:
        """Serve the interface's IPv6 addresses and neighbour cache."""
        self._context = context
        self._ip = ip
        self._interface = interface
        self._dad: dict[bytes, tuple[Timer, Callable[[bool], None]]] = {}
        self.no_router: Callable[[bytes], None] = lambda _: None
        """Told of each neighbour that says it is a host: it may have been a default router before."""

    def solicit(self, address: bytes, mac: bytes | None) -> None:
        """Ask for an address's MAC: by its solicited-node group, or directly to confirm."""
        source = self._interface.source_for(address)
        if source is None:
            return
        to = address if mac else addresses.solicited_node(address)
        option = bytes((SOURCE_LINK_ADDRESS, 1)) + self._interface.mac
        self._send(source, to, NEIGHBOUR_SOLICITATION, 0, address + option)

    def start_dad(self, entry: InterfaceAddress, done: Callable[[bool], None]) -> None:
        """Check that nobody has a tentative address; ``done(unique)`` is called later."""
        remaining = self._context.config.dad_transmits

        def step() -> None:
            nonlocal remaining
            if entry.state is not AddressState.TENTATIVE:
                return
            if not remaining:
                del self._dad[entry.address]
                entry.state = AddressState.PREFERRED
                done(True)  # noqa: FBT003 - the callback has one meaning
                return
            remaining -= 1
            to = addresses.solicited_node(entry.address)
            self._send(addresses.IPV6_ANY, to, NEIGHBOUR_SOLICITATION, 0, entry.address)
            timer.start(1 * SECOND)

        timer = self._context.timers.timer(step)
        before = self._dad.pop(entry.address, None)
        if before is not None:
            before[0].stop()  # the cable came back in the middle of the last check
        self._dad[entry.address] = (timer, done)
        # RFC 4862 5.4.2 wants up to a second of random delay before the first of them.
        timer.start(self._context.random(30) if remaining else 0)

    def on_solicitation(self, about: Packet, message: Message) -> None:
        """Handle a neighbour solicitation."""
        body = message.body
        if not self._valid(about, message) or not well_formed(body[16:]):
            return
        target = bytes(body[:16])
        mac = link_address(body[16:], SOURCE_LINK_ADDRESS)
        probing = addresses.is_unspecified(about.source)
        entry = self._interface.addresses.get(target)
        if probing and (mac is not None or about.destination != addresses.solicited_node(target)):
            return  # RFC 4861 7.1.1: who has no address says none, and asks the group alone
        if entry is None:
            return
        if entry.state is AddressState.TENTATIVE:
            if probing:
                self._collide(entry)
            return
        if not entry.usable:
            return
        if probing:
            self._advertise(addresses.IPV6_ALL_NODES, target, FLAG_OVERRIDE)
            return
        if mac is not None:
            self._interface.neighbours6.heard(about.source, mac)
        self._advertise(about.source, target, FLAG_SOLICITED | FLAG_OVERRIDE)

    def on_advertisement(self, about: Packet, message: Message) -> None:
        """Handle a neighbour advertisement (RFC 4861 7.2.5)."""
        body = message.body
        solicited = message.rest & FLAG_SOLICITED != 0
        if not self._valid(about, message) or not well_formed(body[16:]):
            return
        if solicited and addresses.is_multicast(about.destination):
            return
        target = bytes(body[:16])
        own = self._interface.addresses.get(target)
        if own is not None:
            if own.state is AddressState.TENTATIVE:
                self._collide(own)
            return
        neighbours = self._interface.neighbours6
        entry = neighbours.entries.get(target)
        mac = link_address(body[16:], TARGET_LINK_ADDRESS)
        if entry is None:
            return
        mac = mac or entry.mac
        if mac is None:
            return
        override = message.rest & FLAG_OVERRIDE != 0
        if entry.mac not in (None, mac) and not override:
            return
        if not message.rest & FLAG_ROUTER:
            self.no_router(target)
        if solicited:
            neighbours.answered(target, mac)
        else:
            neighbours.heard(target, mac)

    def _valid(self, about: Packet, message: Message) -> bool:
        ok = about.ttl == HOP_LIMIT and message.code == 0 and len(message.body) >= 16
        if ok and addresses.is_multicast(bytes(message.body[:16])):
            ok = False
        if not ok:
            self._context.counters["nd.in_errors"] += 1
        return ok

    def _collide(self, entry: InterfaceAddress) -> None:
        entry.state = AddressState.DUPLICATE
        timer, done = self._dad.pop(entry.address)
        timer.stop()
        self._context.counters["nd.duplicates"] += 1
        done(False)  # noqa: FBT003 - the callback has one meaning

    def _advertise(self, to: bytes, target: bytes, flags: int) -> None:
        if self._context.config.forwarding:
            flags |= FLAG_ROUTER
        option = bytes((TARGET_LINK_ADDRESS, 1)) + self._interface.mac
        self._send(target, to, NEIGHBOUR_ADVERTISEMENT, flags, target + option)

    def _send(self, source: bytes, to: bytes, kind: int, rest: int, body: bytes) -> None:
        self._context.counters["nd.out_messages"] += 1
        raw = icmp.build6(kind, 0, rest, body, (source, to))
        try:
            path = self._ip.resolve(to, source, self._interface)
            self._ip.send(path, ICMPV6, raw, [], SendOptions(ttl=HOP_LIMIT))
        except NetworkError:
            self._context.counters["nd.out_errors"] += 1
