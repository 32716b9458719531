"""TDI address objects of TCP: a claim on a port, and who is told of the connections that come to it."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import internet
from protocols.interfaces.tdi.requests import Event, TransportAddress
from protocols.interfaces.tdi.transport import AddressObject
from protocols.transports.tcpip.addresses import is_unspecified
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.tcp.connection import IGNORE, Connection, ConnectionHandler
from protocols.transports.tcpip.tdi_edge.codes import STATUS
from protocols.transports.tcpip.tdi_edge.mapped import outward
from protocols.transports.tcpip.tdi_edge.sharing import Claim

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from protocols.interfaces.tdi.address import InternetAddress
    from protocols.transports.tcpip.tcp.listener import Listener
    from protocols.transports.tcpip.tdi_edge.tcp import TcpConnection
    from protocols.transports.tcpip.tdi_edge.tcp_driver import TcpDriver


class TcpAddress(AddressObject):
    """A local address: its claim on the port, and the listener once somebody waits for connections."""

    driver: TcpDriver
    local: InternetAddress

    def __init__(self, driver: TcpDriver, file: FileObject, asked: TransportAddress) -> None:
        self._stack = driver.stack
        claim = Claim.of_tdi(asked)
        self.dual = claim.dual
        self.ip = ip = claim.ip
        ports = self._stack.tcp.ports
        if ip is not None and not is_unspecified(ip) and not self._stack.ip.paths.is_local(ip):
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT)
        try:
            port = ports.claim(ip, claim.address.port, share=True)
        except NetworkError as error:
            raise NtError(STATUS[error.failure]) from error
        local = claim.address.with_port(port)
        try:
            self._claim = driver.claims.take(replace(claim, address=local))
        except NtError:
            ports.release(ip, port)
            raise
        super().__init__(driver, file, local)
        self.options: dict[str, Any] = {}
        self.waiting: deque[Irp] = deque()  # TDI_LISTEN
        self._listener: Listener | None = None

    def set_event_handler(self, irp: Irp) -> NtStatus:
        """TDI_SET_EVENT_HANDLER: a connect handler opens the port."""
        asked = irp.location.parameters
        if asked.event is Event.CONNECT and asked.handler is not None:
            try:
                self.open_port()
            except NetworkError as error:
                return self.io.complete(irp, STATUS[error.failure])
        status = super().set_event_handler(irp)
        if asked.event is Event.CONNECT and asked.handler is None and not self.waiting:
            self._unlisten()
        return status

    def set_information(self, irp: Irp) -> NtStatus:
        """Options for the connections that follow."""
        self.options.update(irp.location.parameters.values)
        return self.io.complete(irp, NtStatus.SUCCESS)

    def open_port(self) -> None:
        """Accept connections from now on. NetworkError."""
        if self._listener is None:
            ip = self.ip
            self._listener = self._stack.tcp.listen(ip, self.local.port, self._accept, share=True)
            if ip is not None:
                self._listener.admit = lambda address, _port: len(address) == len(ip)

    def cleanup(self) -> None:
        """Give the port back; connections live on."""
        self._unlisten()
        for irp in list(self.waiting):
            self.io.cancel(irp)
        self._stack.tcp.ports.release(self.ip, self.local.port)
        self.driver.claims.release(self._claim)

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._stack.request_turn()

    def _accept(self, connection: Connection) -> ConnectionHandler:
        key = connection.key
        while self.waiting:
            irp = self.waiting.popleft()
            if self.io.claim(irp):
                found: TcpConnection = irp.location.file.fs_context  # type: ignore[union-attr]  # a listen has a file
                found.adopt(connection)
                remote = outward(internet(key.remote, key.remote_port), dual=self.dual)
                self.io.complete(irp, NtStatus.SUCCESS, result=remote)
                return found
        remote = outward(internet(key.remote, key.remote_port), dual=self.dual)
        local = outward(internet(key.local, key.local_port), dual=self.dual)
        handler = self.handlers.connect
        file = handler(self, remote, local)[1] if handler is not None else None
        if file is None:
            connection.abort()
            return IGNORE
        found = file.fs_context
        found.adopt(connection)
        return found
