"""Handles of all kinds in one table: sockets are read, waited for, duplicated, joined to ports, closed."""

# ruff: noqa: D102, D103 - the names are sentences; doubles need no words

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntos.executive.contract import MILLISECOND, SECOND
from ntos.io.create import Share
from ntos.io.device import FastAnswer
from ntos.io.major import Major
from ntos.io.status import NtStatus
from ntos.object.access import Access, FileAccess
from ntos.object.dispatched import EVENT, MUTANT
from ntos.object.handles import HandleTable
from ntos.object.process import PROCESS, OneThread
from ntos.object.sid import Sid
from ntos.object.token import user_token
from protocols.apis.win32 import ErrorCode, Overlapped, Win32Error
from protocols.apis.win32.files import OVERLAPPED, nt_name
from protocols.apis.win32.handles import HandleFlags
from protocols.apis.win32.library import CURRENT_PROCESS, CURRENT_THREAD
from protocols.apis.win32.ports import NotificationModes
from protocols.apis.win32.waits import WAIT_ABANDONED_0, WAIT_IO_COMPLETION, WAIT_OBJECT_0, WAIT_TIMEOUT
from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Af, Fd, So, Sock, Sol
from protocols.interfaces.tdi.address import internet
from tests.support.nt_world import SERVER, World, received

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ntos.io.device import DeviceObject, FileObject
    from ntos.io.irp import Irp, Memory
    from ntos.io.system import IoSystem
    from protocols.apis.win32 import Win32

ANNA, BERT = (Sid(5, (21, 1, 2, 3, rid)) for rid in (1001, 1002))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.reports() == []


@pytest.fixture
def win32(world: World) -> Win32:
    return world.client.win32


def code(error: pytest.ExceptionInfo[Win32Error], library: Win32) -> ErrorCode:
    assert library.get_last_error() == error.value.code
    return error.value.code


# Sockets


def test_a_socket_is_a_handle_of_the_process_s_only_table(world: World, win32: Win32) -> None:
    numbers = [world.client.socket(Af.INET, Sock.STREAM), win32.create_event()]
    numbers += [win32.create_io_completion_port(), world.client.socket(Af.INET6, Sock.DGRAM)]

    assert numbers == [4, 8, 12, 16]
    assert sorted(world.client.process.handle_table.entries) == numbers


def test_a_socket_is_written_read_and_closed_as_any_file(world: World, win32: Win32) -> None:
    near, far = world.pair()

    sent = win32.write_file(near, b"by WriteFile")
    got = bytearray(64)
    count = world.server.win32.read_file(far, got)
    win32.close_handle(near)
    end = world.server.win32.read_file(far, got)

    assert (sent, count, bytes(got[:count]), end) == (12, 12, b"by WriteFile", 0)
    with pytest.raises(WinsockError) as error:
        world.client.send(near, b"x")
    assert error.value.code is Wsae.WSAENOTSOCK


def test_a_socket_that_was_closed_by_either_name_is_closed_for_both(world: World, win32: Win32) -> None:
    first, second = (world.client.socket(Af.INET, Sock.DGRAM) for _ in range(2))

    world.client.closesocket(first)
    win32.close_handle(second)

    with pytest.raises(Win32Error) as error:
        win32.close_handle(first)
    assert code(error, win32) is ErrorCode.INVALID_HANDLE
    with pytest.raises(WinsockError) as failure:
        world.client.closesocket(second)
    assert failure.value.code is Wsae.WSAENOTSOCK
    assert world.net.hosts[0].afd.endpoints == set()


def test_what_is_no_socket_is_none_for_winsock(world: World, win32: Win32) -> None:
    for handle in (win32.create_event(), win32.create_io_completion_port(), 400, 0, -1):
        with pytest.raises(WinsockError) as error:
            world.client.recv(handle, bytearray(1))
        assert error.value.code is Wsae.WSAENOTSOCK


def test_winsock_and_kernel32_have_one_last_error_a_thread(world: World, win32: Win32) -> None:
    with pytest.raises(Win32Error):
        win32.close_handle(400)
    first = world.client.get_last_error()
    with pytest.raises(WinsockError):
        world.client.closesocket(400)

    assert (first, win32.get_last_error()) == (ErrorCode.INVALID_HANDLE, Wsae.WSAENOTSOCK)


