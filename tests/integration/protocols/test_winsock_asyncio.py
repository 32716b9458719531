"""Unchanged asyncio programs over Winsock, NDIS and the 82574L: streams, servers, datagrams."""

# ruff: noqa: D103, ANN401 - the names are sentences; doubles need no words, programs no types

from __future__ import annotations

import asyncio
import random
import selectors
import socket
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lab.host.event_loop import StackEventLoop
from lab.host.programs import run_program
from lab.host.selector import StackSelector
from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

DATA = random.Random(7).randbytes(200_000)
SERVER = ("10.0.0.2", 7)


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()
    assert made.reports() == []


def run(pair: Pair, number: int, program: Coroutine[Any, Any, Any]) -> Any:
    def loop() -> StackEventLoop:
        return StackEventLoop(pair.winsocks[number], pair.modules[number])

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(asyncio.wait_for(program, 60))


def together(pair: Pair, client: Any, server: Any) -> Any:
    """Run a server program on host 2 in a thread; client on host 1; the server ends when the client has."""

    async def serve(ready: asyncio.Future[Any], over: asyncio.Event) -> None:
        await server(ready, over)

    async def both() -> Any:
        here = asyncio.get_running_loop()
        ready: asyncio.Future[Any] = here.create_future()
        there: dict[str, Any] = {}

        def other() -> None:
            async def program() -> None:
                over = asyncio.Event()
                loop = asyncio.get_running_loop()
                there["stop"] = lambda: loop.call_soon_threadsafe(over.set)
                tell: asyncio.Future[Any] = loop.create_future()
                tell.add_done_callback(lambda one: here.call_soon_threadsafe(ready.set_result, one.result()))
                await serve(tell, over)

            run(pair, 1, program())

        running = here.run_in_executor(None, other)
        await ready
        try:
            return await client()
        finally:
            there["stop"]()
            await running

    return run(pair, 0, both())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def echo_server(ready: asyncio.Future[Any], over: asyncio.Event) -> None:
    async with await asyncio.start_server(echo, "10.0.0.2", 7) as server:
        ready.set_result(server.sockets[0].getsockname())
        await over.wait()


def test_streams_echo_what_twenty_clients_send_at_once(pair: Pair) -> None:
    async def one(number: int) -> bytes:
        reader, writer = await asyncio.open_connection(*SERVER)
        writer.write(DATA[number : number + 10_000])
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def client() -> list[bytes]:
        return await asyncio.gather(*(one(number) for number in range(20)))

    answers = together(pair, client, echo_server)

    assert answers == [DATA[number : number + 10_000] for number in range(20)]


def test_a_long_stream_feels_the_window_both_ways(pair: Pair) -> None:
    async def client() -> bytes:
        reader, writer = await asyncio.open_connection(*SERVER)

        async def send() -> None:
            for at in range(0, len(DATA), 8192):
                writer.write(DATA[at : at + 8192])
                await writer.drain()
            writer.write_eof()

        _, answer = await asyncio.gather(send(), reader.read())
        writer.close()
        return answer

    assert together(pair, client, echo_server) == DATA


