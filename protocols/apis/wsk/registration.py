"""An application's registration: WskRegister, capture and release of the provider NPI, WskDeregister.

It is a client module of the WSK NPI; the netio library has it in Windows. Source: "Registering a Winsock
Kernel Application" (WDK).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from ntos.errors import BugCheckError
from ntos.executive.contract import MILLISECOND
from ntos.executive.irql import Irql
from ntos.io.status import NtError, NtStatus
from protocols.apis.wsk.constants import NPI_WSK_INTERFACE_ID, WSK_INFINITE_WAIT, WSK_NO_WAIT
from protocols.apis.wsk.npi import ClientNpi
from protocols.interfaces.nmr.modules import ModuleId, RegistrationInstance

if TYPE_CHECKING:
    from ntos.executive.contract import Executive
    from protocols.apis.wsk.client import WskClient
    from protocols.interfaces.nmr.binding import Binding
    from protocols.interfaces.nmr.registrar import Nmr

_numbers = itertools.count(1)


class ProviderNpi(NamedTuple):
    """WSK_PROVIDER_NPI: the client object, on which the dispatch table's functions are called, too."""

    client: WskClient
    dispatch: WskClient


class WskRegistration:
    """WSK_REGISTRATION. Made by WskRegister; ``deregister`` ends it."""

    def __init__(self, nmr: Nmr, executive: Executive, npi: ClientNpi | None = None) -> None:
        self.npi = npi or ClientNpi()
        module = ModuleId(uuid4(), f"WSK application {next(_numbers)}")
        self.instance = RegistrationInstance(NPI_WSK_INTERFACE_ID, module, specific=self.npi.dispatch.version)
        self._nmr = nmr
        self._executive = executive
        self._irql = executive.irql
        self._binding: Binding | None = None
        self._provider: ProviderNpi | None = None
        self._range: tuple[tuple[int, int], tuple[int, int]] | None = None
        self._captures = 0
        self._is_detaching = False
        self._is_deregistered = False
        self._handle = nmr.register_client(self)

    def capture_provider_npi(self, timeout_ms: int = WSK_INFINITE_WAIT) -> ProviderNpi:
        """WskCaptureProviderNPI. NtError: NOINTERFACE, DEVICE_NOT_READY."""
        if timeout_ms != WSK_NO_WAIT:
            self._irql.require(Irql.PASSIVE, "WskCaptureProviderNPI that may wait")
            limit = None if timeout_ms == WSK_INFINITE_WAIT else timeout_ms * MILLISECOND
            self._executive.wait(lambda: self._is_decided, "the WSK subsystem", limit)
        if self._is_deregistered or self._is_detaching or self._range is None:
            raise NtError(NtStatus.DEVICE_NOT_READY)
        if self._provider is None:
            raise NtError(NtStatus.NOINTERFACE, f"version {self.npi.dispatch.version}")
        self._captures += 1
        return self._provider

    def release_provider_npi(self) -> None:
        """WskReleaseProviderNPI, once for each capture."""
        if not self._captures:
            raise BugCheckError("WskReleaseProviderNPI without a capture")
        self._captures -= 1
        if not self._captures and self._is_detaching and self._binding is not None:
            self._nmr.client_detach_provider_complete(self._binding)

    def query_provider_characteristics(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """WskQueryProviderCharacteristics: lowest and highest version. NtError(DEVICE_NOT_READY)."""
        if self._range is None or self._is_deregistered:
            raise NtError(NtStatus.DEVICE_NOT_READY)
        return self._range

    def deregister(self) -> None:
        """WskDeregister: wait until the NPI is released and all sockets are closed."""
        self._irql.require(Irql.PASSIVE, "WskDeregister")
        if self._is_deregistered:
            raise BugCheckError("WskDeregister twice")
        self._is_deregistered = True
        self._nmr.deregister_client(self._handle)
        self._nmr.wait_for_deregister_complete(self._handle)

    # ClientModule

    def attach_provider(self, binding: Binding, provider: RegistrationInstance) -> NtStatus:
        """ClientAttachProvider."""
        self._range = provider.specific
        said = self._nmr.client_attach_provider(binding, self, self.npi.dispatch)
        if said.status is NtStatus.SUCCESS:
            self._binding = binding
            self._provider = ProviderNpi(said.context, said.dispatch)
        return said.status

    def detach_provider(self, context: Any) -> NtStatus:  # noqa: ANN401 - this object
        """ClientDetachProvider: PENDING while the NPI is captured."""
        del context
        self._is_detaching = True
        return NtStatus.PENDING if self._captures else NtStatus.SUCCESS

    def cleanup_binding_context(self, context: Any) -> None:  # noqa: ANN401 - this object
        """ClientCleanupBindingContext: another provider may come."""
        del context
        self._binding = self._provider = self._range = None
        self._is_detaching = False

    @property
    def _is_decided(self) -> bool:
        return self._is_deregistered or self._range is not None