def test_a_reset_is_a_deleted_network_name_for_readfile(world: World) -> None:
    near, far = world.pair()
    world.client.setsockopt(near, Sol.SOCKET, So.LINGER, 0)
    world.client.closesocket(near)
    world.net.run()

    with pytest.raises(Win32Error) as error:
        world.server.win32.read_file(far, bytearray(1))

    assert code(error, world.server.win32) is ErrorCode.NETNAME_DELETED


def test_a_handle_that_only_reads_does_not_write(world: World, win32: Win32) -> None:
    near, far = world.pair()
    world.server.send(far, b"x")

    reader = win32.duplicate_handle(near, access=FileAccess.READ_DATA | Access.SYNCHRONIZE)

    assert win32.read_file(reader, bytearray(4)) == 1
    with pytest.raises(Win32Error) as error:
        win32.write_file(reader, b"x")
    assert code(error, win32) is ErrorCode.ACCESS_DENIED


def test_a_table_without_room_is_too_many_sockets(world: World) -> None:
    client = world.client
    client.process.handle_table._limit = 1
    client.socket(Af.INET, Sock.DGRAM)

    with pytest.raises(WinsockError) as error:
        client.socket(Af.INET, Sock.DGRAM)

    assert (error.value.code, client.get_last_error()) == (Wsae.WSAEMFILE, Wsae.WSAEMFILE)
    assert len(world.net.hosts[0].afd.endpoints) == 1


def test_a_process_that_ends_closes_its_sockets(world: World) -> None:
    _near, far = world.pair()

    world.client.process.terminate()

    assert received(world.server, far, 10) == b""
    assert world.net.hosts[0].afd.endpoints == set()


# Duplicates and children


def test_a_duplicate_is_the_same_socket_until_the_last_handle_is_closed(world: World, win32: Win32) -> None:
    near, far = world.pair()

    twin = win32.duplicate_handle(near)
    world.client.closesocket(near)
    world.client.send(twin, b"still open")

    assert received(world.server, far, 20) == b"still open"
    assert world.client.getpeername(twin) == SERVER


def test_a_socket_may_be_duplicated_into_another_process(world: World, win32: Win32) -> None:
    near, far = world.pair()
    other = world.net.hosts[0].process()
    other.startup()
    target = win32.open_process(other.process.id, PROCESS.mapping.all)

    twin = win32.duplicate_handle(near, target, close_source=True)
    world.client.cleanup()
    other.send(twin, b"from the other")

    assert received(world.server, far, 20) == b"from the other"
    assert len(world.client.process.handle_table) == 1  # the process's


def test_a_completion_routine_runs_in_the_process_that_asked(world: World, win32: Win32) -> None:
    near, far = world.pair()
    other, ran = world.net.hosts[0].process(), list[int]()
    other.startup()
    twin = other.socket_of(world.client.duplicate_socket(near, other))

    with pytest.raises(WinsockError, match="PENDING"):
        other.recv(twin, bytearray(8), 0, Overlapped(routine=lambda _status, count, _ov: ran.append(count)))
    world.server.send(far, b"abc")
    world.net.run()

    assert (win32.sleep_ex(MILLISECOND), other.win32.sleep_ex(MILLISECOND), ran) == (False, True, [3])


def test_another_user_s_process_is_not_opened(world: World) -> None:
    host = world.net.hosts[0]
    anna, bert = host.process(user_token(ANNA)), host.process(user_token(BERT))

    with pytest.raises(Win32Error) as error:
        bert.win32.open_process(anna.process.id, PROCESS.mapping.all)

    assert code(error, bert.win32) is ErrorCode.ACCESS_DENIED
    with pytest.raises(Win32Error) as nobody:
        bert.win32.open_process(4000, 1)
    assert code(nobody, bert.win32) is ErrorCode.INVALID_PARAMETER


def test_a_child_inherits_a_socket_that_is_to_be_inherited(world: World, win32: Win32) -> None:
    near, far = world.pair()
    win32.set_handle_information(near, HandleFlags.INHERIT, HandleFlags.INHERIT)
    table = HandleTable()

    world.client.process.handle_table.inherit_into(table)
    world.client.closesocket(near)
    world.server.send(far, b"x")

    assert list(table.entries) == [near]
    assert table.lookup(near).target.is_open
    table.close_all()


