"""The filter engine over two hosts on a virtual wire: layers, callouts, pending, injection, editing."""

# ruff: noqa: D103 - the names are sentences; doubles need no words

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from protocols.transports.tcpip import StackConfig
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.classify import Point, Subject
from protocols.transports.tcpip.errors import NetworkError
from protocols.wfp import layers
from protocols.wfp.bfe import Bfe
from protocols.wfp.conditions import Condition
from protocols.wfp.engine import NetEvent
from protocols.wfp.errors import FwpError
from protocols.wfp.kernel import CalloutDriver, Clone, InjectionState, Pended
from protocols.wfp.layers import Field, Layer
from protocols.wfp.objects import ActionType, CalloutEntry, Filter, SubLayer
from protocols.wfp.verifier import Rule
from tests.support.wfp_world import FAR, INSPECTION, NEAR, PORT, UNKNOWN, Does, End, World

if TYPE_CHECKING:
    from protocols.wfp.arbitration import ClassifyOut
    from protocols.wfp.callout import Incoming


@pytest.fixture
def world() -> World:
    return World()


def test_with_no_filter_the_stack_has_no_classifier(world: World) -> None:
    before = world.near.context.classification
    number = world.block("ALE_AUTH_CONNECT_V4")
    during = world.near.context.classification

    world.session.filter_delete_by_id(number)
    world.run()

    assert (before, during is not None, world.near.context.classification) == (None, True, None)


@pytest.mark.parametrize(
    "layer",
    [
        *("INBOUND_IPPACKET_V4", "OUTBOUND_IPPACKET_V4", "INBOUND_TRANSPORT_V4", "OUTBOUND_TRANSPORT_V4"),
        *("INBOUND_MAC_FRAME_ETHERNET", "OUTBOUND_MAC_FRAME_ETHERNET"),
    ],
)
def test_a_block_at_a_packet_layer_stops_pings_and_is_a_net_event(world: World, layer: str) -> None:
    world.block(layer)

    answered = world.ping()

    assert not answered
    found = [event for event in world.bfe.events if isinstance(event, NetEvent)]
    assert {(event.kind, event.layer, event.filter) for event in found} == {("CLASSIFY_DROP", layer, layer)}


def test_a_blocked_connect_is_prohibited_and_others_are_not(world: World) -> None:
    world.listen()
    number = world.block("ALE_AUTH_CONNECT_V4", Condition(Field.IP_REMOTE_PORT, PORT))

    with pytest.raises(NetworkError, match="a filter forbids it"):
        world.near.tcp_connect(FAR, PORT, world.client)
    world.session.filter_delete_by_id(number)
    world.connect()

    assert world.client.events == ["connected"]


def test_a_connection_that_filters_forbid_later_ends_by_reauthorization(world: World) -> None:
    world.listen()
    world.connect()

    world.block("ALE_AUTH_CONNECT_V4", Condition(Field.IP_REMOTE_PORT, PORT))
    world.run()

    assert world.client.events == ["connected", "PROHIBITED"]
    assert world.near.tcp.connections == {}


def test_what_was_blocked_is_shown_to_the_discard_layer(world: World) -> None:
    seen = world.callout("OUTBOUND_IPPACKET_V4_DISCARD", action=INSPECTION)
    world.block("OUTBOUND_IPPACKET_V4")

    world.ping()

    assert [one.layer.name for one in seen.seen] == ["OUTBOUND_IPPACKET_V4_DISCARD"]


def test_a_flow_is_looked_at_once_a_generation_and_more_often_when_a_callout_is_asked(world: World) -> None:
    for port in range(100):
        world.block("OUTBOUND_TRANSPORT_V4", Condition(Field.IP_REMOTE_PORT, 1000 + port))
    asked: list[Any] = []
    ask = world.engine.ask

    def spied(layer: Layer, subject: Subject, **words: Any) -> Any:  # noqa: ANN401 - a spy passes all on
        asked.append(subject)
        return ask(layer, subject, **words)

    world.engine.ask = spied  # type: ignore[method-assign]  # a spy
    world.listen()

    connection = world.connect()
    connection.send(b"x" * 50_000)
    world.run()
    once = len(asked)
    world.block("OUTBOUND_TRANSPORT_V4", Condition(Field.IP_REMOTE_PORT, 9))
    connection.send(b"x" * 50_000)
    world.run()

    assert (once, len(asked), len(world.server.data)) == (1, 2, 100_000)


