r"""Address objects of NBF: NetBIOS names, for as long as they are open, and what comes to them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import NetbiosName
from protocols.interfaces.tdi.datagrams import DatagramAddress
from protocols.transports.nbf.parameters import BROADCAST_NAME, EndReason, NbfError

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.transports.nbf.connection import NbfConnection
    from protocols.transports.nbf.tdi import NbfDevice

STATUS: Final = {
    EndReason.HUNG_UP: NtStatus.LOCAL_DISCONNECT,
    EndReason.ABORTED: NtStatus.LOCAL_DISCONNECT,
    EndReason.PEER_ENDED: NtStatus.REMOTE_DISCONNECT,
    EndReason.PEER_ABORTED: NtStatus.CONNECTION_RESET,
    EndReason.NAME_NOT_FOUND: NtStatus.BAD_NETWORK_PATH,
    EndReason.NO_LISTEN: NtStatus.CONNECTION_REFUSED,
    EndReason.CANNOT: NtStatus.CONNECTION_REFUSED,
    EndReason.LINK_LOST: NtStatus.CONNECTION_ABORTED,
    EndReason.TIMED_OUT: NtStatus.IO_TIMEOUT,
    EndReason.REFUSED: NtStatus.CONNECTION_REFUSED,
    EndReason.PROTOCOL_ERROR: NtStatus.CONNECTION_ABORTED,
    EndReason.NAME_IN_USE: NtStatus.ADDRESS_ALREADY_EXISTS,
    EndReason.TABLE_FULL: NtStatus.INSUFFICIENT_RESOURCES,
    EndReason.UNBOUND: NtStatus.NETWORK_UNREACHABLE,
}
"""What a client hears for each reason."""


class NbfAddress(DatagramAddress):
    """An open of a name. ``waiting`` are the TDI_LISTEN requests of its connections, the oldest first."""

    driver: NbfDevice
    local: NetbiosName

    def __init__(self, driver: NbfDevice, file: FileObject, local: NetbiosName) -> None:
        super().__init__(driver, file, local)
        self.waiting: deque[tuple[Irp, NbfConnection]] = deque()

    @property
    def listens(self) -> bool:
        """Whether a call would be taken, or at least asked about."""
        return bool(self.waiting) or self.handlers.connect is not None

    def transmit(self, data: bytes, remote: TdiAddress | None, source: tuple[bytes, int] | None) -> None:
        """Send a datagram. NtError."""
        del source
        station = self.driver.station
        if not isinstance(remote, NetbiosName):
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT)
        own = station.permanent if self.local.name == BROADCAST_NAME else self.local.name
        if own != station.permanent and station.names.usable(own) is None:
            raise NtError(NtStatus.ADDRESS_ALREADY_EXISTS, "the name is in conflict")
        try:
            station.send_datagram(own, remote.name, data)
        except NbfError as error:
            raise NtError(NtStatus.INVALID_PARAMETER, str(error)) from error
        self.driver.request_turn()

    def stop(self) -> None:
        """Cancel the requests that wait for calls and datagrams: the card was unbound."""
        super().cleanup()
        for irp, _connection in list(self.waiting):
            self.io.cancel(irp)

    def cleanup(self) -> None:
        """Give the name back, if nobody else has it open."""
        self.stop()
        self.driver.close_address(self)
