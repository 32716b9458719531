"""NBF between two live hosts over descriptor rings, loaded by its INF file, beside TCP/IP; verifiers on."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from ntos.io.status import NtStatus
from protocols.interfaces.tdi.address import NetbiosName
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.requests import Connect, Flags, Tdi, Transfer, TransportAddress
from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.host.live import LiveHost
    from ntos.io.irp import Irp

A, B = NetbiosName.of("alice"), NetbiosName.of("bob", 0x20)
LIMIT_NS = 20_000_000_000


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    for host in made.hosts:
        with host.executive.entry:
            host.loader.load("netnbf")
    yield made
    made.close()
    assert made.reports() == []


def _ask(host: LiveHost, file: Any, minor: Tdi, parameters: object, *buffers: bytearray | bytes) -> Irp:  # noqa: ANN401 - a FileObject
    client = TdiClient(host.upper.io)
    with host.executive.entry:
        irp = client.request(file, minor, parameters, buffers)
        host.executive.wait(lambda: irp.completed, minor.name, LIMIT_NS)
    return irp


def _opened(host: LiveHost, name: NetbiosName) -> Any:  # noqa: ANN401 - a FileObject
    client = TdiClient(host.upper.io)
    with host.executive.entry:
        device = next(one for one in host.upper.registry.devices if "Nbf_" in one)
        address = client.open_address(device, TransportAddress(name))
        connection = client.open_connection(device, None)
        client.associate(connection, address)
    return connection


def test_two_hosts_exchange_messages_over_netbios_frames(pair: Pair) -> None:
    near, far = pair.hosts
    theirs, ours = _opened(far, B), _opened(near, A)
    messages = [bytes([at]) * size for at, size in enumerate((0, 1, 1482, 1483, 60_000, 131_070))]
    came: list[bytes] = []

    def serve() -> None:
        assert _ask(far, theirs, Tdi.LISTEN, Transfer()).status is NtStatus.SUCCESS
        for _ in messages:
            buffer = bytearray(131_070)
            irp = _ask(far, theirs, Tdi.RECEIVE, Transfer(), buffer)
            came.append(bytes(buffer[: irp.information]))

    server = threading.Thread(target=serve)
    server.start()
    calling = _ask(near, ours, Tdi.CONNECT, Connect(B))
    sent = [_ask(near, ours, Tdi.SEND, Transfer(), data) for data in messages]
    server.join(20)
    leaving = _ask(near, ours, Tdi.DISCONNECT, Transfer(Flags.RELEASE))

    assert (calling.status, leaving.status) == (NtStatus.SUCCESS, NtStatus.SUCCESS)
    assert [(one.status, one.information) for one in sent] == [
        (NtStatus.SUCCESS, len(one)) for one in messages
    ]
    assert came == messages


def test_it_is_unloaded_and_loaded_again(pair: Pair) -> None:
    host = pair.hosts[0]
    _opened(host, A)

    with host.executive.entry:
        host.loader.unload("Nbf")
        assert not any("Nbf_" in one for one in host.upper.registry.devices)
        host.loader.load("netnbf")
    _opened(host, A)