def test_a_protected_handle_is_closed_by_nobody(world: World, win32: Win32) -> None:
    handle = win32.create_event()
    both = HandleFlags.PROTECT_FROM_CLOSE | HandleFlags.INHERIT
    win32.set_handle_information(handle, HandleFlags.PROTECT_FROM_CLOSE, both)
    assert win32.get_handle_information(handle) == HandleFlags.PROTECT_FROM_CLOSE

    with pytest.raises(Win32Error) as error:
        win32.close_handle(handle)
    assert code(error, win32) is ErrorCode.INVALID_HANDLE
    win32.set_handle_information(handle, both, HandleFlags.NONE)
    win32.close_handle(handle)
    assert world.reports() == []


def test_a_pseudo_handle_becomes_a_real_one_by_duplication(win32: Win32) -> None:
    process, thread = (win32.duplicate_handle(pseudo) for pseudo in (CURRENT_PROCESS, CURRENT_THREAD))

    assert win32.handles.lookup(process).target is win32.process
    assert win32.handles.lookup(thread).target is win32.process.thread
    win32.close_handle(CURRENT_PROCESS)


# Overlapped transfers and waits


def test_a_socket_is_waited_for_like_any_handle(world: World, win32: Win32) -> None:
    near, far = world.pair()
    overlapped, got = Overlapped(), bytearray(16)
    with pytest.raises(Win32Error) as error:
        win32.read_file(near, got, overlapped)
    before = win32.wait_for_single_object(near, 0)
    with pytest.raises(Win32Error) as incomplete:
        win32.get_overlapped_result(near, overlapped)
    assert code(incomplete, win32) is ErrorCode.IO_INCOMPLETE

    world.server.win32.write_file(far, b"awaited")
    after = win32.wait_for_multiple_objects([win32.create_event(), near], SECOND)

    assert (error.value.code, before, after) == (ErrorCode.IO_PENDING, WAIT_TIMEOUT, WAIT_OBJECT_0 + 1)
    assert (win32.get_overlapped_result(near, overlapped, wait=True), bytes(got[:7])) == (7, b"awaited")


def test_an_event_is_set_in_place_of_the_file(world: World, win32: Win32) -> None:
    near, far = world.pair()
    handle = win32.create_event(manual=True)
    with pytest.raises(Win32Error, match="IO_PENDING"):
        win32.read_file(near, bytearray(4), Overlapped(win32.event_of(handle)))

    world.server.send(far, b"x")

    assert win32.wait_for_single_object(handle, SECOND) == WAIT_OBJECT_0
    assert win32.wait_for_single_object(near, 0) == WAIT_TIMEOUT


def test_winsock_s_events_may_be_handles(world: World, win32: Win32) -> None:
    near, far = world.pair()
    handle = win32.create_event(manual=True)
    world.client.event_select(near, handle, Fd.READ)

    world.server.send(far, b"x")

    assert world.client.wait_for_multiple_events([handle], SECOND) == 0


def test_cancelio_is_for_the_thread_s_own_requests(world: World, win32: Win32) -> None:
    near, _far = world.pair()
    mine, other = win32.process.current, OneThread()
    theirs, ours = Overlapped(), Overlapped()
    with pytest.raises(Win32Error, match="IO_PENDING"):
        win32.read_file(near, bytearray(4), ours)
    win32.process.current = lambda: other
    with pytest.raises(Win32Error, match="IO_PENDING"):
        win32.read_file(near, bytearray(4), theirs)
    win32.process.current = mine

    cancelled = win32.cancel_io(near)

    assert (cancelled, ours.status, theirs.done) == (1, NtStatus.CANCELLED, False)
    with pytest.raises(Win32Error) as error:
        win32.get_overlapped_result(near, ours)
    assert code(error, win32) is ErrorCode.OPERATION_ABORTED
    assert win32.cancel_io_ex(near) == 1


