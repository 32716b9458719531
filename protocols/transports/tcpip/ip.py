"""IP's face to the transports: one ``send`` and one ``resolve`` for both versions.

Holds the tables of protocols and raw listeners; packets that came in go from here upwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from formats import ethernet
from protocols.transports.tcpip.icmp import ErrorKind, ErrorReport
from protocols.transports.tcpip.ipv4_layer import Ipv4Layer
from protocols.transports.tcpip.ipv6_layer import Ipv6Layer
from protocols.transports.tcpip.paths import Path, Paths
from protocols.transports.tcpip.routes import RouteTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.checksum import Buffer
    from protocols.transports.tcpip.arp import Arp
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.link import RxFrame, TxFrame
    from protocols.transports.tcpip.packet import Packet


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How to send one packet.

    ``ttl`` 0 is the default. ``checksum_offset`` not negative leaves the transport checksum to the
    link. ``ip_options`` are IPv4 options, or one IPv6 extension header whose type is ``next_header``.
    """

    ttl: int = 0
    tos: int = 0
    dont_fragment: bool = False
    checksum_offset: int = -1
    lso_mss: int = 0
    ip_options: bytes = b""
    next_header: int = 0


PLAIN = SendOptions()


class Transport(Protocol):
    """What sits above IP."""

    def receive(self, packet: Packet) -> None:
        """Take a packet of this protocol, with whole payload."""

    def icmp_error(self, report: ErrorReport) -> None:
        """Hear that a packet of ours met trouble."""


class Ip:
    """Both versions of IP on all interfaces of a host."""

    def __init__(self, context: Context, interfaces: list[Interface]) -> None:
        """Start without transports; ``complain`` is set by ICMP."""
        self._context = context
        self.interfaces = interfaces
        self.routes = RouteTable()
        self.paths = Paths(context, self.routes, interfaces)
        self.transports: dict[int, Transport] = {}
        self.raw_listeners: list[Callable[[Packet], bool]] = []
        self.complain: Callable[[Packet, ErrorKind, int], None] = _stay_silent
        self.v4 = Ipv4Layer(context, self.paths, self.deliver, self._complain)
        self.v6 = Ipv6Layer(context, self.paths, self.deliver, self._complain)
        self.arp: dict[int, Arp] = {}

    def receive(self, interface: Interface, frame: RxFrame) -> None:
        """Handle one Ethernet frame. Never raises, whatever is in it."""
        data = frame.data
        kind = (data[12] << 8) | data[13] if len(data) >= ethernet.HEADER_BYTES else 0
        if kind == ethernet.VLAN and len(data) >= ethernet.HEADER_BYTES + 4:
            if (data[14] & 0x0F) or data[15]:
                self._context.counters["ethernet.in_other_vlan"] += 1
                return
            # A priority tag (VLAN 0): the frame behind it is ours (802.1Q 6.9).
            frame.data = bytes(data[:12]) + bytes(data[16:])
            kind = ethernet.ethertype(frame.data)
        if kind == ethernet.IPV4:
            self.v4.receive(interface, frame)
        elif kind == ethernet.IPV6 and self._context.config.ipv6:
            self.v6.receive(interface, frame)
        elif kind == ethernet.ARP and interface.index in self.arp:
            self.arp[interface.index].receive(frame.data)
        else:
            self._context.counters["ethernet.in_unknown_protocols"] += 1

    def resolve(
        self,
        destination: bytes,
        source: bytes | None = None,
        interface: Interface | None = None,
    ) -> Path:
        """Return the way to an address; NetworkError when there is none."""
        return self.paths.resolve(destination, source, interface)

    def send(
        self,
        path: Path,
        protocol: int,
        header: bytes,
        payload: list[Buffer],
        options: SendOptions = PLAIN,
    ) -> None:
        """Send a transport header and payload; NetworkError when it cannot fit."""
        if len(path.destination) == 4:
            self.v4.send(path, protocol, header, payload, options)
        else:
            self.v6.send(path, protocol, header, payload, options)

    def transmit(self, path: Path, frame: TxFrame) -> None:
        """Send a whole packet by a path, its IP header made already; it is not classified as transport."""
        if len(path.destination) == 4:
            self.v4.transmit(path, frame)
        else:
            self.v6.transmit(path, frame)

    def max_payload(self, path: Path) -> int:
        """Return how many bytes fit one packet of the path behind the IP header."""
        return self.paths.mtu(path) - (20 if len(path.destination) == 4 else 40)

    def deliver(self, packet: Packet) -> None:
        """Hand a packet for this host to raw listeners and to its transport."""
        classification = self._context.classification
        if classification is not None and not classification.inbound_transport(packet):
            return
        taken = False
        for listener in self.raw_listeners:
            taken |= listener(packet)
        transport = self.transports.get(packet.protocol)
        if transport is not None:
            transport.receive(packet)
        elif not taken:
            self._context.counters["ip.in_unknown_protocols"] += 1
            self.complain(packet, ErrorKind.PROTOCOL_UNREACHABLE, 6 if packet.version == 6 else 0)

    def _complain(self, packet: Packet, kind: ErrorKind, value: int) -> None:
        self.complain(packet, kind, value)


def _stay_silent(packet: Packet, kind: ErrorKind, value: int) -> None:
    """Stand in until ICMP is there."""
    del packet, kind, value