def test_datagram_data_pass_their_layer_both_ways(world: World) -> None:
    got: list[bytes] = []
    world.far.udp_bind(9, lambda datagram: got.append(bytes(datagram.data)))
    near = world.near.udp_bind(7000, lambda _datagram: None)
    seen = world.callout(
        "DATAGRAM_DATA_V4", lambda incoming, out: out.block() if incoming.subject.data == b"no" else None
    )

    near.send(b"yes", FAR, 9)
    near.send(b"no", FAR, 9)
    world.run()

    assert got == [b"yes"]
    assert [one.values[Field.DIRECTION] for one in seen.seen] == [0, 0]


def test_icmp_errors_pass_layers_of_their_own(world: World) -> None:
    errors: list[Any] = []
    near = world.near.udp_bind(7000, lambda _datagram: None)
    near.on_error = errors.append
    seen = world.callout("INBOUND_ICMP_ERROR_V4")
    near.send(b"x", FAR, 9)
    world.run()
    world.block(
        "INBOUND_ICMP_ERROR_V4", Condition(Field.EMBEDDED_REMOTE_PORT, 9), Condition(Field.ICMP_TYPE, 3)
    )

    near.send(b"x", FAR, 9)
    world.run()

    assert len(errors) == 1
    assert seen.seen[0].values[Field.EMBEDDED_LOCAL_PORT] == 7000


def test_our_own_icmp_errors_can_be_blocked(world: World) -> None:
    errors: list[Any] = []
    far = world.far.udp_bind(7000, lambda _datagram: None)
    far.on_error = errors.append
    world.block("OUTBOUND_ICMP_ERROR_V4")

    far.send(b"x", NEAR, 9)
    world.run()

    assert errors == []


def test_listen_bind_and_release_are_classified(world: World) -> None:
    released = world.callout("ALE_RESOURCE_RELEASE_V4", action=INSPECTION)
    bound = world.callout("ALE_RESOURCE_ASSIGNMENT_V4")
    world.near.udp_bind(53, lambda _datagram: None).close()
    world.block("ALE_AUTH_LISTEN_V4", Condition(Field.IP_LOCAL_PORT, PORT))

    with pytest.raises(NetworkError):
        world.near.tcp_listen(PORT, lambda _connection: End())

    assert [one.values[Field.IP_LOCAL_PORT] for one in released.seen] == [53]
    assert [one.values[Field.IP_LOCAL_PORT] for one in bound.seen] == [53]


def test_ipv6_has_layers_of_its_own() -> None:
    world = World(StackConfig())
    remote = next(one for one in world.far.interfaces[1].addresses if len(one) == 16)
    before = world.ping(remote)
    world.block("OUTBOUND_TRANSPORT_V6", Condition(Field.IP_PROTOCOL, 58), Condition(Field.ICMP_TYPE, 128))

    assert (before, world.ping(remote), world.ping()) == (True, False, True)


@pytest.mark.parametrize("is_permitted", [True, False])
def test_a_connect_waits_until_the_driver_has_decided(world: World, *, is_permitted: bool) -> None:
    pended: list[Pended] = []
    world.callout(
        "ALE_AUTH_CONNECT_V4",
        lambda one, _out: (
            pended.append(world.driver.pend_operation(one)) if not one.is_reauthorization else None
        ),
    )
    world.listen()

    world.connect()
    before = (list(world.client.events), len(world.accepted))
    world.driver.complete_operation(pended[0], is_permitted=is_permitted)
    world.run()

    assert before == ([], 0)
    assert world.client.events == (["connected"] if is_permitted else ["PROHIBITED"])
    assert len(pended) == 1


@pytest.mark.parametrize("is_permitted", [True, False])
def test_an_accept_waits_until_the_driver_has_decided(world: World, *, is_permitted: bool) -> None:
    pended: list[Pended] = []
    world.callout(
        "ALE_AUTH_RECV_ACCEPT_V4",
        lambda one, _out: (
            pended.append(world.driver.pend_operation(one)) if not one.is_reauthorization else None
        ),
    )
    world.listen(world.near)

    world.connect(world.far, NEAR)
    before = list(world.client.events)
    world.driver.complete_operation(pended[0], is_permitted=is_permitted)
    world.run(0.3)

    assert before == []
    assert world.client.events == (["connected"] if is_permitted else [])


def test_a_connection_that_its_owner_left_while_it_waited_is_not_opened(world: World) -> None:
    pended: list[Pended] = []
    world.callout("ALE_AUTH_CONNECT_V4", lambda one, _out: pended.append(world.driver.pend_operation(one)))
    world.listen()
    connection = world.connect()

    connection.abort()
    world.driver.complete_operation(pended[0], is_permitted=True)
    world.run()

    assert (world.accepted, world.near.tcp.connections) == ([], {})


