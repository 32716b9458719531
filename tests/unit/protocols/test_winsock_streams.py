"""Winsock streams between two hosts on a virtual wire, every IRP checked."""

# ruff: noqa: D103, PT012 - the names are sentences; doubles need no words

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntos.executive.dispatcher import Event
from ntos.io.irp import Irp, Major
from ntos.io.status import NtStatus
from protocols.apis.win32.overlapped import Overlapped
from protocols.apis.winsock import Winsock, WinsockError, Wsae
from protocols.apis.winsock.constants import Af, Fd, Io, Msg, PollFlag, Shut, So, Sock, Sol, TcpOption
from protocols.apis.winsock.mswsock import TF_DISCONNECT, TF_REUSE_SOCKET, Element
from protocols.apis.winsock.providers.logging_layer import LoggingLayer
from protocols.apis.winsock.waiting import WAIT_IO_COMPLETION
from protocols.interfaces.tdi.address import IpxAddress, internet
from protocols.transports.tcpip.addresses import parse
from tests.support.nt_world import SERVER, World, received

if TYPE_CHECKING:
    from collections.abc import Iterator

MS = 1_000_000


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.reports() == []


def code(process: Winsock, error: pytest.ExceptionInfo[WinsockError]) -> Wsae:
    assert process.get_last_error() == error.value.code
    return error.value.code


def test_nothing_works_before_startup_or_after_the_last_cleanup(world: World) -> None:
    process = world.net.hosts[0].process()

    with pytest.raises(WinsockError) as before:
        process.socket(Af.INET, Sock.STREAM)
    spoken = [process.startup((1, 1)), process.startup((2, 2))]
    process.cleanup()
    number = process.socket(Af.INET, Sock.STREAM)
    process.cleanup()
    with pytest.raises(WinsockError) as after:
        process.closesocket(number)

    assert (code(process, before), code(process, after)) == (Wsae.WSANOTINITIALISED,) * 2
    assert spoken == [(1, 1), (1, 1)]


def test_a_blocking_echo_and_an_orderly_end(world: World) -> None:
    near, far = world.pair()

    sent = world.client.send(near, [b"scatter", b" and ", b"gather"])
    first, second = bytearray(7), bytearray(64)
    count = world.server.recv(far, [first, second])
    world.client.shutdown(near, Shut.SEND)
    end = received(world.server, far, 10)
    world.server.send(far, b"still open this way")
    answer = received(world.client, near, 64)

    assert (sent, count, bytes(first), bytes(second[:11])) == (18, 18, b"scatter", b" and gather")
    assert (end, answer) == (b"", b"still open this way")
    with pytest.raises(WinsockError) as error:
        world.client.send(near, b"x")
    assert code(world.client, error) is Wsae.WSAESHUTDOWN


def test_three_megabytes_flow_through_small_buffers(world: World) -> None:
    near, far = world.pair()
    data = bytes(range(256)) * 12288  # more than TCP's own buffer
    overlapped = Overlapped(Event())
    world.server.setsockopt(far, Sol.SOCKET, So.RCVBUF, 4096)
    with pytest.raises(WinsockError, match="PENDING"):
        world.client.send(near, data, 0, overlapped)

    got = bytearray()
    while len(got) < len(data):
        got += received(world.server, far, 10_000)

    assert bytes(got) == data
    assert world.client.get_overlapped_result(near, overlapped, wait=True) == len(data)


def test_connecting_where_nobody_listens_is_refused(world: World) -> None:
    number = world.client.socket(Af.INET, Sock.STREAM)

    with pytest.raises(WinsockError) as error:
        world.client.connect(number, SERVER)

    assert code(world.client, error) is Wsae.WSAECONNREFUSED


def test_a_full_backlog_refuses(world: World) -> None:
    world.listener(backlog=1)
    first, second = (world.client.socket(Af.INET, Sock.STREAM) for _ in range(2))
    world.client.connect(first, SERVER)
    world.net.run()

    world.client.connect(second, SERVER)
    world.net.run()

    with pytest.raises(WinsockError) as error:
        world.client.recv(second, bytearray(1))
    assert code(world.client, error) is Wsae.WSAECONNRESET


