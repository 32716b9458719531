"""Addresses for datagrams: UDP ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.tdi_edge.codes import STATUS, options_of
from protocols.transports.tcpip.tdi_edge.datagrams import SCALARS
from protocols.transports.tcpip.tdi_edge.mapped import inward, local_ip, mapped, outward
from protocols.transports.tcpip.tdi_edge.sharing import Claim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocols.interfaces.tlnpi.npi import BindRequest, DatagramEvents
    from protocols.transports.tcpip.tdi_edge.datagrams import UdpDriver
    from protocols.transports.tcpip.udp import Datagram


class UdpTlAddress:
    """A UDP port. What the host knows of interfaces and broadcasts is ``udp``'s."""

    def __init__(self, udp: UdpDriver, request: BindRequest, events: DatagramEvents) -> None:
        self._udp = udp
        self._events = events
        self._dual = request.dual
        ip = local_ip(request.local, dual=request.dual)
        port = request.local.port
        try:
            self._endpoint = udp.stack.udp_bind(port, self._arrived, ip, share=bool(port))
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        self._endpoint.broadcast_loop = True
        self.local = request.local.with_port(self._endpoint.port)
        try:
            self._claim = udp.claims.take(Claim.of_tlnpi(request, self.local))
        except NtError:
            self._endpoint.close()
            raise

    def send(self, data: bytes, remote: InternetAddress, source: tuple[bytes, int] | None = None) -> None:
        """Send one. NtError; ACCESS_DENIED: a broadcast without SO_BROADCAST."""
        far = inward(remote, dual=self._dual)
        if self._udp.is_broadcast(far.address) and not self._endpoint.broadcast:
            raise NtError(NtStatus.ACCESS_DENIED, "a broadcast without SO_BROADCAST")
        local, index = source or (b"", 0)
        try:
            self._udp.require_local(local)
            self._endpoint.send(
                data,
                far.address,
                far.port,
                local=local or None,
                interface=self._udp.interface(index) if index else None,
            )
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        self._udp.stack.request_turn()

    def connect(self, remote: InternetAddress | None) -> None:
        """Hear one peer only; None: everybody."""
        if remote is None:
            self._endpoint.peer = None
        else:
            self._endpoint.connect(inward(remote, dual=self._dual).address, remote.port)

    def set_options(self, values: Mapping[str, Any]) -> None:
        """Apply options by name; ``join`` and ``leave`` take (group, interface index). NtError."""
        try:
            for name, value in options_of(values).items():
                if name in SCALARS:
                    setattr(self._endpoint, name, value)
                elif name in ("join", "leave"):
                    group, index = value
                    getattr(self._endpoint, name)(group, self._udp.interface(index, group))
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        self._udp.stack.request_turn()

    def close(self) -> None:
        """Give the port back."""
        self._endpoint.close()
        self._udp.claims.release(self._claim)
        self._udp.stack.request_turn()

    def _arrived(self, datagram: Datagram) -> None:
        details = {
            "destination": mapped(datagram.destination) if self._dual else datagram.destination,
            "interface": datagram.interface.index,
            "broadcast": self._udp.is_broadcast(datagram.destination),
        }
        source = outward(internet(datagram.source, datagram.source_port), dual=self._dual)
        self._events.arrived(datagram.data, source, details)
