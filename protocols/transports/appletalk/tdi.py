r"""\Device\AtalkDdp: sockets of DDP as address objects, and names by TDI_ACTION.

The DDP type of a device's datagrams is behind its name: ``\Device\AtalkDdp4``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from formats.appletalk import NodeAddress
from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import AppletalkAddress
from protocols.interfaces.tdi.datagrams import DatagramAddress
from protocols.interfaces.tdi.transport import TransportDriver
from protocols.transports.appletalk.nbp import EntityName, Entry
from protocols.transports.appletalk.parameters import AppletalkError
from protocols.transports.appletalk.zones import GET_LOCAL_ZONES, GET_MY_ZONE, GET_ZONE_LIST

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.appletalk import Datagram
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.interfaces.tdi.requests import Action, TransportAddress
    from protocols.transports.appletalk.edge import AppletalkEdge
    from protocols.transports.appletalk.node import Node

DEVICE = "\\Device\\AtalkDdp"
ZONES = {"zones": GET_ZONE_LIST, "my_zone": GET_MY_ZONE, "local_zones": GET_LOCAL_ZONES}


class DdpAddress(DatagramAddress):
    """A socket of the node that was the default one when it was opened."""

    driver: DdpDriver
    local: AppletalkAddress

    def __init__(self, driver: DdpDriver, file: FileObject, node: Node, number: int) -> None:
        self.socket = node.open_socket(number, self._arrived)
        ours = node.address or NodeAddress(0, 0)
        super().__init__(driver, file, AppletalkAddress(ours.network, ours.node, self.socket))
        self.node = node
        self.peer: AppletalkAddress | None = None
        self._asking: list[Irp] = []
        driver.opens.append(self)

    def transmit(self, data: bytes, remote: TdiAddress | None, source: tuple[bytes, int] | None) -> None:
        """Send one. NtError."""
        del source
        to = remote or self.peer
        if not isinstance(to, AppletalkAddress) or not to.socket:
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT)
        if self.node not in self.driver.nodes or self.node.address is None:
            raise NtError(NtStatus.NETWORK_UNREACHABLE)
        try:
            self.node.send(NodeAddress(to.network, to.node), to.socket, self.socket, self.driver.kind, data)
        except AppletalkError as error:
            raise NtError(NtStatus.BUFFER_OVERFLOW, str(error)) from error
        self.driver.edge.request_turn()

    def connect(self, irp: Irp) -> NtStatus:
        """TDI_CONNECT on an address object: fix the peer."""
        remote = irp.location.parameters.remote
        if not isinstance(remote, AppletalkAddress):
            return self.io.complete(irp, NtStatus.INVALID_ADDRESS_COMPONENT)
        self.peer = remote
        return self.io.complete(irp, NtStatus.SUCCESS)

    def set_information(self, irp: Irp) -> NtStatus:
        """There is no option."""
        return self.io.complete(irp, NtStatus.SUCCESS)

    def action(self, irp: Irp) -> NtStatus:
        """TDI_ACTION: register, deregister, look_up and confirm (``name``); zones, my_zone, local_zones."""
        asked: Action = irp.location.parameters
        name = asked.arguments.get("name")
        if self.node not in self.driver.nodes:
            return self.io.complete(irp, NtStatus.NETWORK_UNREACHABLE)
        if asked.name == "deregister" and isinstance(name, EntityName):
            known = self.node.names.deregister(name, self.socket)
            return self.io.complete(irp, NtStatus.SUCCESS if known else NtStatus.OBJECT_NAME_NOT_FOUND)
        begin = self._beginning(irp, asked)
        if begin is None:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        self._asking.append(irp)
        self.io.mark_pending(irp)
        try:
            begin()
        except AppletalkError:
            self._answer(irp, NtStatus.UNSUCCESSFUL, None)
        self.driver.edge.request_turn()
        return NtStatus.PENDING

    def _beginning(self, irp: Irp, asked: Action) -> Callable[[], None] | None:
        """Return what begins a question to the network; None when it makes no sense."""
        names, arguments = self.node.names, asked.arguments
        if asked.name in ZONES:
            return partial(self.node.zones.read, ZONES[asked.name], partial(self._zones, irp))
        name, where = arguments.get("name"), arguments.get("address")
        if not isinstance(name, EntityName):
            return None
        found = partial(self._found, irp)
        if asked.name == "register":
            return partial(names.register, name, self.socket, partial(self._registered, irp))
        if asked.name == "look_up":
            return partial(names.look_up, name, found, arguments.get("most", 0))
        if asked.name == "confirm" and isinstance(where, AppletalkAddress):
            return partial(names.confirm, name, NodeAddress(where.network, where.node), where.socket, found)
        return None

    def stop(self) -> None:
        """End what waits: the card was unbound, or the socket is closed."""
        super().cleanup()
        for irp in list(self._asking):
            self._answer(irp, NtStatus.CANCELLED, None)

    def cleanup(self) -> None:
        """Close the socket, and take its names back."""
        self.stop()
        if self in self.driver.opens:
            self.driver.opens.remove(self)
        self.node.close_socket(self.socket)

    def _arrived(self, datagram: Datagram) -> None:
        if self.driver.kind != datagram.kind:
            return
        near, far = datagram.destination, datagram.source
        source = AppletalkAddress(far.network, far.node, datagram.from_socket)
        if self.peer is not None and source != self.peer:
            return
        destination = AppletalkAddress(near.network, near.node, datagram.to_socket)
        details = {"destination": destination, "kind": datagram.kind}
        self.deliver(memoryview(datagram.data), source, details)

    def _registered(self, irp: Irp, is_free: bool) -> None:  # noqa: FBT001 - a callback's one argument
        self._answer(irp, NtStatus.SUCCESS if is_free else NtStatus.ADDRESS_ALREADY_EXISTS, None)

    def _found(self, irp: Irp, found: list[Entry]) -> None:
        told = [
            (one.name, AppletalkAddress(one.address.network, one.address.node, one.socket)) for one in found
        ]
        self._answer(irp, NtStatus.SUCCESS, told)

    def _zones(self, irp: Irp, found: list[bytes] | None) -> None:
        self._answer(irp, NtStatus.IO_TIMEOUT if found is None else NtStatus.SUCCESS, found)

    def _answer(self, irp: Irp, status: NtStatus, result: object) -> None:
        if irp in self._asking:
            self._asking.remove(irp)
            self.io.complete(irp, status, result=result)


class DdpDriver(TransportDriver):
    """One DDP type's device. ``edge`` is set before it is used."""

    name = "appletalk"
    edge: AppletalkEdge

    def __init__(self, io: IoSystem, kind: int) -> None:
        super().__init__(io)
        self.kind = kind
        self.opens: list[DdpAddress] = []

    @property
    def nodes(self) -> list[Node]:
        """The nodes of all bound cards."""
        return [link.node for link in self.edge.links.values() if link.up]

    def open_address(self, file: FileObject, asked: TransportAddress) -> DdpAddress:
        """Open a socket. NtError."""
        address, node = asked.address, self.edge.node
        if not isinstance(address, AppletalkAddress):
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT)
        if node is None:
            raise NtError(NtStatus.NETWORK_UNREACHABLE)
        try:
            return DdpAddress(self, file, node, address.socket)
        except AppletalkError as error:
            raise NtError(NtStatus.ADDRESS_ALREADY_EXISTS, str(error)) from error

    def stop(self, node: Node) -> None:
        """End what waits at a node: its card is being unbound."""
        for one in list(self.opens):
            if one.node is node:
                one.stop()

    def provider_info(self) -> dict[str, Any]:
        """TDI_PROVIDER_INFO."""
        return {"name": self.name, "version": 1, "connections": False, "max_datagram": 586}

    def statistics(self) -> dict[str, int]:
        """TDI_PROVIDER_STATISTICS."""
        node = self.edge.node
        return {} if node is None else {**node.counters, **node.aarp.counters}
