"""IPv4: receive, reassemble, deliver or forward; route, fragment and send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats import ethernet, ipv4
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.classify import Action
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.fragments import FragmentKey, Reassembler
from protocols.transports.tcpip.icmp import ErrorKind
from protocols.transports.tcpip.link import RxFrame, TxFrame
from protocols.transports.tcpip.packet import Packet
from protocols.transports.tcpip.segmentation import Segmented, split_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.checksum import Buffer
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.ip import SendOptions
    from protocols.transports.tcpip.paths import Path, Paths


class Ipv4Layer:
    """One host's IPv4. ``deliver`` takes packets for us, ``complain`` sends ICMP errors."""

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
        self._identification = context.random(16)
        self.reassembler = Reassembler(context, context.config.reassembly_timeout, self._expired)

    def receive(self, interface: Interface, frame: RxFrame) -> None:
        """Handle a frame whose type is IPv4."""
        count = self._context.counters
        count["ipv4.in_receives"] += 1
        data = frame.data
        start = ethernet.HEADER_BYTES
        try:
            header = ipv4.parse(data, start, verified=frame.ip_verified)
            if header.header_bytes > ipv4.HEADER_BYTES:
                self._check_options(data[start + ipv4.HEADER_BYTES : start + header.header_bytes])
        except ipv4.Ipv4Error as error:
            count[str(error)] += 1
            return
        raw = memoryview(data)[start : start + header.total_bytes]
        packet = Packet(
            interface,
            header.source,
            header.destination,
            header.protocol,
            payload=raw[header.header_bytes :],
            raw=raw,
            ttl=header.ttl,
            tos=header.tos,
            frame=frame,
        )
        pair = header.source + header.destination
        if pair not in interface.correspondents and not self._judge(packet, header):
            return
        if header.more_fragments or header.fragment_offset:
            self._reassemble(packet, header)
        else:
            self._deliver(packet)

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
        interface = path.interface
        size = len(header) + sum(map(len, payload))
        self._identification = (self._identification + 1) & 0xFFFF
        mtu = self._paths.mtu(path) if self._paths.lowered else interface.mtu
        total = size + ipv4.HEADER_BYTES + len(options.ip_options)
        if total > mtu and not options.lso_mss:
            self._fragment(path, protocol, [header, *payload], options, mtu)
            return
        if total > 0xFFFF:
            raise NetworkError(Failure.MESSAGE_TOO_LONG, f"{total} bytes")
        offloaded = interface.offload.tx_ipv4_checksum
        head = ipv4.build(
            path.source,
            path.destination,
            protocol,
            size,
            ttl=options.ttl or self._context.config.default_ttl,
            tos=options.tos,
            identification=self._identification,
            fragment=ipv4.DONT_FRAGMENT if options.dont_fragment else 0,
            options=options.ip_options,
            with_checksum=not offloaded,
        )
        frame = TxFrame([head + header, *payload])
        if options.checksum_offset >= 0:
            frame.checksum_start = len(head)
            frame.checksum_offset = options.checksum_offset
        frame.lso_mss = options.lso_mss
        frame.ipv4_checksum = offloaded
        self._context.counters["ipv4.out_requests"] += 1
        if path.unicast:
            interface.neighbours4.send(path.next_hop, ethernet.IPV4, frame)
        else:
            self.transmit(path, frame)

    def _fragment(
        self, path: Path, protocol: int, buffers: list[Buffer], options: SendOptions, mtu: int
    ) -> None:
        count = self._context.counters
        if options.dont_fragment:
            count["ipv4.fragment_failures"] += 1
            raise NetworkError(Failure.MESSAGE_TOO_LONG, f"path MTU {mtu}")
        data = b"".join(buffers)
        if len(data) + ipv4.HEADER_BYTES > 0xFFFF:
            raise NetworkError(Failure.MESSAGE_TOO_LONG, f"{len(data)} bytes")
        ip_options = options.ip_options
        at = 0
        while at < len(data):
            room = (mtu - ipv4.HEADER_BYTES - len(ip_options)) & ~7
            piece = data[at : at + room]
            more = at + len(piece) < len(data)
            head = ipv4.build(
                path.source,
                path.destination,
                protocol,
                len(piece),
                ttl=options.ttl or self._context.config.default_ttl,
                tos=options.tos,
                identification=self._identification,
                fragment=(ipv4.MORE_FRAGMENTS if more else 0) | at // 8,
                options=ip_options,
            )
            count["ipv4.fragments_created"] += 1
            self.transmit(path, TxFrame([head + piece]))
            at += len(piece)
            ip_options = ipv4.copied_options(ip_options)
        count["ipv4.out_requests"] += 1

    def transmit(self, path: Path, frame: TxFrame) -> None:
        """Send a whole packet by a path, its header made already."""
        interface = path.interface
        if interface.loopback:
            interface.emit(interface.mac, ethernet.IPV4, frame)
        elif interface.is_broadcast(path.destination):
            interface.emit(addresses.MAC_BROADCAST, ethernet.IPV4, frame)
        elif addresses.is_multicast(path.destination):
            interface.emit(addresses.multicast_mac(path.destination), ethernet.IPV4, frame)
        else:
            interface.neighbours4.send(path.next_hop, ethernet.IPV4, frame)

    def _check_options(self, raw: Buffer) -> None:
        for kind, _ in ipv4.options(raw):
            if kind in (ipv4.OPTION_LSRR, ipv4.OPTION_SSRR):
                # RFC 7126 4.3, 4.4: source-routed packets are dropped by default.
                raise ipv4.Ipv4Error("ipv4.in_source_routed")

    def _judge(self, packet: Packet, header: ipv4.Ipv4Header) -> bool:
        """Tell whether a packet is for us; drop it, or send it on, when it is not."""
        interface = packet.interface
        if not self._acceptable(packet):
            self._context.counters["ipv4.in_address_errors"] += 1
            return False
        classification = self._context.classification
        action = classification.inbound_packet(packet) if classification is not None else Action.PERMIT_PAIR
        if action is Action.BLOCK:
            return False
        if not self._for_us(interface, packet.destination):
            self._forward(packet, header)
            return False
        if action is Action.PERMIT_PAIR and interface.owns(packet.destination):
            interface.remember(packet.source + packet.destination)
        return True

    def _acceptable(self, packet: Packet) -> bool:
        if packet.interface.loopback:
            return True
        if not addresses.is_valid_source(packet.source) or packet.interface.is_broadcast(packet.source):
            return False
        # Neither a spoofed local source nor 127/8 as destination may come from a wire.
        if addresses.is_loopback(packet.destination):
            return False
        return not packet.interface.owns(packet.source)

    def _for_us(self, interface: Interface, destination: bytes) -> bool:
        if interface.owns(destination) or interface.is_broadcast(destination):
            return True
        if addresses.is_multicast(destination):
            return True  # the transports check who joined
        if interface.loopback or self._context.config.forwarding:
            return self._paths.is_local(destination)
        # A DHCP offer may be unicast to the address that we do not have yet (RFC 2131 4.1).
        return not any(len(a) == 4 for a in interface.addresses)

    def _reassemble(self, packet: Packet, header: ipv4.Ipv4Header) -> None:
        key = FragmentKey(header.source, header.destination, header.identification, header.protocol)
        if header.more_fragments and len(packet.payload) % 8:
            self._context.counters["ipv4.in_header_errors"] += 1
            return
        whole = self.reassembler.add(
            key, packet, header.fragment_offset, packet.payload, more=header.more_fragments
        )
        if whole is None:
            return
        head = ipv4.build(header.source, header.destination, header.protocol, len(whole), ttl=header.ttl)
        packet.become(head, whole)
        self._deliver(packet)

    def _expired(self, first: Packet) -> None:
        self._complain(first, ErrorKind.REASSEMBLY_EXCEEDED, 0)

    def _forward(self, packet: Packet, header: ipv4.Ipv4Header) -> None:
        count = self._context.counters
        if not self._context.config.forwarding:
            count["ipv4.in_address_errors"] += 1
            return
        if packet.link_cast or addresses.is_link_local(packet.destination):
            return
        if header.ttl <= 1:
            self._complain(packet, ErrorKind.HOPS_EXCEEDED, 0)
            return
        try:
            path = self._paths.resolve(packet.destination)
        except NetworkError:
            self._complain(packet, ErrorKind.NET_UNREACHABLE, 0)
            return
        mtu = path.interface.mtu
        for segment in Segmented(packet):
            self._forward_one(path, segment, header, mtu, packet)

    def _forward_one(
        self, path: Path, raw: bytearray, header: ipv4.Ipv4Header, mtu: int, packet: Packet
    ) -> None:
        ipv4.decrement_ttl(raw)
        count = self._context.counters
        if len(raw) > mtu and header.dont_fragment:
            self._complain(packet, ErrorKind.TOO_BIG, mtu)
            return
        count["ipv4.forwarded"] += 1
        for piece in split_payload(raw, mtu):
            self.transmit(path, TxFrame([piece]))
