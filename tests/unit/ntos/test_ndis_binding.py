"""The binding engine: INF files, ranges, Linkage, order, live changes, services, parallel submission."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndis.errors import NdisError
from ndis.oids import Oid
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.status import Status
from ndis.suite.bench import Machine, Recorder, Transport, frame
from ntos.netcfg.component import (
    Characteristics,
    Component,
    ComponentClass,
    Service,
    StartType,
    install,
    models,
)
from ntos.netcfg.engine import Binding, BindingEngine
from ntos.netcfg.inf import Inf, InfError
from ntos.netcfg.registry import SERVICES, Registry
from ntos.netcfg.services import DependencyError, start_order
from ntos.netcfg.submit import ParallelSubmit
from ntos.netcfg.tree import tree

if TYPE_CHECKING:
    from ndis.open import Open

ADAPTER = rb"""
; a card
[Version]
Signature   = "$Windows NT$"
Class       = Net
ClassGUID   = {4d36e972-e325-11ce-bfc1-08002be10318}
Provider    = %Maker%

[Manufacturer]
%Maker% = Cards, NTx86, NTamd64

[Cards.NTx86]
%Name% = Card32.ndi, PCI\VEN_8086&DEV_10D3

[Cards.NTamd64]
%Name% = Card.ndi, PCI\VEN_8086&DEV_10D3 ; the one we want

[Card.ndi]
Characteristics = 0x84 ; NCF_PHYSICAL | NCF_HAS_UI
AddReg = Card.reg, \
         Card.params

[Card.reg]
HKR, Ndi,            Service,    0, "rwcard"
HKR, Ndi\Interfaces, UpperRange, 0, "ndis5, ndis4"
HKR, Ndi\Interfaces, LowerRange, 0, "ethernet"

[Card.params]
HKR, , Jumbo,  0x00010001, 0x2328
HKR, , Names,  0x00010000, "one", "two; not a comment", "say ""three"" twice"
HKR, , Mac,    0x00000001, 02,00,5e
HKR, , Path,   0x00020000, "%%SystemRoot%%\%12%"

[Card.ndi.Services]
AddService = rwcard, 2, Card.service

[Card.service]
ServiceType    = 1
StartType      = 3
LoadOrderGroup = NDIS
ServiceBinary  = %12%\rwcard.sys

[Strings]
Maker = "Ringwalk"
Name  = "Ringwalk, ""gigabit"" 82574L"
"""


def transport(name: str, upper: str, lower: str, depends: str = "", kind: str = "NetTrans") -> bytes:
    """Make the INF of a transport, service or client."""
    return f"""
[version]
signature="$WINDOWS NT$"
class={kind}
[Manufacturer]
%M%=Things
[Things]
%{name}.desc%={name}.ndi,MS_{name}
[{name}.ndi]
AddReg={name}.add
[{name}.add]
HKR,Ndi,Service,,"{name}"
HKR,"Ndi\\Interfaces","UpperRange",,"{upper}"
HKR,"Ndi\\Interfaces","LowerRange",,{lower}
[{name}.ndi.Services]
AddService={name},,{name}.svc
[{name}.svc]
StartType=1
LoadOrderGroup=PNP_TDI
Dependencies={depends}
[Strings]
M="x"
{name}.desc="{name} protocol"
""".encode("utf-16")


def component(raw: bytes, registry: Registry, identifier: str, instance: str = "") -> Component:
    """Parse and install."""
    return install(Inf.parse(raw), registry, identifier, instance)


CARD_ID = r"PCI\VEN_8086&DEV_10D3"


def stack() -> BindingEngine:
    """NT 4's usual machine: a redirector over NBF and NetBT over TCP/IP, and two cards."""
    registry = Registry()
    engine = BindingEngine(registry)
    for raw, name, instance in (
        (ADAPTER, CARD_ID, "{A}"),
        (ADAPTER, CARD_ID, "{B}"),
        (transport("Nbf", "netbios, nbf", "ndis5,ndis4"), "MS_Nbf", ""),
        (transport("Tcpip", "tdi", "ndis5"), "MS_Tcpip", ""),
        (transport("NetBT", "netbios", "tdi"), "MS_NetBT", ""),
        (transport("Rdr", "noupper", "netbios", kind="NetClient"), "MS_Rdr", ""),
    ):
        engine.add(component(raw, registry, name, instance))
    return engine