def test_cancelioex_is_for_one_request_or_for_all(world: World, win32: Win32) -> None:
    near, _far = world.pair()
    three = [Overlapped() for _ in range(3)]
    for one in three:
        with pytest.raises(WinsockError, match="PENDING"):
            world.client.recv(near, bytearray(4), 0, one)

    first = win32.cancel_io_ex(near, three[1])
    states = [one.done for one in three]
    rest = win32.cancel_io_ex(near)

    assert (first, states, rest) == (1, [False, True, False], 2)
    for asked in (three[1], None):
        with pytest.raises(Win32Error) as error:
            win32.cancel_io_ex(near, asked)
        assert code(error, win32) is ErrorCode.NOT_FOUND


# Completion ports


def test_the_ends_of_several_files_requests_come_by_one_port(world: World, win32: Win32) -> None:
    near, far = world.pair()
    port = win32.create_io_completion_port(near, None, "socket")
    reading, got = Overlapped(), bytearray(8)
    with pytest.raises(Win32Error, match="IO_PENDING"):
        win32.read_file(near, got, reading)
    win32.post_queued_completion_status(port, 7, "posted", "anything")

    world.server.send(far, b"abc")
    world.net.run()
    packets = win32.get_queued_completion_status_ex(port, 10)

    assert [(one.key, one.overlapped, one.information) for one in packets] == [
        ("posted", "anything", 7),
        ("socket", reading, 3),
    ]


def test_a_port_says_when_nothing_comes(win32: Win32) -> None:
    port = win32.create_io_completion_port()

    with pytest.raises(Win32Error) as error:
        win32.get_queued_completion_status(port, MILLISECOND)

    assert code(error, win32) is ErrorCode.WAIT_TIMEOUT
    with pytest.raises(Win32Error, match="INVALID_PARAMETER"):
        win32.get_queued_completion_status_ex(port, 0)


def test_an_apc_ends_an_alertable_wait_for_a_port(win32: Win32) -> None:
    port, ran = win32.create_io_completion_port(), list[int]()
    win32.queue_user_apc(lambda: ran.append(1))

    assert win32.get_queued_completion_status_ex(port, 4, SECOND, alertable=True) == []
    assert ran == [1]


def test_a_port_that_is_closed_ends_the_wait_for_it(world: World, win32: Win32) -> None:
    port = win32.create_io_completion_port()
    world.net.executive.call_at(
        world.net.executive.now_ns() + MILLISECOND, "close", lambda: win32.close_handle(port)
    )

    with pytest.raises(Win32Error) as error:
        win32.get_queued_completion_status(port, SECOND)

    assert code(error, win32) is ErrorCode.ABANDONED_WAIT_0


def test_a_file_has_one_port(world: World, win32: Win32) -> None:
    near, _far = world.pair()
    port = win32.create_io_completion_port(near)

    for arguments in ((near, port), (near,), (-1, port)):
        with pytest.raises(Win32Error) as error:
            win32.create_io_completion_port(*arguments)
        assert code(error, win32) is ErrorCode.INVALID_PARAMETER


@pytest.mark.parametrize("modes", [NotificationModes.NONE, NotificationModes.SKIP_COMPLETION_PORT_ON_SUCCESS])
def test_what_ends_well_at_once_may_skip_the_port(
    world: World, win32: Win32, modes: NotificationModes
) -> None:
    near, far = world.pair()
    port = win32.create_io_completion_port(near)
    win32.set_file_completion_notification_modes(near, modes)
    world.server.send(far, b"there already")
    world.net.run()

    at_once = [win32.read_file(near, bytearray(size), Overlapped()) for size in (4, 16)]
    with pytest.raises(Win32Error, match="IO_PENDING"):
        win32.read_file(near, bytearray(16), Overlapped())
    world.server.send(far, b"more")
    world.net.run()

    packets = win32.get_queued_completion_status_ex(port, 10)
    assert at_once == [4, 9]
    assert len(packets) == 3 - 2 * bool(modes)


def test_a_call_that_fails_at_once_posts_nothing(world: World, win32: Win32) -> None:
    number = world.client.socket(Af.INET, Sock.STREAM)
    port = win32.create_io_completion_port(number)

    with pytest.raises(Win32Error) as error:
        win32.read_file(number, bytearray(4), Overlapped())

    assert code(error, win32) is ErrorCode.CONNECTION_INVALID
    with pytest.raises(Win32Error, match="WAIT_TIMEOUT"):
        win32.get_queued_completion_status(port, 0)


