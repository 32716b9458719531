"""TDI.SYS: which transports and addresses there are, and who wants to know.

A client that registers is told of everything that is there already, as TdiRegisterPnPHandlers does. The
binding order is the order of the provider list. Sources: TdiRegisterDeviceObject, TdiRegisterNetAddress,
TdiRegisterPnPHandlers, TdiPnPPowerRequest, TdiProviderReady.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus

if TYPE_CHECKING:
    from protocols.interfaces.tdi.address import TdiAddress


class PnpOpcode(enum.Enum):
    """TDI_PNP_OP_*."""

    ADD = enum.auto()
    DELETE = enum.auto()
    PROVIDER_READY = enum.auto()
    NETREADY = enum.auto()


class PnpClient:
    """TDI_CLIENT_INTERFACE_INFO: override what is of interest."""

    def binding(self, opcode: PnpOpcode, device: str, order: tuple[str, ...]) -> None:
        """ClientPnPBindingChange: a transport's device came, went, or all are there."""

    def add_net_address(self, address: TdiAddress, device: str) -> None:
        """ClientPnPAddNetAddress."""

    def del_net_address(self, address: TdiAddress, device: str) -> None:
        """ClientPnPDelNetAddress."""

    def pnp_power(self, device: str, event: str) -> NtStatus:  # noqa: ARG002 - the contract's arguments
        """ClientPnPPowerChange: SUCCESS, or a refusal."""
        return NtStatus.SUCCESS


@dataclass(frozen=True, slots=True)
class NetAddress:
    """An address that a transport has registered."""

    address: TdiAddress
    device: str


class TdiRegistry:
    """The wrapper's lists."""

    def __init__(self) -> None:
        self.devices: list[str] = []
        self.addresses: list[NetAddress] = []
        self.clients: list[PnpClient] = []
        self.providers: dict[str, bool] = {}  # name: whether it is ready

    def register_provider(self, name: str) -> None:
        """TdiRegisterProvider."""
        self.providers[name] = False

    def deregister_provider(self, name: str) -> None:
        """TdiDeregisterProvider: its driver is unloaded."""
        if self.providers.pop(name, None) is None:
            raise NtError(NtStatus.INVALID_HANDLE, name)

    def provider_ready(self, name: str) -> None:
        """TdiProviderReady; when the last one is ready, clients hear NETREADY."""
        if name not in self.providers:
            raise NtError(NtStatus.INVALID_HANDLE, name)
        self.providers[name] = True
        self._tell(PnpOpcode.PROVIDER_READY, name)
        if all(self.providers.values()):
            self._tell(PnpOpcode.NETREADY, "")

    def register_device_object(self, device: str) -> None:
        """TdiRegisterDeviceObject."""
        if device in self.devices:
            raise NtError(NtStatus.OBJECT_NAME_COLLISION, device)
        self.devices.append(device)
        self._tell(PnpOpcode.ADD, device)

    def deregister_device_object(self, device: str) -> None:
        """TdiDeregisterDeviceObject; its addresses go first."""
        for one in [a for a in self.addresses if a.device == device]:
            self.deregister_net_address(one)
        self.devices.remove(device)
        self._tell(PnpOpcode.DELETE, device)

    def register_net_address(self, address: TdiAddress, device: str) -> NetAddress:
        """TdiRegisterNetAddress; the return value deregisters it."""
        found = NetAddress(address, device)
        self.addresses.append(found)
        for client in self.clients:
            client.add_net_address(address, device)
        return found

    def deregister_net_address(self, found: NetAddress) -> None:
        """TdiDeregisterNetAddress."""
        self.addresses.remove(found)
        for client in self.clients:
            client.del_net_address(found.address, found.device)

    def register_pnp_handlers(self, client: PnpClient) -> None:
        """TdiRegisterPnPHandlers: hear what is there, then what changes."""
        self.clients.append(client)
        for device in self.devices:
            client.binding(PnpOpcode.ADD, device, tuple(self.devices))
        for one in self.addresses:
            client.add_net_address(one.address, one.device)
        if self.providers and all(self.providers.values()):
            client.binding(PnpOpcode.NETREADY, "", tuple(self.devices))

    def deregister_pnp_handlers(self, client: PnpClient) -> None:
        """TdiDeregisterPnPHandlers."""
        self.clients.remove(client)

    def pnp_power_request(self, device: str, event: str) -> NtStatus:
        """TdiPnPPowerRequest: the first client that refuses decides."""
        for client in self.clients:
            status = client.pnp_power(device, event)
            if not status.ok:
                return status
        return NtStatus.SUCCESS

    def reorder(self, devices: list[str]) -> None:
        """Bring the devices into the order of the bindings; those not named keep theirs, behind."""
        rank = {device: at for at, device in enumerate(devices)}
        self.devices.sort(key=lambda device: rank.get(device, len(rank)))

    def _tell(self, opcode: PnpOpcode, device: str) -> None:
        for client in self.clients:
            client.binding(opcode, device, tuple(self.devices))
