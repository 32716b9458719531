"""UDP (RFC 768, RFC 1122 4.1, RFC 8200 8.1): endpoints, demultiplexing, checksums."""

from __future__ import annotations

from dataclasses import replace
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from formats.checksum import ones_sum_of, pseudo_sum, verifies
from formats.transport import UDP
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.icmp import ErrorKind, ErrorReport
from protocols.transports.tcpip.ip import PLAIN, SendOptions
from protocols.transports.tcpip.ports import PortTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.checksum import Buffer
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.packet import Packet
    from protocols.transports.tcpip.paths import Path

HEADER = Struct("!HHHH")
MAX_PAYLOAD_4 = 65507
MAX_PAYLOAD_6 = 65487


class Datagram(NamedTuple):
    """What an endpoint receives. ``data`` may be a view of a frame: copy what is to be kept."""

    data: memoryview
    source: bytes
    source_port: int
    destination: bytes
    interface: Interface
    ttl: int
    tos: int


class UdpEndpoint:
    """A bound port. ``on_datagram`` and ``on_error`` are called as things arrive."""

    def __init__(
        self,
        layer: Udp,
        local: bytes | None,
        port: int,
        on_datagram: Callable[[Datagram], None],
    ) -> None:
        self._layer = layer
        self.local = local
        self.port = port
        self.on_datagram = on_datagram
        self.on_error: Callable[[ErrorReport], None] | None = None
        self.peer: tuple[bytes, int] | None = None
        self.interface: Interface | None = None
        self.groups: list[tuple[Interface, bytes]] = []
        self.ttl = 0
        self.multicast_ttl = 1
        self.multicast_loop = True
        self.multicast_interface: Interface | None = None
        self.tos = 0
        self.dont_fragment = False
        self.broadcast = False
        self.broadcast_loop = False  # whether this host's own endpoints hear its broadcasts
        self.open = True

    def connect(self, address: bytes, port: int) -> None:
        """Fix the peer: others' datagrams are not delivered, and errors are."""
        self.peer = (address, port)

    def send(
        self,
        data: Buffer,
        address: bytes | None = None,
        port: int = 0,
        *,
        local: bytes | None = None,
        interface: Interface | None = None,
    ) -> None:
        """Send one datagram, to the connected peer when no address is given.

        ``local`` and ``interface`` are for this datagram alone.
        """
        if address is None:
            if self.peer is None:
                raise NetworkError(Failure.NOT_CONNECTED)
            address, port = self.peer
        self._layer.send(self, data, address, port, local, interface)

    def join(self, group: bytes, interface: Interface) -> None:
        """Receive a group's datagrams from an interface."""
        if (interface, group) in self.groups:
            raise NetworkError(Failure.ADDRESS_IN_USE, addresses.text(group))
        self.groups.append((interface, group))
        self._layer.membership(interface, group, joined=True)

    def leave(self, group: bytes, interface: Interface) -> None:
        """Stop receiving a group."""
        if (interface, group) not in self.groups:
            raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, addresses.text(group))
        self.groups.remove((interface, group))
        self._layer.membership(interface, group, joined=False)

    def close(self) -> None:
        """Give the port back and leave all groups."""
        if self.open:
            self.open = False
            for interface, group in list(self.groups):
                self.leave(group, interface)
            self._layer.unbind(self)


