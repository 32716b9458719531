"""NBF under TDI, over NDIS: opens that take their time, messages, calls, cards that go."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ndis.miniport import MiniportCharacteristics
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.executive.contract import MILLISECOND, SECOND
from ntos.executive.virtual import VirtualExecutive
from ntos.io.status import NtError, NtStatus
from ntos.io.system import IoSystem
from ntos.io.verifier import IrpVerifier
from protocols.interfaces.tdi.address import IpAddress, NetbiosName, NetbiosNameType
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.events import Taken
from protocols.interfaces.tdi.registration import TdiRegistry
from protocols.interfaces.tdi.requests import (
    Action,
    Datagram,
    Event,
    Flags,
    Query,
    Tdi,
    Transfer,
    TransportAddress,
)
from protocols.transports.nbf.edge import NbfEdge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntos.io.device import FileObject
    from ntos.io.irp import Irp

A, B = NetbiosName.of("alice"), NetbiosName.of("bob", 0x20)
TEAM = NetbiosName.of("team", 0x1E, NetbiosNameType.GROUP)


class Host:
    """A card, NBF over it, and a TDI client."""

    def __init__(self, ndis: Ndis, executive: VirtualExecutive, cable: Cable, number: int) -> None:
        self.verifier = IrpVerifier()
        self.io = IoSystem(self.verifier)
        self.io.wait = partial(executive.wait, what="a create")
        self.registry = TdiRegistry()
        self.edge = NbfEdge(ndis, self.io, self.registry)
        miniport = ndis.register_miniport(MiniportCharacteristics.of(LoopbackAdapter))
        card = {"Cable": cable, "NetworkAddress": bytes((2, 0, 0, 0, 0, number))}
        self.adapter = ndis.add_adapter(miniport, f"card{number}", None, card)
        self.protocol = ndis.register_protocol(f"nbf{number}", self.edge)
        self.open_ = ndis.bind(self.protocol, self.adapter)
        self.device = f"\\Device\\Nbf_card{number}"
        self.client = TdiClient(self.io)

    def address(self, name: NetbiosName) -> FileObject:
        """Open a name."""
        return self.client.open_address(self.device, TransportAddress(name))

    def connection(self, address: FileObject, context: object = None) -> FileObject:
        """Open a connection object."""
        found = self.client.open_connection(self.device, context)
        self.client.associate(found, address)
        return found


class World:
    """Two hosts on a cable."""

    def __init__(self) -> None:
        self.executive = VirtualExecutive()
        self.verifier = Verifier()
        self.ndis = Ndis(self.executive, self.verifier)
        cable = Cable()
        self.hosts = [Host(self.ndis, self.executive, cable, number) for number in (1, 2)]

    def run(self, time_ns: int = SECOND) -> None:
        """Let time pass."""
        self.executive.advance(time_ns)

    def connected(self) -> tuple[FileObject, FileObject]:
        """Return the two connection objects of a session that a listen request has taken."""
        near, far = self.hosts
        theirs = far.connection(far.address(B), "far")
        listening = far.client.request(theirs, Tdi.LISTEN, Transfer())
        ours = near.connection(near.address(A), "near")
        calling = near.client.connect(ours, B)
        self.run()
        assert (calling.status, listening.status) == (NtStatus.SUCCESS, NtStatus.SUCCESS)
        assert listening.result == A
        return ours, theirs


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert [str(one) for one in made.verifier.reports] == []
    assert [str(one) for host in made.hosts for one in host.verifier.reports] == []


def test_an_open_ends_when_the_name_is_ours(world: World) -> None:
    host = world.hosts[0]
    began = world.executive.now_ns()

    host.address(A)

    assert world.executive.now_ns() - began == 1500 * MILLISECOND
    assert host.registry.devices == [host.device]


def test_a_name_of_another_station_is_refused(world: World) -> None:
    near, far = world.hosts
    near.address(A)

    with pytest.raises(NtError) as error:
        far.address(A)

    assert error.value.status is NtStatus.ADDRESS_ALREADY_EXISTS


def test_a_name_is_open_as_often_as_one_likes_and_ours_until_the_last_close(world: World) -> None:
    near, far = world.hosts
    files = [near.address(A), near.address(A)]
    near.io.close(files[0])

    with pytest.raises(NtError):
        far.address(A)
    near.io.close(files[1])

    assert far.address(A).is_open


def test_what_is_no_netbios_name_is_refused(world: World) -> None:
    host = world.hosts[0]

    with pytest.raises(NtError) as error:
        host.client.open_address(host.device, TransportAddress(IpAddress(bytes(4))))

    assert error.value.status is NtStatus.INVALID_ADDRESS_COMPONENT


def test_messages_keep_their_bounds_and_a_short_receive_has_the_rest_later(world: World) -> None:
    ours, theirs = world.connected()
    near, far = world.hosts

    sends = [near.client.send(ours, [data]) for data in (b"first message", b"", bytes(5000))]
    world.run()
    assert [one.status for one in sends] == [NtStatus.PENDING] * 3
    came: list[tuple[NtStatus, bytes]] = []
    for size in (5, 100, 10, 4000, 4000):
        buffer = bytearray(size)
        irp = far.client.receive(theirs, [buffer])
        world.run()
        came.append((irp.status, bytes(buffer[: irp.information])))

    assert came == [
        (NtStatus.BUFFER_OVERFLOW, b"first"),
        (NtStatus.SUCCESS, b" message"),
        (NtStatus.SUCCESS, b""),
        (NtStatus.BUFFER_OVERFLOW, bytes(4000)),
        (NtStatus.SUCCESS, bytes(1000)),
    ]
    assert [(one.status, one.information) for one in sends] == [
        (NtStatus.SUCCESS, 13),
        (NtStatus.SUCCESS, 0),
        (NtStatus.SUCCESS, 5000),
    ]


def test_an_event_handler_takes_a_call_and_its_messages(world: World) -> None:
    near, far = world.hosts
    bob = far.address(B)
    theirs = far.connection(bob, "context")
    came: list[tuple[object, Flags, bytes]] = []

    def receive(context: object, flags: Flags, available: int, lookahead: Any) -> Taken:  # noqa: ANN401 - Memory
        came.append((context, flags, bytes(lookahead)))
        return Taken(NtStatus.SUCCESS, available)

    def connect(_context: object, _remote: object, _local: object) -> tuple[NtStatus, FileObject]:
        return NtStatus.SUCCESS, theirs

    ended: list[Flags] = []
    far.client.set_event_handler(bob, Event.CONNECT, connect)
    far.client.set_event_handler(bob, Event.RECEIVE, receive)
    far.client.set_event_handler(bob, Event.DISCONNECT, lambda _context, flags: ended.append(flags))
    ours = near.connection(near.address(A))
    calling = near.client.connect(ours, B)
    world.run()
    near.client.send(ours, [b"hello ", b"bob"])
    leaving = near.client.disconnect(ours, Flags.RELEASE)
    world.run()

    assert (calling.status, leaving.status) == (NtStatus.SUCCESS, NtStatus.SUCCESS)
    assert came == [("context", Flags.ENTIRE_MESSAGE, b"hello bob")]
    assert ended == [Flags.RELEASE]


@pytest.mark.parametrize(
    ("has_name", "status"),
    [(False, NtStatus.BAD_NETWORK_PATH), (True, NtStatus.CONNECTION_REFUSED)],
)
def test_a_call_that_nobody_takes_fails(world: World, has_name: bool, status: NtStatus) -> None:  # noqa: FBT001 - a table
    near, far = world.hosts
    if has_name:
        far.address(B)
    ours = near.connection(near.address(A))

    calling = near.client.connect(ours, B)
    world.run(5 * SECOND)

    assert calling.status is status


def test_a_call_after_a_quiet_time_has_all_of_its_time(world: World) -> None:
    near = world.hosts[0]
    ours = near.connection(near.address(A))
    world.run(1000 * SECOND)

    calling = near.client.connect(ours, B)
    world.run(1400 * MILLISECOND)
    early = calling.status
    world.run(200 * MILLISECOND)

    assert (early, calling.status) == (NtStatus.PENDING, NtStatus.BAD_NETWORK_PATH)


def test_datagrams_go_to_names_and_groups(world: World) -> None:
    near, far = world.hosts
    alice, team = near.address(A), far.address(TEAM)
    came: list[tuple[object, bytes]] = []
    far.client.set_event_handler(
        team, Event.RECEIVE_DATAGRAM, lambda _c, source, data, _details: came.append((source, data))
    )

    good = near.client.send_datagram(alice, [b"to all"], TEAM)
    long = near.client.send_datagram(alice, [bytes(513)], TEAM)
    world.run()

    assert (good.status, long.status) == (NtStatus.SUCCESS, NtStatus.INVALID_PARAMETER)
    assert came == [(A, b"to all")]


def test_cancelled_requests_end_what_they_were_for(world: World) -> None:
    ours, theirs = world.connected()
    near, far = world.hosts
    receive = far.client.receive(theirs, [bytearray(10)])
    far.io.cancel(receive)
    send = near.client.send(ours, [b"never asked for"])
    waiting = far.client.disconnect(theirs, Flags.WAIT)
    world.run()

    near.io.cancel(send)
    world.run()

    assert (receive.status, send.status) == (NtStatus.CANCELLED, NtStatus.CANCELLED)
    assert waiting.status is NtStatus.SUCCESS
    assert near.client.send(ours, [b"x"]).status is NtStatus.LOCAL_DISCONNECT


def test_the_end_of_a_file_ends_its_session(world: World) -> None:
    ours, theirs = world.connected()
    near, far = world.hosts
    receive = far.client.receive(theirs, [bytearray(10)])

    near.io.close(ours)
    world.run()

    assert receive.status is NtStatus.CONNECTION_RESET
    assert far.edge.cards["card2"].station.sessions == {}


def test_questions_about_names_and_stations(world: World) -> None:
    near, far = world.hosts
    far.address(B)
    channel = near.io.open(near.device)

    def ask(name: str, /, **arguments: object) -> Irp:
        irp = near.client.request(channel, Tdi.ACTION, Action(name, arguments))
        world.run(5 * SECOND)
        return irp

    found, status = ask("find_name", name=B), ask("adapter_status", name=B)
    nobody, wrong = ask("find_name", name=A), ask("find_name")

    assert [one.station[-1] for one in found.result] == [2]
    assert status.result[0][:6] == bytes((2, 0, 0, 0, 0, 2))
    assert (nobody.status, wrong.status) == (NtStatus.IO_TIMEOUT, NtStatus.INVALID_PARAMETER)
    assert near.client.query(channel, Query.PROVIDER_INFO)["messages"] is True
    assert len(ask("local_status").result) == 60


def test_a_card_that_goes_ends_all_and_its_device_goes(world: World) -> None:
    ours, theirs = world.connected()
    near, far = world.hosts
    alice = far.address(NetbiosName.of("other"))
    requests = [
        far.client.receive(theirs, [bytearray(10)]),
        far.client.send(theirs, [b"x"]),
        far.client.request(far.connection(alice), Tdi.LISTEN, Transfer()),
        far.client.request(alice, Tdi.RECEIVE_DATAGRAM, None, [bytearray(10)]),
    ]

    world.ndis.unbind(far.open_)
    world.run(60 * SECOND)
    late = far.client.request(alice, Tdi.SEND_DATAGRAM, Datagram(B), [b"x"])

    assert [one.status for one in requests] == [
        *(NtStatus.NETWORK_UNREACHABLE, NtStatus.NETWORK_UNREACHABLE),
        *(NtStatus.CANCELLED, NtStatus.CANCELLED),
    ]
    assert (late.status, far.registry.devices) == (NtStatus.NETWORK_UNREACHABLE, [])
    assert near.client.send(ours, [b"x"]).status is NtStatus.CONNECTION_ABORTED
    for file in (theirs, alice):
        far.io.close(file)