def test_a_non_blocking_connect_says_wouldblock_then_already_then_isconn(world: World) -> None:
    world.listener()
    number = world.client.socket(Af.INET, Sock.STREAM)
    world.client.ioctlsocket(number, Io.FIONBIO, 1)
    codes = []

    for seconds in (0.0, 0.0, 1.0):
        world.net.run(seconds) if seconds else None
        with pytest.raises(WinsockError) as error:
            world.client.connect(number, SERVER)
        codes.append(error.value.code)

    assert codes == [Wsae.WSAEWOULDBLOCK, Wsae.WSAEALREADY, Wsae.WSAEISCONN]


def test_select_sees_a_refused_connect_as_exceptional(world: World) -> None:
    number = world.client.socket(Af.INET, Sock.STREAM)
    world.client.ioctlsocket(number, Io.FIONBIO, 1)
    with pytest.raises(WinsockError, match="WOULDBLOCK"):
        world.client.connect(number, SERVER)

    sets = world.client.select([], [number], [number], 5_000 * MS)

    assert sets == ([], [], [number])
    assert world.client.getsockopt(number, Sol.SOCKET, So.ERROR) == Wsae.WSAECONNREFUSED
    assert world.client.getsockopt(number, Sol.SOCKET, So.ERROR) == 0


def test_select_waits_for_data_and_for_its_timeout(world: World) -> None:
    near, far = world.pair()
    before = world.net.network.now

    nothing = world.server.select([far], [], [], 50 * MS)
    world.client.send(near, b"x")
    something = world.server.select([far], [far], [], None)
    readable = world.server.select([far], [], [], None)

    assert nothing == ([], [], [])
    assert world.net.network.now - before >= 50 * MS
    assert something[1] == [far]
    assert readable[0] == [far]


def test_poll_tells_data_hangup_and_what_is_no_socket(world: World) -> None:
    near, far = world.pair()
    world.client.send(near, b"x")
    world.net.run()

    states = world.server.poll([(far, PollFlag.IN | PollFlag.OUT), (0x9999, PollFlag.IN)], 0)
    received(world.server, far, 1)
    world.client.shutdown(near)
    world.net.run()
    hangup = world.server.poll([(far, PollFlag.IN)], 0)

    assert states == [PollFlag.RDNORM | PollFlag.OUT, PollFlag.NVAL]
    assert hangup == [PollFlag.HUP]


def test_fd_read_comes_again_only_after_a_receive(world: World) -> None:
    near, far = world.pair()
    event = Event()
    world.server.event_select(far, event, Fd.READ | Fd.CLOSE)
    seen: list[Fd] = []

    def look() -> None:
        world.net.run()
        seen.append(world.server.enum_network_events(far, event)[0])

    world.client.send(near, b"ab")
    look()
    world.client.send(near, b"cd")
    look()  # nothing: it was not received
    received(world.server, far, 1)
    look()  # again: data is left
    received(world.server, far, 10)
    world.client.closesocket(near)
    look()

    assert seen == [Fd.READ, Fd.NONE, Fd.READ, Fd.CLOSE]


def test_fd_write_comes_once_and_again_after_wouldblock(world: World) -> None:
    near, far = world.pair()
    event = Event()
    world.client.setsockopt(near, Sol.SOCKET, So.SNDBUF, 1000)
    world.client.event_select(near, event, Fd.WRITE)
    first = world.client.enum_network_events(near, event)[0]
    second = world.client.enum_network_events(near, event)[0]

    with pytest.raises(WinsockError) as error:
        while True:
            world.client.send(near, bytes(1 << 20))
            world.net.run(0.01)
    blocked = world.client.enum_network_events(near, event)[0]
    while world.server.select([far], [], [], 500 * MS)[0]:
        world.server.recv(far, bytearray(1 << 16))
    after = world.client.enum_network_events(near, event)[0]

    assert (first, second, blocked, after) == (Fd.WRITE, Fd.NONE, Fd.NONE, Fd.WRITE)
    assert error.value.code is Wsae.WSAEWOULDBLOCK


