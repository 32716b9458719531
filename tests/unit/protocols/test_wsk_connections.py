"""Connection-oriented WSK sockets: data by receives and by events, backlogs, ends, cancels."""

# ruff: noqa: D102, D103, ANN401, ARG002, FBT001 - the names are sentences; callbacks have WSK's arguments

from __future__ import annotations

from typing import Any

import pytest

from ntos.errors import BugCheckError
from ntos.executive.irql import Irql
from ntos.io.status import NtStatus
from protocols.apis.winsock.constants import Proto, So, Sock, Sol, TcpOption
from protocols.apis.wsk.constants import (
    Category,
    ControlType,
    DisconnectFlag,
    Event,
    Flag,
    ReceiveFlag,
    SendFlag,
    SioWsk,
    SoWsk,
)
from protocols.apis.wsk.npi import (
    ConnectionDispatch,
    DataIndication,
    EventCallbackControl,
    Output,
    SizeOut,
    WskBuf,
)
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse
from tests.support.wsk_world import ANY, FAR, WskWorld

SET, GET, IOCTL = ControlType
EVENTS = (SET, SoWsk.EVENT_CALLBACK, Sol.SOCKET)


@pytest.fixture
def world() -> Any:
    made = WskWorld()
    yield made
    made.finish()


class Events:
    """Callbacks that write down what they hear; ``answer`` says what to do with data."""

    def __init__(self, world: WskWorld, answer: Any = NtStatus.SUCCESS, accepts: int | None = None) -> None:
        self.world = world
        self.answer = answer
        self.accepts = accepts
        self.data: list[bytes] = []
        self.kept: list[DataIndication] = []
        self.ends: list[Flag] = []
        self.backlogs: list[int] = []
        self.flags: list[Flag] = []
        self.levels: set[Irql] = set()
        self.lost = 0
        self.during: Any = lambda: None
        self.dispatch = ConnectionDispatch(self.receive, self.disconnect, self.backlog)

    def receive(
        self, context: object, flags: Flag, indication: DataIndication | None, size: int, out: SizeOut
    ) -> NtStatus:
        self.levels.update(host.executive.irql.current for host in self.world.net.hosts)
        if indication is None:
            self.lost += 1
            return NtStatus.SUCCESS
        assert indication.buffer.size == size == out.value
        self.flags.append(flags)
        self.data.append(indication.buffer.data())
        self.kept.append(indication)
        self.during()
        if self.accepts is not None:
            out.value = self.accepts
        said: NtStatus = self.answer
        return said

    def disconnect(self, context: object, flags: Flag) -> NtStatus:
        self.ends.append(flags & ~Flag.AT_DISPATCH_LEVEL)
        return NtStatus.SUCCESS

    def backlog(self, context: object, size: int) -> NtStatus:
        self.backlogs.append(size)
        return NtStatus.SUCCESS


def enable(socket: Any, events: Event) -> NtStatus:
    said: NtStatus = socket.control_socket(*EVENTS, EventCallbackControl(events))
    return said


def send(world: WskWorld, socket: Any, data: bytes) -> None:
    irp = world.near.run(socket.send, WskBuf((data,)))
    assert (irp.status, irp.information) == (NtStatus.SUCCESS, len(data))
    world.run()


def test_data_goes_both_ways_and_ends_in_order(world: WskWorld) -> None:
    near, far = world.pair()
    data = bytes(range(256)) * 1000

    send(world, near, data[:10])
    first = world.far.receive(far, 65536)
    sending = world.near.start(near.send, WskBuf((data[:100_000], data[100_000:])))
    rest = world.far.receive(far, len(data), flags=ReceiveFlag.WAITALL)
    fin = world.far.start(far.disconnect, None)
    end = world.near.receive(near)
    send(world, near, b"half open")
    last = world.far.receive(far)
    world.near.run(near.disconnect, None)

    assert (first, rest == data, sending.status) == (data[:10], True, NtStatus.SUCCESS)
    assert (end, last, fin.status) == (b"", b"half open", NtStatus.SUCCESS)
    assert world.far.receive(far) == b""
    world.near.close(near)
    world.far.close(far)
    world.near.leave()
    world.far.leave()
    assert "RST" not in {one.state.name for one in world.net.hosts[0].stack.tcp.connections.values()}


