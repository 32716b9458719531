"""The registrar: offers every provider to every client of the same interface, and takes them apart again.

It runs on the caller's thread. A module may register or deregister from within any call that it gets.
Sources: NmrRegisterClient, NmrRegisterProvider, NmrClientAttachProvider, NmrDeregisterClient,
NmrDeregisterProvider, NmrWaitForClientDeregisterComplete, NmrClientDetachProviderComplete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.errors import BugCheckError
from ntos.executive.irql import Irql
from ntos.io.status import NtStatus
from protocols.interfaces.nmr.binding import Binding, BindingState, Registered, Side
from protocols.interfaces.nmr.modules import NOT_ATTACHED, Attached

if TYPE_CHECKING:
    from ntos.executive.contract import Executive
    from protocols.interfaces.nmr.modules import ClientModule, ProviderModule


class Nmr:
    """All registrations of a host.

    Invariant: a client and a provider have at most one ``Binding`` in their registrations' lifetimes.
    """

    def __init__(self, executive: Executive) -> None:
        self.clients: list[Registered] = []
        self.providers: list[Registered] = []
        self._executive = executive
        self._irql = executive.irql

    def register_client(self, module: ClientModule) -> Registered:
        """NmrRegisterClient: the client is offered every provider of its interface, now and later."""
        self._irql.require(Irql.PASSIVE, "NmrRegisterClient")
        made = Registered(module)
        self.clients.append(made)
        for provider in list(self.providers):
            self._offer(made, provider)
        return made

    def register_provider(self, module: ProviderModule) -> Registered:
        """NmrRegisterProvider: it is offered to every client of its interface, now and later."""
        self._irql.require(Irql.PASSIVE, "NmrRegisterProvider")
        made = Registered(module)
        self.providers.append(made)
        for client in list(self.clients):
            self._offer(client, made)
        return made

    def client_attach_provider(self, binding: Binding, context: Any, dispatch: Any) -> Attached:  # noqa: ANN401 - the client's own
        """NmrClientAttachProvider, from within ClientAttachProvider: the provider may still refuse."""
        if binding.state is not BindingState.OFFERED:
            raise BugCheckError(f"attached from outside ClientAttachProvider: {binding!r}", binding)
        if binding.provider.leaving or binding.client.leaving:
            return NOT_ATTACHED
        client = binding.client.module.instance
        said: Attached = binding.provider.module.attach_client(binding, client, context, dispatch)
        if said.status is NtStatus.SUCCESS:
            binding.client_context, binding.provider_context = context, said.context
            binding.move("attach")
        return said

    def deregister_client(self, handle: Registered) -> NtStatus:
        """NmrDeregisterClient: PENDING; INVALID_HANDLE the second time."""
        return self._deregister(handle, self.clients)

    def deregister_provider(self, handle: Registered) -> NtStatus:
        """NmrDeregisterProvider: PENDING; INVALID_HANDLE the second time."""
        return self._deregister(handle, self.providers)

    def client_detach_provider_complete(self, binding: Binding) -> None:
        """NmrClientDetachProviderComplete, once, after ClientDetachProvider returned PENDING."""
        self._detached(binding, Side.CLIENT)

    def provider_detach_client_complete(self, binding: Binding) -> None:
        """NmrProviderDetachClientComplete, once, after ProviderDetachClient returned PENDING."""
        self._detached(binding, Side.PROVIDER)

    def wait_for_deregister_complete(self, handle: Registered) -> None:
        """NmrWaitForClientDeregisterComplete and its twin. StuckError when nothing can complete it."""
        self._irql.require(Irql.PASSIVE, "NmrWaitForDeregisterComplete")
        self._executive.wait(lambda: handle.is_gone, f"{handle.name} to part from {handle.bindings}")

    def _offer(self, client: Registered, provider: Registered) -> None:
        if client.leaving or provider.leaving:
            return
        offered = provider.module.instance
        if client.module.instance.npi != offered.npi:
            return
        binding = Binding(client, provider)
        client.bindings.append(binding)
        provider.bindings.append(binding)
        said = client.module.attach_provider(binding, offered)
        binding.is_offering = False
        if (said is NtStatus.SUCCESS) is not (binding.state is BindingState.ATTACHED):
            raise BugCheckError(f"ClientAttachProvider said {said.name}: {binding!r}", binding)
        if binding.state is BindingState.OFFERED:
            binding.move("refuse")
            _forget(binding)
        elif client.leaving or provider.leaving:
            self._detach(binding)  # one of them was deregistered while they attached

    def _deregister(self, handle: Registered, table: list[Registered]) -> NtStatus:
        self._irql.require(Irql.DISPATCH, "NmrDeregister")
        if handle not in table:
            return NtStatus.INVALID_HANDLE
        table.remove(handle)
        handle.leaving = True
        for binding in list(handle.bindings):
            self._detach(binding)
        return NtStatus.PENDING

    def _detach(self, binding: Binding) -> None:
        if binding.state is not BindingState.ATTACHED or binding.is_offering:
            return
        binding.begin()
        if binding.client.module.detach_provider(binding.client_context) is NtStatus.SUCCESS:
            self._detached(binding, Side.CLIENT)
        if binding.provider.module.detach_client(binding.provider_context) is NtStatus.SUCCESS:
            self._detached(binding, Side.PROVIDER)

    def _detached(self, binding: Binding, side: Side) -> None:
        if not binding.finish(side):
            return
        binding.client.module.cleanup_binding_context(binding.client_context)
        binding.provider.module.cleanup_binding_context(binding.provider_context)
        binding.move("clean up")
        _forget(binding)


def _forget(binding: Binding) -> None:
    binding.client.bindings.remove(binding)
    binding.provider.bindings.remove(binding)
