"""Listening and stream WSK sockets: WskAccept, WskAcceptEvent, conditional accept; and who may bind where."""

# ruff: noqa: D102, D103, ANN401 - the names are sentences; callbacks have WSK's arguments

from __future__ import annotations

from typing import Any

import pytest

from ntos.io.status import NtStatus
from ntos.object.acl import Acl, allow
from ntos.object.descriptor import SecurityDescriptor
from ntos.object.sid import Sid
from ntos.object.token import user_token
from protocols.apis.winsock.constants import Af, IpOption, Proto, So, Sock, Sol
from protocols.apis.wsk.constants import Category, ClientControl, ControlType, Event, SioWsk, SoWsk
from protocols.apis.wsk.listen_dispatch import ListenDispatch, StreamDispatch
from protocols.apis.wsk.listening import BACKLOG
from protocols.apis.wsk.npi import ConnectionDispatch, EventCallbackControl, Inspect, InspectId, WskBuf
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.interfaces.tlnpi.npi import Sharing
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.tcp.connection import FourTuple
from protocols.transports.tcpip.tdi_edge.sharing import SHARE_ADDRESS, TABLE, Result
from tests.support.wsk_world import ANY, FAR, WskWorld

SET, _GET, IOCTL = ControlType
LOCAL = internet(bytes(4), FAR.port)
EVENTS = (SET, SoWsk.EVENT_CALLBACK, Sol.SOCKET)


@pytest.fixture
def world() -> Any:
    made = WskWorld()
    yield made
    made.finish()


class Listener:
    """A listening socket's callbacks, which write down what they hear."""

    def __init__(self, *, takes: bool = True, verdict: Inspect = Inspect.ACCEPT) -> None:
        self.takes = takes
        self.verdict = verdict
        self.sockets: list[Any] = []
        self.ends: list[tuple[InternetAddress, InternetAddress]] = []
        self.inspected: list[InspectId | None] = []
        self.aborted: list[InspectId] = []
        self.data: list[int] = []
        self.lost = 0
        self.dispatch = ListenDispatch(self.accept, self.inspect, self.abort)
        self.accepted = ConnectionDispatch(receive_event=self.receive)

    def accept(
        self,
        _context: Any,
        _flags: Any,
        local: InternetAddress,
        remote: InternetAddress,
        socket: Any,
        out: Any,
    ) -> NtStatus:
        if socket is None:
            self.lost += 1
            return NtStatus.REQUEST_NOT_ACCEPTED
        self.ends.append((local, remote))
        if not self.takes:
            return NtStatus.REQUEST_NOT_ACCEPTED
        self.sockets.append(socket)
        out.context, out.dispatch = self, self.accepted
        return NtStatus.SUCCESS

    def inspect(
        self, _context: Any, _local: InternetAddress, _remote: InternetAddress, request: InspectId | None
    ) -> Inspect:
        self.inspected.append(request)
        return self.verdict

    def abort(self, _context: Any, request: InspectId) -> NtStatus:
        self.aborted.append(request)
        return NtStatus.SUCCESS

    def receive(self, _context: Any, _flags: Any, _indication: Any, size: int, _out: Any) -> NtStatus:
        self.data.append(size)
        return NtStatus.SUCCESS


def enable(socket: Any, events: Event) -> NtStatus:
    said: NtStatus = socket.control_socket(*EVENTS, EventCallbackControl(events))
    return said


def connect(world: WskWorld) -> Any:
    app = world.near
    return app.start(app.dispatch.socket_connect, Sock.STREAM, Proto.TCP, ANY, FAR)


def conditional(world: WskWorld, listener: Listener) -> Any:
    socket = world.far.socket(Category.LISTEN, dispatch=listener.dispatch)
    world.far.get(socket.control_socket, SET, SoWsk.CONDITIONAL_ACCEPT, Sol.SOCKET, 1)
    world.far.get(socket.bind, LOCAL)
    return socket


