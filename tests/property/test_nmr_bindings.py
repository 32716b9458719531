"""The registrar under any order of registrations, refusals, deregistrations and completions.

Each module writes down what it was called with; the rules are Microsoft's ("Network Module Attachment",
"Network Module Detachment"): a pair is offered once, attached once, detached once on either side, cleaned up
after both have detached, and nobody hears anything after his deregistration was complete.
"""

# ruff: noqa: D102, ANN401 - the rules' names say what they do; contexts are anybody's

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from ntos.executive.virtual import VirtualExecutive
from ntos.io.status import NtStatus
from protocols.interfaces.nmr import Attached, ModuleId, Nmr, RegistrationInstance

if TYPE_CHECKING:
    from protocols.interfaces.nmr.binding import Binding, Registered

NPIS = [UUID(int=1), UUID(int=2)]
NOINTERFACE, SUCCESS, PENDING = NtStatus.NOINTERFACE, NtStatus.SUCCESS, NtStatus.PENDING


class Module:
    """A client or a provider that does as its flags say."""

    def __init__(self, nmr: Nmr, log: list[tuple[str, Any]], number: int, npi: UUID, flags: Any) -> None:
        self.nmr, self.log, self.flags = nmr, log, flags
        self.name = f"{type(self).__name__} {number}"
        self.instance = RegistrationInstance(npi, ModuleId(UUID(int=100 + number), self.name), number)
        self.handle: Registered
        self.pending: list[Any] = []

    def said(self, what: str, pair: Any) -> None:
        self.log.append((f"{self.kind}.{what}", pair))

    kind = ""

    def detach(self, pair: Any) -> NtStatus:
        self.said("detach", pair)
        if not self.flags["pends"]:
            return SUCCESS
        self.pending.append(pair)
        return PENDING

    def cleanup_binding_context(self, context: Any) -> None:
        self.said("cleanup", context)


class Client(Module):
    """Its binding context is the ``Binding`` itself."""

    kind = "client"

    def attach_provider(self, binding: Binding, provider: RegistrationInstance) -> NtStatus:
        assert provider is binding.provider.module.instance
        self.said("offer", binding)
        if self.flags["refuses"]:
            return NOINTERFACE
        said = self.nmr.client_attach_provider(binding, binding, self)
        if said.status is SUCCESS:
            assert said.dispatch is binding.provider.module
            self.said("attach", binding)
        if self.flags["leaves at once"]:
            self.nmr.deregister_client(binding.client)
        return said.status

    def detach_provider(self, context: Any) -> NtStatus:
        return self.detach(context)


class Provider(Module):
    """Its binding context is the ``Binding``, too."""

    kind = "provider"

    def attach_client(
        self, binding: Binding, client: RegistrationInstance, context: Any, dispatch: Any
    ) -> Attached:
        assert (client, context, dispatch) == (dispatch.instance, binding, binding.client.module)
        if self.flags["refuses"]:
            return Attached(NOINTERFACE)
        self.said("attach", binding)
        return Attached(SUCCESS, binding, self)

    def detach_client(self, context: Any) -> NtStatus:
        return self.detach(context)


FLAGS = st.fixed_dictionaries(
    {
        "refuses": st.sampled_from([False, False, True]),
        "pends": st.booleans(),
        "leaves at once": st.sampled_from([False]),
    }
)
CLIENT_FLAGS = FLAGS | st.just({"refuses": False, "pends": True, "leaves at once": True})


