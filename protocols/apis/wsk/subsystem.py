r"""The WSK subsystem: client of the transports (TLNPI), provider of the WSK NPI, and the device of its IRPs.

It is ready, and registers as a provider, when the first transport has attached. Windows has it in afd.sys; it
has its own service here, so that the bindings show it. Source: "Winsock Kernel Architecture" (WDK).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from ntos.executive.irql import Irql
from ntos.io.irp import Major
from ntos.io.status import NtStatus
from protocols.apis.wsk.client import WskClient
from protocols.apis.wsk.constants import (
    HIGHEST_VERSION,
    LOWEST_VERSION,
    NPI_WSK_INTERFACE_ID,
    WSK_VERSION,
    Wsk,
)
from protocols.apis.wsk.npi import WskTransport
from protocols.interfaces.nmr.modules import NOT_ATTACHED, Attached, ModuleId, RegistrationInstance
from protocols.interfaces.tlnpi.npi import NPI_TRANSPORT_LAYER_ID, TL_VERSION, TlKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.irql import IrqlModel
    from ntos.io.device import DeviceObject, FileObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from protocols.apis.winsock.namespace import Namespaces
    from protocols.interfaces.nmr.binding import Binding, Registered
    from protocols.interfaces.nmr.registrar import Nmr
    from protocols.interfaces.tlnpi.npi import TlProvider

WSK = "\\Device\\Wsk"
FAMILIES = {4: 2, 6: 23}
SOCKET_TYPES = {TlKind.STREAM: 1, TlKind.DATAGRAM: 2}
MODULE = ModuleId(UUID("7d0c3a60-2f5e-4d0b-9d43-55c8a1e2f702"), "Wsk")


class Call(NamedTuple):
    """The parameters of an IRP at our device: what is to be called with it."""

    method: Callable[..., NtStatus]
    arguments: tuple[Any, ...]


class Transport(NamedTuple):
    """An attached provider, and the binding by which it is."""

    binding: Binding
    provider: TlProvider


class WskProvider:
    """The provider module of the WSK NPI."""

    def __init__(self, subsystem: WskSubsystem, nmr: Nmr) -> None:
        """Give out clients of ``subsystem``."""
        self.instance = RegistrationInstance(
            NPI_WSK_INTERFACE_ID, MODULE, specific=(LOWEST_VERSION, HIGHEST_VERSION)
        )
        self._subsystem = subsystem
        self._nmr = nmr
        self._bindings: dict[WskClient, Binding] = {}

    def attach_client(
        self,
        binding: Binding,
        client: RegistrationInstance,
        context: Any,  # noqa: ANN401 - the application's own
        dispatch: Any,  # noqa: ANN401 - WSK_CLIENT_DISPATCH, whose version is in ``client``
    ) -> Attached:
        """ProviderAttachClient: NOINTERFACE for a version that is not served."""
        del context, dispatch
        if not LOWEST_VERSION <= client.specific <= HIGHEST_VERSION:
            return NOT_ATTACHED
        made = WskClient(self._subsystem)
        self._bindings[made] = binding
        return Attached(NtStatus.SUCCESS, made, made)

    def detach_client(self, context: WskClient) -> NtStatus:
        """ProviderDetachClient: PENDING until the client's sockets are closed."""
        binding = self._bindings[context]
        if context.when_closed(lambda: self._nmr.provider_detach_client_complete(binding)):
            return NtStatus.SUCCESS
        return NtStatus.PENDING

    def cleanup_binding_context(self, context: WskClient) -> None:
        """ProviderCleanupBindingContext."""
        context.release()
        del self._bindings[context]