# Dispatcher objects


def test_a_named_event_is_one_for_all_processes_of_a_user(world: World) -> None:
    host = world.net.hosts[0]
    first, second = (host.process(user_token(ANNA)).win32 for _ in range(2))
    handle = first.create_event("Ready")
    fresh = first.get_last_error()

    same = second.create_event("READY")
    known = second.get_last_error()
    second.set_event(same)

    assert (fresh, known) == (ErrorCode.SUCCESS, ErrorCode.ALREADY_EXISTS)
    assert first.wait_for_single_object(handle, 0) == WAIT_OBJECT_0
    assert second.wait_for_single_object(same, 0) == WAIT_TIMEOUT  # it was an auto-reset event


def test_a_named_event_is_its_user_s_and_goes_with_the_last_handle(world: World) -> None:
    host = world.net.hosts[0]
    anna, bert = (host.process(user_token(one)).win32 for one in (ANNA, BERT))
    handle = anna.create_event("Private")

    with pytest.raises(Win32Error) as error:
        bert.open_object(EVENT, "Private")
    anna.close_handle(handle)
    with pytest.raises(Win32Error) as gone:
        bert.open_object(EVENT, "Private")

    assert (error.value.code, gone.value.code) == (ErrorCode.ACCESS_DENIED, ErrorCode.FILE_NOT_FOUND)


def test_a_name_of_another_type_is_refused(win32: Win32) -> None:
    win32.create_event("Thing")

    with pytest.raises(Win32Error) as error:
        win32.create_mutex("Thing")

    assert code(error, win32) is ErrorCode.INVALID_HANDLE
    with pytest.raises(Win32Error, match="INVALID_HANDLE"):
        win32.open_object(MUTANT, "Thing")


def test_a_mutex_is_released_as_often_as_it_was_taken(win32: Win32) -> None:
    mutex = win32.create_mutex(owned=True)
    again = win32.wait_for_single_object(mutex, 0)
    win32.release_mutex(mutex)
    win32.release_mutex(mutex)

    with pytest.raises(Win32Error) as error:
        win32.release_mutex(mutex)

    assert (again, code(error, win32)) == (WAIT_OBJECT_0, ErrorCode.NOT_OWNER)


def test_a_mutex_that_its_owner_abandoned_says_so(win32: Win32) -> None:
    mutex = win32.create_mutex(owned=True)
    win32.handles.lookup(mutex).target.body.abandon()

    assert win32.wait_for_single_object(mutex, 0) == WAIT_ABANDONED_0


def test_a_semaphore_counts(win32: Win32) -> None:
    semaphore = win32.create_semaphore(1, 2)

    before = win32.release_semaphore(semaphore)
    waits = [win32.wait_for_single_object(semaphore, 0) for _ in range(3)]

    assert (before, waits) == (1, [WAIT_OBJECT_0, WAIT_OBJECT_0, WAIT_TIMEOUT])
    with pytest.raises(Win32Error) as error:
        win32.release_semaphore(semaphore, 3)
    assert code(error, win32) is ErrorCode.TOO_MANY_POSTS
    with pytest.raises(Win32Error, match="INVALID_PARAMETER"):
        win32.create_semaphore(3, 2)


def test_a_timer_is_waited_for_in_the_host_s_time(world: World, win32: Win32) -> None:
    timer, before = win32.create_waitable_timer(), world.net.executive.now_ns()
    win32.set_waitable_timer(timer, 5 * MILLISECOND)

    early = win32.wait_for_single_object(timer, MILLISECOND)
    late = win32.wait_for_single_object(timer, SECOND)

    assert (early, late) == (WAIT_TIMEOUT, WAIT_OBJECT_0)
    assert world.net.executive.now_ns() - before == 5 * MILLISECOND
    win32.cancel_waitable_timer(timer)


