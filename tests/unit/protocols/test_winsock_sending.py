"""WSASendMsg, WSADuplicateSocket, WSAJoinLeaf, and QoS as marks on the wire."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Af, Io, IpOption, Leaf, So, Sock, Sol
from protocols.apis.winsock.control import ControlMessage, PacketInfo
from protocols.apis.winsock.qos import FlowSpec, Qos, Service
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.transports.tcpip.addresses import parse
from tests.support.addresses import inet
from tests.support.nt_world import World, received

if TYPE_CHECKING:
    from collections.abc import Iterator

FAR = internet(parse("10.0.0.2"), 4000)
GROUP = internet(parse("239.1.2.3"), 4000)
ANY = bytes(4)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.reports() == []


def receiver(world: World) -> int:
    number = world.server.socket(Af.INET, Sock.DGRAM)
    world.server.bind(number, internet(ANY, 4000))
    return number


def from_where(address: bytes, interface: int = 0) -> ControlMessage:
    return ControlMessage(Sol.IP, IpOption.PKTINFO, PacketInfo(address, interface).emit())


def sent_tos(world: World) -> set[int]:
    """Return the TOS octets of what the client's host has sent."""
    assert world.net.network.log is not None
    mine = [raw for _, name, raw in world.net.network.log if name == "wire1" and raw[12:14] == b"\x08\x00"]
    return {raw[15] for raw in mine}


# WSASendMsg


def test_send_msg_chooses_the_address_that_a_datagram_comes_from(world: World) -> None:
    stack = world.net.hosts[0].stack
    stack.add_address(stack.interfaces[1], parse("10.0.0.77"), 24)
    far, near = receiver(world), world.client.socket(Af.INET, Sock.DGRAM)
    send_msg = world.client.ioctlsocket(near, Io.GET_EXTENSION_FUNCTION_POINTER, "WSAID_WSASENDMSG")

    handle = world.client.handle(near)
    index = stack.interfaces[1].index
    sizes = [
        send_msg(handle, [b"ab", b"c"], FAR),
        send_msg(handle, [b"d"], FAR, [from_where(parse("10.0.0.77"), index)]),
        send_msg(handle, [b"e"], FAR, [from_where(ANY, index)]),
    ]
    got = [world.server.recvfrom(far, bytearray(9)) for _ in sizes]

    assert sizes == [3, 1, 1]
    assert [inet(source).address for _, source in got] == [
        parse("10.0.0.1"),
        parse("10.0.0.77"),
        parse("10.0.0.1"),
    ]


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([from_where(parse("10.9.9.9"))], Wsae.WSAEADDRNOTAVAIL),
        ([from_where(ANY, 99)], Wsae.WSAEADDRNOTAVAIL),
        ([ControlMessage(Sol.IP, IpOption.TTL, bytes(4))], Wsae.WSAEINVAL),
        ([ControlMessage(Sol.IP, IpOption.PKTINFO, bytes(5))], Wsae.WSAEINVAL),
    ],
)
def test_send_msg_refuses_what_is_not_ours(world: World, messages: list[ControlMessage], code: Wsae) -> None:
    handle = world.client.handle(world.client.socket(Af.INET, Sock.DGRAM))

    with pytest.raises(WinsockError) as error:
        world.client.extensions.send_msg(handle, [b"x"], FAR, messages)

    assert error.value.code is code


def test_send_msg_without_a_peer_or_on_a_stream_is_refused(world: World) -> None:
    datagram = world.client.handle(world.client.socket(Af.INET, Sock.DGRAM))
    stream = world.client.handle(world.client.socket(Af.INET, Sock.STREAM))

    with pytest.raises(WinsockError, match="WSAENOTCONN"):
        world.client.extensions.send_msg(datagram, [b"x"], None, [from_where(parse("10.0.0.1"))])
    with pytest.raises(WinsockError, match="WSAEOPNOTSUPP"):
        world.client.extensions.send_msg(stream, [b"x"], FAR)


def test_a_membership_on_an_interface_that_is_not_there_is_refused(world: World) -> None:
    number = receiver(world)

    with pytest.raises(WinsockError, match="WSAEADDRNOTAVAIL"):
        world.server.setsockopt(number, Sol.IP, IpOption.ADD_MEMBERSHIP, (GROUP.address, 99))


# WSADuplicateSocket


def test_two_processes_share_a_duplicated_socket_until_both_have_closed_it(world: World) -> None:
    near, far = world.pair()
    other = world.net.hosts[0].process()
    other.startup()

    twin = other.socket_of(world.client.duplicate_socket(near, other))
    world.client.send(near, b"one ")
    other.send(twin, b"two")
    world.client.closesocket(near)
    world.net.run()
    still_there = received(world.server, far, 20)
    other.closesocket(twin)

    assert still_there == b"one two"
    assert received(world.server, far, 20) == b""  # FIN, now


def test_a_duplicate_is_for_one_process_and_for_once(world: World) -> None:
    other = world.net.hosts[0].process()
    other.startup()
    duplicate = world.client.duplicate_socket(world.client.socket(Af.INET, Sock.DGRAM), other)

    with pytest.raises(WinsockError, match="WSAEINVAL"):
        world.client.socket_of(duplicate)
    other.socket_of(duplicate)
    with pytest.raises(WinsockError, match="WSAEINVAL"):
        other.socket_of(duplicate)


