r"""NetBT as a client of \Device\Udp: one port, broadcasts, and what the host's interfaces are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ntos.io.status import NtError
from protocols.interfaces.tdi.address import InternetAddress, IpAddress
from protocols.interfaces.tdi.ip_information import IP_INTERFACES
from protocols.interfaces.tdi.requests import Event, TransportAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import FileObject
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.interfaces.tdi.client import TdiClient
    from protocols.interfaces.tdi.ip_information import IpInterface

DEVICE: Final = "\\Device\\Udp"
ANYWHERE: Final = bytes(4)


class Arrived(NamedTuple):
    """A datagram: from whom, and the index of the interface that it came by."""

    data: bytes
    source: bytes
    source_port: int
    interface: int


class UdpPort:
    """A UDP port of all interfaces that may send broadcasts. Closed until ``open``."""

    def __init__(self, tdi: TdiClient, port: int, arrived: Callable[[Arrived], None]) -> None:
        """Hand what comes to ``arrived``."""
        self._tdi = tdi
        self._port = port
        self._arrived = arrived
        self._file: FileObject | None = None

    @property
    def is_open(self) -> bool:
        """Whether the port is ours."""
        return self._file is not None

    def open(self) -> bool:
        """Open the address object, if it is not open; False when somebody else has the port."""
        if self._file is None:
            try:
                file = self._tdi.open_address(DEVICE, TransportAddress(IpAddress(ANYWHERE, self._port)))
            except NtError:
                return False
            self._tdi.set_information(file, broadcast=True)
            self._tdi.set_event_handler(file, Event.RECEIVE_DATAGRAM, self._heard)
            self._file = file
        return True

    def close(self) -> None:
        """Give the port back."""
        file, self._file = self._file, None
        if file is not None:
            self._tdi.io.close(file)

    def send(self, data: bytes, to: bytes, port: int, interface: int = 0) -> bool:
        """Send a datagram, by an interface or as the routes say; False when that cannot be."""
        if self._file is None:
            return False
        source = (ANYWHERE, interface) if interface else None
        irp = self._tdi.send_datagram(self._file, [data], IpAddress(to, port), source=source)
        return irp.status.ok

    def interfaces(self) -> tuple[IpInterface, ...]:
        """Return the host's interfaces; none while the port is closed."""
        if self._file is None:
            return ()
        try:
            found: tuple[IpInterface, ...] = self._tdi.action(self._file, IP_INTERFACES)
        except NtError:
            return ()  # its transport is being unbound
        return found

    def _heard(self, _context: object, source: TdiAddress, data: bytes, details: dict[str, Any], /) -> None:
        if isinstance(source, InternetAddress):
            self._arrived(Arrived(data, source.address, source.port, details["interface"]))