def test_an_inf_is_read_with_quotes_continuations_comments_and_strings() -> None:
    """And what AddReg writes has the type that its flags say."""
    registry = Registry()

    card = component(ADAPTER, registry, CARD_ID, "{A}")

    key = r"SYSTEM\CurrentControlSet\Control\Class\net\{A}"
    assert card.description == 'Ringwalk, "gigabit" 82574L'
    assert card.upper == {"ndis5", "ndis4"}
    assert card.service == "rwcard"
    assert registry.get(key, "Jumbo") == 9000
    assert registry.get(key, "Names") == ("one", "two; not a comment", 'say "three" twice')
    assert registry.get(key, "Mac") == b"\x02\x00\x5e"
    assert registry.get(key, "Path") == r"%SystemRoot%\%12%"
    assert registry.get(key + r"\ndi\interfaces", "lowerrange") == "ethernet"
    assert registry.get(SERVICES + r"\rwcard", "Start") == 3


def test_the_models_are_those_of_the_platform() -> None:
    """A decorated section for each; the undecorated when there is none."""
    inf = Inf.parse(ADAPTER)

    sections = [models(inf, platform)[0][1] for platform in ("ntx86", "ntamd64")]
    plain = models(Inf.parse(transport("Nbf", "a", "b")))

    assert sections == ["Card32.ndi", "Card.ndi"]
    assert plain == [("Nbf protocol", "Nbf.ndi", "MS_Nbf")]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"[Version\n", "section without ]"),
        (b"x = y\n", "before the first section"),
        (b"[Version]\nClass=Net\n", "Signature"),
        (b'[Version]\nSignature="$Windows NT$\n', "not closed"),
    ],
)
def test_what_is_no_inf_is_refused_with_the_line(raw: bytes, why: str) -> None:
    """InfError names what is wrong."""
    with pytest.raises(InfError, match=why):
        Inf.parse(raw)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_inf_or_an_inf_error(raw: bytes) -> None:
    """Nothing else is raised."""
    try:
        Inf.parse(b'[Version]\nSignature="$Windows NT$"\n' + raw)
    except (InfError, UnicodeDecodeError):
        return


def test_linkage_has_bind_export_and_route_of_every_path() -> None:
    """In the spelling of NT's registry."""
    registry = stack().registry

    def linkage(service: str, name: str) -> tuple[str, ...]:
        return registry.strings(rf"{SERVICES}\{service}\Linkage", name)

    assert linkage("NetBT", "Bind") == (r"\Device\Tcpip_{A}", r"\Device\Tcpip_{B}")
    assert linkage("NetBT", "Export") == (
        r"\Device\NetBT_Tcpip_{A}",
        r"\Device\NetBT_Tcpip_{B}",
    )
    assert linkage("NetBT", "Route") == ('"Tcpip" "{A}"', '"Tcpip" "{B}"')
    assert linkage("Rdr", "Bind") == (
        r"\Device\Nbf_{A}",
        r"\Device\Nbf_{B}",
        r"\Device\NetBT_Tcpip_{A}",
        r"\Device\NetBT_Tcpip_{B}",
    )
    assert linkage("Tcpip", "Bind") == (r"\Device\{A}", r"\Device\{B}")


def test_moving_a_binding_changes_the_priority_everywhere_above() -> None:
    """NetBT before NBF for the redirector, card B before A for TCP/IP."""
    engine = stack()

    engine.move(Binding("Rdr", "NetBT"), 0)
    engine.move(Binding("Tcpip", "{B}"), 0)

    assert engine.registry.strings(rf"{SERVICES}\Rdr\Linkage", "Bind") == (
        r"\Device\NetBT_Tcpip_{B}",
        r"\Device\NetBT_Tcpip_{A}",
        r"\Device\Nbf_{A}",
        r"\Device\Nbf_{B}",
    )


def test_a_disabled_binding_is_listed_as_such_and_cuts_what_is_above() -> None:
    """Without any card below it, NetBT is not bound to TCP/IP either."""
    engine = stack()

    engine.disable(Binding("Tcpip", "{A}"))
    engine.disable(Binding("Tcpip", "{B}"))

    assert Binding("NetBT", "Tcpip") not in engine.live
    assert engine.lowers("Tcpip") == []
    key = rf"{SERVICES}\Tcpip\Linkage\Disabled"
    assert engine.registry.strings(key, "Bind") == (r"\Device\{A}", r"\Device\{B}")
    assert engine.paths("Rdr") == [("Rdr", "Nbf", "{A}"), ("Rdr", "Nbf", "{B}")]


