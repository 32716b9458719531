"""WSARecvMsg: control data, and what is said of a datagram or control data that is cut."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ntos.executive.dispatcher import Event
from protocols.apis.win32.overlapped import Overlapped
from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Af, Io, IpOption, Msg, Sock, Sol
from protocols.apis.winsock.control import ControlMessage, PacketInfo
from protocols.apis.winsock.mswsock import MessageTruncatedError
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse
from tests.support.nt_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

FAR = internet(parse("10.0.0.2"), 4000)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.reports() == []


def receiver(world: World, *, packet_info: int = 1) -> tuple[int, Any]:
    """Return a bound socket that wants IP_PKTINFO, and WSARecvMsg as a program gets it."""
    number = world.server.socket(Af.INET, Sock.DGRAM)
    world.server.bind(number, internet(bytes(4), 4000))
    world.server.setsockopt(number, Sol.IP, IpOption.PKTINFO, packet_info)
    return number, world.server.ioctlsocket(number, Io.GET_EXTENSION_FUNCTION_POINTER, "WSAID_WSARECVMSG")


def send(world: World, data: bytes) -> None:
    world.client.sendto(world.client.socket(Af.INET, Sock.DGRAM), data, FAR)


def test_ip_pktinfo_says_where_a_datagram_came_in(world: World) -> None:
    number, recv_msg = receiver(world)
    buffer = bytearray(64)
    send(world, b"hello")

    message = recv_msg(world.server.handle(number), [buffer])

    index = world.net.hosts[1].stack.interfaces[1].index
    (control,) = message.control
    assert (message.count, message.flags, bytes(buffer[:5])) == (5, Msg.NONE, b"hello")
    assert message.source.address == parse("10.0.0.1")
    assert (control.level, control.kind) == (Sol.IP, IpOption.PKTINFO)
    assert PacketInfo.parse(control.data) == PacketInfo(parse("10.0.0.2"), index)


def test_a_longer_datagram_is_told_by_msg_trunc_and_wsaemsgsize(world: World) -> None:
    number, recv_msg = receiver(world)
    buffer = bytearray(4)
    send(world, b"abcdef")

    with pytest.raises(MessageTruncatedError) as error:
        recv_msg(world.server.handle(number), [buffer])

    assert error.value.code is Wsae.WSAEMSGSIZE
    assert (error.value.message.count, error.value.message.flags) == (4, Msg.TRUNC)
    assert error.value.message.control
    assert bytes(buffer) == b"abcd"


def test_a_small_control_buffer_is_told_by_msg_ctrunc(world: World) -> None:
    number, recv_msg = receiver(world)
    send(world, b"x")

    message = recv_msg(world.server.handle(number), [bytearray(4)], 0, 8)

    assert (message.flags, message.control) == (Msg.CTRUNC, ())


def test_without_the_option_there_is_no_control_data(world: World) -> None:
    number, recv_msg = receiver(world, packet_info=0)
    send(world, b"x")

    message = recv_msg(world.server.handle(number), [bytearray(4)])

    assert (message.flags, message.control) == (Msg.NONE, ())


def test_an_overlapped_one_is_read_when_it_has_ended(world: World) -> None:
    number, recv_msg = receiver(world)
    handle, overlapped = world.server.handle(number), Overlapped(Event())
    with pytest.raises(WinsockError, match="PENDING"):
        recv_msg(handle, [bytearray(4)], 0, 256, overlapped)

    send(world, b"x")
    world.server.get_overlapped_result(number, overlapped, wait=True)
    assert overlapped.irp is not None
    message = world.server.extensions.message_of(handle, overlapped.irp)

    assert (message.count, len(message.control)) == (1, 1)


def test_a_control_message_has_windows_layout() -> None:
    info = PacketInfo(bytes([10, 0, 0, 2]), 3)

    raw = ControlMessage(Sol.IP, IpOption.PKTINFO, info.emit()).emit()

    assert raw == bytes.fromhex("180000000000000000000000130000000a00000203000000")