def test_both_ends_tell_their_addresses(world: WskWorld) -> None:
    near, far = world.pair()

    ends = [
        world.near.get(near.get_local_address),
        world.near.get(near.get_remote_address),
        world.far.get(far.get_local_address),
        world.far.get(far.get_remote_address),
    ]

    assert ends[1] == FAR == ends[2]
    assert ends[0] == ends[3]
    assert ends[0].address == parse("10.0.0.1")


def test_a_buffer_is_the_part_of_its_chain_that_it_says(world: WskWorld) -> None:
    near, far = world.pair()
    into = (bytearray(3), bytearray(4))

    world.near.run(near.send, WskBuf((b"abc", b"defgh", b"ij"), 2, 6))
    irp = world.far.run(far.receive, WskBuf(into, 1, 5))
    wrong = world.near.run(near.send, WskBuf((b"abc",), 2, 6))

    assert irp.information == 5
    assert b"".join(into) == b"\0cdefg\0"
    assert wrong.status is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("port", [1, 0])
def test_a_connect_that_is_refused_says_so_and_may_be_tried_again(world: WskWorld, port: int) -> None:
    socket = world.near.bound(Category.CONNECTION)

    before = world.near.run(socket.get_remote_address).status
    refused = world.near.run(socket.connect, FAR.with_port(port or 4001))
    again = world.near.run(socket.connect, FAR.with_port(4002))

    assert before is NtStatus.INVALID_DEVICE_STATE
    assert {refused.status, again.status} == {NtStatus.CONNECTION_REFUSED}
    world.near.close(socket)


def test_wsksocketconnect_that_fails_makes_no_socket(world: WskWorld) -> None:
    app = world.near

    irps = [
        app.run(app.dispatch.socket_connect, Sock.STREAM, Proto.TCP, local, FAR)
        for local in (ANY, internet(parse("10.9.9.9"), 0))
    ]

    assert [irp.status for irp in irps] == [
        NtStatus.CONNECTION_REFUSED,
        NtStatus.INVALID_ADDRESS_COMPONENT,
    ]
    assert [irp.result for irp in irps] == [None, None]
    app.leave()


def test_an_unbound_socket_connects_to_nothing(world: WskWorld) -> None:
    socket = world.near.socket(Category.CONNECTION)

    statuses = [
        world.near.run(socket.connect, FAR).status,
        world.near.run(socket.send, WskBuf((b"x",))).status,
        world.near.run(socket.disconnect, None).status,
        enable(socket, Event.RECEIVE),
    ]

    assert statuses == [NtStatus.INVALID_DEVICE_STATE] * 4


def test_a_cancelled_connect_leaves_nothing(world: WskWorld) -> None:
    nowhere = internet(parse("10.0.0.77"), FAR.port)
    irps = [
        world.near.start(world.near.bound(Category.CONNECTION).connect, nowhere),
        world.near.start(world.near.dispatch.socket_connect, Sock.STREAM, Proto.TCP, ANY, nowhere),
    ]

    cancelled = [world.net.hosts[0].io.cancel(irp) for irp in irps]
    world.run()

    assert cancelled == [True, True]
    assert [irp.status for irp in irps] == [NtStatus.CANCELLED] * 2
    assert len(world.near.client.sockets) == 1
    assert not world.net.hosts[0].stack.tcp.connections


