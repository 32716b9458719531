"""Handles on a live host: threads share a port, wait for one another, and have errors of their own."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ntos.executive.contract import SECOND
from ntos.object.sid import Sid
from ntos.object.token import user_token
from protocols.apis.win32 import ErrorCode, Overlapped, Win32Error
from protocols.apis.win32.library import CURRENT_THREAD
from protocols.apis.win32.waits import WAIT_IO_COMPLETION, WAIT_OBJECT_0
from protocols.apis.winsock import WinsockError
from protocols.apis.winsock.constants import Af, Sock
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse
from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ntos.io.port import CompletionPacket

PACKETS = 60
JOIN_S = 30
CLOSED = (ErrorCode.ABANDONED_WAIT_0, ErrorCode.INVALID_HANDLE)
"""What a thread at a port hears when another closes it: while it waits, and afterwards."""


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()
    assert made.reports() == []


def run(*bodies: Callable[[], None]) -> None:
    """Run each in a thread of its own, and raise what one of them raised."""
    with ThreadPoolExecutor(len(bodies)) as threads:
        for one in [threads.submit(body) for body in bodies]:
            one.result(JOIN_S)


def connected(near: Any, far: Any) -> tuple[int, int]:  # noqa: ANN401 - Winsocks behind a lock
    listener = far.socket(Af.INET, Sock.STREAM)
    far.bind(listener, internet(bytes(4), 80))
    far.listen(listener, 5)
    number = near.socket(Af.INET, Sock.STREAM)
    near.connect(number, internet(parse("10.0.0.2"), 80))
    child, _peer = far.accept(listener)
    return number, child


def begin_receive(winsock: Any, number: int) -> None:  # noqa: ANN401 - the same
    with contextlib.suppress(WinsockError):  # WSA_IO_PENDING
        winsock.recv(number, bytearray(1), 0, Overlapped())


def test_threads_at_one_port_get_each_packet_once(pair: Pair) -> None:
    near, far = pair.winsocks
    number, child = connected(near, far)
    port = far.win32.create_io_completion_port(child, key="child")
    taken: list[CompletionPacket] = []

    def work() -> None:
        while True:
            try:
                packet = far.win32.get_queued_completion_status(port, 20 * SECOND)
            except Win32Error as error:
                if error.code not in CLOSED:
                    raise
                return
            taken.append(packet)
            if len(taken) == PACKETS:
                far.win32.close_handle(port)

    def ask() -> None:
        for _ in range(PACKETS):
            begin_receive(far, child)

    def send() -> None:
        for _ in range(PACKETS):
            near.send(number, b"x")

    run(work, work, work, ask, send)

    assert len({id(one.overlapped) for one in taken}) == len(taken) == PACKETS
    assert {(one.key, one.information) for one in taken} == {("child", 1)}


def test_an_event_that_one_thread_sets_ends_another_s_wait(pair: Pair) -> None:
    win32 = pair.winsocks[0].win32
    first, second = win32.create_event(), win32.create_event()
    ended: list[int] = []

    def wait() -> None:
        ended.append(win32.wait_for_multiple_objects([first, second], 20 * SECOND))
        win32.set_event(first)

    def set_it() -> None:
        win32.set_event(second)
        ended.append(win32.wait_for_single_object(first, 20 * SECOND))

    run(wait, set_it)

    assert sorted(ended) == [WAIT_OBJECT_0, WAIT_OBJECT_0 + 1]


def test_an_apc_reaches_a_thread_that_waits_alertably(pair: Pair) -> None:
    winsock = pair.winsocks[0]
    win32, event = winsock.win32, winsock.win32.create_event()
    there, ran, names, handles = threading.Event(), list[str](), list[str](), list[int]()

    def wait() -> None:
        names.append(threading.current_thread().name)
        handles.append(win32.duplicate_handle(CURRENT_THREAD))
        there.set()
        assert win32.wait_for_single_object(event, 20 * SECOND, alertable=True) == WAIT_IO_COMPLETION

    def queue() -> None:
        there.wait(JOIN_S)
        win32.queue_user_apc(lambda: ran.append(threading.current_thread().name), handles[0])

    run(wait, queue)

    assert ran == names


def test_each_thread_has_an_error_and_a_client_of_its_own(pair: Pair) -> None:
    winsock = pair.winsocks[0]
    users: list[Sid] = []
    codes: list[int] = []
    bert = user_token(Sid(5, (21, 1, 2, 3, 1002)))

    def serve() -> None:
        winsock.process.thread.impersonate(bert.duplicate())
        winsock.win32.set_last_error(7)
        users.append(winsock.process.thread.token.user)
        codes.append(winsock.get_last_error())

    run(serve)
    run(lambda: codes.append(winsock.get_last_error()))

    assert users == [bert.user]
    assert codes == [7, 0]
    assert winsock.process.thread.token is winsock.process.token