def test_a_wait_for_all_takes_none_before_all_are_there(win32: Win32) -> None:
    first, second = win32.create_event(signalled=True), win32.create_event()

    early = win32.wait_for_multiple_objects([first, second], 0, wait_all=True)
    win32.set_event(second)
    both = win32.wait_for_multiple_objects([first, second], 0, wait_all=True)
    again = win32.wait_for_multiple_objects([first, second], 0)

    assert (early, both, again) == (WAIT_TIMEOUT, WAIT_OBJECT_0, WAIT_TIMEOUT)


def test_an_apc_ends_an_alertable_wait_unless_something_is_signalled(win32: Win32) -> None:
    event, ran = win32.create_event(manual=True), list[int]()
    win32.queue_user_apc(lambda: ran.append(1))

    deaf = win32.wait_for_single_object(event, 0)
    ended = win32.wait_for_single_object(event, SECOND, alertable=True)
    win32.queue_user_apc(lambda: ran.append(2))
    win32.set_event(event)
    signalled = win32.wait_for_single_object(event, SECOND, alertable=True)

    assert (deaf, ended, signalled, ran) == (WAIT_TIMEOUT, WAIT_IO_COMPLETION, WAIT_OBJECT_0, [1])
    win32.reset_event(event)
    assert win32.wait_for_single_object(event, 0) == WAIT_TIMEOUT


@pytest.mark.parametrize("handles", [[], [4] * 2, list(range(4, 4 * 66, 4))])
def test_a_wait_is_for_one_to_64_different_handles(win32: Win32, handles: list[int]) -> None:
    for _ in range(65):
        win32.create_event()

    with pytest.raises(Win32Error) as error:
        win32.wait_for_multiple_objects(handles, 0)

    assert code(error, win32) is ErrorCode.INVALID_PARAMETER


def test_a_handle_without_synchronize_is_not_waited_for(win32: Win32) -> None:
    only = win32.duplicate_handle(win32.create_event(), access=2)

    with pytest.raises(Win32Error) as error:
        win32.wait_for_single_object(only, 0)

    assert code(error, win32) is ErrorCode.ACCESS_DENIED


def test_a_process_is_waited_for_until_it_ends(world: World, win32: Win32) -> None:
    other = world.net.hosts[0].process()
    handle = win32.open_process(other.process.id, PROCESS.mapping.all)

    before = win32.wait_for_single_object(handle, 0)
    other.process.terminate()

    assert (before, win32.wait_for_single_object(handle, 0)) == (WAIT_TIMEOUT, WAIT_OBJECT_0)


# Whose a socket is


def test_a_socket_belongs_to_the_client_that_its_thread_stands_for(world: World) -> None:
    """SO_EXCLUSIVEADDRUSE and its kin compare users: a wildcard of Anna's does not let Bert in."""
    host = world.net.hosts[1]
    server = host.process(user_token(ANNA))
    server.startup()
    any_address, here = internet(bytes(4), 90), internet(SERVER.address, 90)
    server.bind(server.socket(Af.INET, Sock.STREAM), any_address)

    server.process.thread.impersonate(user_token(BERT).duplicate())
    bert = server.socket(Af.INET, Sock.STREAM)
    server.process.thread.impersonate(None)
    anna = server.socket(Af.INET, Sock.STREAM)

    with pytest.raises(WinsockError) as error:
        server.bind(bert, here)
    assert error.value.code is Wsae.WSAEACCES
    server.bind(anna, here)


# Devices


class Disk:
    """A driver of 16 bytes; ``fast`` has it answer without an IRP."""

    name = "disk"

    def __init__(self, io: IoSystem) -> None:
        self.io = io
        self.data = bytearray(b"0123456789abcdef")
        self.asked: list[Major] = []

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:
        del device
        location = irp.location
        self.asked.append(location.major)
        if location.major is Major.READ:
            at = location.parameters.offset
            if at >= len(self.data):
                return self.io.complete(irp, NtStatus.END_OF_FILE)
            return self.io.complete(irp, NtStatus.SUCCESS, irp.scatter(self.data[at:]))
        if location.major is Major.WRITE:
            at, data = location.parameters.offset, b"".join(irp.buffers)
            self.data[at : at + len(data)] = data
            return self.io.complete(irp, NtStatus.SUCCESS, len(data))
        if location.major is Major.DEVICE_CONTROL:
            return self.io.complete(irp, NtStatus.BUFFER_OVERFLOW, irp.scatter(location.parameters.data))
        return self.io.complete(irp, NtStatus.SUCCESS)

    def read(self, file: FileObject, buffers: Sequence[Memory], offset: int | None) -> FastAnswer | None:
        del file, buffers
        return FastAnswer(NtStatus.SUCCESS, 3) if offset == 0 else None

    def write(self, file: FileObject, buffers: Sequence[Memory], offset: int | None) -> FastAnswer | None:
        del file, buffers, offset
        return None


