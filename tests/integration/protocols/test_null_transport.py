"""The house's own test: a transport in a folder of its own, with no other file of the tree changed.

It loads from its folder, binds to a card beside TCP/IP, carries sockets through AFD and Winsock by its own
family of addresses, and unloads under traffic.
"""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ntos.netcfg.tree import tree
from protocols.apis.winsock import WinsockError
from protocols.apis.winsock.constants import Io, Sock
from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parents[2] / "samples/nulltransport"
AF_NULL, CHANNEL = 0x4E55, 7
PATIENCE_S = 20.0
DATA = bytes(range(256)) * 4000


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    for host in made.hosts:
        host.loader.store.add(FOLDER)
        with host.executive.entry:
            host.loader.load("netnull")
    yield made
    made.close()
    assert made.reports() == []


def _address(number: int, channel: int = CHANNEL) -> Any:  # noqa: ANN401 - the folder's own class, which nobody imports
    driver = __import__("nulltransport.address", fromlist=["NullAddress"])
    return driver.NullAddress(bytes((2, 0, 0, 0, 0, number)) if number else bytes(6), channel)


def _sockets(pair: Pair) -> list[int]:
    found = []
    for winsock in pair.winsocks:
        number = winsock.socket(AF_NULL, Sock.DGRAM)
        winsock.bind(number, _address(0))
        found.append(number)
    return found


def test_it_loads_from_its_folder_and_is_bound_between_afd_and_the_card(pair: Pair) -> None:
    host = pair.hosts[0]

    shown = tree(host.loader.engine, host.loader.connection)

    assert "Null transport (NullTransport)\n    - Local Area Connection 1" in shown
    assert "Ancillary Function Driver for Winsock (Afd)\n" in shown
    assert "    - Null transport (NullTransport)\n" in shown
    assert "  - Internet Protocol (TCP/IP) (Tcpip)\n    - Local Area Connection 1" in shown.replace(
        "  Internet", "  - Internet", 1
    )
    assert host.loader.started[-1].name in {"NullTransport", "rwnic"}


def test_sockets_of_its_own_family_talk_through_afd_and_winsock(pair: Pair) -> None:
    near, far = pair.winsocks
    here, there = _sockets(pair)
    buffer = bytearray(2000)

    near.sendto(here, b"over the null transport", _address(2))
    count, source = far.recvfrom(there, buffer)
    far.sendto(there, bytes(buffer[:count]).upper(), source)
    answer = near.recvfrom(here, buffer)

    assert source == _address(1)
    assert (answer, bytes(buffer[:count])) == ((count, _address(2)), b"OVER THE NULL TRANSPORT")
    assert near.getsockname(here) == _address(0)


def test_a_connected_socket_and_any_channel(pair: Pair) -> None:
    near, far = pair.winsocks
    _here, there = _sockets(pair)
    number = near.socket(AF_NULL, Sock.DGRAM)
    buffer = bytearray(10)

    near.connect(number, _address(2))
    near.send(number, b"hello")
    count, source = far.recvfrom(there, buffer)

    assert (count, source.station, source.channel >= 0x8000) == (5, _address(1).station, True)
    assert near.getpeername(number) == _address(2)


def test_addresses_of_other_families_and_channels_in_use_are_refused(pair: Pair) -> None:
    near = pair.winsocks[0]
    _sockets(pair)
    number = near.socket(AF_NULL, Sock.DGRAM)

    with pytest.raises(WinsockError, match="WSAEADDRINUSE"):
        near.bind(number, _address(0))
    with pytest.raises(WinsockError, match="WSAEADDRNOTAVAIL"):
        near.sendto(number, b"x", _address(0, 3))
    with pytest.raises(WinsockError, match="WSAEMSGSIZE"):
        near.sendto(number, bytes(1495), _address(2))
    with pytest.raises(WinsockError, match="WSAESOCKTNOSUPPORT"):
        near.socket(AF_NULL, Sock.STREAM)


