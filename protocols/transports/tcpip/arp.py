"""ARP for IPv4 over Ethernet (RFC 826), address conflict detection and announcement (RFC 5227).

::

    +------+------+---+---+------+--------+--------+--------+--------+
    | hw 1 |  0800| 6 | 4 |  op  | sender MAC, IP  | target MAC, IP  |
    +------+------+---+---+------+--------+--------+--------+--------+
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from formats import ethernet
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.link import TxFrame
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.checksum import Buffer
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface

FORMAT = Struct("!HHBBH6s4s6s4s")
REQUEST = 1
REPLY = 2
DEFEND_INTERVAL = 10 * SECOND
"""RFC 5227 1.1."""


class ArpMessage(NamedTuple):
    """What an ARP packet says."""

    operation: int
    sender_mac: bytes
    sender_ip: bytes
    target_mac: bytes
    target_ip: bytes


def parse(frame: Buffer) -> ArpMessage | None:
    """Read the ARP packet of an Ethernet frame; None when it is not IPv4 over Ethernet."""
    if len(frame) < ethernet.HEADER_BYTES + FORMAT.size:
        return None
    hardware, protocol, mac_bytes, ip_bytes, *rest = FORMAT.unpack_from(frame, ethernet.HEADER_BYTES)
    if (hardware, protocol, mac_bytes, ip_bytes) != (1, ethernet.IPV4, 6, 4):
        return None
    return ArpMessage(*rest)


def build(message: ArpMessage) -> bytes:
    """Return the 28 bytes of an ARP packet."""
    return FORMAT.pack(1, ethernet.IPV4, 6, 4, *message)


class Arp:
    """ARP on one interface."""

    def __init__(self, context: Context, interface: Interface) -> None:
        """Answer for the interface's addresses; learn into its IPv4 neighbour cache."""
        self._context = context
        self._interface = interface
        self._conflicts: dict[bytes, Callable[[bytes], None]] = {}
        self._defended: dict[bytes, int] = {}  # when, by address: ours only, so they are few

    def watch(self, address: bytes, conflict: Callable[[bytes], None]) -> None:
        """Call ``conflict(mac)`` when another station uses or probes ``address``."""
        self._conflicts[address] = conflict

    def unwatch(self, address: bytes) -> None:
        """Stop watching an address."""
        self._conflicts.pop(address, None)

    def solicit(self, address: bytes, mac: bytes | None) -> None:
        """Ask who has an address: broadcast, or to the MAC that is to be confirmed."""
        source = self._interface.source_for(address) or addresses.IPV4_ANY
        self._send(mac or addresses.MAC_BROADCAST, REQUEST, source, bytes(6), address)

    def probe(self, address: bytes) -> None:
        """Ask for an address without claiming it (RFC 5227 2.1.1)."""
        self._send(addresses.MAC_BROADCAST, REQUEST, addresses.IPV4_ANY, bytes(6), address)

    def announce(self, address: bytes) -> None:
        """Tell everyone that an address is ours (RFC 5227 2.3)."""
        self._send(addresses.MAC_BROADCAST, REQUEST, address, bytes(6), address)

    def receive(self, frame: Buffer) -> None:
        """Handle an ARP frame."""
        message = parse(frame)
        if message is None or message.sender_mac == self._interface.mac:
            self._context.counters["arp.in_discards"] += 1
            return
        self._context.counters["arp.in_messages"] += 1
        if message.sender_mac[0] & 1 or addresses.is_multicast(message.sender_ip):
            return
        self._detect(message)
        neighbours = self._interface.neighbours4
        for_us = self._interface.owns(message.target_ip)
        if not addresses.is_unspecified(message.sender_ip):
            if message.operation == REPLY and for_us:
                neighbours.answered(message.sender_ip, message.sender_mac)
            elif for_us:
                neighbours.heard(message.sender_ip, message.sender_mac)
            else:
                neighbours.refresh(message.sender_ip, message.sender_mac)
        if message.operation == REQUEST and for_us:
            self._send(
                message.sender_mac,
                REPLY,
                message.target_ip,
                message.sender_mac,
                message.sender_ip,
            )

    def _detect(self, message: ArpMessage) -> None:
        probed = addresses.is_unspecified(message.sender_ip) and message.operation == REQUEST
        address = message.target_ip if probed else message.sender_ip
        conflict = self._conflicts.get(address)
        if conflict is not None:
            conflict(message.sender_mac)
        elif not probed and self._interface.owns(address):
            # RFC 5227 2.4 (c): defend by announcing, but not at once again, and keep the address.
            self._context.counters["arp.conflicts"] += 1
            now = self._context.now
            if now - self._defended.get(address, now - DEFEND_INTERVAL) >= DEFEND_INTERVAL:
                self._defended[address] = now
                self.announce(address)

    def _send(self, to: bytes, operation: int, source: bytes, mac: bytes, target: bytes) -> None:
        message = ArpMessage(operation, self._interface.mac, source, mac, target)
        self._context.counters["arp.out_messages"] += 1
        self._interface.emit(to, ethernet.ARP, TxFrame([build(message)]))
