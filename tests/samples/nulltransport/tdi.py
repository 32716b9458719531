r"""\Device\Null: address objects that are channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.datagrams import DatagramAddress
from protocols.interfaces.tdi.transport import TransportDriver

from .address import NullAddress

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.interfaces.tdi.requests import TransportAddress

    from .edge import NullDatagram, NullEdge

DEVICE = "\\Device\\NullTransport"
FIRST_CHANNEL, LAST_CHANNEL = 0x8000, 0xFFFF
"""What is given to those who bind to any channel."""


class NullAddressObject(DatagramAddress):
    """A channel."""

    driver: NullDriver
    local: NullAddress

    def transmit(self, data: bytes, remote: TdiAddress | None, source: tuple[bytes, int] | None) -> None:
        """Send one. NtError."""
        del source
        to = remote or self.driver.peers.get(self.local.channel)
        if not isinstance(to, NullAddress):
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT)
        self.driver.edge.send(to, self.local.channel, data)

    def connect(self, irp: Irp) -> NtStatus:
        """TDI_CONNECT on an address object: fix the peer."""
        remote = irp.location.parameters.remote
        if not isinstance(remote, NullAddress):
            return self.io.complete(irp, NtStatus.INVALID_ADDRESS_COMPONENT)
        self.driver.peers[self.local.channel] = remote
        return self.io.complete(irp, NtStatus.SUCCESS)

    def set_information(self, irp: Irp) -> NtStatus:
        """There is no option."""
        return self.io.complete(irp, NtStatus.SUCCESS)

    def cleanup(self) -> None:
        """Give the channel back."""
        super().cleanup()
        self.driver.channels.pop(self.local.channel, None)
        self.driver.peers.pop(self.local.channel, None)


class NullDriver(TransportDriver):
    """The transport. ``edge`` is set when there is one."""

    name = "null"
    edge: NullEdge

    def __init__(self, io: IoSystem) -> None:
        super().__init__(io)
        self.channels: dict[int, NullAddressObject] = {}
        self.peers: dict[int, NullAddress] = {}
        self.lost = 0

    def open_address(self, file: FileObject, asked: TransportAddress) -> NullAddressObject:
        """Claim a channel. NtError."""
        address = asked.address
        if not isinstance(address, NullAddress):
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT)
        channel = address.channel or self._free()
        if channel in self.channels:
            raise NtError(NtStatus.ADDRESS_ALREADY_EXISTS)
        made = self.channels[channel] = NullAddressObject(self, file, NullAddress(address.station, channel))
        return made

    def arrived(self, datagram: NullDatagram) -> None:
        """Hand a datagram to the channel's object."""
        found = self.channels.get(datagram.channel)
        if found is None:
            self.lost += 1
        else:
            found.deliver(memoryview(datagram.data), datagram.source, {})

    def provider_info(self) -> dict[str, Any]:
        """TDI_PROVIDER_INFO."""
        return {"name": self.name, "version": 1, "connections": False}

    def _free(self) -> int:
        for channel in range(FIRST_CHANNEL, LAST_CHANNEL + 1):
            if channel not in self.channels:
                return channel
        raise NtError(NtStatus.TOO_MANY_ADDRESSES)