def test_a_port_and_an_apc_tell_of_overlapped_receives(world: World) -> None:
    near, far = world.pair()
    port = world.server.win32.create_io_completion_port(far, None, "key")
    heard: list[int] = []
    by_port, into = Overlapped(), bytearray(8)
    by_apc = Overlapped(routine=lambda _status, count, _overlapped: heard.append(count))
    for number, overlapped, process in ((far, by_port, world.server), (near, by_apc, world.client)):
        with pytest.raises(WinsockError, match="PENDING"):
            process.recv(number, into, 0, overlapped)

    world.client.send(near, b"abc")
    world.server.send(far, b"defgh")
    packet = world.server.win32.get_queued_completion_status(port)
    result = world.client.wait_for_multiple_events([Event()], None, alertable=True)

    assert (packet.key, packet.overlapped, packet.information) == ("key", by_port, 3)
    assert (result, heard) == (WAIT_IO_COMPLETION, [5])


def test_an_alertable_sleep_ends_with_an_apc_or_with_its_time(world: World) -> None:
    near, far = world.pair()
    heard: list[int] = []
    overlapped = Overlapped(routine=lambda _status, count, _overlapped: heard.append(count))
    with pytest.raises(WinsockError, match="PENDING"):
        world.client.recv(near, bytearray(8), 0, overlapped)

    slept_through = world.client.win32.sleep_ex(10 * MS)
    world.server.send(far, b"abc")
    woken = world.client.win32.sleep_ex(1000 * MS)

    assert (slept_through, woken, heard) == (False, True, [3])


def test_a_cancelled_receive_is_aborted(world: World) -> None:
    near, _far = world.pair()
    overlapped = Overlapped(Event())
    with pytest.raises(WinsockError, match="PENDING"):
        world.client.recv(near, bytearray(1), 0, overlapped)

    cancelled = world.client.win32.cancel_io(near)

    assert (cancelled, overlapped.status) == (1, NtStatus.CANCELLED)
    with pytest.raises(WinsockError, match="OPERATION_ABORTED"):
        world.client.get_overlapped_result(near, overlapped)


def test_a_receive_timeout_is_wsaetimedout(world: World) -> None:
    near, _far = world.pair()
    world.client.setsockopt(near, Sol.SOCKET, So.RCVTIMEO, 100)

    with pytest.raises(WinsockError) as error:
        world.client.recv(near, bytearray(1))

    assert code(world.client, error) is Wsae.WSAETIMEDOUT


def test_linger_zero_resets(world: World) -> None:
    near, far = world.pair()
    world.client.setsockopt(near, Sol.SOCKET, So.LINGER, 0)

    world.client.closesocket(near)

    with pytest.raises(WinsockError) as error:
        world.server.recv(far, bytearray(1))
    assert code(world.server, error) is Wsae.WSAECONNRESET


def test_closing_after_a_send_still_delivers_it(world: World) -> None:
    near, far = world.pair()
    data = bytes(300_000)
    world.client.send(near, data)

    world.client.closesocket(near)
    got = 0
    while piece := received(world.server, far, 65536):
        got += len(piece)

    assert got == len(data)


def test_peek_leaves_and_waitall_waits(world: World) -> None:
    near, far = world.pair()
    world.client.send(near, b"abcdef")

    peeked = received(world.server, far, 3, Msg.PEEK)
    whole = Overlapped(Event())
    into = bytearray(10)
    with pytest.raises(WinsockError, match="PENDING"):
        world.server.recv(far, into, Msg.WAITALL, whole)
    world.client.send(near, b"ghij")

    assert peeked == b"abc"
    assert world.server.get_overlapped_result(far, whole, wait=True) == 10
    assert bytes(into) == b"abcdefghij"


def test_a_socket_is_a_file_that_can_be_read_and_written(world: World) -> None:
    near, far = world.pair()
    io, file = world.server.io, world.server.handle(far).file
    into = bytearray(4)

    world.client.send(near, b"file")
    world.net.run()
    read = Irp(file.device, Major.READ, file, buffers=[into])
    io.call(read)
    write = Irp(file.device, Major.WRITE, file, buffers=[b"back"])
    io.call(write)

    assert file.device.name == "\\Device\\Afd"
    assert (bytes(into), read.information, write.information) == (b"file", 4, 4)
    assert received(world.client, near, 10) == b"back"