def test_accepts_and_connections_meet_whichever_comes_first(world: WskWorld) -> None:
    socket = world.far.bound(Category.LISTEN, LOCAL)

    early = world.far.start(socket.accept, context="early")
    connects = [connect(world) for _ in range(2)]
    world.run()
    pending = early.status
    late = world.far.run(socket.accept, context="late")

    assert (pending, late.status) == (NtStatus.SUCCESS, NtStatus.SUCCESS)
    assert [irp.result.context for irp in (early, late)] == ["early", "late"]
    ends = [world.far.get(irp.result.get_remote_address) for irp in (early, late)]
    assert ends == [world.near.get(irp.result.get_local_address) for irp in connects]


def test_a_cancelled_accept_leaves_the_connection_to_the_next(world: WskWorld) -> None:
    socket = world.far.bound(Category.LISTEN, LOCAL)
    first = world.far.start(socket.accept)

    world.net.hosts[1].io.cancel(first)
    connect(world)
    world.run()

    assert first.status is NtStatus.CANCELLED
    assert world.far.run(socket.accept).status is NtStatus.SUCCESS


def test_an_unbound_socket_accepts_nothing(world: WskWorld) -> None:
    listener = Listener()
    socket = world.far.socket(Category.LISTEN, dispatch=listener.dispatch)

    assert world.far.run(socket.accept).status is NtStatus.INVALID_DEVICE_STATE
    assert enable(socket, Event.ACCEPT) is NtStatus.INVALID_DEVICE_STATE
    assert world.far.run(socket.get_local_address).status is NtStatus.INVALID_DEVICE_STATE


def test_the_event_offers_what_waits_and_what_comes_unless_an_accept_is_pending(world: WskWorld) -> None:
    listener = Listener()
    socket = world.far.bound(Category.LISTEN, LOCAL, dispatch=listener.dispatch)
    waiting = connect(world)
    world.run()

    before = len(listener.sockets)
    enable(socket, Event.ACCEPT)
    after = len(listener.sockets)
    pending = world.far.start(socket.accept)
    connect(world)
    world.run()
    connect(world)
    world.run()

    assert (before, after, pending.status) == (0, 1, NtStatus.SUCCESS)
    assert len(listener.sockets) == 2
    assert listener.ends[0] == (FAR, world.near.get(waiting.result.get_local_address))
    assert listener.sockets[0].context is listener


def test_a_connection_that_the_event_does_not_take_is_reset(world: WskWorld) -> None:
    listener = Listener(takes=False)
    socket = world.far.bound(Category.LISTEN, LOCAL, dispatch=listener.dispatch)
    enable(socket, Event.ACCEPT)

    made = connect(world)
    world.run()

    assert len(listener.ends) == 1
    assert world.near.run(made.result.receive, WskBuf((bytearray(1),))).status is NtStatus.CONNECTION_RESET
    assert world.far.client.sockets == {socket}


def test_a_socket_may_be_closed_by_the_callback_that_accepts_it(world: WskWorld) -> None:
    """WskDeregister does not wait for it; its peer is reset."""
    listener = Listener()
    closed: list[Any] = []

    def accept(*arguments: Any) -> NtStatus:
        closed.append(world.far.start(arguments[4].close_socket))
        return NtStatus.SUCCESS

    dispatch = ListenDispatch(accept_event=accept)
    socket = world.far.bound(Category.LISTEN, LOCAL, dispatch=dispatch)
    enable(socket, Event.ACCEPT | Event.RECEIVE)
    made = connect(world)
    world.run()

    assert (closed[0].status, listener.sockets) == (NtStatus.SUCCESS, [])
    assert world.near.run(made.result.receive, WskBuf((bytearray(1),))).status is NtStatus.CONNECTION_RESET
    assert world.far.client.sockets == {socket}
    assert not world.net.hosts[1].stack.tcp.connections