@pytest.fixture
def disk(world: World) -> Disk:
    io = world.net.hosts[0].io
    made = Disk(io)
    io.create_device(made, "\\Device\\Disk0")
    io.create_symbolic_link("\\??\\Disk0", "\\Device\\Disk0")
    return made


def test_a_synchronous_file_keeps_its_place(win32: Win32, disk: Disk) -> None:
    handle = win32.create_file("\\\\.\\disk0", Access.GENERIC_READ | Access.GENERIC_WRITE, Share.READ)
    got = bytearray(4)

    counts = [win32.read_file(handle, got), win32.write_file(handle, b"WXYZ"), win32.read_file(handle, got)]

    assert (counts, bytes(got), bytes(disk.data[4:8])) == ([4, 4, 4], b"89ab", b"WXYZ")
    assert [win32.read_file(handle, bytearray(100)) for _ in range(2)] == [4, 0]
    win32.flush_file_buffers(handle)
    win32.close_handle(handle)
    assert disk.asked[-3:] == [Major.FLUSH_BUFFERS, Major.CLEANUP, Major.CLOSE]


def test_an_overlapped_file_has_the_call_s_place(win32: Win32, disk: Disk) -> None:
    handle = win32.create_file("\\\\.\\disk0", Access.GENERIC_READ, flags=OVERLAPPED)
    got = bytearray(2)

    assert (win32.read_file(handle, got, Overlapped(offset=10)), bytes(got)) == (2, b"ab")
    with pytest.raises(Win32Error) as error:
        win32.read_file(handle, got, Overlapped(offset=16))
    assert code(error, win32) is ErrorCode.HANDLE_EOF
    with pytest.raises(Win32Error, match="ACCESS_DENIED"):
        win32.write_file(handle, b"x", Overlapped(offset=0))
    assert len(disk.data) == 16


def test_a_driver_may_answer_without_a_request(win32: Win32, disk: Disk) -> None:
    handle = win32.create_file("\\\\.\\disk0", Access.GENERIC_READ)
    win32.handles.lookup(handle).target.device.fast_io = disk

    counts = [win32.read_file(handle, bytearray(4)) for _ in range(2)]

    assert counts == [3, 4]
    assert disk.asked == [Major.CREATE, Major.READ]


def test_a_control_code_says_what_the_handle_must_give(win32: Win32, disk: Disk) -> None:
    handle = win32.create_file("\\\\.\\disk0", Access.GENERIC_READ)
    into = bytearray(2)

    with pytest.raises(Win32Error) as error:
        win32.device_io_control(handle, 0x0022_4000, b"abc", into)
    assert (code(error, win32), error.value.information, bytes(into)) == (ErrorCode.MORE_DATA, 2, b"ab")
    with pytest.raises(Win32Error) as denied:
        win32.device_io_control(handle, 0x0022_8000)
    assert code(denied, win32) is ErrorCode.ACCESS_DENIED
    assert disk.asked == [Major.CREATE, Major.DEVICE_CONTROL]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("\\\\.\\COM1", "\\??\\COM1"),
        ("\\\\?\\C:\\x", "\\??\\C:\\x"),
        ("\\\\server\\share\\x", "\\??\\UNC\\server\\share\\x"),
        ("C:\\x", "\\??\\C:\\x"),
    ],
)
def test_a_win32_name_is_an_nt_name(name: str, expected: str) -> None:
    assert nt_name(name) == expected


def test_what_is_no_name_is_a_bad_path(win32: Win32) -> None:
    for name in ("", "x", "\\x"):
        with pytest.raises(Win32Error) as error:
            win32.create_file(name, Access.GENERIC_READ)
        assert code(error, win32) is ErrorCode.BAD_PATHNAME