def test_a_component_that_goes_takes_its_bindings_along() -> None:
    """And those of what stood on it alone."""
    engine = stack()

    engine.remove("Tcpip")

    assert [b for b in engine.bindings() if "Tcpip" in (b.upper, b.lower)] == []
    assert engine.paths("NetBT") == []
    assert engine.registry.strings(rf"{SERVICES}\Tcpip\Linkage", "Bind") == ()


def test_the_tree_shows_what_the_registry_says() -> None:
    """One line a binding; a disabled one is crossed."""
    engine = stack()
    engine.disable(Binding("Nbf", "{B}"))

    text = tree(engine)

    assert text.splitlines()[:4] == [
        "Clients",
        "  Rdr protocol (Rdr)",
        "    - Nbf protocol (Nbf)",
        '      - Ringwalk, "gigabit" 82574L ({A})',
    ]
    assert text.count('x Ringwalk, "gigabit" 82574L ({B})') == 2


def test_a_notify_object_may_object() -> None:
    """And hears of what happens."""

    class Object:
        def __init__(self) -> None:
            self.heard: list[tuple[str, tuple[str, ...]]] = []

        def query_binding_path(self, path: tuple[str, ...]) -> bool:
            """Allow card A only."""
            return path[-1] == "{A}"

        def notify_binding_path(self, change: str, path: tuple[str, ...]) -> None:
            """Note it."""
            self.heard.append((change, path))

    engine = stack()
    told = engine.notify[""] = Object()
    engine.disable(Binding("Tcpip", "{A}"))
    engine.disable(Binding("Tcpip", "{B}"))

    answers = [engine.enable(Binding("Tcpip", c)) for c in ("{A}", "{B}")]

    assert answers == [True, False]
    assert told.heard == [
        ("disabled", ("Tcpip", "{A}")),
        ("disabled", ("Tcpip", "{B}")),
        ("enabled", ("Tcpip", "{A}")),
    ]


class NdisBinder:
    """Makes bindings of one transport over real adapters live."""

    def __init__(self) -> None:
        """Two cards on one cable, one transport."""
        self.cable = Cable()
        settings = [{"Cable": self.cable, "NetworkAddress": bytes([2, 0, 0, 0, 0, n])} for n in (1, 2)]
        self.machine = Machine(LoopbackAdapter, configuration=settings[0])
        ndis = self.machine.ndis
        second = ndis.add_adapter(self.machine.registered, "{B}", None, settings[1])
        self.adapters = {"{A}": self.machine.adapter, "{B}": second}
        self.client = Recorder()
        self.protocol = ndis.register_protocol("Tcpip", Transport(self.client))
        self.opens: dict[Binding, Open] = {}

    def bind(self, binding: Binding) -> None:
        """Bind only the transport."""
        if binding.upper == "Tcpip":
            adapter = self.adapters[binding.lower]
            self.opens[binding] = self.machine.ndis.bind(self.protocol, adapter)

    def reorder(self, upper: str, lowers: list[str]) -> None:
        """One transport: nothing to do."""

    def unbind(self, binding: Binding) -> None:
        """Unbind what was bound."""
        if binding in self.opens:
            self.machine.ndis.unbind(self.opens.pop(binding))


def test_bindings_change_live_under_traffic() -> None:
    """Frames under way when a binding is disabled are completed; the other binding goes on."""
    binder = NdisBinder()
    registry = Registry()
    engine = BindingEngine(registry, binder)
    for instance in ("{A}", "{B}"):
        engine.add(component(ADAPTER, registry, CARD_ID, instance))
    engine.add(component(transport("Tcpip", "tdi", "ndis5"), registry, "MS_Tcpip"))
    first, second = Binding("Tcpip", "{A}"), Binding("Tcpip", "{B}")
    pool = binder.machine.ndis.packet_pool(64)
    sent = [pool.allocate(frame(n)) for n in range(20)]
    binder.opens[first].send_packets(sent)

    engine.disable(first)
    gone = set(binder.opens)
    binder.opens[second].send_packets([pool.allocate(frame(99))])
    binder.machine.executive.advance(1_000_000)
    engine.enable(first)

    assert gone == {second}
    assert len(binder.client.sent) == 21
    assert set(binder.opens) == {first, second}
    assert binder.machine.adapter.ask(Oid.GEN_XMIT_OK, 4) == (20).to_bytes(4, "little")