class WskSubsystem:
    """The subsystem: client module of TLNPI, and the driver of ``WSK``'s device."""

    name = "wsk"

    def __init__(self, io: IoSystem, nmr: Nmr, irql: IrqlModel, names: Namespaces) -> None:
        """Create the device; attach to nothing yet."""
        self.io = io
        self.irql = irql
        self.names = names
        self.device = io.create_device(self, WSK)
        self.instance = RegistrationInstance(NPI_TRANSPORT_LAYER_ID, MODULE, specific=TL_VERSION)
        self.attached: list[Transport] = []
        self.clients: set[WskClient] = set()
        self._nmr = nmr
        self._client: Registered | None = None
        self._provider: Registered | None = None

    # What the system does with it

    def start(self) -> None:
        """Ask the NMR for transports."""
        if self._client is None:
            self._client = self._nmr.register_client(self)

    def stop(self) -> None:
        """Part from the transports: every socket is no longer functional."""
        handle, self._client = self._client, None
        if handle is not None:
            self._nmr.deregister_client(handle)
            self._nmr.wait_for_deregister_complete(handle)

    def unload(self) -> None:
        """Part from the applications, which must have closed their sockets, then from all else."""
        handle, self._provider = self._provider, None
        if handle is not None:
            self._nmr.deregister_provider(handle)
            self._nmr.wait_for_deregister_complete(handle)
        self.stop()
        self.io.delete_device(self.device)

    # ClientModule of TLNPI

    def attach_provider(self, binding: Binding, provider: RegistrationInstance) -> NtStatus:
        """ClientAttachProvider: take every transport of our version."""
        if provider.specific != TL_VERSION:
            return NtStatus.NOINTERFACE
        said = self._nmr.client_attach_provider(binding, binding, None)
        if said.status is NtStatus.SUCCESS:
            self.attached.append(Transport(binding, said.dispatch))
            if self._provider is None:
                self._provider = self._nmr.register_provider(WskProvider(self, self._nmr))
            self._transports_changed()
        return said.status

    def detach_provider(self, context: Binding) -> NtStatus:
        """ClientDetachProvider: end what its sockets had there, at once."""
        (gone,) = [one for one in self.attached if one.binding is context]
        self.attached.remove(gone)
        for client in list(self.clients):
            client.lose(gone.provider)
        self._transports_changed()
        return NtStatus.SUCCESS

    def cleanup_binding_context(self, context: Binding) -> None:
        """ClientCleanupBindingContext: there is nothing but the binding."""

    # For clients and sockets

    def transports(self) -> list[WskTransport]:
        """Return what sockets can be made of."""
        return [
            WskTransport(WSK_VERSION, SOCKET_TYPES[one.kind], one.protocol, FAMILIES[one.version])
            for transport in self.attached
            for one in transport.provider.transports
        ]

    def provider_of(self, family: int, socket_type: int, protocol: int) -> TlProvider | None:
        """Return the transport for a combination."""
        wanted = (socket_type, protocol, family)
        for transport in self.attached:
            for one in transport.provider.transports:
                if (SOCKET_TYPES[one.kind], one.protocol, FAMILIES[one.version]) == wanted:
                    return transport.provider
        return None

    def submit(
        self,
        irp: Irp,
        function: Wsk,
        file: FileObject | None,
        method: Callable[..., NtStatus],
        *arguments: object,
    ) -> NtStatus:
        """Set up the application's IRP and send it to our device, as each WSK function does first."""
        self.irql.require(Irql.DISPATCH, function.value)
        location = irp.next_location
        location.major, location.minor = Major.INTERNAL_DEVICE_CONTROL, function
        location.parameters, location.file = Call(method, arguments), file
        if irp.current == len(irp.locations):
            location.device = self.device
            return self.io.call(irp)
        return self.io.forward(self.device, irp)

    def complete(self, irp: Irp, status: NtStatus, information: int = 0, result: Any = None) -> NtStatus:  # noqa: ANN401 - each function has its own
        """IoCompleteRequest, at DISPATCH_LEVEL: a completion routine may not wait."""
        before = self.irql.raise_to(Irql.DISPATCH)
        try:
            return self.io.complete(irp, status, information, result)
        finally:
            self.irql.lower_to(before)

    # Driver

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:
        """Dispatch: our own requests, and a socket's last handle."""
        del device
        location = irp.location
        if location.major in (Major.CLEANUP, Major.CLOSE):
            return self.io.complete(irp, NtStatus.SUCCESS)
        call = location.parameters
        if location.major is not Major.INTERNAL_DEVICE_CONTROL or not isinstance(call, Call):
            return self.io.complete(irp, NtStatus.INVALID_DEVICE_REQUEST)
        return call.method(irp, *call.arguments)

    def _transports_changed(self) -> None:
        for client in list(self.clients):
            client.transports_changed()
