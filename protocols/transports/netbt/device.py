r"""\Device\NetBT: NetBIOS names as TDI addresses. An open claims the name, its end releases it.

Sessions and datagrams have no requests yet: TDI answers NOT_SUPPORTED to theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import NetbiosName, NetbiosNameType
from protocols.interfaces.tdi.transport import AddressObject, TransportDriver
from protocols.transports.netbt import message
from protocols.transports.netbt.names import State

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.requests import TransportAddress
    from protocols.transports.netbt.names import NameService

NETBT: Final = "\\Device\\NetBT"
GROUPS = frozenset({NetbiosNameType.GROUP, NetbiosNameType.QUICK_GROUP})


class NetbtAddress(AddressObject):
    """A name of ours, for as long as it is open."""

    driver: NetbtDriver
    local: NetbiosName

    def __init__(self, driver: NetbtDriver, file: FileObject, asked: TransportAddress) -> None:
        """Claim the name. NtError: it is no NetBIOS name, or in conflict."""
        address = asked.address
        if not isinstance(address, NetbiosName) or address.is_any:
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT, f"{address!r} is no NetBIOS name")
        super().__init__(driver, file, address)
        self._name = message.NetbiosName.parse(address.name)
        driver.claim(self._name, is_group=address.kind in GROUPS)

    def cleanup(self) -> None:
        """Release the name when nobody else has it open."""
        self.driver.release(self._name)


class NetbtDriver(TransportDriver):
    """The transport: how often each name is open."""

    name = "netbt"

    def __init__(self, io: IoSystem, names: NameService) -> None:
        super().__init__(io)
        self._names = names
        self._opens: dict[message.NetbiosName, int] = {}

    def open_address(self, file: FileObject, asked: TransportAddress) -> NetbtAddress:
        """Claim a name."""
        return NetbtAddress(self, file, asked)

    def provider_info(self) -> dict[str, Any]:
        """TDI_PROVIDER_INFO."""
        return {"name": self.name, "version": 1, "connections": False}

    def claim(self, name: message.NetbiosName, *, is_group: bool) -> None:
        """Register a name, unless it is ours. NtError(ADDRESS_ALREADY_EXISTS): another host has it."""
        there = self._names.names.get(name)
        if there is not None and (there.state is State.CONFLICT or there.group is not is_group):
            raise NtError(NtStatus.ADDRESS_ALREADY_EXISTS, str(name))
        if there is None:
            if not self._names.register(name, group=is_group):
                raise NtError(NtStatus.DEVICE_NOT_READY, "somebody else has NetBT's port")
            self._opens[name] = 0
        if name in self._opens:
            self._opens[name] += 1

    def release(self, name: message.NetbiosName) -> None:
        """Count an open less; the last releases what the first has claimed."""
        if name not in self._opens:
            return  # the host's own name, claimed by ``NameService.start``
        self._opens[name] -= 1
        if not self._opens[name]:
            del self._opens[name]
            self._names.release(name)