def test_an_http_server_written_with_streams_answers(pair: Pair) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        body = b"You asked for " + request.split()[1]
        writer.writelines([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body])
        await writer.drain()
        writer.close()

    async def server(ready: asyncio.Future[Any], over: asyncio.Event) -> None:
        listening = await asyncio.start_server(page, port=80, family=socket.AF_INET)
        async with listening:
            ready.set_result(None)
            await over.wait()

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.2", 80)
        writer.write(b"GET /ringwalk HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    answer = together(pair, client, server)

    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\nYou asked for /ringwalk"


def test_a_server_on_a_name_listens_on_all_its_addresses(pair: Pair) -> None:
    async def program() -> tuple[list[str], bytes]:
        server = await asyncio.start_server(echo, ["127.0.0.1", "10.0.0.1"], 9)
        async with server:
            hosts = [one.getsockname()[0] for one in server.sockets]
            assert server.is_serving()
            reader, writer = await asyncio.open_connection("10.0.0.1", 9)
            writer.write(b"both")
            writer.write_eof()
            answer = await reader.read()
            writer.close()
        return hosts, answer

    assert run(pair, 0, program()) == (["127.0.0.1", "10.0.0.1"], b"both")


def test_datagram_protocols_and_timeouts(pair: Pair) -> None:
    class Upper(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data.upper(), addr)

    class Keeper(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.found: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def datagram_received(self, data: bytes, addr: Any) -> None:
            del addr
            self.found.set_result(data)

    async def server(ready: asyncio.Future[Any], over: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Upper, local_addr=("10.0.0.2", 5000))
        ready.set_result(None)
        await over.wait()
        transport.close()

    async def client() -> bytes:
        loop = asyncio.get_running_loop()
        transport, keeper = await loop.create_datagram_endpoint(Keeper, remote_addr=("10.0.0.2", 5000))
        transport.sendto(b"ping")
        data: bytes = await asyncio.wait_for(keeper.found, 20)
        silent = Keeper()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(silent.found, 0.02)
        transport.close()
        return data

    assert together(pair, client, server) == b"PING"


def test_refusals_are_pythons_exceptions(pair: Pair) -> None:
    async def client() -> None:
        await asyncio.open_connection("10.0.0.2", 81)

    with pytest.raises(ConnectionRefusedError):
        run(pair, 0, client())


def test_a_file_is_sent_by_the_loop(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(DATA)

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection(*SERVER)
        loop = asyncio.get_running_loop()
        receiving = asyncio.ensure_future(reader.readexactly(len(DATA)))
        with path.open("rb") as file:
            await loop.sendfile(writer.transport, file)
        answer = await receiving
        writer.close()
        return answer

    assert together(pair, client, echo_server) == DATA


def test_the_selector_tells_sockets_from_descriptors(pair: Pair) -> None:
    near = pair.modules[0].socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.bind(("10.0.0.1", 5001))
    here, there = socket.socketpair()
    selector = StackSelector(pair.winsocks[0])
    selector.register(near, selectors.EVENT_READ | selectors.EVENT_WRITE, "stack")
    selector.register(here, selectors.EVENT_READ, "machine")

    first = selector.select(5)
    selector.modify(near, selectors.EVENT_READ, "stack")
    nothing = selector.select(0)
    there.send(b"x")
    second = selector.select(5)
    here.recv(1)
    pair.modules[1].socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"y", ("10.0.0.1", 5001))
    third = selector.select(20)

    found = [[(key.data, events) for key, events in answer] for answer in (first, nothing, second, third)]
    assert found == [[("stack", selectors.EVENT_WRITE)], [], [("machine", 1)], [("stack", 1)]]
    assert selector.get_map()[near].fd == near.fileno()
    selector.unregister(near)
    with pytest.raises(KeyError):
        selector.get_key(near)
    selector.close()
    here.close()
    there.close()


PROGRAM = """
import asyncio, http.client, http.server, socket, sys, threading

async def ask(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /by-asyncio HTTP/1.0\\r\\n\\r\\n")
    answer = await reader.read()
    writer.close()
    return answer.splitlines()[-1].decode()

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"you asked for " + self.path.encode())
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
thread = threading.Thread(target=server.serve_forever, args=(0.05,))
thread.start()
client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
client.request("GET", "/by-http-client")
first = client.getresponse().read().decode()
second = asyncio.run(ask(server.server_port))
server.shutdown()
thread.join()
server.server_close()
open(sys.argv[1], "w").write(f"{first}\\n{second}\\n{hasattr(socket, 'AF_UNIX')}\\n")
"""


def test_a_program_with_a_web_server_and_two_clients_runs_unchanged(pair: Pair, tmp_path: Path) -> None:
    path, told = tmp_path / "program.py", tmp_path / "told"
    path.write_text(PROGRAM)
    standing = SimpleNamespace(winsock=pair.winsocks[0], sockets=pair.modules[0])

    run_program(standing, str(path), [str(told)])

    assert told.read_text().splitlines() == [
        "you asked for /by-http-client",
        "you asked for /by-asyncio",
        "False",
    ]
    assert sys.modules["socket"] is socket
