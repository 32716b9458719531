"""IPv6: receive, walk extension headers, reassemble, deliver or forward; fragment and send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats import ethernet, ipv6
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.classify import Action
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.fragments import FragmentKey, Reassembler
from protocols.transports.tcpip.icmp import ErrorKind
from protocols.transports.tcpip.link import RxFrame, TxFrame
from protocols.transports.tcpip.packet import Packet
from protocols.transports.tcpip.segmentation import Segmented
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.checksum import Buffer
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.ip import SendOptions
    from protocols.transports.tcpip.paths import Path, Paths

REASSEMBLY_TIMEOUT = 60 * SECOND  # RFC 8200 4.5
PARAMETER_KINDS = {
    ipv6.PARAMETER_ERRONEOUS_FIELD: ErrorKind.PARAMETER,
    ipv6.PARAMETER_UNKNOWN_NEXT: ErrorKind.PROTOCOL_UNREACHABLE,
    ipv6.PARAMETER_UNKNOWN_OPTION: ErrorKind.UNKNOWN_OPTION,
}


class Ipv6Layer:
    """One host's IPv6. ``deliver`` takes packets for us, ``complain`` sends ICMPv6 errors."""

    def __init__(
        self,
        context: Context,
        paths: Paths,
        deliver: Callable[[Packet], None],
        complain: Callable[[Packet, ErrorKind, int], None],
    ) -> None:
        self._context = context
        self._paths = paths
        self._deliver = deliver
        self._complain = complain
        self._identification = context.random(32)
        self.reassembler = Reassembler(context, REASSEMBLY_TIMEOUT, self._expired)

    def receive(self, interface: Interface, frame: RxFrame) -> None:
        """Handle a frame whose type is IPv6."""
        count = self._context.counters
        count["ipv6.in_receives"] += 1
        try:
            header = ipv6.parse(frame.data, ethernet.HEADER_BYTES)
        except ipv6.Ipv6Error as error:
            count[str(error)] += 1
            return
        start = ethernet.HEADER_BYTES
        raw = memoryview(frame.data)[start : start + ipv6.HEADER_BYTES + header.payload_bytes]
        packet = Packet(
            interface,
            header.source,
            header.destination,
            header.next_header,
            payload=raw[ipv6.HEADER_BYTES :],
            raw=raw,
            ttl=header.hop_limit,
            tos=header.traffic_class,
            frame=frame,
        )
        classification = self._context.classification
        if not self._acceptable(packet):
            count["ipv6.in_address_errors"] += 1
        elif classification is not None and classification.inbound_packet(packet) is Action.BLOCK:
            return
        elif self._for_us(interface, header.destination):
            self._open(packet, header)
        else:
            self._forward(packet)

    def send(
        self,
        path: Path,
        protocol: int,
        header: bytes,
        payload: list[Buffer],
        options: SendOptions,
    ) -> None:
        """Send a transport header and payload; NetworkError when it cannot fit."""
        classification = self._context.classification
        if classification is not None and not classification.outbound_transport(
            path, protocol, header, payload
        ):
            return
        size = len(header) + sum(map(len, payload))
        mtu = self._paths.mtu(path) if self._paths.lowered else path.interface.mtu6
        extension = options.ip_options
        if size + len(extension) + ipv6.HEADER_BYTES > mtu and not options.lso_mss:
            self._fragment(path, protocol, [header, *payload], options, mtu)
            return
        if size + len(extension) > 0xFFFF:
            raise NetworkError(Failure.MESSAGE_TOO_LONG, f"{size} bytes")
        head = ipv6.build(
            path.source,
            path.destination,
            options.next_header if extension else protocol,
            size + len(extension),
            hop_limit=options.ttl or path.interface.hop_limit6,
            traffic_class=options.tos,
        )
        frame = TxFrame([head + extension + header, *payload])
        if options.checksum_offset >= 0:
            frame.checksum_start = len(head) + len(extension)
            frame.checksum_offset = options.checksum_offset
        frame.lso_mss = options.lso_mss
        self._context.counters["ipv6.out_requests"] += 1
        self.transmit(path, frame)

    def _fragment(
        self, path: Path, protocol: int, buffers: list[Buffer], options: SendOptions, mtu: int
    ) -> None:
        count = self._context.counters
        data = b"".join(buffers)
        if options.dont_fragment or len(data) > 0xFFFF:
            count["ipv6.fragment_failures"] += 1
            raise NetworkError(Failure.MESSAGE_TOO_LONG, f"{len(data)} bytes, path MTU {mtu}")
        self._identification = (self._identification + 1) & 0xFFFFFFFF
        room = (mtu - ipv6.HEADER_BYTES - ipv6.FRAGMENT.size) & ~7
        for at in range(0, len(data), room):
            piece = data[at : at + room]
            more = at + room < len(data)
            head = ipv6.build(
                path.source,
                path.destination,
                ipv6.FRAGMENT_HEADER,
                len(piece) + ipv6.FRAGMENT.size,
                hop_limit=options.ttl or path.interface.hop_limit6,
                traffic_class=options.tos,
            )
            fragment = ipv6.FRAGMENT.pack(protocol, 0, at | more, self._identification)
            count["ipv6.fragments_created"] += 1
            self.transmit(path, TxFrame([head + fragment + piece]))
        count["ipv6.out_requests"] += 1

    def transmit(self, path: Path, frame: TxFrame) -> None:
        """Send a whole packet by a path, its header made already."""
        interface = path.interface
        if interface.loopback:
            interface.emit(interface.mac, ethernet.IPV6, frame)
        elif addresses.is_multicast(path.destination):
            interface.emit(addresses.multicast_mac(path.destination), ethernet.IPV6, frame)
        else:
            interface.neighbours6.send(path.next_hop, ethernet.IPV6, frame)

    def _acceptable(self, packet: Packet) -> bool:
        if packet.interface.loopback:
            return True
        if not addresses.is_valid_source(packet.source):
            return False
        if addresses.is_loopback(packet.destination) or packet.interface.owns(packet.source):
            return False
        # RFC 4291 2.7: scope 0 is reserved, scope 1 never leaves a node.
        return not (packet.destination[0] == 0xFF and packet.destination[1] & 15 < 2)

    def _for_us(self, interface: Interface, destination: bytes) -> bool:
        if interface.owns(destination) or destination in interface.groups:
            return True
        if addresses.is_multicast(destination):
            return destination == addresses.IPV6_ALL_NODES
        if interface.loopback or self._context.config.forwarding:
            return self._paths.is_local(destination)
        return False

    def _open(self, packet: Packet, header: ipv6.Ipv6Header) -> None:
        try:
            chain = ipv6.walk(packet.raw, header.next_header)
            if chain.fragment is not None:
                self._reassemble(packet, chain)
                return
        except ipv6.Ipv6Error as error:
            self._context.counters[str(error)] += 1
            return
        except ipv6.ParameterProblemError as problem:
            self._context.counters["ipv6.in_header_errors"] += 1
            packet.answer_groups = problem.even_multicast
            self._complain(packet, PARAMETER_KINDS[problem.code], problem.pointer)
            return
        self._hand_over(packet, chain)

    def _hand_over(self, packet: Packet, chain: ipv6.Chain) -> None:
        packet.protocol = chain.protocol
        packet.payload = packet.raw[chain.offset :]
        if chain.protocol != ipv6.NO_NEXT:
            self._deliver(packet)

    def _reassemble(self, packet: Packet, chain: ipv6.Chain) -> None:
        info = chain.fragment
        if info is None:
            return
        data = packet.raw[chain.offset :]
        if info.more and len(data) % 8:
            raise ipv6.ParameterProblemError(ipv6.PARAMETER_ERRONEOUS_FIELD, 4)
        if info.offset + len(data) > 0xFFFF:
            raise ipv6.ParameterProblemError(ipv6.PARAMETER_ERRONEOUS_FIELD, chain.offset - 6)
        if info.offset == 0 and not info.more:
            whole: bytes | None = bytes(data)  # an atomic fragment (RFC 6946)
        else:
            # RFC 8200 4.5: the protocol is not part of what makes fragments belong together.
            key = FragmentKey(packet.source, packet.destination, info.identification, 0)
            whole = self.reassembler.add(key, packet, info.offset, data, more=info.more)
        if whole is None:
            return
        head = ipv6.build(
            packet.source,
            packet.destination,
            chain.protocol,
            len(whole),
            hop_limit=packet.ttl,
            traffic_class=packet.tos,
        )
        packet.become(head, whole)
        inner = ipv6.walk(packet.raw, chain.protocol)
        if inner.fragment is None:
            self._hand_over(packet, inner)

    def _expired(self, first: Packet) -> None:
        self._complain(first, ErrorKind.REASSEMBLY_EXCEEDED, 0)

    def _forward(self, packet: Packet) -> None:
        count = self._context.counters
        if (
            not self._context.config.forwarding
            or packet.link_cast
            or addresses.is_link_local(packet.destination)
            or addresses.is_link_local(packet.source)
        ):
            count["ipv6.in_address_errors"] += 1
            return
        if packet.ttl <= 1:
            self._complain(packet, ErrorKind.HOPS_EXCEEDED, 0)
            return
        try:
            path = self._paths.resolve(packet.destination)
        except NetworkError:
            self._complain(packet, ErrorKind.NET_UNREACHABLE, 0)
            return
        for raw in Segmented(packet):
            if len(raw) > path.interface.mtu6:
                self._complain(packet, ErrorKind.TOO_BIG, path.interface.mtu6)
                return
            raw[7] -= 1
            count["ipv6.forwarded"] += 1
            self.transmit(path, TxFrame([bytes(raw)]))