def test_a_connect_is_redirected(world: World) -> None:
    world.callout(
        "ALE_CONNECT_REDIRECT_V4",
        lambda one, _out: world.driver.apply_modified_layer_data(one, FAR, PORT),
        INSPECTION,
    )
    world.listen()

    connection = world.connect(remote=parse("10.0.0.77"))

    assert world.client.events == ["connected"]
    assert connection.key.remote == FAR


def test_a_bind_is_redirected(world: World) -> None:
    world.callout(
        "ALE_BIND_REDIRECT_V4",
        lambda one, _out: world.driver.apply_modified_layer_data(one, NEAR, 5353),
        INSPECTION,
    )

    endpoint = world.near.udp_bind(53, lambda _datagram: None)

    assert (endpoint.local, endpoint.port) == (NEAR, 5353)


@pytest.mark.parametrize(
    ("layer", "inject"),
    [
        ("OUTBOUND_IPPACKET_V4", "inject_network_send_async"),
        ("INBOUND_IPPACKET_V4", "inject_network_receive_async"),
        ("OUTBOUND_TRANSPORT_V4", "inject_transport_send_async"),
        ("INBOUND_TRANSPORT_V4", "inject_transport_receive_async"),
        ("OUTBOUND_MAC_FRAME_ETHERNET", "inject_mac_send_async"),
        ("INBOUND_MAC_FRAME_ETHERNET", "inject_mac_receive_async"),
    ],
)
def test_a_packet_that_is_absorbed_and_injected_goes_on_and_is_not_asked_about_again(
    world: World, layer: str, inject: str
) -> None:
    def proxy(incoming: Incoming, out: ClassifyOut) -> None:
        getattr(world.driver, inject)(world.driver.clone(incoming))
        out.block(absorb=True)

    seen = world.callout(layer, proxy)
    world.listen()

    answered = world.ping()
    connection = world.connect()
    connection.send(b"x" * 20_000)
    world.run(2)

    assert (answered, len(world.server.data)) == (True, 20_000)
    assert len(seen.seen) > 3
    assert (world.engine.verifier.reports, list(world.bfe.events), world.driver.clones) == ([], [], set())


def test_another_drivers_callouts_are_asked_about_what_is_injected(world: World) -> None:
    other = CalloutDriver("other", world.engine)
    states: list[InjectionState] = []
    key = uuid.uuid4()
    other.callout_register(
        key, Does(lambda one, _out: states.append(other.query_packet_injection_state(one)))
    )
    layer = layers.layer("OUTBOUND_IPPACKET_V4")
    world.session.callout_add(CalloutEntry(key, "watch", layer))
    world.session.filter_add(Filter(layer, INSPECTION, callout=key, weight=99))

    def proxy(incoming: Incoming, out: ClassifyOut) -> None:
        world.driver.inject_network_send_async(world.driver.clone(incoming))
        out.block(absorb=True)

    world.callout("OUTBOUND_IPPACKET_V4", proxy)

    assert world.ping()
    assert states == [InjectionState.NOT_INJECTED, InjectionState.INJECTED_BY_OTHER]


def test_a_stream_is_edited_in_line_and_its_length_changes(world: World) -> None:
    def edit(incoming: Incoming, out: ClassifyOut) -> None:
        stream = incoming.stream
        assert stream is not None
        at = stream.data.find(b"cat")
        if at > 0:
            stream.enforced = at
            out.permit()
        elif at == 0:
            stream.enforced = 3
            world.driver.stream_inject_async(incoming.flow, b"elephant", is_inbound=stream.is_inbound)
            out.block()
        elif stream.data.endswith((b"c", b"ca")) and not stream.is_last:
            stream.needs_more = True
        else:
            out.permit()

    world.callout("STREAM_V4", edit)
    world.listen()
    connection = world.connect()
    for piece in (b"a cat, a c", b"a", b"t; cat", b" and c"):
        connection.send(piece)
        world.run(0.1)
    world.accepted[0].send(b"the cat")
    world.far.flush()
    world.run()
    connection.shutdown()
    world.run()

    assert world.server.data == b"a elephant, a elephant; elephant and c"
    assert world.client.data == b"the elephant"
    assert "remote closed" in world.server.events


