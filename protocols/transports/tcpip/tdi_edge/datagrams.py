r"""\Device\Udp and \Device\RawIp: datagrams through TDI address objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from formats.transport import ICMP as ICMP_PROTOCOL
from formats.transport import ICMPV6
from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.interfaces.tdi.datagrams import DatagramAddress
from protocols.interfaces.tdi.ip_information import IP_INTERFACES, IpEntry, IpInterface
from protocols.interfaces.tdi.requests import Query, TransportAddress
from protocols.interfaces.tdi.transport import TransportDriver
from protocols.transports.tcpip.addresses import IPV4_BROADCAST, is_unspecified, text
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.icmp import ECHO_REQUEST, ECHO_REQUEST_6
from protocols.transports.tcpip.tdi_edge.codes import ICMP, STATUS
from protocols.transports.tcpip.tdi_edge.ip_driver import IpChannel, provider_info
from protocols.transports.tcpip.tdi_edge.mapped import inward, mapped, outward, own
from protocols.transports.tcpip.tdi_edge.sharing import Claim, Claims

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.transports.tcpip.icmp import ErrorReport
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.packet import Packet
    from protocols.transports.tcpip.raw import RawEndpoint
    from protocols.transports.tcpip.stack import Stack
    from protocols.transports.tcpip.udp import Datagram

ECHO_REQUESTS = {ICMP_PROTOCOL: bytes((ECHO_REQUEST,)), ICMPV6: bytes((ECHO_REQUEST_6,))}
"""What raw sockets do not see: the stack answers it (Wine, dlls/ws2_32/tests/sock.c, test_icmp)."""
SCALARS = ("ttl", "tos", "broadcast", "dont_fragment", "multicast_ttl", "multicast_loop")


class IpDatagramAddress(DatagramAddress):
    """What UDP's and raw IP's address objects share: TCP/IP's addresses, and its reasons as statuses."""

    driver: DatagramDriver

    def transmit(self, data: bytes, remote: TdiAddress | None, source: tuple[bytes, int] | None) -> None:
        """Send one, and have the stack take a turn. NtError."""
        try:
            self._transmit(data, None if remote is None else own(remote), source)
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        self.driver.stack.request_turn()

    def action(self, irp: Irp) -> NtStatus:
        """TDI_ACTION: what the host's interfaces are."""
        if irp.location.parameters.name != IP_INTERFACES:
            return self.io.complete(irp, NtStatus.NOT_SUPPORTED)
        return self.io.complete(irp, NtStatus.SUCCESS, result=self.driver.ip_interfaces())

    def _transmit(
        self, data: bytes, remote: InternetAddress | None, source: tuple[bytes, int] | None
    ) -> None:
        raise NotImplementedError


class UdpAddress(IpDatagramAddress):
    """A UDP port."""

    def __init__(self, driver: UdpDriver, file: FileObject, asked: TransportAddress) -> None:
        claim = Claim.of_tdi(asked)
        port = claim.address.port
        self._dual = claim.dual
        try:
            self._endpoint = driver.stack.udp_bind(port, self._arrived, claim.ip, share=bool(port))
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        local = claim.address.with_port(self._endpoint.port)
        try:
            self._claim = driver.claims.take(replace(claim, address=local))
        except NtError:
            self._endpoint.close()
            raise
        super().__init__(driver, file, local)
        self._endpoint.on_error = self._error
        self._endpoint.broadcast_loop = True
        self._claims = driver.claims

    def connect(self, irp: Irp) -> NtStatus:
        """TDI_CONNECT on an address object: fix the peer, so that errors are heard."""
        try:
            remote = own(irp.location.parameters.remote)
        except NtError as error:
            return self.io.complete(irp, error.status)
        if remote.port:
            self._endpoint.connect(inward(remote, dual=self._dual).address, remote.port)
        else:
            self._endpoint.peer = None
        return self.io.complete(irp, NtStatus.SUCCESS)

    def set_information(self, irp: Irp) -> NtStatus:
        """Options; ``join`` and ``leave`` take (group, interface index), 0 being the default interface."""
        values = irp.location.parameters.values
        try:
            for name, value in values.items():
                self._set(name, value)
        except NetworkError as error:
            return self.io.complete(irp, STATUS[error.failure])
        self.driver.stack.request_turn()
        return self.io.complete(irp, NtStatus.SUCCESS)

    def cleanup(self) -> None:
        """Give the port back."""
        super().cleanup()
        self._endpoint.close()
        self._claims.release(self._claim)
        self.driver.stack.request_turn()

    def _set(self, name: str, value: Any) -> None:  # noqa: ANN401 - each option has its own type
        if name in SCALARS:
            setattr(self._endpoint, name, value)
        elif name == "multicast_interface":
            self._endpoint.multicast_interface = self.driver.interface(value)
        elif name in ("join", "leave"):
            group, index = value
            getattr(self._endpoint, name)(group, self.driver.interface(index, group))

    def _transmit(
        self, data: bytes, remote: InternetAddress | None, source: tuple[bytes, int] | None
    ) -> None:
        endpoint = self._endpoint
        if remote is None:
            endpoint.send(data)
            return
        remote = inward(remote, dual=self._dual)
        if self.driver.is_broadcast(remote.address) and not endpoint.broadcast:
            raise NtError(NtStatus.ACCESS_DENIED, "a broadcast without SO_BROADCAST")
        if source is None:
            endpoint.send(data, remote.address, remote.port)
            return
        local, index = source
        self.driver.require_local(local)
        interface = self.driver.interface(index) if index else None
        endpoint.send(data, remote.address, remote.port, local=local, interface=interface)

    def _arrived(self, datagram: Datagram) -> None:
        details = {
            "destination": mapped(datagram.destination) if self._dual else datagram.destination,
            "interface": datagram.interface.index,
            "ttl": datagram.ttl,
            "tos": datagram.tos,
        }
        source = internet(datagram.source, datagram.source_port)
        self.deliver(datagram.data, outward(source, dual=self._dual), details)

    def _error(self, report: ErrorReport) -> None:
        status = ICMP.get(report.kind)
        if status is not None:
            port = int.from_bytes(report.quoted[2:4])
            remote = outward(internet(report.destination, port), dual=self._dual)
            if self.handlers.error_ex is not None:
                self.handlers.error_ex(self, status, remote)

    def _answers(self) -> dict[Query, Any]:
        return {**super()._answers(), Query.MAX_DATAGRAM_INFO: 65507}


