r"""\Device\Udp and \Device\RawIp: datagrams through TDI address objects.

A datagram goes to the oldest waiting receive request, else to the client's event handler, else it is lost:
TDI does not queue, APIs do.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.requests import Event, Query, TaAddress, TransportAddress
from protocols.interfaces.tdi.transport import AddressObject, TransportDriver
from protocols.transports.tcpip.addresses import IPV4_BROADCAST, is_unspecified, text
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.tdi_edge.claims import Claims
from protocols.transports.tcpip.tdi_edge.codes import ICMP, STATUS
from protocols.transports.tcpip.tdi_edge.mapped import inward, local_ip, mapped, outward

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.requests import Datagram as SendDatagram
    from protocols.transports.tcpip.icmp import ErrorReport
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.packet import Packet
    from protocols.transports.tcpip.raw import RawEndpoint
    from protocols.transports.tcpip.stack import Stack
    from protocols.transports.tcpip.udp import Datagram

SCALARS = ("ttl", "tos", "broadcast", "dont_fragment", "multicast_ttl", "multicast_loop")


class DatagramAddress(AddressObject):
    """What UDP's and raw IP's address objects share: the way up."""

    driver: DatagramDriver

    def __init__(self, driver: DatagramDriver, file: FileObject, local: TaAddress) -> None:
        """Have no request waiting."""
        super().__init__(driver, file, local)
        self._receives: deque[Irp] = deque()

    def receive_datagram(self, irp: Irp) -> NtStatus:
        """TDI_RECEIVE_DATAGRAM: the next one; the result is its source."""
        self._receives.append(irp)
        return self.io.pend_cancellable(irp, self._cancel)

    def send_datagram(self, irp: Irp) -> NtStatus:
        """TDI_SEND_DATAGRAM."""
        buffers = irp.buffers
        data = bytes(buffers[0]) if len(buffers) == 1 else b"".join(buffers)
        try:
            asked: SendDatagram = irp.location.parameters
            self._transmit(data, asked.remote, asked.source)
        except NetworkError as error:
            return self.io.complete(irp, STATUS[error.failure])
        self.driver.kick()
        return self.io.complete(irp, NtStatus.SUCCESS, len(data))

    def deliver(self, data: memoryview, source: TaAddress, details: dict[str, Any]) -> None:
        """Hand a datagram up."""
        while self._receives:
            irp = self._receives.popleft()
            if not self.io.claim(irp):
                continue
            copied = irp.scatter(data)
            status = NtStatus.SUCCESS if copied == len(data) else NtStatus.BUFFER_OVERFLOW
            self.io.complete(irp, status, copied, source)
            return
        self.handlers.tell(Event.RECEIVE_DATAGRAM, self, source, bytes(data), details)

    def cleanup(self) -> None:
        """Cancel what waits."""
        for irp in list(self._receives):
            self.io.cancel(irp)

    def _transmit(self, data: bytes, remote: TaAddress | None, source: tuple[bytes, int] | None) -> None:
        raise NotImplementedError

    def _cancel(self, irp: Irp) -> None:
        if irp in self._receives:
            self._receives.remove(irp)
        self.io.complete(irp, NtStatus.CANCELLED)


class UdpAddress(DatagramAddress):
    """A UDP port."""

    def __init__(self, driver: UdpDriver, file: FileObject, asked: TransportAddress) -> None:
        """Bind. NtError."""
        ip, port, scope = asked.address
        self._dual = asked.dual
        try:
            self._endpoint = driver.stack.udp_bind(port, self._arrived, local_ip(asked), share=bool(port))
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        self._claim = asked._replace(address=TaAddress(ip, self._endpoint.port))
        try:
            driver.claims.take(self._claim)
        except NtError:
            self._endpoint.close()
            raise
        super().__init__(driver, file, TaAddress(ip, self._endpoint.port, scope))
        self._endpoint.on_error = self._error
        self._claims = driver.claims

    def connect(self, irp: Irp) -> NtStatus:
        """TDI_CONNECT on an address object: fix the peer, so that errors are heard."""
        remote = irp.location.parameters.remote
        if remote is None or not remote.port:
            self._endpoint.peer = None
        else:
            self._endpoint.connect(inward(remote, dual=self._dual).address, remote.port)
        return self.io.complete(irp, NtStatus.SUCCESS)

    def set_information(self, irp: Irp) -> NtStatus:
        """Options; ``join`` and ``leave`` take (group, interface index), 0 being the default interface."""
        values = irp.location.parameters.values
        try:
            for name, value in values.items():
                self._set(name, value)
        except NetworkError as error:
            return self.io.complete(irp, STATUS[error.failure])
        self.driver.kick()
        return self.io.complete(irp, NtStatus.SUCCESS)

    def cleanup(self) -> None:
        """Give the port back."""
        super().cleanup()
        self._endpoint.close()
        self._claims.release(self._claim)
        self.driver.kick()

    def _set(self, name: str, value: Any) -> None:  # noqa: ANN401 - each option has its own type
        if name in SCALARS:
            setattr(self._endpoint, name, value)
        elif name == "multicast_interface":
            self._endpoint.multicast_interface = self.driver.interface(value)
        elif name in ("join", "leave"):
            group, index = value
            getattr(self._endpoint, name)(group, self.driver.interface(index, group))

    def _transmit(self, data: bytes, remote: TaAddress | None, source: tuple[bytes, int] | None) -> None:
        endpoint = self._endpoint
        if remote is None:
            endpoint.send(data)
            return
        remote = inward(remote, dual=self._dual)
        if self.driver.is_broadcast(remote.address) and not endpoint.broadcast:
            raise BroadcastRefusedError
        if source is None:
            endpoint.send(data, remote.address, remote.port)
            return
        local, index = source
        self.driver.require_local(local)
        interface = self.driver.interface(index) if index else None
        endpoint.send(data, remote.address, remote.port, local=local, interface=interface)

    def send_datagram(self, irp: Irp) -> NtStatus:
        """TDI_SEND_DATAGRAM; ACCESS_DENIED for a broadcast that was not allowed (SO_BROADCAST)."""
        try:
            return super().send_datagram(irp)
        except BroadcastRefusedError:
            return self.io.complete(irp, NtStatus.ACCESS_DENIED)

    def _arrived(self, datagram: Datagram) -> None:
        details = {
            "destination": mapped(datagram.destination) if self._dual else datagram.destination,
            "interface": datagram.interface.index,
            "ttl": datagram.ttl,
            "tos": datagram.tos,
        }
        source = TaAddress(datagram.source, datagram.source_port)
        self.deliver(datagram.data, outward(source, dual=self._dual), details)

    def _error(self, report: ErrorReport) -> None:
        status = ICMP.get(report.kind)
        if status is not None:
            port = int.from_bytes(report.quoted[2:4])
            remote = outward(TaAddress(report.destination, port), dual=self._dual)
            self.handlers.tell(Event.ERROR_EX, self, status, remote)

    def _answers(self) -> dict[Query, Any]:
        return {**super()._answers(), Query.MAX_DATAGRAM_INFO: 65507}


class BroadcastRefusedError(Exception):
    """A broadcast by an endpoint that was not told to allow it."""


class RawAddress(DatagramAddress):
    """An IP protocol. Received datagrams begin with their IPv4 header, as Windows gives them."""

    def __init__(self, driver: RawIpDriver, file: FileObject, asked: TransportAddress) -> None:
        """Listen to a protocol."""
        ip = asked.address.address
        super().__init__(driver, file, asked.address)
        version = 4 if len(ip) == 4 else 6
        self._endpoint: RawEndpoint = driver.stack.raw_open(version, asked.protocol, self._arrived)
        self._endpoint.local = None if is_unspecified(ip) else ip
        self._peer: TaAddress | None = None

    def connect(self, irp: Irp) -> NtStatus:
        """TDI_CONNECT on an address object: fix the peer."""
        self._peer = irp.location.parameters.remote
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

    def _transmit(self, data: bytes, remote: TaAddress | None, source: tuple[bytes, int] | None) -> None:
        to = remote or self._peer
        if to is not None:
            local = source[0] if source is not None else b""
            self.driver.require_local(local)
            self._endpoint.send(data, to.address, local=local if any(local) else None)

    def _arrived(self, packet: Packet) -> None:
        if self._peer is not None and self._peer.address != packet.source:
            return
        data = packet.raw if packet.version == 4 else packet.payload
        details = {"destination": packet.destination, "interface": packet.interface.index}
        self.deliver(memoryview(data), TaAddress(packet.source, 0), details)


class DatagramDriver(TransportDriver):
    """What both transports know."""

    def __init__(self, io: IoSystem, stack: Stack, kick: Callable[[], None]) -> None:
        """Speak for ``stack``."""
        super().__init__(io)
        self.stack = stack
        self.kick = kick
        self.claims = Claims()

    def interface(self, index: int, group: bytes = b"") -> Interface:
        """Return an interface; 0: one that a group is routed to, or the first with a cable. NetworkError."""
        interfaces = self.stack.interfaces
        if index:
            if not 0 < index < len(interfaces):
                raise NetworkError(Failure.ADDRESS_NOT_AVAILABLE, f"there is no interface {index}")
            return interfaces[index]
        real = [one for one in interfaces[1:] if any(len(a) == len(group) for a in one.addresses)]
        return real[0] if real else interfaces[0]

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