def test_services_start_after_what_they_depend_on() -> None:
    """By start type and group first; a group dependency means one member of it."""
    services = [
        Service("Rdr", StartType.SYSTEM, "", ("NetBT", "+TDI")),
        Service("NetBT", StartType.SYSTEM, "PNP_TDI", ("Tcpip",)),
        Service("Afd", StartType.SYSTEM, "TDI"),
        Service("Tcpip", StartType.SYSTEM, "PNP_TDI", ("rwcard",)),
        Service("rwcard", StartType.DEMAND, "NDIS"),
    ]

    for order in itertools.permutations(services):
        assert [s.name for s in start_order(order)] == ["rwcard", "Tcpip", "NetBT", "Afd", "Rdr"]


@pytest.mark.parametrize(
    ("services", "missing"),
    [
        ([Service("NetBT", depends=("Tcpip",))], "Tcpip is not installed"),
        ([Service("Rdr", depends=("+TDI",))], "TDI has no member"),
        ([Service("a", depends=("b",)), Service("b", depends=("a",))], "circle"),
    ],
)
def test_a_service_without_what_it_needs_does_not_start(services: list[Service], missing: str) -> None:
    """DependencyError says who lacks what."""
    with pytest.raises(DependencyError, match=missing):
        start_order(services)


@given(st.permutations(range(4)), st.lists(st.booleans(), min_size=4, max_size=4))
def test_the_answer_waits_for_every_higher_priority(order: list[int], wins: list[bool]) -> None:
    """Whatever the order of answers: the highest success is delivered, when all above have failed."""
    names = [f"t{n}" for n in range(4)]
    submit: ParallelSubmit[int] = ParallelSubmit(names)
    best = wins.index(True) if True in wins else 0
    needed = set(range(best + 1)) if True in wins else set(range(4))

    for at, number in enumerate(order):
        delivered = submit.answer(names[number], number, success=wins[number])

        answered = set(order[: at + 1])
        assert (submit.delivered is not None) == (needed <= answered)
        if delivered is not None:
            assert delivered.result == best
            assert number in needed


def test_each_transport_answers_once() -> None:
    """A second answer, and one of a stranger, are bugs."""
    submit: ParallelSubmit[str] = ParallelSubmit(["a", "b"])
    submit.answer("b", "late", success=True)

    with pytest.raises(ValueError, match="does not owe"):
        submit.answer("b", "again", success=True)
    assert submit.waiting == ["a"]


def test_a_binding_that_cannot_be_made_is_not_live() -> None:
    """It stays enabled, and is tried again with the next change."""

    class Refusing:
        """Refuses once."""

        refused = False

        def bind(self, binding: Binding) -> None:
            """Refuse the first."""
            if not self.refused:
                self.refused = True
                raise NdisError(Status.RESOURCES, binding.upper)

        def unbind(self, binding: Binding) -> None:
            """Do nothing."""

        def reorder(self, upper: str, lowers: list[str]) -> None:
            """Do nothing."""

    registry = Registry()
    engine = BindingEngine(registry, Refusing())
    engine.add(component(ADAPTER, registry, CARD_ID, "{A}"))

    with pytest.raises(NdisError):
        engine.add(component(transport("Tcpip", "tdi", "ndis5"), registry, "MS_Tcpip"))
    before = list(engine.live)
    engine.apply()

    assert before == []
    assert engine.live == [Binding("Tcpip", "{A}")]
    assert "    - Ringwalk" in tree(engine)


def test_a_virtual_adapter_stands_on_another_and_never_on_itself() -> None:
    """Its protocol edge is not bound to its own card; what stands on it goes when the card below goes."""
    registry = Registry()
    engine = BindingEngine(registry)
    card = component(ADAPTER, registry, CARD_ID, "{A}")
    edge = Component(
        ComponentClass.TRANSPORT, "P", "an edge", "im", "im", frozenset({"im"}), frozenset({"ndis5"})
    )
    virtual = Component(
        ComponentClass.NET,
        "M",
        "a virtual card",
        "{V}",
        "im",
        frozenset({"ndis5"}),
        frozenset({"im"}),
        Characteristics.VIRTUAL,
    )
    for one in (card, edge, virtual, component(transport("Tcpip", "tdi", "ndis5"), registry, "MS_Tcpip")):
        engine.add(one)

    whole = set(engine.live)
    engine.disable(Binding("im", "{A}"))

    assert Binding("im", "{V}") not in set(engine.bindings())
    assert whole == {
        Binding("im", "{A}"),
        Binding("{V}", "im"),
        Binding("Tcpip", "{A}"),
        Binding("Tcpip", "{V}"),
    }
    assert engine.live == [Binding("Tcpip", "{A}")]
    assert engine.registry.strings(rf"{SERVICES}\Tcpip\Linkage", "Bind") == (r"\Device\{A}",)