def test_accepted_sockets_have_the_connection_events_of_their_listener(world: WskWorld) -> None:
    """Those that its event accepts; by WskAccept they have none. On the listener they cannot be disabled."""
    listener = Listener()
    socket = world.far.bound(Category.LISTEN, LOCAL, dispatch=listener.dispatch)
    enable(socket, Event.ACCEPT | Event.RECEIVE)
    by_irp = world.far.start(socket.accept, dispatch=listener.accepted)

    for data in (b"by WskAccept", b"by event"):
        made = connect(world)
        world.run()
        world.near.run(made.result.send, WskBuf((data,)))
        world.run()

    assert by_irp.result is not None
    assert listener.data == [len(b"by event")]
    assert enable(socket, Event.RECEIVE | Event.DISABLE) is NtStatus.INVALID_PARAMETER


def test_static_events_are_enabled_on_every_socket_and_cannot_be_disabled(world: WskWorld) -> None:
    listener = Listener()
    control = EventCallbackControl(Event.ACCEPT | Event.RECEIVE)
    world.far.dispatch.control_client(ClientControl.SET_STATIC_EVENT_CALLBACKS, control)
    socket = world.far.bound(Category.LISTEN, LOCAL, dispatch=listener.dispatch)

    made = connect(world)
    world.run()
    world.near.run(made.result.send, WskBuf((b"data",)))
    world.run()

    assert listener.data == [4]
    assert enable(socket, Event.ACCEPT | Event.DISABLE) is NtStatus.INVALID_PARAMETER


def test_data_that_came_before_the_accept_is_indicated_with_it_where_events_are_static(
    world: WskWorld,
) -> None:
    listener = Listener()
    control = EventCallbackControl(Event.RECEIVE)
    world.far.dispatch.control_client(ClientControl.SET_STATIC_EVENT_CALLBACKS, control)
    socket = world.far.bound(Category.LISTEN, LOCAL)
    made = connect(world)
    world.run()
    world.near.run(made.result.send, WskBuf((b"early",)))
    world.run()

    world.far.get(socket.accept, dispatch=listener.accepted)

    assert listener.data == [5]


def test_a_full_backlog_hears_no_more(world: WskWorld) -> None:
    socket = world.far.bound(Category.LISTEN, LOCAL)

    connects = []
    for count in (1, BACKLOG - 1, 1):  # the first has the address resolved
        connects += [connect(world) for _ in range(count)]
        world.run(seconds=0.5)
    before = sum(irp.completed for irp in connects)
    world.far.run(socket.accept)
    world.run()

    assert before == BACKLOG
    assert all(irp.status is NtStatus.SUCCESS for irp in connects)


def test_a_closed_listener_resets_who_waits_and_leaves_who_was_accepted(world: WskWorld) -> None:
    socket = world.far.bound(Category.LISTEN, LOCAL)
    accepted = world.far.start(socket.accept)
    first, second = connect(world), connect(world)
    world.run()

    world.far.close(socket)
    world.near.run(first.result.send, WskBuf((b"still there",)))
    refused = world.near.run(world.near.dispatch.socket_connect, Sock.STREAM, Proto.TCP, ANY, FAR)

    assert world.far.receive(accepted.result) == b"still there"
    assert world.near.run(second.result.receive, WskBuf((bytearray(1),))).status is NtStatus.CONNECTION_RESET
    assert refused.status is NtStatus.CONNECTION_REFUSED


@pytest.mark.parametrize(
    ("verdict", "status"), [(Inspect.ACCEPT, NtStatus.SUCCESS), (Inspect.REJECT, NtStatus.CONNECTION_REFUSED)]
)
def test_a_request_is_judged_before_it_is_answered(
    world: WskWorld, verdict: Inspect, status: NtStatus
) -> None:
    listener = Listener(verdict=verdict)
    socket = conditional(world, listener)
    world.net.network.log = []

    made = connect(world)
    world.run()

    answers = [
        data[47]
        for _, _, data in world.net.network.log
        if data[23:24] == b"\x06" and data[26:30] == FAR.address
    ]
    assert made.status is status
    assert answers[0] & 0x12 == (0x12 if verdict is Inspect.ACCEPT else 0x10)
    assert bool(answers[0] & 0x04) is (verdict is Inspect.REJECT)
    assert len(listener.inspected) == 1
    if verdict is Inspect.ACCEPT:
        accepted = world.far.get(socket.accept)
        assert world.far.get(accepted.control_socket, IOCTL, SioWsk.QUERY_INSPECT_ID) == listener.inspected[0]