def test_a_cancelled_receive_tells_what_it_had_and_a_cancelled_send_ends_the_stream(world: WskWorld) -> None:
    near, far = world.pair()
    io, buffer = world.net.hosts[1].io, bytearray(10)

    waiting = world.far.start(far.receive, WskBuf((buffer,)), flags=ReceiveFlag.WAITALL)
    send(world, near, b"abc")
    io.cancel(waiting)
    sending = world.far.start(far.send, WskBuf((bytes(1 << 22),)))
    cancelled = io.cancel(sending)
    world.run()

    assert (waiting.status, waiting.information, bytes(buffer[:3])) == (NtStatus.CANCELLED, 3, b"abc")
    assert (cancelled, sending.status) == (True, NtStatus.CANCELLED)
    assert world.near.run(near.receive, WskBuf((bytearray(1),))).status is NtStatus.CONNECTION_RESET


def test_an_irp_that_was_cancelled_before_is_completed_and_takes_no_data(world: WskWorld) -> None:
    near, far = world.pair()
    irp = world.far.client.allocate_irp()
    irp.cancelled = True

    far.receive(WskBuf((bytearray(10),)), irp)
    send(world, near, b"for the next")

    assert irp.status is NtStatus.CANCELLED
    assert world.far.receive(far) == b"for the next"


def test_a_drain_discards_until_the_end(world: WskWorld) -> None:
    near, far = world.pair()

    drain = world.far.start(far.receive, WskBuf(()), flags=ReceiveFlag.DRAIN)
    send(world, near, bytes(200_000))
    pending = drain.status
    world.near.run(near.disconnect, None)
    both = world.far.run(far.receive, WskBuf((bytearray(1),)), flags=ReceiveFlag.DRAIN)

    assert (pending, drain.status, drain.information) == (NtStatus.PENDING, NtStatus.SUCCESS, 0)
    assert both.status is NtStatus.INVALID_PARAMETER


def test_an_abortive_disconnect_resets_and_ends_all(world: WskWorld) -> None:
    events = Events(world)
    near, far = world.pair(far=events.dispatch)
    enable(far, Event.DISCONNECT)
    waiting = [world.near.start(near.receive, WskBuf((bytearray(1),)))]
    waiting.append(world.far.start(far.receive, WskBuf((bytearray(1),))))

    with_data = world.near.run(near.disconnect, WskBuf((b"x",)), flags=DisconnectFlag.ABORTIVE)
    done = world.near.run(near.disconnect, None, flags=DisconnectFlag.ABORTIVE)
    world.run()

    assert (with_data.status, done.status) == (NtStatus.INVALID_PARAMETER, NtStatus.SUCCESS)
    assert [irp.status for irp in waiting] == [NtStatus.CONNECTION_ABORTED, NtStatus.CONNECTION_RESET]
    assert events.ends == [Flag.ABORTIVE]
    assert world.far.run(far.send, WskBuf((b"x",))).status is NtStatus.CONNECTION_RESET


def test_a_disconnect_sends_its_buffer_first_and_ends_when_that_is_acknowledged(world: WskWorld) -> None:
    near, far = world.pair()
    last = world.near.start(near.disconnect, WskBuf((b"last words",)))
    before = last.status

    heard = world.far.receive(far)
    end = world.far.receive(far)
    world.run()
    late = world.near.run(near.send, WskBuf((b"x",)))

    assert (before, last.status) == (NtStatus.PENDING, NtStatus.SUCCESS)
    assert (heard, end) == (b"last words", b"")
    assert late.status is NtStatus.LOCAL_DISCONNECT


def test_a_pending_disconnect_is_forced_by_an_abortive_one(world: WskWorld) -> None:
    near, _far = world.pair()
    world.near.start(near.send, WskBuf((bytes(1 << 23),)))  # the peer does not receive: it stays
    graceful = world.near.start(near.disconnect, None)
    world.run()
    pending = graceful.status

    world.near.run(near.disconnect, None, flags=DisconnectFlag.ABORTIVE)

    assert (pending, graceful.status) == (NtStatus.PENDING, NtStatus.CONNECTION_ABORTED)