def test_accept_ex_completes_with_the_first_data(world: World) -> None:
    listener = world.listener()
    accepting = world.server.socket(Af.INET, Sock.STREAM)
    accept_ex = world.server.ioctlsocket(listener, Io.GET_EXTENSION_FUNCTION_POINTER, "WSAID_ACCEPTEX")
    overlapped, buffer = Overlapped(Event()), bytearray(16)
    with pytest.raises(WinsockError, match="PENDING"):
        accept_ex(world.server.handle(listener), world.server.handle(accepting), buffer, overlapped)
    near = world.client.socket(Af.INET, Sock.STREAM)

    world.client.connect(near, SERVER)
    world.net.run()
    connected_only = overlapped.done
    world.client.send(near, b"hello")
    world.net.run()
    assert overlapped.irp is not None
    local, remote = world.server.extensions.get_accept_ex_sockaddrs(overlapped.irp)

    assert not connected_only
    assert (overlapped.information, bytes(buffer[:5])) == (5, b"hello")
    assert (local, remote) == (SERVER, world.client.getsockname(near))
    assert world.server.getsockopt(accepting, Sol.SOCKET, So.CONNECT_TIME) == 0


def test_connect_ex_sends_first_data_and_disconnect_ex_makes_the_socket_reusable(world: World) -> None:
    listener = world.listener()
    number = world.client.socket(Af.INET, Sock.STREAM)
    handle, extensions = world.client.handle(number), world.client.extensions
    with pytest.raises(WinsockError, match="bound"):
        extensions.connect_ex(handle, SERVER)
    world.client.bind(number, internet(bytes(4), 0))

    count = extensions.connect_ex(handle, SERVER, b"first")
    far, _ = world.server.accept(listener)
    first = received(world.server, far, 10)
    over = Overlapped(Event())
    with pytest.raises(WinsockError, match="PENDING"):
        extensions.disconnect_ex(handle, TF_REUSE_SOCKET, over)
    world.server.recv(far, bytearray(1))
    world.server.closesocket(far)
    world.client.get_overlapped_result(number, over, wait=True)
    world.net.run(90)  # TIME_WAIT of the old connection
    extensions.connect_ex(handle, SERVER, b"second")
    far, _ = world.server.accept(listener)

    assert (count, first) == (5, b"first")
    assert received(world.server, far, 10) == b"second"


def test_transmit_file_copies_nothing_and_ends_the_stream(world: World) -> None:
    near, far = world.pair()
    file = memoryview(bytes(range(256)) * 2000)

    count = world.client.extensions.transmit_file(
        world.client.handle(near), Element(file, 256, 512), b"head", b"tail", TF_DISCONNECT
    )
    got = bytearray()
    while piece := received(world.server, far, 4096):
        got += piece

    assert count == 520
    assert bytes(got) == b"head" + bytes(range(256)) * 2 + b"tail"
    assert world.client.handle(near).file.fs_context.copied_bytes == 0


def test_a_layered_provider_logs_and_rewrites(world: World) -> None:
    listener = world.listener()
    layer = LoggingLayer(bytes.upper)
    catalog = world.client.catalog
    base = catalog.find(Af.INET, Sock.STREAM, 0)
    entry = catalog.install_layer(layer, "logger", base)

    near = world.client.socket(Af.INET, Sock.STREAM)
    world.client.connect(near, SERVER)
    world.client.send(near, b"shout")
    far, _ = world.server.accept(listener)

    assert received(world.server, far, 10) == b"SHOUT"
    assert layer.log == ["socket", "connect", "send"]
    assert entry.chain == (entry.number, base.number)
    catalog.deinstall(entry.number)
    assert catalog.find(Af.INET, Sock.STREAM, 0) is base


