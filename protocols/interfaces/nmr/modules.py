"""What network modules say of themselves, and what the registrar calls of them. It knows no interface.

Sources: NPI_REGISTRATION_INSTANCE, NPI_MODULEID, NPI_CLIENT_CHARACTERISTICS, NPI_PROVIDER_CHARACTERISTICS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

from ntos.io.status import NtStatus

if TYPE_CHECKING:
    from protocols.interfaces.nmr.binding import Binding

NpiId = UUID
"""NPIID: names an interface, e.g. NPI_WSK_INTERFACE_ID."""


@dataclass(frozen=True, slots=True)
class ModuleId:
    """NPI_MODULEID. ``name`` is for people."""

    guid: UUID
    name: str


@dataclass(frozen=True, slots=True)
class RegistrationInstance:
    """NPI_REGISTRATION_INSTANCE: what one side may look at before it attaches to the other.

    ``specific`` is NpiSpecificCharacteristics: the interface's own, as WSK's version.
    """

    npi: NpiId
    module: ModuleId
    number: int = 0
    specific: Any = None


class Attached(NamedTuple):
    """What an attach call gives back; context and dispatch are the other side's, if it is SUCCESS."""

    status: NtStatus
    context: Any = None
    dispatch: Any = None


NOT_ATTACHED = Attached(NtStatus.NOINTERFACE)


class ClientModule(Protocol):
    """NPI_CLIENT_CHARACTERISTICS. All but ``cleanup_binding_context`` are called at PASSIVE_LEVEL."""

    @property
    def instance(self) -> RegistrationInstance:
        """ClientRegistrationInstance."""

    def attach_provider(self, binding: Binding, provider: RegistrationInstance) -> NtStatus:
        """ClientAttachProvider: NmrClientAttachProvider's status, or NOINTERFACE without having called it."""

    def detach_provider(self, context: Any) -> NtStatus:  # noqa: ANN401 - the client's own
        """ClientDetachProvider: SUCCESS; PENDING, then NmrClientDetachProviderComplete."""

    def cleanup_binding_context(self, context: Any) -> None:  # noqa: ANN401 - the client's own
        """ClientCleanupBindingContext: both sides have detached."""


class ProviderModule(Protocol):
    """NPI_PROVIDER_CHARACTERISTICS."""

    @property
    def instance(self) -> RegistrationInstance:
        """ProviderRegistrationInstance."""

    def attach_client(
        self,
        binding: Binding,
        client: RegistrationInstance,
        context: Any,  # noqa: ANN401 - the client's own
        dispatch: Any,  # noqa: ANN401 - the interface's
    ) -> Attached:
        """ProviderAttachClient: SUCCESS with the provider's context and dispatch, or NOINTERFACE."""

    def detach_client(self, context: Any) -> NtStatus:  # noqa: ANN401 - the provider's own
        """ProviderDetachClient: SUCCESS; PENDING, then NmrProviderDetachClientComplete."""

    def cleanup_binding_context(self, context: Any) -> None:  # noqa: ANN401 - the provider's own
        """ProviderCleanupBindingContext: both sides have detached."""