def test_options_and_mode_of_a_duplicate_are_shared(world: World) -> None:
    other = world.net.hosts[0].process()
    other.startup()
    number = world.client.socket(Af.INET, Sock.DGRAM)
    twin = other.socket_of(world.client.duplicate_socket(number, other))

    world.client.setsockopt(number, Sol.SOCKET, So.BROADCAST, 1)
    world.client.ioctlsocket(number, Io.FIONBIO, 1)
    other.bind(twin, internet(ANY, 5000))

    assert other.getsockopt(twin, Sol.SOCKET, So.BROADCAST) == 1
    with pytest.raises(WinsockError, match="WSAEWOULDBLOCK"):
        other.recv(twin, bytearray(1))
    assert inet(world.client.getsockname(number)).port == 5000


# WSAJoinLeaf


def test_a_leaf_hears_its_group_and_a_root_sends_to_it(world: World) -> None:
    leaf, root = world.server.socket(Af.INET, Sock.DGRAM), world.client.socket(Af.INET, Sock.DGRAM)

    joined = world.server.join_leaf(leaf, GROUP, Leaf.RECEIVER_ONLY)
    world.client.join_leaf(root, GROUP, Leaf.SENDER_ONLY)
    world.client.send(root, b"all")

    assert joined == leaf
    assert received(world.server, leaf, 9) == b"all"


@pytest.mark.parametrize(
    ("kind", "address", "flags", "code"),
    [
        (Sock.STREAM, GROUP, Leaf.BOTH, Wsae.WSAEOPNOTSUPP),
        (Sock.DGRAM, FAR, Leaf.BOTH, Wsae.WSAEINVAL),
        (Sock.DGRAM, GROUP, 0, Wsae.WSAEINVAL),
        (Sock.DGRAM, GROUP, Leaf.BOTH | Leaf.SENDER_ONLY, Wsae.WSAEINVAL),
        (Sock.DGRAM, internet(bytes(16), 1), Leaf.BOTH, Wsae.WSAEAFNOSUPPORT),
    ],
)
def test_what_is_no_leaf_is_refused(
    world: World, kind: Sock, address: InternetAddress, flags: int, code: Wsae
) -> None:
    number = world.client.socket(Af.INET, kind)

    with pytest.raises(WinsockError) as error:
        world.client.join_leaf(number, address, flags)

    assert error.value.code is code


# QoS


@pytest.mark.parametrize(
    ("service", "tos"),
    [(Service.BESTEFFORT, 0), (Service.CONTROLLEDLOAD, 0x60), (Service.GUARANTEED, 0xA0)],
)
def test_a_service_type_is_a_mark_on_every_datagram(world: World, service: Service, tos: int) -> None:
    number = world.client.socket(Af.INET, Sock.DGRAM)
    wanted = Qos(FlowSpec(token_rate=100_000, service=service))
    receiver(world)
    world.net.network.log = []

    world.client.ioctlsocket(number, Io.SET_QOS, wanted)
    world.client.sendto(number, b"x", FAR)
    world.net.run()

    assert sent_tos(world) == {tos}
    assert world.client.ioctlsocket(number, Io.GET_QOS) == wanted


def test_a_connections_segments_have_its_mark(world: World) -> None:
    near, far = world.pair()
    world.net.network.log = []

    world.client.ioctlsocket(near, Io.SET_QOS, Qos(FlowSpec(service=Service.GUARANTEED)))
    world.client.send(near, b"x")
    assert received(world.server, far, 1) == b"x"

    assert sent_tos(world) == {0xA0}


def test_an_unknown_service_and_what_is_no_qos_are_refused(world: World) -> None:
    number = world.client.socket(Af.INET, Sock.DGRAM)

    with pytest.raises(WinsockError, match="WSA_QOS_ESERVICETYPE"):
        world.client.ioctlsocket(number, Io.SET_QOS, Qos(FlowSpec(service=77)))
    with pytest.raises(WinsockError, match="WSAEFAULT"):
        world.client.ioctlsocket(number, Io.SET_QOS, b"?")


def test_a_flowspec_has_windows_layout() -> None:
    spec = FlowSpec(1, 2, 3, 4, 5, Service.GUARANTEED, 7, 8)

    assert spec.emit() == b"".join(n.to_bytes(4, "little") for n in (1, 2, 3, 4, 5, 3, 7, 8))
    assert FlowSpec.parse(spec.emit()) == spec


# Options


def test_options_that_have_no_effect_are_kept_and_the_largest_message_is_told(world: World) -> None:
    datagram, stream = (world.client.socket(Af.INET, kind) for kind in (Sock.DGRAM, Sock.STREAM))

    world.client.setsockopt(stream, Sol.SOCKET, So.DONTROUTE, 1)
    world.client.setsockopt(stream, Sol.SOCKET, So.DEBUG, 1)

    assert world.client.getsockopt(stream, Sol.SOCKET, So.DONTROUTE) == 1
    assert world.client.getsockopt(stream, Sol.SOCKET, So.DEBUG) == 1
    sizes = [world.client.getsockopt(one, Sol.SOCKET, So.MAX_MSG_SIZE) for one in (datagram, stream)]
    assert sizes == [65467, 0]