def test_what_waits_for_more_passes_before_the_peers_end(world: World) -> None:
    def wait(incoming: Incoming, out: ClassifyOut) -> None:
        assert incoming.stream is not None
        incoming.stream.needs_more = True
        out.permit()

    world.callout("STREAM_V4", wait)
    world.listen()
    world.connect()
    world.accepted[0].send(b"kept")
    world.far.flush()
    world.run()
    before = world.client.data

    world.accepted[0].close()
    world.run()

    assert (before, world.client.data, world.client.events[-1]) == (b"", b"kept", "remote closed")


@pytest.mark.parametrize("is_inbound", [True, False])
def test_a_stream_is_edited_out_of_band(world: World, *, is_inbound: bool) -> None:
    absorbed: list[tuple[int, bytes]] = []

    def absorb(incoming: Incoming, out: ClassifyOut) -> None:
        stream = incoming.stream
        if stream is not None and stream.is_inbound is is_inbound and stream.data:
            absorbed.append((incoming.flow, stream.data))
            out.block(absorb=True)

    world.callout("STREAM_V4", absorb)
    world.listen()
    connection = world.connect()
    (world.accepted[0] if is_inbound else connection).send(b"small")
    world.run()
    end = world.client if is_inbound else world.server
    before = end.data

    flow, data = absorbed[0]
    world.driver.stream_inject_async(flow, data.upper() + b"!", is_inbound=is_inbound)
    world.run()

    assert (before, end.data) == (b"", b"SMALL!")


def test_a_filter_without_a_callout_at_the_stream_layer_resets(world: World) -> None:
    world.listen()
    world.block("STREAM_V4")
    connection = world.connect()

    with pytest.raises(NetworkError):
        connection.send(b"x")


def test_a_flows_context_is_the_callouts_until_the_connection_is_gone(world: World) -> None:
    contexts: list[object] = []

    def look(incoming: Incoming, _out: ClassifyOut) -> None:
        if incoming.flow_context is None:
            world.driver.flow_associate_context(incoming.flow, found.number, "mine")
        contexts.append(incoming.flow_context)

    found = world.callout("STREAM_V4", look, INSPECTION)
    world.listen()
    connection = world.connect()
    connection.send(b"one")
    connection.send(b"two")
    world.run()

    connection.abort()

    assert contexts == [None, "mine"]
    assert found.deleted == ["mine"]


def breaks(world: World, rule: Rule) -> None:
    """Break a rule of the contract."""
    kept: list[Any] = []

    def act(incoming: Incoming, out: ClassifyOut) -> None:
        kept.append(out)
        if rule in {Rule.DOUBLE_INJECT, Rule.KEPT_CLONE}:
            kept[:] = [world.driver.clone(incoming)]
        elif rule is Rule.SLOW_RETURN:
            clock = world.near.context.timers.clock
            world.near.context.timers.clock = lambda: (clock() if clock else 0) + 200_000_000

    world.callout(
        "OUTBOUND_IPPACKET_V4", act, ActionType.CALLOUT_TERMINATING if rule is Rule.WRONG_ACTION else UNKNOWN
    )
    world.ping()
    if rule is Rule.LATE_RETURN:
        kept[0].block()
    elif rule is Rule.KEPT_CLONE:
        world.driver.unload()
    elif rule is Rule.DOUBLE_INJECT:
        clone: Clone = kept[0]
        world.driver.inject_network_send_async(clone)
        with pytest.raises(FwpError):
            world.driver.inject_network_send_async(clone)


@pytest.mark.parametrize(
    "rule", [Rule.LATE_RETURN, Rule.SLOW_RETURN, Rule.DOUBLE_INJECT, Rule.KEPT_CLONE, Rule.WRONG_ACTION]
)
def test_a_callout_that_breaks_the_contract_is_reported_by_a_rule_of_its_own(
    world: World, rule: Rule
) -> None:
    breaks(world, rule)

    assert {one.rule for one in world.engine.verifier.reports} == {rule}


def test_an_operation_that_is_completed_twice_or_never_is_reported(world: World) -> None:
    pended: list[Pended] = []
    world.callout("ALE_AUTH_CONNECT_V4", lambda one, _out: pended.append(world.driver.pend_operation(one)))
    world.listen()
    for _ in range(2):
        world.connect()
    world.driver.complete_operation(pended[0], is_permitted=False)
    world.driver.complete_operation(pended[0], is_permitted=True)

    world.driver.unload()
    world.run()

    assert [one.rule for one in world.engine.verifier.reports] == [Rule.DOUBLE_COMPLETE, Rule.KEPT_OPERATION]
    assert world.client.events == ["PROHIBITED", "PROHIBITED"]