@pytest.mark.parametrize(
    ("action", "status"), [(Inspect.ACCEPT, NtStatus.SUCCESS), (Inspect.REJECT, NtStatus.CONNECTION_REFUSED)]
)
def test_a_pending_inspection_keeps_the_request_until_it_is_complete(
    world: WskWorld, action: Inspect, status: NtStatus
) -> None:
    listener = Listener(verdict=Inspect.PEND)
    socket = conditional(world, listener)
    made = connect(world)
    world.run(seconds=2.5)  # it is sent again meanwhile, and asked about once
    pending, asked = made.status, list(listener.inspected)

    done = world.far.run(socket.inspect_complete, asked[0], action)
    world.run()
    again = world.far.run(socket.inspect_complete, asked[0], action)

    assert (pending, len(asked)) == (NtStatus.PENDING, 1)
    assert (done.status, made.status) == (NtStatus.SUCCESS, status)
    assert again.status is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("verdict", [Inspect.PEND, Inspect.ACCEPT])
def test_a_request_that_is_dropped_is_told_of(world: WskWorld, verdict: Inspect) -> None:
    """Its sender resets it, before or after the answer; a completion that comes later makes no connection."""
    listener = Listener(verdict=verdict)
    socket = conditional(world, listener)
    made = connect(world)
    hosts, network = world.net.hosts, world.net.network
    world.run(lambda: bool(listener.inspected))

    (tcp,) = hosts[0].stack.tcp.connections.values()
    hosts[0].io.cancel(made)
    hosts[0].stack.tcp.bare(tcp.key, tcp.iss + 7, 0, 0x04)  # of somebody who guesses: it is nobody's
    world.run(seconds=0.001)
    guessed = list(listener.aborted)
    hosts[0].stack.tcp.bare(tcp.key, tcp.iss + 1, 0, 0x04)
    network.run(lambda: bool(listener.aborted), 3_000_000_000)
    late = world.far.run(socket.inspect_complete, listener.inspected[0], Inspect.ACCEPT)

    assert (guessed == []) is (verdict is Inspect.PEND)  # an answer is reset by its receiver at once
    assert listener.aborted == listener.inspected
    assert late.status is NtStatus.INVALID_PARAMETER
    assert not hosts[1].stack.tcp.connections


def test_a_request_that_nobody_decides_is_given_up_when_it_is_sent_no_more(world: WskWorld) -> None:
    """Its sender tries for a while, and then falls silent without a word."""
    listener = Listener(verdict=Inspect.PEND)
    socket = conditional(world, listener)
    made = connect(world)
    world.run(lambda: made.completed, seconds=300)

    early = list(listener.aborted)
    world.run(seconds=80)
    late = world.far.run(socket.inspect_complete, listener.inspected[0], Inspect.ACCEPT)

    assert made.status is NtStatus.IO_TIMEOUT
    assert (early, listener.aborted) == ([], listener.inspected)
    assert late.status is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("verdict", [Inspect.PEND, Inspect.ACCEPT])
def test_a_flood_of_requests_is_bounded_by_the_half_open_limit(world: WskWorld, verdict: Inspect) -> None:
    """A listener that inspects sends no cookies: beyond the limit it hears, and asks, nothing."""
    listener = Listener(verdict=verdict)
    conditional(world, listener)
    hosts, limit = world.net.hosts, world.net.hosts[1].stack.config.half_open_limit
    connect(world)
    world.run()

    for number in range(3 * limit):
        key = FourTuple(parse(f"10.0.0.{100 + number % 100}"), 1000 + number, FAR.address, FAR.port)
        hosts[0].stack.tcp.bare(key, number, 0, 0x02)
    world.run(seconds=0.1)

    assert limit - 1 <= len(listener.inspected) <= limit + 1