def test_closing_cancels_what_is_pending_and_resets_what_is_open(world: WskWorld) -> None:
    near, far = world.pair()
    waiting = world.near.start(near.receive, WskBuf((bytearray(1),)))

    world.near.close(near)
    reset = world.far.run(far.receive, WskBuf((bytearray(1),)))

    assert (waiting.status, reset.status) == (NtStatus.CANCELLED, NtStatus.CONNECTION_RESET)
    with pytest.raises(BugCheckError, match="WskSend of a closed socket"):
        near.send(WskBuf((b"x",)), world.near.client.allocate_irp())


def test_data_is_indicated_at_dispatch_level_once_it_is_enabled(world: WskWorld) -> None:
    events = Events(world)
    near, far = world.pair(far=events.dispatch)
    send(world, near, b"before")

    silent = list(events.data)
    enabled = enable(far, Event.RECEIVE | Event.DISCONNECT)
    send(world, near, b"after")
    world.near.run(near.disconnect, None)

    assert (silent, enabled) == ([], NtStatus.SUCCESS)
    assert events.data == [b"before", b"after"]
    assert Irql.DISPATCH in events.levels
    assert all(Flag.AT_DISPATCH_LEVEL in flags for flags in events.flags)
    assert events.ends == [Flag.NONE]


def test_a_callback_cannot_wait(world: WskWorld) -> None:
    events = Events(world)
    near, far = world.pair(far=events.dispatch)
    caught: list[str] = []

    def wait() -> None:
        with pytest.raises(BugCheckError, match="WskDeregister at DISPATCH") as stop:
            world.far.registration.deregister()
        caught.append(str(stop.value))

    events.during = wait
    enable(far, Event.RECEIVE)
    send(world, near, b"x")

    assert len(caught) == 1


@pytest.mark.parametrize(("answer", "accepts"), [(NtStatus.DATA_NOT_ACCEPTED, None), (NtStatus.SUCCESS, 2)])
def test_what_is_not_accepted_waits_for_a_receive(
    world: WskWorld, answer: NtStatus, accepts: int | None
) -> None:
    events = Events(world, answer, accepts)
    near, far = world.pair(far=events.dispatch)
    enable(far, Event.RECEIVE)
    for data in (b"abc", b"def"):
        send(world, near, data)
    told = list(events.data)
    left, backlog = Output(), Output()

    world.far.run(far.control_socket, IOCTL, SioWsk.QUERY_RECEIVE_BACKLOG, output=backlog)
    first = world.far.receive(far, 2)
    world.far.run(far.control_socket, IOCTL, SioWsk.QUERY_RECEIVE_BACKLOG, output=left)

    taken = accepts or 0
    assert told == [b"abc"]
    assert backlog.value == 6 - taken
    assert first == b"abcdef"[taken : taken + 2]
    assert events.data[1].startswith(b"abcdef"[taken + 2 : taken + 3])


def test_a_receive_of_no_length_resumes_the_callback(world: WskWorld) -> None:
    events = Events(world, NtStatus.DATA_NOT_ACCEPTED)
    near, far = world.pair(far=events.dispatch)
    enable(far, Event.RECEIVE)
    send(world, near, b"abc")

    events.answer = NtStatus.SUCCESS
    world.far.run(far.receive, WskBuf(()))

    assert events.data == [b"abc", b"abc"]


def test_a_pending_receive_comes_before_the_callback(world: WskWorld) -> None:
    events = Events(world)
    near, far = world.pair(far=events.dispatch)
    enable(far, Event.RECEIVE)
    buffer = bytearray(3)

    irp = world.far.start(far.receive, WskBuf((buffer,)))
    send(world, near, b"abcdef")

    assert (irp.status, bytes(buffer), events.data) == (NtStatus.SUCCESS, b"abc", [b"def"])


def test_a_receive_from_within_the_callback_gets_what_was_not_accepted(world: WskWorld) -> None:
    events = Events(world, NtStatus.DATA_NOT_ACCEPTED)
    near, far = world.pair(far=events.dispatch)
    buffer, irps = bytearray(10), []
    events.during = lambda: irps.append(world.far.start(far.receive, WskBuf((buffer,))))
    enable(far, Event.RECEIVE)

    send(world, near, b"abc")

    assert (irps[0].status, irps[0].information, bytes(buffer[:3])) == (NtStatus.SUCCESS, 3, b"abc")
    assert events.data == [b"abc"]