NAMES = {"internet": internet, "ipx": IpxAddress}
WRONG_USES: dict[str, tuple[Wsae, str]] = {
    "a number that is no socket": (Wsae.WSAENOTSOCK, "closesocket(0x55)"),
    "a name before a bind": (Wsae.WSAEINVAL, "getsockname(s)"),
    "a peer before a connect": (Wsae.WSAENOTCONN, "getpeername(s)"),
    "data before a connect": (Wsae.WSAENOTCONN, "send(s, b'x')"),
    "a receive before a connect": (Wsae.WSAENOTCONN, "recv(s, bytearray(1))"),
    "an accept without a listen": (Wsae.WSAEINVAL, "accept(s)"),
    "a listen without a bind": (Wsae.WSAEINVAL, "listen(s, 1)"),
    "another's address": (Wsae.WSAEADDRNOTAVAIL, "bind(s, internet(bytes((10, 0, 0, 99)), 0))"),
    "another family's address": (Wsae.WSAEAFNOSUPPORT, "bind(s, internet(bytes(16), 0))"),
    "no family's address": (Wsae.WSAEAFNOSUPPORT, "connect(s, ipx(1, bytes(6), 80))"),
    "port zero": (Wsae.WSAEADDRNOTAVAIL, "connect(s, internet(bytes((10, 0, 0, 2)), 0))"),
    "no route": (Wsae.WSAENETUNREACH, "connect(s, internet(bytes((192, 0, 2, 1)), 80))"),
    "an unknown option": (Wsae.WSAENOPROTOOPT, "setsockopt(s, 0xFFFF, 0x7777, 1)"),
    "a datagram's option": (Wsae.WSAENOPROTOOPT, "setsockopt(s, 0xFFFF, 0x20, 1)"),
    "an unknown direction": (Wsae.WSAEINVAL, "shutdown(s, 7)"),
    "a shutdown unconnected": (Wsae.WSAENOTCONN, "shutdown(s, 1)"),
    "an unknown control": (Wsae.WSAEOPNOTSUPP, "ioctlsocket(s, 1)"),
    "an unknown family": (Wsae.WSAEAFNOSUPPORT, "socket(99, 1)"),
    "an unknown type": (Wsae.WSAESOCKTNOSUPPORT, "socket(2, 9)"),
    "a protocol of another type": (Wsae.WSAEPROTOTYPE, "socket(2, 1, 17)"),
    "a select of nothing": (Wsae.WSAEINVAL, "select([], [], [])"),
}


@pytest.mark.parametrize("use", WRONG_USES)
def test_a_wrong_use_has_its_code(world: World, use: str) -> None:
    expected, call = WRONG_USES[use]
    number = world.client.socket(Af.INET, Sock.STREAM)

    with pytest.raises(WinsockError) as error:
        eval(f"process.{call}", {**NAMES, "process": world.client, "s": number})  # noqa: S307 - the table above

    assert code(world.client, error) is expected


def test_a_listening_socket_connects_nowhere(world: World) -> None:
    listener = world.listener()

    with pytest.raises(WinsockError) as error:
        world.server.connect(listener, internet(parse("10.0.0.1"), 80))

    assert code(world.server, error) is Wsae.WSAEINVAL


def test_reuse_and_exclusive_mean_what_windows_means(world: World) -> None:
    def bound(*options: tuple[So, int]) -> Wsae | None:
        number = world.server.socket(Af.INET, Sock.STREAM)
        for option, value in options:
            world.server.setsockopt(number, Sol.SOCKET, option, value)
        try:
            world.server.bind(number, internet(bytes(4), 80))
        except WinsockError as error:
            return error.code
        return None

    first = bound((So.EXCLUSIVEADDRUSE, 1))
    with_reuse = bound((So.REUSEADDR, 1))
    plain = bound()

    assert (first, with_reuse, plain) == (None, Wsae.WSAEACCES, Wsae.WSAEADDRINUSE)


def test_options_read_back_and_nodelay_reaches_tcp(world: World) -> None:
    near, _far = world.pair()

    world.client.setsockopt(near, Sol.TCP, TcpOption.NODELAY, 1)
    (connection,) = world.net.hosts[0].stack.tcp.connections.values()

    assert world.client.getsockopt(near, Sol.TCP, TcpOption.NODELAY) == 1
    assert connection.no_delay


def test_ioctl_tells_how_much_waits(world: World) -> None:
    near, far = world.pair()
    world.client.send(near, b"seven b")
    world.net.run()

    assert world.server.ioctlsocket(far, Io.FIONREAD) == 7


def test_every_socket_gone_leaves_no_request_and_no_port(world: World) -> None:
    near, far = world.pair()
    world.client.closesocket(near)
    world.server.closesocket(far)
    world.net.run(200)

    world.client.cleanup()
    world.server.cleanup()
    world.net.run(200)

    for host in world.net.hosts:
        assert host.verifier.finish() == []
        assert not host.stack.tcp.connections
        assert not host.stack.tcp.listeners
        assert host.afd.endpoints == set()
