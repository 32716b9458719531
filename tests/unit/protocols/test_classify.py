"""The classify points of TCP/IP, with a toy classifier that blocks or permits at each of them."""

# ruff: noqa: D102, D103 - the names are sentences; doubles need no words

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lab.host.virtual import VirtualHosts
from protocols.apis.winsock import WinsockError
from protocols.apis.winsock.constants import Af, Sock
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip import StackConfig
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.classify import Action, Point, Subject
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.tcp.classified import ClassifiedConnection
from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler

if TYPE_CHECKING:
    from collections.abc import Callable

NEAR, FAR, PORT = parse("10.0.0.1"), parse("10.0.0.2"), 80
ALL = frozenset(Point) - {Point.INBOUND_MAC_FRAME, Point.OUTBOUND_MAC_FRAME}
"""Without MAC frames: ARP is left alone."""


class Toy:
    """Blocks what ``block`` says, keeps what it was asked."""

    def __init__(
        self,
        *points: Point,
        block: Callable[[Subject], bool] = lambda _subject: True,
        permit: Action = Action.PERMIT,
    ) -> None:
        self.points = frozenset(points)
        self.block = block
        self.permit = permit
        self.asked: list[Subject] = []

    def classify(self, subject: Subject) -> Action:
        self.asked.append(subject)
        return Action.BLOCK if self.block(subject) else self.permit