def test_retained_indications_bound_what_is_indicated_and_are_released_once(world: WskWorld) -> None:
    """SO_RCVBUF says how much; the rest stays in TCP, whose window closes."""
    events = Events(world, NtStatus.PENDING)
    near, far = world.pair(far=events.dispatch)
    world.far.run(far.control_socket, SET, So.RCVBUF, Sol.SOCKET, 50_000)
    enable(far, Event.RECEIVE)
    sending = world.near.start(near.send, WskBuf((bytes(1 << 23),)))
    world.run()
    held, pending = sum(map(len, events.data)), sending.status

    while events.kept:
        released = [far.release(one) for one in list(events.kept)]
        events.kept[: len(released)] = []
        assert set(released) == {NtStatus.SUCCESS}
        world.run()

    assert 50_000 <= held < 50_000 + 65_536
    assert pending is NtStatus.PENDING
    asap = [Flag.RELEASE_ASAP in flags for flags in events.flags]
    assert (asap[0], any(asap)) == (False, True)
    assert (sum(map(len, events.data)), sending.status) == (1 << 23, NtStatus.SUCCESS)
    assert far.release(DataIndication(WskBuf(()))) is NtStatus.INVALID_PARAMETER


def test_closing_with_retained_indications_stops_the_machine() -> None:
    world = WskWorld()
    events = Events(world, NtStatus.PENDING)
    near, far = world.pair(far=events.dispatch)
    enable(far, Event.RECEIVE)
    send(world, near, b"x")

    with pytest.raises(BugCheckError, match="1 indications retained"):
        far.close_socket(world.far.client.allocate_irp())


def test_a_close_from_within_a_callback_ends_when_it_returns(world: WskWorld) -> None:
    events = Events(world)
    near, far = world.pair(far=events.dispatch)
    enable(far, Event.RECEIVE)
    irps: list[Any] = []

    def close() -> None:
        irps.append(world.far.start(far.close_socket))
        irps.append(irps[0].status)

    events.during = close
    send(world, near, b"x")

    assert irps[1] is NtStatus.PENDING
    assert irps[0].status is NtStatus.SUCCESS
    world.far.leave()


@pytest.mark.parametrize("with_irp", [True, False])
def test_a_callback_that_is_disabled_in_progress_is_disabled_afterwards(
    world: WskWorld, with_irp: bool
) -> None:
    events = Events(world)
    near, far = world.pair(far=events.dispatch)
    enable(far, Event.RECEIVE)
    off = EventCallbackControl(Event.RECEIVE | Event.DISABLE)
    seen: list[Any] = []

    def disable() -> None:
        irp = world.far.client.allocate_irp() if with_irp else None
        seen.extend((far.control_socket(*EVENTS, off, irp), irp, irp.status if irp else None))

    events.during = disable
    send(world, near, b"one")
    send(world, near, b"two")

    assert seen[0] is (NtStatus.PENDING if with_irp else NtStatus.EVENT_PENDING)
    assert events.data == [b"one"]
    if with_irp:
        assert (seen[2], seen[1].status) == (NtStatus.PENDING, NtStatus.SUCCESS)
    assert far.control_socket(*EVENTS, off) is NtStatus.SUCCESS


@pytest.mark.parametrize(
    "events",
    [
        Event.NONE,
        Event.ACCEPT,
        Event.RECEIVE_FROM,
        Event.DISABLE,
        Event.RECEIVE | Event.DISCONNECT | Event.DISABLE,
    ],
)
def test_events_of_other_categories_and_several_disabled_at_once_are_refused(
    world: WskWorld, events: Event
) -> None:
    _near, far = world.pair()

    assert enable(far, events) is NtStatus.INVALID_PARAMETER