class RawAddress(IpDatagramAddress):
    """An IP protocol. Received datagrams begin with their IPv4 header, as Windows gives them."""

    def __init__(self, driver: RawIpDriver, file: FileObject, asked: TransportAddress) -> None:
        address = own(asked.address)
        ip = address.address
        super().__init__(driver, file, address)
        version = 4 if len(ip) == 4 else 6
        self._endpoint: RawEndpoint = driver.stack.raw_open(version, asked.protocol, self._arrived)
        self._endpoint.local = None if is_unspecified(ip) else ip
        self._peer: InternetAddress | None = None

    def connect(self, irp: Irp) -> NtStatus:
        """TDI_CONNECT on an address object: fix the peer."""
        try:
            self._peer = own(irp.location.parameters.remote)
        except NtError as error:
            return self.io.complete(irp, error.status)
        return self.io.complete(irp, NtStatus.SUCCESS)

    def set_information(self, irp: Irp) -> NtStatus:
        """Options: ttl, tos."""
        for name, value in irp.location.parameters.values.items():
            if name in ("ttl", "tos"):
                setattr(self._endpoint, name, value)
        return self.io.complete(irp, NtStatus.SUCCESS)

    def cleanup(self) -> None:
        """Stop listening."""
        super().cleanup()
        self._endpoint.close()

    def _transmit(
        self, data: bytes, remote: InternetAddress | None, source: tuple[bytes, int] | None
    ) -> None:
        to = remote or self._peer
        if to is not None:
            local = source[0] if source is not None else b""
            self.driver.require_local(local)
            self._endpoint.send(data, to.address, local=local if any(local) else None)

    def _arrived(self, packet: Packet) -> None:
        if packet.protocol in ECHO_REQUESTS and packet.payload[:1] == ECHO_REQUESTS[packet.protocol]:
            return
        if self._peer is not None and self._peer.address != packet.source:
            return
        data = packet.raw if packet.version == 4 else packet.payload
        details = {"destination": packet.destination, "interface": packet.interface.index}
        self.deliver(memoryview(data), internet(packet.source, 0), details)


class DatagramDriver(TransportDriver):
    """What both transports know."""

    channel_kind = IpChannel

    def __init__(self, io: IoSystem, stack: Stack) -> None:
        super().__init__(io)
        self.stack = stack
        self.claims = Claims()

    def provider_info(self) -> dict[str, Any]:
        """TDI_PROVIDER_INFO."""
        return provider_info(self.name, broadcast=True, multicast=True)

    def interface(self, index: int | bytes, group: bytes = b"") -> Interface:
        """Return an interface, by index or by an address of its own. NetworkError.

        0: one that a group is routed to, or the first with a cable.
        """
        interfaces = self.stack.interfaces
        if isinstance(index, bytes):
            found = next((one for one in interfaces if one.owns(index)), None)
            if found is None:
                raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, text(index))
            return found
        if index:
            if not 0 < index < len(interfaces):
                raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, f"there is no interface {index}")
            return interfaces[index]
        real = [one for one in interfaces[1:] if any(len(a) == len(group) for a in one.addresses)]
        return real[0] if real else interfaces[0]

    def ip_interfaces(self) -> tuple[IpInterface, ...]:
        """Return all interfaces but loopback's, with the addresses that they may use."""
        return tuple(
            IpInterface(
                one.index,
                one.mac,
                one.up,
                tuple(
                    IpEntry(entry.address, entry.prefix.broadcast() if len(entry.address) == 4 else b"")
                    for entry in one.addresses.values()
                    if entry.usable
                ),
            )
            for one in self.stack.interfaces[1:]
        )

    def require_local(self, address: bytes) -> None:
        """Refuse to send from what is no address of ours. NetworkError."""
        if any(address) and not self.stack.ip.paths.is_local(address):
            raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, text(address))

    def is_broadcast(self, address: bytes) -> bool:
        """Tell whether an address is a broadcast of any interface."""
        return address == IPV4_BROADCAST or any(i.is_broadcast(address) for i in self.stack.interfaces)


class UdpDriver(DatagramDriver):
    """The UDP transport."""

    name = "udp"

    def open_address(self, file: FileObject, asked: TransportAddress) -> UdpAddress:
        """Bind a port."""
        return UdpAddress(self, file, asked)

    def statistics(self) -> dict[str, int]:
        """TDI_PROVIDER_STATISTICS."""
        return {k: v for k, v in self.stack.counters.items() if k.startswith("udp.")}


class RawIpDriver(DatagramDriver):
    """The raw IP transport."""

    name = "rawip"

    def open_address(self, file: FileObject, asked: TransportAddress) -> RawAddress:
        """Listen to a protocol."""
        return RawAddress(self, file, asked)