class Registrations(RuleBasedStateMachine):
    """Registers, deregisters and completes in any order."""

    modules: Bundle[Module] = Bundle("modules")

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, Any]] = []
        self.nmr = Nmr(VirtualExecutive())
        self.all: list[Module] = []
        self.leaving: list[Module] = []
        self.heard_at_end: dict[Module, int] = {}

    @rule(target=modules, npi=st.sampled_from(NPIS), flags=CLIENT_FLAGS)
    def register_client(self, npi: UUID, flags: Any) -> Module:
        made = Client(self.nmr, self.log, len(self.all), npi, flags)
        made.handle = self.nmr.register_client(made)
        self.all.append(made)
        if made.handle.leaving:
            self.leaving.append(made)
        return made

    @rule(target=modules, npi=st.sampled_from(NPIS), flags=FLAGS)
    def register_provider(self, npi: UUID, flags: Any) -> Module:
        made = Provider(self.nmr, self.log, len(self.all), npi, flags)
        made.handle = self.nmr.register_provider(made)
        self.all.append(made)
        self.leaving += [one for one in self.all if one.handle.leaving and one not in self.leaving]
        return made

    @rule(module=consumes(modules))
    def deregister(self, module: Module) -> None:
        was_leaving = module.handle.leaving
        call = self.nmr.deregister_client if isinstance(module, Client) else self.nmr.deregister_provider
        assert call(module.handle) is (NtStatus.INVALID_HANDLE if was_leaving else PENDING)
        if not was_leaving:
            self.leaving.append(module)

    @precondition(lambda self: any(one.pending for one in self.all))
    @rule(data=st.data())
    def complete_a_detach(self, data: Any) -> None:
        module = data.draw(st.sampled_from([one for one in self.all if one.pending]))
        pair = module.pending.pop(data.draw(st.integers(0, len(module.pending) - 1)))
        self.complete(module, pair)

    def complete(self, module: Module, pair: Any) -> None:
        if isinstance(module, Client):
            self.nmr.client_detach_provider_complete(pair)
        else:
            self.nmr.provider_detach_client_complete(pair)

    @invariant()
    def every_pair_is_offered_once_and_what_follows_is_in_order(self) -> None:
        told: dict[Any, list[str]] = {}
        for what, pair in self.log:
            told.setdefault(pair, []).append(what)
        pairs = [(pair.client.module, pair.provider.module) for pair in told]
        assert max(Counter(pairs).values(), default=1) == 1
        for events in told.values():
            assert max(Counter(events).values()) == 1
            order = ["client.offer", "provider.attach", "client.attach", "client.detach", "provider.detach"]
            order += ["client.cleanup", "provider.cleanup"]
            assert events == order[: len(events)] or events == ["client.offer"]

    @invariant()
    def all_of_one_interface_that_stay_are_attached_unless_one_refuses(self) -> None:
        attached = {(b.client.module, b.provider.module) for what, b in self.log if what == "client.attach"}
        offered = {(b.client.module, b.provider.module) for what, b in self.log if what == "client.offer"}
        for client in [one for one in self.all if isinstance(one, Client) and not one.handle.leaving]:
            for provider in [o for o in self.all if isinstance(o, Provider) and not o.handle.leaving]:
                same = client.instance.npi == provider.instance.npi
                agreed = same and not client.flags["refuses"] and not provider.flags["refuses"]
                assert ((client, provider) in offered) is same
                assert ((client, provider) in attached) is agreed

    @invariant()
    def a_deregistration_is_complete_when_nothing_is_attached_and_nobody_hears_more(self) -> None:
        for module in self.leaving:
            open_ = {pair for what, pair in self.log if what == f"{module.kind}.attach"} - {
                pair for what, pair in self.log if what == f"{module.kind}.cleanup"
            }
            mine = [pair for pair in open_ if module in (pair.client.module, pair.provider.module)]
            assert module.handle.is_gone is not bool(mine)
            heard = sum(
                module is getattr(pair, module.kind).module
                for what, pair in self.log
                if what.startswith(module.kind)
            )
            if module.handle.is_gone:
                assert self.heard_at_end.setdefault(module, heard) == heard

    def teardown(self) -> None:
        for module in [one for one in self.all if not one.handle.leaving]:
            call = self.nmr.deregister_client if isinstance(module, Client) else self.nmr.deregister_provider
            call(module.handle)
        while waiting := [one for one in self.all if one.pending]:
            self.complete(waiting[0], waiting[0].pending.pop())
        for module in self.all:
            self.nmr.wait_for_deregister_complete(module.handle)
        counts = Counter(what for what, _ in self.log)
        assert counts["client.attach"] == counts["provider.cleanup"] == counts["client.cleanup"]


Registrations.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestRegistrations = Registrations.TestCase