class Traffic:
    """Datagrams one way by the null transport, until it ends them; a stream the other by TCP/IP."""

    def __init__(self, pair: Pair) -> None:
        self.sent = self.received = 0
        self.ended: list[str] = []
        self.stream = bytearray()
        self._near, self._far = pair.winsocks
        self._here, self._there = _sockets(pair)
        self._listener = pair.modules[1].socket()
        self._listener.bind(("", 5000))
        self._listener.listen(1)
        self._listener.settimeout(PATIENCE_S)
        self._threads = [threading.Thread(target=one) for one in (self._send, self._receive, self._take)]
        for thread in self._threads:
            thread.start()

    def wait(self, datagrams: int) -> None:
        """Let some datagrams pass."""
        end = time.monotonic() + PATIENCE_S
        while self.received < datagrams and time.monotonic() < end:
            time.sleep(0.005)

    def join(self) -> None:
        """Wait for all of it to end."""
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _send(self) -> None:
        try:
            while True:
                self._near.sendto(self._here, bytes(1000), _address(2))
                self.sent += 1
        except WinsockError as error:
            self.ended.append(error.code.name)

    def _receive(self) -> None:
        buffer = bytearray(2000)
        try:
            while True:
                self._far.recvfrom(self._there, buffer)
                self.received += 1
        except WinsockError as error:
            self.ended.append(error.code.name)

    def _take(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE_S)
        while piece := connection.recv(1 << 14):
            self.stream.extend(piece)


def test_it_unloads_under_traffic_and_tcp_goes_on(pair: Pair) -> None:
    traffic = Traffic(pair)
    tcp = pair.modules[0].create_connection(("10.0.0.2", 5000), PATIENCE_S)
    tcp.sendall(DATA[: len(DATA) // 2])
    traffic.wait(20)

    for host in pair.hosts:
        with host.executive.entry:
            host.loader.unload("NullTransport")
    tcp.sendall(DATA[len(DATA) // 2 :])
    tcp.close()
    traffic.join()

    assert traffic.received >= 20
    assert len(traffic.ended) == 2
    assert set(traffic.ended) <= {"WSAECONNABORTED", "WSA_OPERATION_ABORTED"}
    assert bytes(traffic.stream) == DATA
    with pytest.raises(WinsockError, match="WSAEAFNOSUPPORT"):
        pair.winsocks[0].socket(AF_NULL, Sock.DGRAM)
    assert not any(one.endswith("Transport") for host in pair.hosts for one in host.upper.registry.devices)


def test_it_can_be_loaded_again(pair: Pair) -> None:
    for host in pair.hosts:
        with host.executive.entry:
            host.loader.unload("NullTransport")
            host.loader.load("netnull")
    near, far = pair.winsocks
    here, there = _sockets(pair)
    buffer = bytearray(10)

    near.sendto(here, b"again", _address(2))
    count, _source = far.recvfrom(there, buffer)

    assert bytes(buffer[:count]) == b"again"


def test_what_is_no_datagram_of_its_is_counted_and_left(pair: Pair) -> None:
    near, far = pair.winsocks
    here, there = _sockets(pair)
    edge = pair.hosts[1].loader.objects.of["NullTransport"].edge  # type: ignore[attr-defined]  # the folder's own class
    link = pair.hosts[0].loader.objects.of["NullTransport"].edge.links["Local Area Connection 1"]  # type: ignore[attr-defined]  # the same
    bad = _address(2).station + _address(1).station + b"\x88\xb5" + b"\0\7\0\7\xff\xff"

    with pair.hosts[0].executive.entry:
        link.send([bad.ljust(60, b"\0")])
    near.sendto(here, b"good", _address(2))
    buffer = bytearray(10)
    count, _source = far.recvfrom(there, buffer)
    far.ioctlsocket(there, Io.FIONBIO, 1)

    assert (bytes(buffer[:count]), edge.malformed) == (b"good", 1)
    with pytest.raises(WinsockError, match="WSAEWOULDBLOCK"):
        far.recvfrom(there, buffer)


def test_no_other_file_of_the_tree_knows_it() -> None:
    """Its name is in its folder, in this test, and nowhere else."""
    top = FOLDER.parents[2]
    found = subprocess.run(
        ["git", "-C", str(top), "grep", "-il", "nulltransport", "--", "*.py", "*.toml", "*.inf"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if not found:
        pytest.skip("no git checkout: the tree's own files are not known")

    assert [one for one in found if not one.startswith("tests/samples/nulltransport/")] in (
        ["tests/integration/protocols/test_null_transport.py"],
        [],
    )
