"""Datagram and basic WSK sockets, and the echo server of the samples on a virtual host."""

# ruff: noqa: D102, D103, ANN401 - the names are sentences; callbacks have WSK's arguments

from __future__ import annotations

from typing import Any

import pytest

from ntos.errors import BugCheckError
from ntos.io.status import NtStatus
from protocols.apis.winsock.constants import Io, IpOption, Proto, So, Sock, Sol
from protocols.apis.wsk.blocking import Blocking
from protocols.apis.wsk.connection import ConnectionSocket
from protocols.apis.wsk.constants import (
    Category,
    ClientControl,
    ControlType,
    Event,
    MessageFlag,
    SioWsk,
    SoWsk,
)
from protocols.apis.wsk.datagram import DatagramSocket
from protocols.apis.wsk.listening import ListenSocket
from protocols.apis.wsk.npi import DatagramDispatch, DatagramIndication, EventCallbackControl, WskBuf
from protocols.apis.wsk.samples.echosrv import PORT, EchoServer
from protocols.apis.wsk.socket import Socket
from protocols.apis.wsk.stream import StreamSocket
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.transports.tcpip.addresses import parse
from tests.support.wsk_world import ANY, FAR, WskWorld

SET, _GET, IOCTL = ControlType
LOCAL = internet(bytes(4), FAR.port)
EVENTS = (SET, SoWsk.EVENT_CALLBACK, Sol.SOCKET)
ON, OFF = EventCallbackControl(Event.RECEIVE_FROM), EventCallbackControl(Event.RECEIVE_FROM | Event.DISABLE)


@pytest.fixture
def world() -> Any:
    made = WskWorld()
    yield made
    made.finish()


class Heard:
    """WskReceiveFromEvent, which writes down what it hears."""

    def __init__(self, answer: NtStatus = NtStatus.SUCCESS) -> None:
        self.answer = answer
        self.data: list[bytes] = []
        self.kept: list[DatagramIndication] = []
        self.lost = 0
        self.dispatch = DatagramDispatch(self.receive_from)

    def receive_from(self, _context: Any, _flags: Any, indication: DatagramIndication | None) -> NtStatus:
        if indication is None:
            self.lost += 1
            return NtStatus.SUCCESS
        self.data.append(indication.buffer.data())
        self.kept.append(indication)
        return self.answer


def send(world: WskWorld, socket: Any, data: bytes, to: InternetAddress | None = FAR) -> NtStatus:
    irp = world.near.run(socket.send_to, WskBuf((data,)), to)
    world.run(seconds=0.01)
    return irp.status


def ends(world: WskWorld, heard: Heard | None = None) -> tuple[Any, Any]:
    far = world.far.bound(Category.DATAGRAM, LOCAL, dispatch=heard.dispatch if heard else None)
    return world.near.bound(Category.DATAGRAM), far


FUNCTIONS = {
    Socket: "control_socket close_socket",
    ListenSocket: "control_socket close_socket bind accept inspect_complete get_local_address",
    DatagramSocket: "control_socket close_socket bind send_to receive_from release get_local_address",
    ConnectionSocket: "control_socket close_socket bind connect get_local_address get_remote_address send "
    "receive disconnect release",
    StreamSocket: "control_socket close_socket bind accept connect listen send receive disconnect release "
    "get_local_address get_remote_address inspect_complete",
}
ALL = {name for names in FUNCTIONS.values() for name in names.split()}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_each_category_has_the_functions_of_its_dispatch_table(kind: type[Socket]) -> None:
    """WSK_PROVIDER_*_DISPATCH of wsk.h; a stream socket can end inspections, which Windows' cannot."""
    assert {name for name in ALL if hasattr(kind, name)} == set(FUNCTIONS[kind].split())


def test_a_datagram_waits_for_a_receive_or_a_receive_for_it(world: WskWorld) -> None:
    near, far = ends(world)
    first, second = bytearray(10), bytearray(10)

    early = world.far.start(far.receive_from, WskBuf((first,)))
    for data in (b"one", b"two"):
        send(world, near, data)
    late = world.far.run(far.receive_from, WskBuf((second,)))

    assert (early.information, bytes(first[:3])) == (3, b"one")
    assert (late.information, bytes(second[:3])) == (3, b"two")
    assert early.result.remote == internet(parse("10.0.0.1"), world.near.get(near.get_local_address).port)
    assert early.result.control_info == {"destination": FAR.address, "interface": 1}


def test_a_datagram_that_is_longer_is_cut_and_said_to_be(world: WskWorld) -> None:
    near, far = ends(world)
    buffer = bytearray(4)
    send(world, near, b"longer")

    irp = world.far.run(far.receive_from, WskBuf((buffer,)))

    assert (irp.status, irp.information, bytes(buffer)) == (NtStatus.BUFFER_OVERFLOW, 4, b"long")
    assert irp.result.flags == MessageFlag.TRUNC


