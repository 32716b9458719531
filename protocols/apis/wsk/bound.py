"""Sockets with a local address: the bind, and what it takes from the options."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from protocols.apis.wsk.constants import Wsk
from protocols.apis.wsk.options import OPTIONS, Option
from protocols.apis.wsk.socket import INET6, Socket
from protocols.interfaces.tlnpi.npi import BindRequest, Sharing

if TYPE_CHECKING:
    from ntos.io.irp import Irp
    from protocols.interfaces.tdi.address import InternetAddress
    from protocols.interfaces.tlnpi.npi import TlAddress

ADDRESS_BYTES = {2: 4, INET6: 16}


class BoundSocket(Socket):
    """A socket that is bound before it is used."""

    def bind(self, local: InternetAddress, irp: Irp) -> NtStatus:
        """WskBind; port 0: any. ADDRESS_ALREADY_EXISTS, ACCESS_DENIED, INVALID_ADDRESS_COMPONENT."""
        return self.submit(irp, Wsk.BIND, self._bind, local)

    def get_local_address(self, irp: Irp) -> NtStatus:
        """WskGetLocalAddress: the IRP's result."""
        return self.submit(irp, Wsk.GET_LOCAL_ADDRESS, self._get_local_address)

    @property
    @abstractmethod
    def address(self) -> TlAddress | None:
        """The transport's address object."""

    @property
    @abstractmethod
    def local(self) -> InternetAddress | None:
        """The local address, if there is one."""

    @abstractmethod
    def claim(self, request: BindRequest) -> None:
        """Have the transport claim an address, and begin what a bound socket does. NtError."""

    @property
    def is_bound(self) -> bool:
        """Whether it has a local address."""
        return self.address is not None

    def bind_now(self, local: InternetAddress) -> None:
        """Bind. NtError."""
        if self.is_bound:
            raise NtError(NtStatus.INVALID_DEVICE_STATE, "it is bound")
        if len(local.address) != ADDRESS_BYTES[self.opened.family]:
            raise NtError(NtStatus.INVALID_PARAMETER, "an address of another family")
        options = self.options
        sharing = Sharing.EXCLUSIVE if options["exclusive"] else Sharing.DEFAULT
        self.claim(
            BindRequest(
                local,
                Sharing.REUSE if options["reuse"] and not options["exclusive"] else sharing,
                options["security"],
                self.opened.owner,
                dual=self.opened.family == INET6 and not options["v6_only"],
            )
        )
        if self.address is not None:
            self.address.set_options(self.changed_options())

    def changed_options(self) -> dict[str, object]:
        """Return what the transport is to be told of: options that are not as they were."""
        return {
            one.name: self.options[one.name]
            for one in OPTIONS.values()
            if one.passed and self.options[one.name] != one.default
        }

    def option_set(self, option: Option) -> None:
        """Tell the transport. NtError."""
        if option.passed and self.address is not None:
            self.address.set_options({option.name: self.options[option.name]})

    def _bind(self, irp: Irp, local: InternetAddress) -> NtStatus:
        try:
            self.bind_now(local)
        except NtError as error:
            return self.complete(irp, error.status)
        return self.complete(irp, NtStatus.SUCCESS)

    def _get_local_address(self, irp: Irp) -> NtStatus:
        local = self.local
        if local is None:
            return self.complete(irp, NtStatus.INVALID_DEVICE_STATE)
        return self.complete(irp, NtStatus.SUCCESS, result=local)