def test_a_permit_over_a_hard_block_is_reported(world: World) -> None:
    world.block("OUTBOUND_IPPACKET_V4")
    key, sublayer = uuid.uuid4(), uuid.uuid4()

    layer = layers.layer("OUTBOUND_IPPACKET_V4")
    world.driver.callout_register(key, Does(lambda _one, out: out.permit()))
    world.session.sublayer_add(SubLayer(sublayer, "low", 1))
    world.session.callout_add(CalloutEntry(key, "permits", layer))
    world.session.filter_add(Filter(layer, UNKNOWN, callout=key, sublayer=sublayer))

    answered = world.ping()

    assert not answered
    assert {one.rule for one in world.engine.verifier.reports} == {Rule.NO_RIGHT}


def test_every_point_of_the_stack_has_layers(world: World) -> None:
    del world

    assert {layer.point for layer in layers.ALL} == set(Point)


def test_what_answers_an_injected_packet_is_asked_about(world: World) -> None:
    answers: list[int] = []

    def proxy(incoming: Incoming, out: ClassifyOut) -> None:
        world.driver.inject_network_receive_async(world.driver.clone(incoming))
        out.block(absorb=True)

    world.callout("INBOUND_IPPACKET_V4", proxy)
    world.callout("OUTBOUND_TRANSPORT_V4", lambda one, _out: answers.append(one.subject.protocol))
    results: list[Any] = []
    world.far.ping(NEAR, results.append, timeout=200_000_000)

    world.run()

    assert results[0].source == NEAR
    assert answers == [1]


def test_a_transport_injection_is_asked_about_at_the_network_layer(world: World) -> None:
    def proxy(incoming: Incoming, out: ClassifyOut) -> None:
        world.driver.inject_transport_send_async(world.driver.clone(incoming))
        out.block(absorb=True)

    world.callout("OUTBOUND_TRANSPORT_V4", proxy)
    seen = world.callout("OUTBOUND_IPPACKET_V4")

    assert world.ping()
    assert len(seen.seen) == 1


def test_what_waits_for_more_passes_when_the_callout_goes(world: World) -> None:
    def wait(incoming: Incoming, out: ClassifyOut) -> None:
        assert incoming.stream is not None
        incoming.stream.needs_more = True
        out.permit()

    world.callout("STREAM_V4", wait)
    world.listen()
    connection = world.connect()
    connection.send(b"half")
    world.accepted[0].send(b"other half")
    world.run()
    before = (world.server.data, world.client.data)

    for one in world.session.enumerate(Filter):
        world.session.delete_by_key(Filter, one.key)
    world.run()
    connection.send(b" and more")
    world.run()

    assert before == (b"", b"")
    assert (world.server.data, world.client.data) == (b"half and more", b"other half")
    assert world.near.context.classification is None


def test_contexts_are_deleted_when_the_last_filter_goes(world: World) -> None:
    def look(incoming: Incoming, _out: ClassifyOut) -> None:
        if incoming.flow_context is None:
            world.driver.flow_associate_context(incoming.flow, found.number, "mine")

    found = world.callout("STREAM_V4", look, INSPECTION)
    world.listen()
    world.connect().send(b"x")
    for one in world.session.enumerate(Filter):
        world.session.delete_by_key(Filter, one.key)

    world.run()

    assert found.deleted == ["mine"]


@pytest.mark.parametrize(("address", "port"), [(bytes(16), 80), (b"", 80), (FAR, 65536), (FAR, -1)])
def test_a_redirection_to_what_is_no_end_is_refused(world: World, address: bytes, port: int) -> None:
    def redirect(incoming: Incoming, _out: ClassifyOut) -> None:
        with pytest.raises(FwpError):
            world.driver.apply_modified_layer_data(incoming, address, port)

    world.callout("ALE_CONNECT_REDIRECT_V4", redirect, INSPECTION)
    world.listen()

    world.connect()

    assert world.client.events == ["connected"]


def test_the_driver_is_unloaded_and_nobody_is_asked_any_more(world: World) -> None:
    loader = world.hosts.hosts[0].loader
    world.block("OUTBOUND_IPPACKET_V4")
    before = world.ping()

    loader.unload(next(name for name, one in world.system.drivers.items() if one.name == "BFE"))

    assert (before, world.ping()) == (False, True)
    assert not world.system.has(Bfe)


def test_what_is_pended_when_the_engine_is_unloaded_is_refused(world: World) -> None:
    world.callout("ALE_AUTH_CONNECT_V4", lambda one, _out: pended.append(world.driver.pend_operation(one)))
    pended: list[Pended] = []
    world.connect()

    world.engine.stop()
    world.run()

    assert world.client.events == ["PROHIBITED"]
    assert world.near.context.classification is None