def test_conditional_accept_needs_its_callback_and_comes_before_the_bind(world: WskWorld) -> None:
    option = (SET, SoWsk.CONDITIONAL_ACCEPT, Sol.SOCKET, 1)
    without = world.far.socket(Category.LISTEN)
    world.far.get(without.control_socket, *option)
    bound = world.far.bound(Category.LISTEN)

    assert world.far.run(without.bind, LOCAL).status is NtStatus.INVALID_PARAMETER
    assert world.far.run(bound.control_socket, *option).status is NtStatus.INVALID_DEVICE_STATE


def test_a_listener_whose_transport_goes_is_told(world: WskWorld) -> None:
    listener = Listener()
    socket = conditional(world, listener)
    enable(socket, Event.ACCEPT)
    accept = world.far.start(socket.accept)

    world.net.hosts[1].wsk.stop()

    assert (accept.status, listener.lost) == (NtStatus.FILE_FORCED_CLOSED, 1)
    assert listener.inspected == [None]
    assert world.far.run(socket.accept).status is NtStatus.FILE_FORCED_CLOSED


def test_a_stream_socket_becomes_what_it_is_used_for(world: WskWorld) -> None:
    listener = Listener()
    both = StreamDispatch(listener.dispatch, listener.accepted)
    one = world.far.bound(Category.STREAM, LOCAL, dispatch=both)
    other = world.near.bound(Category.STREAM, dispatch=both)

    early = enable(one, Event.ACCEPT)
    world.far.get(one.listen)
    enabled = enable(one, Event.ACCEPT)
    connected = world.near.run(other.connect, FAR).status
    world.run()
    enable(other, Event.RECEIVE)
    world.far.run(listener.sockets[0].send, WskBuf((b"hello",)))
    world.run()
    wrong = [
        world.far.run(one.connect, FAR).status,
        world.far.run(one.listen).status,
        world.near.run(other.listen).status,
        world.near.run(other.accept).status,
    ]

    assert (early, enabled, connected) == (NtStatus.INVALID_DEVICE_STATE, NtStatus.SUCCESS, NtStatus.SUCCESS)
    assert listener.data == [5]
    assert wrong == [NtStatus.INVALID_DEVICE_STATE] * 4


def test_an_ipv6_listener_serves_ipv4_when_it_is_told_to(world: WskWorld) -> None:
    """IPV6_V6ONLY off before the bind, as echosrv has it; peers look like ::ffff:a.b.c.d."""
    socket = world.far.socket(Category.LISTEN, family=Af.INET6)
    world.far.get(socket.control_socket, SET, IpOption.V6ONLY, Sol.IPV6, 0)
    world.far.get(socket.bind, internet(bytes(16), FAR.port))

    connect(world)
    accepted = world.far.get(socket.accept)

    remote = world.far.get(accepted.get_remote_address).address
    assert remote == bytes(10) + b"\xff\xff" + parse("10.0.0.1")


@pytest.mark.parametrize(
    ("category", "local"),
    [(Category.LISTEN, internet(bytes(16), 1)), (Category.DATAGRAM, internet(parse("10.9.9.9"), 1))],
)
def test_an_address_of_another_family_or_host_is_refused(
    world: WskWorld, category: Category, local: InternetAddress
) -> None:
    socket = world.far.socket(category)

    status = world.far.run(socket.bind, local).status

    assert status in (NtStatus.INVALID_PARAMETER, NtStatus.INVALID_ADDRESS_COMPONENT)
    world.far.get(socket.bind, LOCAL)
    assert world.far.run(socket.bind, LOCAL).status is NtStatus.INVALID_DEVICE_STATE