def test_broadcasts_and_multicasts_are_marked(world: WskWorld) -> None:
    near, far = ends(world)
    group, everybody = parse("239.1.2.3"), parse("10.0.0.255")
    irps = [world.far.start(far.receive_from, WskBuf((bytearray(9),))) for _ in range(2)]

    refused = send(world, near, b"x", internet(everybody, FAR.port))
    world.near.get(near.control_socket, SET, So.BROADCAST, Sol.SOCKET, 1)
    world.far.get(far.control_socket, SET, IpOption.ADD_MEMBERSHIP, Sol.IP, (group, 1))
    for address in (everybody, group):
        send(world, near, b"x", internet(address, FAR.port))

    assert refused is NtStatus.ACCESS_DENIED
    assert [irp.result.flags for irp in irps] == [MessageFlag.BCAST, MessageFlag.MCAST]


def test_a_queue_is_as_long_as_so_rcvbuf_says(world: WskWorld) -> None:
    near, far = ends(world)
    world.far.get(far.control_socket, SET, So.RCVBUF, Sol.SOCKET, 2500)

    for _ in range(4):
        send(world, near, bytes(1000))
    got = [world.far.start(far.receive_from, WskBuf((bytearray(1000),))) for _ in range(3)]

    assert [irp.completed for irp in got] == [True, True, False]
    assert far.dropped == 2


def test_a_cancelled_receive_leaves_the_datagram_to_the_next(world: WskWorld) -> None:
    near, far = ends(world)
    irp = world.far.start(far.receive_from, WskBuf((bytearray(9),)))

    world.net.hosts[1].io.cancel(irp)
    send(world, near, b"x")

    assert irp.status is NtStatus.CANCELLED
    assert world.far.run(far.receive_from, WskBuf((bytearray(9),))).information == 1


def test_events_bring_what_was_buffered_and_what_comes(world: WskWorld) -> None:
    heard = Heard()
    near, far = ends(world, heard)
    unbound = world.far.socket(Category.DATAGRAM).control_socket(*EVENTS, ON)
    send(world, near, b"before")

    enabled = far.control_socket(*EVENTS, ON)
    send(world, near, b"after")
    far.control_socket(*EVENTS, OFF)
    send(world, near, b"later")

    assert (unbound, enabled) == (NtStatus.INVALID_DEVICE_STATE, NtStatus.SUCCESS)
    assert heard.data == [b"before", b"after"]


def test_what_is_not_accepted_is_buffered_until_the_event_is_enabled_again(world: WskWorld) -> None:
    heard = Heard(NtStatus.DATA_NOT_ACCEPTED)
    near, far = ends(world, heard)
    far.control_socket(*EVENTS, ON)
    for data in (b"one", b"two"):
        send(world, near, data)
    told = list(heard.data)

    heard.answer = NtStatus.SUCCESS
    far.control_socket(*EVENTS, ON)

    assert told == [b"one"]
    assert heard.data == [b"one", b"one", b"two"]


def test_a_static_event_that_does_not_accept_loses_the_datagram_and_goes_on(world: WskWorld) -> None:
    heard = Heard(NtStatus.DATA_NOT_ACCEPTED)
    world.far.dispatch.control_client(ClientControl.SET_STATIC_EVENT_CALLBACKS, ON)
    near, far = ends(world, heard)

    for data in (b"one", b"two"):
        send(world, near, data)
    waiting = world.far.start(far.receive_from, WskBuf((bytearray(9),)))

    assert heard.data == [b"one", b"two"]
    assert not waiting.completed


def test_a_retained_datagram_is_released_once(world: WskWorld) -> None:
    heard = Heard(NtStatus.PENDING)
    near, far = ends(world, heard)
    far.control_socket(*EVENTS, ON)
    send(world, near, b"keep me")

    released = [far.release(heard.kept[0]) for _ in range(2)]

    assert heard.kept[0].buffer.data() == b"keep me"
    assert released == [NtStatus.SUCCESS, NtStatus.INVALID_PARAMETER]


def test_a_fixed_peer_hears_and_is_heard_alone(world: WskWorld) -> None:
    near, far = ends(world)
    other = world.near.bound(Category.DATAGRAM)
    local = world.near.get(near.get_local_address)
    peer = internet(parse("10.0.0.1"), local.port)

    nobody = send(world, near, b"to nobody", None)
    world.far.get(far.control_socket, IOCTL, SioWsk.SET_REMOTE_ADDRESS, 0, peer)
    world.near.get(near.control_socket, IOCTL, SioWsk.SET_SENDTO_ADDRESS, 0, FAR)
    send(world, other, b"stranger")
    send(world, near, b"friend", None)
    buffer = bytearray(9)
    world.far.run(far.receive_from, WskBuf((buffer,)))

    assert nobody is NtStatus.INVALID_DEVICE_STATE
    assert buffer[:6] == b"friend"