def test_the_ideal_backlog_grows_with_the_window_and_is_told(world: WskWorld) -> None:
    events = Events(world)
    near, far = world.pair(near=events.dispatch)
    enable(near, Event.SEND_BACKLOG)
    first, last = Output(), Output()

    world.near.run(near.control_socket, IOCTL, SioWsk.QUERY_IDEAL_SEND_BACKLOG, output=first)
    world.far.start(far.receive, WskBuf(()), flags=ReceiveFlag.DRAIN)
    send(world, near, bytes(1 << 20))
    world.near.run(near.control_socket, IOCTL, SioWsk.QUERY_IDEAL_SEND_BACKLOG, output=last)

    assert first.value == 65536
    assert events.backlogs[-1] == last.value > first.value
    assert events.backlogs == sorted(set(events.backlogs))


def test_options_are_set_told_and_handed_to_tcp(world: WskWorld) -> None:
    near, _far = world.pair()
    option = (TcpOption.NODELAY, Sol.TCP)

    before = world.near.get(near.control_socket, GET, *option)
    world.near.get(near.control_socket, SET, *option, 1)
    after = world.near.get(near.control_socket, GET, *option)
    (tcp,) = world.net.hosts[0].stack.tcp.connections.values()
    without_irp = near.control_socket(GET, *option)
    unknown = world.near.run(near.control_socket, SET, 0x7777, Sol.SOCKET, 1).status
    late = world.near.run(near.control_socket, SET, So.REUSEADDR, Sol.SOCKET, 1).status
    ioctl = world.near.run(near.control_socket, IOCTL, 0x1234).status

    assert (before, after, tcp.no_delay) == (0, 1, True)
    assert without_irp is NtStatus.INVALID_PARAMETER
    assert (unknown, late, ioctl) == (
        NtStatus.NOT_SUPPORTED,
        NtStatus.INVALID_DEVICE_STATE,
        NtStatus.NOT_SUPPORTED,
    )


def test_a_send_without_delay_turns_nagle_off_for_it(world: WskWorld) -> None:
    near, _far = world.pair()
    (tcp,) = world.net.hosts[0].stack.tcp.connections.values()

    world.near.run(near.send, WskBuf((b"x",)), flags=SendFlag.NODELAY)
    with_flag = tcp.no_delay
    world.near.run(near.send, WskBuf((b"x",)))

    assert (with_flag, tcp.no_delay) == (True, False)


def test_a_transport_that_goes_takes_its_sockets_along(world: WskWorld) -> None:
    events = Events(world)
    near, far = world.pair(far=events.dispatch)
    enable(far, Event.RECEIVE)
    waiting = world.far.start(far.receive, WskBuf((bytearray(1),)))

    world.net.hosts[1].wsk.stop()
    world.run()
    later = world.far.run(far.send, WskBuf((b"x",)))

    assert waiting.status is NtStatus.FILE_FORCED_CLOSED
    assert (events.lost, later.status) == (1, NtStatus.FILE_FORCED_CLOSED)
    assert world.near.run(near.receive, WskBuf((bytearray(1),))).status is NtStatus.CONNECTION_RESET
    world.far.close(far)
    world.far.leave()


def test_a_completion_routine_may_keep_the_irp_and_is_called_at_dispatch_level(world: WskWorld) -> None:
    """As the WDK's samples do: the routine returns MORE_PROCESSING_REQUIRED and has the IRP for itself."""
    near, _far = world.pair()
    io, irql, seen = world.net.hosts[0].io, world.net.hosts[0].executive.irql, []
    irp = world.near.client.allocate_irp()

    def routine(done: Any) -> NtStatus:
        seen.append((done.status, irql.current))
        return NtStatus.MORE_PROCESSING_REQUIRED

    irp.set_completion_routine(routine)
    near.send(WskBuf((b"x",)), irp)
    io.resume_completion(irp)

    assert seen == [(NtStatus.SUCCESS, Irql.DISPATCH)]