class End(ConnectionHandler):
    """One end of a connection: what became of it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = b""

    def connected(self, connection: Connection) -> None:
        del connection
        self.events.append("connected")

    def readable(self, connection: Connection) -> None:
        self.data += connection.receive()

    def closed(self, connection: Connection, failure: Failure | None) -> None:
        del connection
        self.events.append(failure.name if failure is not None else "closed")


class World:
    """Two stacks; the classifier is the first's or the second's."""

    def __init__(self, config: StackConfig | None = None) -> None:
        self.hosts = VirtualHosts(config=config or StackConfig(ipv6=False))
        self.near, self.far = (host.stack for host in self.hosts.hosts)
        self.server, self.client = End(), End()
        self.accepted: list[Connection] = []

    def listen(self) -> None:
        def accept(connection: Connection) -> End:
            self.accepted.append(connection)
            return self.server

        self.far.tcp_listen(PORT, accept)

    def connect(self) -> Connection:
        made = self.near.tcp_connect(FAR, PORT, self.client)
        self.run()
        return made

    def run(self, seconds: float = 0.5) -> None:
        self.near.flush()
        self.hosts.run(seconds)

    def ping(self) -> bool:
        results: list[Any] = []
        self.near.ping(FAR, results.append, timeout=100_000_000)
        self.run()
        return bool(results and results[0].source)


@pytest.fixture
def world() -> World:
    return World()


def test_nobody_listens_and_nothing_is_made_for_it(world: World) -> None:
    world.listen()

    connection = world.connect()

    assert type(connection) is Connection
    assert world.near.context.classification is None
    assert world.client.events == ["connected"]


@pytest.mark.parametrize("point", [Point.INBOUND_IPPACKET, Point.INBOUND_TRANSPORT])
def test_what_comes_in_is_blocked_and_counted(world: World, point: Point) -> None:
    toy = Toy(point)
    world.far.set_classifier(toy)

    answered = world.ping()

    subject = toy.asked[0]
    assert not answered
    assert (subject.local, subject.remote, subject.protocol, subject.is_inbound) == (FAR, NEAR, 1, True)
    assert world.far.counters[f"classify.blocked_{point.name.lower()}"] == len(toy.asked)


@pytest.mark.parametrize("point", [Point.OUTBOUND_IPPACKET, Point.OUTBOUND_TRANSPORT])
def test_what_goes_out_is_blocked_and_counted(world: World, point: Point) -> None:
    toy = Toy(point)
    world.near.set_classifier(toy)

    answered = world.ping()

    subject = toy.asked[0]
    assert not answered
    assert (subject.local, subject.remote, subject.protocol, subject.is_inbound) == (NEAR, FAR, 1, False)
    assert world.near.counters[f"classify.blocked_{point.name.lower()}"] == len(toy.asked)


@pytest.mark.parametrize("point", [Point.INBOUND_TRANSPORT, Point.OUTBOUND_TRANSPORT])
def test_a_transport_point_knows_the_ports_or_icmps_type_and_code(world: World, point: Point) -> None:
    toy = Toy(point, block=lambda _subject: False)
    world.far.set_classifier(toy)
    world.listen()

    world.ping()
    connection = world.connect()

    icmp = next(one for one in toy.asked if one.protocol == 1)
    tcp = next(one for one in toy.asked if one.protocol == 6)
    assert (icmp.remote_port if icmp.is_inbound else icmp.local_port) in {8, 0}
    assert (tcp.local_port, tcp.remote_port) == (PORT, connection.key.local_port)


def test_ipv6_packets_pass_the_same_points() -> None:
    world = World(StackConfig())
    toy = Toy(Point.INBOUND_IPPACKET, block=lambda subject: subject.protocol == 58)
    link_local = next(one for one in world.far.interfaces[1].addresses if len(one) == 16)
    world.far.set_classifier(toy)
    results: list[Any] = []

    world.near.ping(link_local, results.append, timeout=100_000_000)
    world.run()

    assert any(one.local is not None and len(one.local) == 16 for one in toy.asked)
    assert not any(one.source for one in results)


def test_a_pair_that_may_pass_is_asked_about_once_in_each_generation(world: World) -> None:
    toy = Toy(Point.INBOUND_IPPACKET, block=lambda _subject: False, permit=Action.PERMIT_PAIR)
    world.far.set_classifier(toy)
    first = [world.ping() for _ in range(3)]
    asked = len(toy.asked)

    toy.block = lambda _subject: True
    kept = world.ping()
    world.far.policy_changed()
    blocked = world.ping()

    assert (first, asked, kept, blocked) == ([True] * 3, 1, True, False)


def test_a_permit_without_the_pair_is_asked_about_each_packet(world: World) -> None:
    toy = Toy(Point.INBOUND_IPPACKET, block=lambda _subject: False)
    world.far.set_classifier(toy)

    answered = [world.ping() for _ in range(3)]

    assert (answered, len(toy.asked)) == ([True] * 3, 3)


def test_a_classifier_that_comes_late_sees_pairs_that_were_judged_before(world: World) -> None:
    before = world.ping()
    world.far.set_classifier(Toy(Point.INBOUND_IPPACKET))

    assert (before, world.ping()) == (True, False)


def test_without_a_classifier_again_all_passes(world: World) -> None:
    world.far.set_classifier(Toy(*ALL))
    blocked = world.ping()

    world.far.set_classifier(None)

    assert (blocked, world.ping()) == (False, True)


@pytest.mark.parametrize(
    ("point", "call"),
    [
        (Point.ALE_BIND, lambda stack: stack.tcp_listen(PORT, lambda _connection: None)),
        (Point.ALE_BIND, lambda stack: stack.udp_bind(53, lambda _datagram: None)),
        (Point.ALE_BIND, lambda stack: stack.tcp_connect(FAR, PORT, ConnectionHandler())),
        (Point.ALE_LISTEN, lambda stack: stack.tcp_listen(PORT, lambda _connection: None)),
        (Point.ALE_CONNECT, lambda stack: stack.tcp_connect(FAR, PORT, ConnectionHandler())),
        (Point.ALE_CONNECT, lambda stack: stack.udp_bind(0, lambda _datagram: None).send(b"x", FAR, 9)),
    ],
)
def test_a_call_that_is_blocked_is_prohibited_and_leaves_nothing(
    world: World, point: Point, call: Callable[[Any], object]
) -> None:
    toy = Toy(point)
    world.near.set_classifier(toy)

    with pytest.raises(NetworkError) as error:
        call(world.near)

    assert error.value.failure is Failure.PROHIBITED
    assert [one.point for one in toy.asked] == [point]
    assert (world.near.tcp.connections, world.near.tcp.listeners) == ({}, {})
    world.near.set_classifier(None)
    world.near.tcp_listen(PORT, lambda _connection: End())
    world.near.udp_bind(53, lambda _datagram: None)


def test_a_program_hears_access_denied(world: World) -> None:
    world.near.set_classifier(Toy(Point.ALE_CONNECT))
    process = world.hosts.hosts[0].process()
    process.startup()
    number = process.socket(Af.INET, Sock.STREAM)

    with pytest.raises(WinsockError, match="WSAEACCES"):
        process.connect(number, internet(FAR, PORT))


def test_a_syn_that_is_not_accepted_is_dropped_in_silence(world: World) -> None:
    toy = Toy(Point.ALE_ACCEPT)
    world.listen()
    world.far.set_classifier(toy)

    world.connect()

    assert (world.client.events, world.accepted) == ([], [])
    assert world.far.counters["classify.blocked_ale_accept"] == len(toy.asked) >= 1
    assert world.far.counters.get("tcp.out_resets", 0) == 0


@pytest.mark.parametrize("blocker", ["near", "far"])
def test_a_flow_that_may_not_be_is_reset_before_its_owner_has_it(world: World, blocker: str) -> None:
    toy = Toy(Point.FLOW_ESTABLISHED)
    world.listen()
    getattr(world, blocker).set_classifier(toy)

    world.connect()

    assert [one.is_inbound for one in toy.asked] == [blocker == "far"]
    assert world.client.events == (["ABORTED"] if blocker == "near" else ["connected", "RESET"])
    assert "connected" not in world.server.events or blocker == "near"
    assert world.far.tcp.connections == {}


def test_stream_data_are_seen_once_and_in_order_both_ways(world: World) -> None:
    toy = Toy(Point.STREAM, block=lambda _subject: False)
    world.near.set_classifier(toy)
    world.listen()
    connection = world.connect()

    connection.send(b"question" * 1000)
    world.run()
    world.accepted[0].send(b"answer" * 1000)
    world.far.flush()
    world.run()

    sent = b"".join(bytes(one.data) for one in toy.asked if not one.is_inbound)
    received = b"".join(bytes(one.data) for one in toy.asked if one.is_inbound)
    assert isinstance(connection, ClassifiedConnection)
    assert (sent, received) == (b"question" * 1000, b"answer" * 1000)
    assert (world.server.data, world.client.data) == (sent, received)


@pytest.mark.parametrize("is_inbound", [False, True])
def test_stream_data_that_are_blocked_end_the_connection(world: World, *, is_inbound: bool) -> None:
    toy = Toy(Point.STREAM, block=lambda subject: b"secret" in bytes(subject.data))
    world.near.set_classifier(toy)
    world.listen()
    connection = world.connect()

    if is_inbound:
        world.accepted[0].send(b"a secret")
        world.far.flush()
    else:
        with pytest.raises(NetworkError, match="a filter forbids it"):
            connection.send(b"a secret")
    world.run()

    assert (world.server.data, world.client.data) == (b"", b"")
    assert world.server.events[-1] == "RESET"
    assert world.client.events[-1] == "ABORTED"


def test_a_full_buffer_is_not_shown_what_it_does_not_take(world: World) -> None:
    toy = Toy(Point.STREAM, block=lambda _subject: False)
    world.near.set_classifier(toy)
    connection = world.near.tcp_connect(FAR, PORT, world.client)
    connection.send_limit = 10

    taken = [connection.send(b"0123456789abcdef"), connection.send(b"abcdef")]

    assert taken == [10, 0]
    assert [bytes(one.data) for one in toy.asked] == [b"0123456789"]


def test_a_udp_peer_is_asked_about_once_and_again_under_a_new_policy(world: World) -> None:
    got: list[bytes] = []
    far = world.far.udp_bind(9, lambda datagram: got.append(bytes(datagram.data)))
    near = world.near.udp_bind(7000, lambda datagram: got.append(bytes(datagram.data)))
    toy = Toy(Point.ALE_CONNECT, Point.ALE_ACCEPT, block=lambda _subject: False)
    world.near.set_classifier(toy)

    for _ in range(3):
        near.send(b"to", FAR, 9)
        world.run(0.1)
    far.send(b"back", NEAR, 7000)
    world.far.flush()
    world.run(0.1)
    before = [one.point for one in toy.asked]
    toy.block = lambda _subject: True
    world.near.policy_changed()
    far.send(b"blocked", NEAR, 7000)
    world.far.flush()
    world.run(0.1)

    assert before == [Point.ALE_CONNECT]
    assert got == [b"to"] * 3 + [b"back"]
    with pytest.raises(NetworkError):
        near.send(b"blocked", FAR, 9)


def test_an_unasked_datagram_is_an_accept_and_no_icmp_tells_of_its_refusal(world: World) -> None:
    got: list[bytes] = []
    world.far.udp_bind(9, lambda datagram: got.append(bytes(datagram.data)))
    toy = Toy(Point.ALE_ACCEPT)
    world.far.set_classifier(toy)

    world.near.udp_bind(7000, lambda _datagram: None).send(b"x", FAR, 9)
    world.run()

    assert got == []
    assert (toy.asked[0].local_port, toy.asked[0].remote_port, toy.asked[0].protocol) == (9, 7000, 17)
    assert world.far.counters.get("icmp.out_errors", 0) == 0


def test_a_point_that_is_not_named_is_not_asked(world: World) -> None:
    toy = Toy()
    for stack in (world.near, world.far):
        stack.set_classifier(toy)
    world.listen()

    world.connect()
    world.ping()

    assert toy.asked == []
    assert world.client.events == ["connected"]
