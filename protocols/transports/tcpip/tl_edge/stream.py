"""Addresses for connections: a claim on a port, and the listener over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.interfaces.tlnpi.npi import Verdict
from protocols.transports.tcpip.addresses import is_unspecified
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.tcp import passive
from protocols.transports.tcpip.tcp.connection import IGNORE, Connection, ConnectionHandler
from protocols.transports.tcpip.tcp.listener import Inspection
from protocols.transports.tcpip.tdi_edge.codes import STATUS, options_of
from protocols.transports.tcpip.tdi_edge.mapped import inward, local_ip, outward
from protocols.transports.tcpip.tdi_edge.sharing import Claim
from protocols.transports.tcpip.tl_edge.connection import TcpTlConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocols.interfaces.tlnpi.npi import BindRequest, ConnectionEvents, ListenEvents
    from protocols.transports.tcpip.stack import Stack
    from protocols.transports.tcpip.tcp.connection import FourTuple
    from protocols.transports.tcpip.tcp.listener import Listener
    from protocols.transports.tcpip.tdi_edge.sharing import Claims

ANSWER = {
    Verdict.REJECT: Inspection.REFUSE,
    Verdict.ACCEPT: Inspection.ADMIT,
    Verdict.PEND: Inspection.KEEP,
}


class TcpTlAddress:
    """A local address of TCP. The claim and the port go back with ``close``."""

    def __init__(self, stack: Stack, claims: Claims, request: BindRequest) -> None:
        self._stack = stack
        self._claims = claims
        self._dual = request.dual
        self._ip = ip = local_ip(request.local, dual=request.dual)
        self._options: dict[str, Any] = {}
        self._listener: Listener | None = None
        if ip is not None and not is_unspecified(ip) and not stack.ip.paths.is_local(ip):
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT)
        try:
            port = stack.tcp.ports.claim(ip, request.local.port, share=True)
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        self.local = request.local.with_port(port)
        try:
            self._claim = claims.take(Claim.of_tlnpi(request, self.local))
        except NtError:
            stack.tcp.ports.release(ip, port)
            raise

    def connect(self, remote: InternetAddress, events: ConnectionEvents) -> TcpTlConnection:
        """Open a connection. NtError."""
        far = inward(remote, dual=self._dual)
        near = inward(self.local, dual=self._dual)
        if self._ip is None:
            near = internet(bytes(len(far.address)), near.port)
        if len(far.address) != len(near.address):
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT)
        made = TcpTlConnection(self._stack, dual=self._dual)
        try:
            tcp = self._stack.tcp_connect(
                far.address, far.port, made, local=near.address, local_port=near.port
            )
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        made.start(tcp, events, connecting=True)
        made.set_options(self._options)
        self._stack.request_turn()
        return made

    def listen(self, events: ListenEvents) -> None:
        """Let connections come. NtError."""
        if self._listener is not None:
            raise NtError(NtStatus.INVALID_DEVICE_STATE)
        ip = self._ip

        def accept(tcp: Connection) -> ConnectionHandler:
            made = TcpTlConnection(self._stack, dual=self._dual)
            made.start(tcp, None, connecting=False)
            made.set_options(self._options)
            owner = events.accepted(made)
            if owner is None and not made.is_over:
                made.abort()
            if made.is_over:
                return IGNORE  # the client has it no more: refused, or closed at once
            made.events = owner
            return made

        def inspect(key: FourTuple) -> Inspection:
            local, remote = self._ends(key)
            return ANSWER[events.inspect(key, local, remote)]

        try:
            self._listener = found = self._stack.tcp.listen(ip, self.local.port, accept, share=True)
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        found.admit = lambda address, _port: (ip is None or len(address) == len(ip)) and events.may_accept()
        if events.is_conditional:
            found.inspect, found.dropped = inspect, events.dropped

    def inspected(self, request: object, verdict: Verdict) -> NtStatus:
        """End a pending inspection. INVALID_PARAMETER: the request has been dropped."""
        found = self._listener
        if found is None or request not in found.kept:
            return NtStatus.INVALID_PARAMETER
        passive.conclude(self._stack.tcp, found, request, admit=verdict is Verdict.ACCEPT)
        self._stack.request_turn()
        return NtStatus.SUCCESS

    def set_options(self, values: Mapping[str, Any]) -> None:
        """Apply options to the connections that follow."""
        self._options.update(options_of(values))

    def close(self) -> None:
        """Give the address back; half-open connections are reset."""
        if self._listener is not None:
            self._listener.dropped = lambda _key: None
            self._listener.close()
            self._listener = None
        self._stack.tcp.ports.release(self._ip, self.local.port)
        self._claims.release(self._claim)
        self._stack.request_turn()

    def _ends(self, key: FourTuple) -> tuple[InternetAddress, InternetAddress]:
        local = outward(internet(key.local, key.local_port), dual=self._dual)
        return local, outward(internet(key.remote, key.remote_port), dual=self._dual)