@pytest.mark.parametrize(
    ("category", "kind"),
    [(Category.LISTEN, Sock.DGRAM), (Category.DATAGRAM, Sock.STREAM), (Category.STREAM, Sock.RAW)],
)
def test_a_category_goes_with_its_socket_type(world: WskWorld, category: Category, kind: Sock) -> None:
    irp = world.far.run(world.far.dispatch.socket, Af.INET, kind, Proto.TCP, category)

    assert irp.status is NtStatus.INVALID_PARAMETER


STATUSES = {
    Result.SUCCESS: NtStatus.SUCCESS,
    Result.INUSE: NtStatus.ADDRESS_ALREADY_EXISTS,
    Result.DENIED: NtStatus.ACCESS_DENIED,
    Result.CHECK: NtStatus.ACCESS_DENIED,
}
BINDS = [(sharing, wild) for sharing in Sharing for wild in (True, False)]


FRIEND, STRANGER = (Sid(5, (21, 1, 2, 3, rid)) for rid in (1001, 1002))


def bind_as(world: WskWorld, category: Category, how: tuple[Sharing, bool], **named: Any) -> NtStatus:
    socket = world.far.socket(category, **named)
    options = {Sharing.REUSE: So.REUSEADDR, Sharing.EXCLUSIVE: So.EXCLUSIVEADDRUSE}
    if how[0] in options:
        world.far.get(socket.control_socket, SET, options[how[0]], Sol.SOCKET, 1)
    status: NtStatus = world.far.run(socket.bind, LOCAL if how[1] else FAR).status
    return status


@pytest.mark.parametrize("category", [Category.CONNECTION, Category.DATAGRAM])
@pytest.mark.parametrize("first", BINDS)
@pytest.mark.parametrize("second", BINDS)
def test_who_may_bind_beside_whom_is_as_documented(
    world: WskWorld, category: Category, first: tuple[Sharing, bool], second: tuple[Sharing, bool]
) -> None:
    """All 36 cells of "Sharing Transport Addresses"; CHECK is refused by the default descriptor."""
    alone = bind_as(world, category, first)

    beside = bind_as(world, category, second)

    assert alone is NtStatus.SUCCESS
    assert beside is STATUSES[TABLE[second][BINDS.index(first)]]


@pytest.mark.parametrize(
    ("owner", "status"), [(FRIEND, NtStatus.SUCCESS), (STRANGER, NtStatus.ACCESS_DENIED)]
)
def test_a_security_descriptor_says_who_may_share(world: WskWorld, owner: Sid, status: NtStatus) -> None:
    app, descriptor = world.far, SecurityDescriptor(dacl=Acl((allow(FRIEND, SHARE_ADDRESS),)))
    uncached = app.run(
        app.dispatch.socket, Af.INET, Sock.DGRAM, Proto.UDP, Category.DATAGRAM, security=descriptor
    )
    cached = app.get(app.dispatch.control_client, ClientControl.CACHE_SD, descriptor)

    bind_as(world, Category.DATAGRAM, (Sharing.DEFAULT, True), security=cached)
    beside = bind_as(world, Category.DATAGRAM, (Sharing.DEFAULT, False), owner=user_token(owner))
    released = app.run(app.dispatch.control_client, ClientControl.RELEASE_SD, cached).status

    assert uncached.status is NtStatus.INVALID_PARAMETER
    assert (beside, released) == (status, NtStatus.SUCCESS)


def test_sockets_of_programs_and_of_the_kernel_share_the_ports(world: WskWorld) -> None:
    """A port that Winsock has is in use for WSK, and the other way round."""
    process = world.net.hosts[1].process()
    process.startup()
    theirs = process.socket(Af.INET, Sock.STREAM)
    process.bind(theirs, internet(bytes(4), 4001))

    ours = world.far.run(world.far.socket(Category.LISTEN).bind, internet(bytes(4), 4001)).status
    world.far.bound(Category.LISTEN, LOCAL)
    number = process.socket(Af.INET, Sock.STREAM)

    assert ours is NtStatus.ADDRESS_ALREADY_EXISTS
    with pytest.raises(OSError, match="WSAEADDRINUSE"):
        process.bind(number, LOCAL)
