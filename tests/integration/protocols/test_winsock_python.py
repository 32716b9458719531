"""Python's own http.client, http.server and plain sockets over Winsock, NDIS and the 82574L; real threads."""

# ruff: noqa: D103, FBT003 - the names are sentences; doubles need no words

from __future__ import annotations

import hashlib
import http.client
import http.server
import random
import socket
from typing import TYPE_CHECKING

import pytest

from lab.host.web import WebServer
from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = random.Random(6).randbytes(300_000)


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()
    assert made.reports() == []


def test_http_client_fetches_from_http_server_and_puts_back(pair: Pair) -> None:
    near, far = pair.modules
    server = WebServer(far, ("10.0.0.2", 80), {"/data": DATA})
    server.start()
    client = http.client.HTTPConnection("10.0.0.2", 80)
    client.sock = near.create_connection(("10.0.0.2", 80), 20)

    client.request("GET", "/data")
    got = client.getresponse().read()
    client.request("PUT", "/back", body=DATA)
    answer = client.getresponse()
    answer.read()
    client.close()
    server.stop()

    assert hashlib.sha256(got).digest() == hashlib.sha256(DATA).digest()
    assert answer.status == 201
    assert server.files["/back"] == DATA


def test_exceptions_are_those_of_pythons_sockets(pair: Pair) -> None:
    near, _far = pair.modules
    refused, slow = near.socket(), near.socket(socket.AF_INET, socket.SOCK_DGRAM)
    slow.bind(("", 0))
    slow.settimeout(0.05)

    with pytest.raises(ConnectionRefusedError):
        refused.connect(("10.0.0.2", 81))
    with pytest.raises(TimeoutError):
        slow.recvfrom(10)
    slow.setblocking(False)
    with pytest.raises(BlockingIOError):
        slow.recvfrom(10)


def test_a_datagram_and_its_answer(pair: Pair) -> None:
    near, far = (module.socket(socket.AF_INET, socket.SOCK_DGRAM) for module in pair.modules)
    far.bind(("", 5000))

    near.sendto(b"ping", ("10.0.0.2", 5000))
    data, peer = far.recvfrom(100)
    far.sendto(data.upper(), peer)

    assert near.recvfrom(100) == (b"PING", ("10.0.0.2", 5000))


def test_names_resolve_through_the_namespace_providers(pair: Pair) -> None:
    near, _far = pair.modules

    found = near.getaddrinfo("localhost", "http", 0, socket.SOCK_STREAM)

    assert found[-1] == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 80))
    with pytest.raises(socket.gaierror):
        near.getaddrinfo("nobody.invalid", 80)


def test_a_name_that_nobody_on_the_link_has_is_waited_for_and_not_found(pair: Pair) -> None:
    near, _far = pair.modules

    with pytest.raises(socket.gaierror):
        near.getaddrinfo("nobody", 80)
