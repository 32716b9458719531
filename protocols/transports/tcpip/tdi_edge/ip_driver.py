r"""\Device\Ip and \Device\IPMULTICAST, and what a control channel of any of TCP/IP's devices answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import internet
from protocols.interfaces.tdi.transport import ControlChannel, TransportDriver
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.tdi_edge.codes import STATUS
from protocols.transports.tcpip.tdi_edge.mapped import own, unmapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.address import InternetAddress, TdiAddress
    from protocols.interfaces.tdi.requests import Action, TransportAddress
    from protocols.interfaces.tdi.transport import AddressObject
    from protocols.transports.tcpip.stack import Stack

MAX_DATAGRAM_BYTES = 65507


def provider_info(name: str, **flags: bool) -> dict[str, Any]:
    """TDI_PROVIDER_INFO: sizes in bytes, and TDI_SERVICE_* by name, those that are not said being False."""
    services = dict.fromkeys(("connections", "orderly", "expedited", "broadcast", "multicast"), False)
    return {
        "name": name,
        "version": 4,
        "max_send_bytes": 0xFFFF_FFFF,
        "max_datagram_bytes": MAX_DATAGRAM_BYTES,
        "max_connection_user_data_bytes": 0,
        "connectionless": not flags.get("connections", False),
        "error_free": flags.get("connections", False),
        **services,
        **flags,
    }


class IpChannel(ControlChannel):
    """An open of a device of TCP/IP without an address: TDI_ACTION asks the host."""

    def action(self, irp: Irp) -> NtStatus:
        """TDI_ACTION. NOT_SUPPORTED: no action of that name."""
        asked: Action = irp.location.parameters
        if asked.name not in ACTIONS:
            return self.io.complete(irp, NtStatus.NOT_SUPPORTED)
        stack: Stack = self.driver.stack  # type: ignore[attr-defined]  # every driver of TCP/IP has one
        try:
            found = ACTIONS[asked.name](stack, **asked.arguments)
        except NetworkError as error:
            return self.io.complete(irp, STATUS[error.failure])
        except NtError as error:
            return self.io.complete(irp, error.status)
        return self.io.complete(irp, NtStatus.SUCCESS, result=found)


class IpDriver(TransportDriver):
    r"""\Device\Ip: nothing is sent through it; it is there to be asked."""

    name = "ip"
    channel_kind = IpChannel

    def __init__(self, io: IoSystem, stack: Stack) -> None:
        super().__init__(io)
        self.stack = stack

    def provider_info(self) -> dict[str, Any]:
        """TDI_PROVIDER_INFO."""
        return provider_info(self.name, broadcast=True, multicast=True)

    def open_address(self, file: FileObject, asked: TransportAddress) -> AddressObject:
        """Refuse: IP's datagrams are RawIp's. NtError."""
        del file, asked
        raise NtError(NtStatus.NOT_SUPPORTED, "an address of IP itself")


def _addresses(stack: Stack) -> list[InternetAddress]:
    """Return this host's addresses, loopback's not among them."""
    return [
        internet(entry.address, 0, interface.index if len(entry.address) == 16 else 0)
        for interface in stack.interfaces
        for entry in interface.addresses.values()
        if entry.usable and not interface.loopback
    ]


def _source(stack: Stack, remote: TdiAddress) -> InternetAddress:
    """Return the address that this host would speak to another from. NetworkError, NtError."""
    return internet(stack.ip.resolve(unmapped(own(remote).address)).source)


ACTIONS: dict[str, Callable[..., object]] = {"addresses": _addresses, "source": _source}