@pytest.mark.parametrize(
    ("to", "size", "status"),
    [
        (internet(parse("192.0.2.1"), 9), 1, NtStatus.NETWORK_UNREACHABLE),
        (FAR, 65508, NtStatus.BUFFER_OVERFLOW),
    ],
)
def test_what_cannot_be_sent_says_why(
    world: WskWorld, to: InternetAddress, size: int, status: NtStatus
) -> None:
    near, _far = ends(world)

    assert send(world, near, bytes(size), to) is status


def test_a_datagram_socket_whose_transport_goes_is_told(world: WskWorld) -> None:
    heard = Heard()
    _near, far = ends(world, heard)
    far.control_socket(*EVENTS, ON)
    waiting = world.far.start(far.receive_from, WskBuf((bytearray(1),)))

    world.net.hosts[1].wsk.stop()

    assert (waiting.status, heard.lost) == (NtStatus.FILE_FORCED_CLOSED, 1)


def test_a_basic_socket_asks_and_does_no_more(world: WskWorld) -> None:
    socket = world.near.socket(Category.BASIC)

    addresses = world.near.get(socket.control_socket, IOCTL, Io.ADDRESS_LIST_QUERY)

    assert [one.address for one in addresses] == [parse("10.0.0.1")]
    assert socket.control_socket(*EVENTS, ON) is NtStatus.INVALID_PARAMETER


class Sample:
    """The echo server on one host, and a client that waits on the other."""

    def __init__(self, world: WskWorld) -> None:
        self.world = world
        self.host = world.net.hosts[1]
        self.registration = self.host.wsk_register()
        self.server = EchoServer(self.registration, world.net.executive.queue_work_item)
        self.client = Blocking(world.near.client, world.net.executive)
        world.run(seconds=0.1)

    def echo(self, port: int, data: bytes) -> bytes:
        """Send, disconnect, and receive to the end."""
        call = self.client.call
        far = internet(FAR.address, port)
        socket = call(self.world.near.dispatch.socket_connect, Sock.STREAM, Proto.TCP, ANY, far)
        self.world.near.start(socket.send, WskBuf((data,)))
        self.world.near.start(socket.disconnect, None)
        back, buffer = b"", bytearray(65536)
        while size := call(socket.receive, WskBuf((buffer,))):
            back += buffer[:size]
        call(socket.close_socket)
        return back

    def unload(self) -> None:
        """Unload it, and let the work items end that its last completions have queued."""
        self.server.stop()
        self.registration.deregister()
        self.world.run(seconds=0)


@pytest.mark.parametrize("port", [PORT, PORT + 1])
def test_the_echo_server_sends_everything_back_and_disconnects_after_its_peer(
    world: WskWorld, port: int
) -> None:
    """By receives, and by events."""
    sample = Sample(world)
    data = bytes(range(256)) * 800

    back = sample.echo(port, data)
    sample.unload()

    assert back == data
    assert (sample.server.failures, sample.server.bytes_echoed) == ([], len(data))
    assert not sample.server.connections


def test_the_echo_server_is_unloaded_with_connections_open(world: WskWorld) -> None:
    """They are closed, which resets them; WskDeregister waits for that."""
    sample = Sample(world)
    call = sample.client.call
    sockets = [
        call(world.near.dispatch.socket_connect, Sock.STREAM, Proto.TCP, ANY, internet(FAR.address, port))
        for port in (PORT, PORT + 1)
    ]
    datagrams = world.near.bound(Category.DATAGRAM)
    send(world, datagrams, b"echo", internet(FAR.address, PORT))
    buffer = bytearray(9)
    world.near.run(datagrams.receive_from, WskBuf((buffer,)))

    sample.unload()
    statuses = {world.near.run(one.receive, WskBuf((bytearray(1),))).status for one in sockets}

    assert buffer[:4] == b"echo"
    assert statuses == {NtStatus.CONNECTION_RESET}
    assert not sample.server.connections


def test_a_call_that_waits_too_long_is_cancelled(world: WskWorld) -> None:
    _near, far = ends(world)
    patient = Blocking(world.far.client, world.net.executive, 1_000_000)

    irp = patient.irp(far.receive_from, WskBuf((bytearray(1),)))

    assert irp.status is NtStatus.CANCELLED


def test_a_closed_socket_is_the_applications_no_more(world: WskWorld) -> None:
    _near, far = ends(world)
    world.far.close(far)

    with pytest.raises(BugCheckError, match="WskReceiveFrom of a closed socket"):
        far.receive_from(WskBuf((bytearray(1),)), world.far.client.allocate_irp())