class Udp:
    """All UDP endpoints of a host; transport for protocol 17."""

    def __init__(
        self,
        context: Context,
        ip: Ip,
        membership: Callable[[Interface, bytes, bool], None],
    ) -> None:
        """``membership(interface, group, joined)`` tells IGMP or MLD."""
        self._context = context
        self._ip = ip
        self._membership = membership
        self.ports = PortTable(context, UDP)
        self.endpoints: dict[int, list[UdpEndpoint]] = {}
        ip.transports[UDP] = self

    def bind(
        self,
        local: bytes | None,
        port: int,
        on_datagram: Callable[[Datagram], None],
        *,
        share: bool = False,
    ) -> UdpEndpoint:
        """Open an endpoint; port 0 chooses one. ``share`` permits others that share too."""
        if self._context.classification is not None:
            local, port = self._context.classification.redirect_bind(UDP, local, port)
        if (
            local is not None
            and not addresses.is_unspecified(local)
            and not addresses.is_multicast(local)
            and not self._ip.paths.is_local(local)
        ):
            raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, addresses.text(local))
        port = self.ports.claim(local, port, share=share)
        endpoint = UdpEndpoint(self, local, port, on_datagram)
        self.endpoints.setdefault(port, []).append(endpoint)
        return endpoint

    def unbind(self, endpoint: UdpEndpoint) -> None:
        """Give an endpoint's port back."""
        self.endpoints[endpoint.port].remove(endpoint)
        if not self.endpoints[endpoint.port]:
            del self.endpoints[endpoint.port]
        self.ports.release(endpoint.local, endpoint.port)

    def membership(self, interface: Interface, group: bytes, *, joined: bool) -> None:
        """Count a group membership of an endpoint."""
        self._membership(interface, group, joined)

    def send(  # noqa: PLR0917 - a datagram's two ends
        self,
        endpoint: UdpEndpoint,
        data: Buffer,
        address: bytes,
        port: int,
        local: bytes | None = None,
        interface: Interface | None = None,
    ) -> None:
        """Send a datagram from an endpoint; NetworkError when it cannot be."""
        self._context.catch_up()
        multicast = addresses.is_multicast(address)
        if len(data) > (MAX_PAYLOAD_4 if len(address) == 4 else MAX_PAYLOAD_6):
            raise NetworkError(Failure.MESSAGE_TOO_LONG, f"{len(data)} bytes")
        local = endpoint.local if local is None or addresses.is_unspecified(local) else local
        if local is not None and (addresses.is_unspecified(local) or addresses.is_multicast(local)):
            local = None
        interface = interface or endpoint.interface or (endpoint.multicast_interface if multicast else None)
        path = self._ip.resolve(address, local, interface)
        if self._context.classification is not None:
            self._context.classification.datagram_to(path.source, endpoint.port, address, port)
        options = SendOptions(
            ttl=endpoint.multicast_ttl if multicast else endpoint.ttl,
            tos=endpoint.tos,
            dont_fragment=endpoint.dont_fragment,
        )
        if multicast and not endpoint.multicast_ttl:
            self._context.counters["udp.out_datagrams"] += 1  # 0 hops: this host only (RFC 1112 6.1)
        else:
            self.transmit(path, endpoint.port, port, data, options)
        own = multicast and endpoint.multicast_loop and address in path.interface.groups
        if own or (endpoint.broadcast_loop and path.interface.is_broadcast(address)):
            self._loop(path, endpoint.port, port, bytes(data))

    def transmit(
        self,
        path: Path,
        source_port: int,
        port: int,
        data: Buffer,
        options: SendOptions = PLAIN,
    ) -> None:
        """Send a datagram by a path that is already known."""
        classification = self._context.classification
        if classification is not None and not classification.datagram_data(
            path.interface, path.source, source_port, path.destination, port, data, is_inbound=False
        ):
            return
        size = HEADER.size + len(data)
        start = pseudo_sum(path.source, path.destination, UDP) + size
        fits = size <= self._ip.max_payload(path)
        if path.interface.offload.tx_udp_checksum and fits:
            options = replace(options, checksum_offset=6)
            value = start % 0xFFFF
        else:
            head = HEADER.pack(source_port, port, size, 0)
            # A computed zero is sent as all ones: zero says "no checksum" (RFC 768).
            value = (0xFFFF - ones_sum_of((head, data), start)) or 0xFFFF
        header = HEADER.pack(source_port, port, size, value)
        self._context.counters["udp.out_datagrams"] += 1
        payload: list[Buffer] = [data if isinstance(data, bytes) else bytes(data)]
        self._ip.send(path, UDP, header, payload, options)

    def receive(self, about: Packet) -> None:
        """Handle a UDP packet."""
        count = self._context.counters
        data = about.payload
        if len(data) < HEADER.size:
            count["udp.in_errors"] += 1
            return
        if addresses.is_unspecified(about.source) and about.destination != addresses.IPV4_BROADCAST:
            count["udp.in_errors"] += 1  # RFC 1122 3.2.1.3: only who asks for an address has none
            return
        source_port, port, size, value = HEADER.unpack_from(data)
        if size < HEADER.size or size > len(data) or not self._intact(about, size, value):
            count["udp.in_errors"] += 1
            return
        datagram = Datagram(
            data[HEADER.size : size],
            about.source,
            source_port,
            about.destination,
            about.interface,
            about.ttl,
            about.tos,
        )
        classification = self._context.classification
        if classification is not None and not classification.datagram_from(
            datagram.destination, port, datagram.source, source_port
        ):
            return
        if classification is not None and not classification.datagram_data(
            about.interface,
            about.destination,
            port,
            about.source,
            source_port,
            datagram.data,
            is_inbound=True,
        ):
            return
        if self._dispatch(datagram, port):
            count["udp.in_datagrams"] += 1
        else:
            count["udp.no_ports"] += 1
            self._ip.complain(about, ErrorKind.PORT_UNREACHABLE, 0)

    def icmp_error(self, report: ErrorReport) -> None:
        """Tell the endpoint whose datagram met trouble."""
        if len(report.quoted) < 4:
            return
        local, remote = (
            int.from_bytes(report.quoted[:2]),
            int.from_bytes(report.quoted[2:4]),
        )
        if report.kind is ErrorKind.TOO_BIG:
            self._ip.paths.lower_mtu(report.destination, report.mtu, report.packet_bytes)
        for endpoint in self.endpoints.get(local, ()):
            anywhere = endpoint.local is None or addresses.is_unspecified(endpoint.local)
            if endpoint.on_error is None or not (anywhere or endpoint.local == report.source):
                continue
            if endpoint.peer in (None, (report.destination, remote)):
                endpoint.on_error(report)

    def _intact(self, about: Packet, size: int, value: int) -> bool:
        if about.l4_verified:
            return True
        if not value:
            return about.version == 4  # RFC 8200 8.1: no checksum is an error in IPv6
        start = pseudo_sum(about.source, about.destination, UDP) + size
        return verifies(about.payload[:size], start)

    def _dispatch(self, datagram: Datagram, port: int) -> bool:
        shared = addresses.is_multicast(datagram.destination) or datagram.interface.is_broadcast(
            datagram.destination
        )
        matching = [
            (score, endpoint)
            for endpoint in self.endpoints.get(port, ())
            if (score := _score(endpoint, datagram, shared=shared)) is not None
        ]
        if not matching:
            return shared  # nobody complains about a broadcast
        if not shared:
            matching = [max(matching, key=lambda pair: pair[0])]
        for _, endpoint in matching:
            endpoint.on_datagram(datagram)
        return True

    def _loop(self, path: Path, source_port: int, port: int, data: bytes) -> None:
        datagram = Datagram(
            memoryview(data), path.source, source_port, path.destination, path.interface, 1, 0
        )
        self._dispatch(datagram, port)


def _score(endpoint: UdpEndpoint, datagram: Datagram, *, shared: bool) -> int | None:
    """Return how well an endpoint matches, None when it does not."""
    score = 0
    if endpoint.interface is not None and endpoint.interface is not datagram.interface:
        return None
    if endpoint.local is not None and not addresses.is_unspecified(endpoint.local):
        if endpoint.local != datagram.destination and not (
            shared and endpoint.local in datagram.interface.addresses
        ):
            return None
        score += 1
    elif endpoint.local is not None and len(endpoint.local) != len(datagram.destination):
        return None
    if endpoint.peer is not None:
        if endpoint.peer != (datagram.source, datagram.source_port):
            return None
        score += 2
    if addresses.is_multicast(datagram.destination) and (
        (datagram.interface, datagram.destination) not in endpoint.groups
    ):
        return None
    return score
