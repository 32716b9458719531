"""A running host looked at and edited through its control socket, as another process does it."""

from __future__ import annotations

# ruff: noqa: D102, D103, FBT003 - the names are sentences
import contextlib
import hashlib
import json
import os
import socket
import stat
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from device.engine.reference import ReferenceEngine
from lab.cli.main import main
from lab.errors import UsageError
from lab.host import saved_bindings
from lab.host.control_socket import ControlServer, ask, choose, control_path, running
from lab.host.inprocess_card import DescriptorCable
from lab.host.intermediates import insert
from lab.host.live import LiveHost
from lab.host.locked_winsock import Locked
from lab.host.publishing import publish_host
from ndis.journal import Journal, Tee
from ndis.verifier.core import Verifier
from ntos.netcfg.engine import Binding
from protocols.apis.winsock.pysocket import socket_module
from protocols.transports.tcpip import StackConfig
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = bytes(range(256)) * 1200
PATIENCE_S = 60


class Pair:
    """Two hosts, their cards joined by a socket pair; the first is published as ``pair``."""

    def __init__(self, intermediates: tuple[str, ...] = ()) -> None:
        self.ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.verifiers = [Verifier(), Verifier()]
        self.journal = Journal()
        self.hosts: list[LiveHost] = []
        self.modules: list[Any] = []
        for number, (end, verifier) in enumerate(zip(self.ends, self.verifiers, strict=True), 1):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            observer = Tee(verifier, self.journal) if number == 1 else verifier
            host = LiveHost(config=StackConfig(ipv6=False), observer=observer, verify=True)
            names = [
                DescriptorCable(host, end.fileno(), bytes((2, 0, 0, 0, 0, number)), ReferenceEngine).name
            ]
            for text in intermediates if number == 1 else ():
                names = insert(host, text)
            interface = host.driver.links[names[0]].interface
            host.stack.add_address(interface, parse(f"10.0.0.{number}"), 24)
            process = host.upper.process()
            process.startup()
            locked: Any = Locked(process, host.executive.entry)
            self.modules.append(socket_module(locked, host.upper.names))
            self.hosts.append(host)
        for host in self.hosts:
            host.start()
        self.control = publish_host(
            "pair", "a test", self.hosts[0], journal=self.journal, verifier=self.verifiers[0]
        )

    def close(self) -> None:
        self.control.close()
        for host in self.hosts:
            host.close()
        for end in self.ends:
            end.close()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture(autouse=True)
def own_stacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have stacks listen in a folder of this test's: no other run's are seen, and socket paths are short."""
    with tempfile.TemporaryDirectory(prefix="rw.") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()
    assert [str(r) for v in made.verifiers for r in v.reports] == []


def stream(pair: Pair, during: Any) -> bytes:  # noqa: ANN401 - a function
    """Send ``DATA`` from the first host to the second, call ``during`` in the middle; return what came."""
    near, far = pair.modules
    listener = far.socket()
    listener.bind(("", 5000))
    listener.listen(1)
    listener.settimeout(PATIENCE_S)
    got = bytearray()

    def receive() -> None:
        connection, _ = listener.accept()
        connection.settimeout(PATIENCE_S)
        while piece := connection.recv(1 << 14):
            got.extend(piece)

    thread = threading.Thread(target=receive)
    thread.start()
    sender = near.create_connection(("10.0.0.2", 5000), PATIENCE_S)
    half = len(DATA) // 2
    sender.sendall(DATA[:half])
    during()
    sender.sendall(DATA[half:])
    sender.close()
    thread.join(PATIENCE_S)
    return bytes(got)


def test_the_views_show_the_running_host(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as data; the only stack that runs is found without its name."""
    del pair

    status = [main(["ndis", view, "--json"]) for view in ("adapters", "opens", "oids", "log", "reports")]
    adapters, opens, oids, log, reports = _documents(capsys.readouterr().out)

    assert status == [0] * 5
    assert (adapters[0]["adapter"], adapters[0]["state"]) == ("Local Area Connection 1", "RUNNING")
    assert opens[0]["protocol"] == "Tcpip"
    assert {one["oid"] for one in oids} >= {"OID_GEN_SUPPORTED_LIST", "OID_802_3_CURRENT_ADDRESS"}
    assert log
    assert reports == []


def _documents(text: str) -> list[Any]:
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def test_the_tree_goes_from_winsock_to_the_card_in_the_order_of_loading(pair: Pair) -> None:
    """The stack was loaded by its INF files: services first, those they depend on before them."""
    del pair

    shown = ask("pair", "bindings", ["linkage", "services"]).text

    assert (
        "  Windows Sockets 2 (Winsock)\n"
        "    - Ancillary Function Driver for Winsock (Afd)\n"
        "      - Internet Protocol (TCP/IP) (Tcpip)\n"
        "        - Local Area Connection 1, Ringwalk 82574L ({1})\n"
    ) in shown
    assert "  Winsock Kernel (Wsk)\n    - Internet Protocol (TCP/IP) (Tcpip)\n" in shown
    assert 'Afd\\Linkage\\Route: "Tcpip" "{1}"\n' in shown  # fmt: skip
    order = [line.split()[1] for line in shown.splitlines() if line[0].isdigit()]
    assert order == ["NDIS", "Tcpip", "NetBT", "Afd", "Wsk", "BFE", "rwnic"]


def test_a_connection_outlives_its_card_being_unbound_and_bound(pair: Pair) -> None:
    """In the middle of a stream; nothing is lost, and no driver breaks a rule."""
    seen: list[str] = []

    def edit() -> None:
        ask("pair", "bindings", ["unbind=Tcpip>{1}"])
        seen.append(ask("pair", "opens", []).text)
        ask("pair", "bindings", ["bind=tcpip>local area connection 1"])
        seen.append(ask("pair", "opens", []).text)

    got = stream(pair, edit)

    assert seen[0] == "nothing\n"
    assert "Tcpip" in seen[1]
    assert hashlib.sha256(got).digest() == hashlib.sha256(DATA).digest()


class TwoCards:
    """A host with two cards and a default route by each, published as ``two``."""

    def __init__(self) -> None:
        self.host = LiveHost(config=StackConfig(ipv6=False))
        self.cables = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        for number, (near, far) in enumerate(self.cables, 1):
            near.setblocking(False)
            far.settimeout(0.2)
            mac = bytes((2, 0, 0, 0, 0, number))
            name = DescriptorCable(self.host, near.fileno(), mac, ReferenceEngine).name
            interface = self.host.driver.links[name].interface
            self.host.stack.add_address(interface, parse(f"10.0.{number}.1"), 24)
            self.host.stack.add_route("0.0.0.0/0", interface, parse(f"10.0.{number}.254"))
        process = self.host.upper.process()
        process.startup()
        locked: Any = Locked(process, self.host.executive.entry)
        self.sockets = socket_module(locked, self.host.upper.names)
        self.host.start()
        self.control = publish_host("two", "a test", self.host)

    def card_towards(self, destination: str) -> int:
        """Send a datagram; return the card whose gateway is asked for (ARP). 0: none in time."""
        with self.sockets.socket(self.sockets.AF_INET, self.sockets.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (destination, 9))
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for number, (_, far) in enumerate(self.cables, 1):
                with contextlib.suppress(TimeoutError):
                    frame = far.recv(2048)
                    if frame[12:14] == b"\x08\x06" and frame[38:42] == parse(f"10.0.{number}.254"):
                        return number
        return 0

    def close(self) -> None:
        self.control.close()
        self.host.close()
        for cable in self.cables:
            for end in cable:
                end.close()


@pytest.mark.parametrize("first", [1, 2])
def test_the_order_of_bindings_decides_between_routes_that_cost_the_same(first: int) -> None:
    """Whichever card TCP/IP is bound to first sends what both could; the table shows it first."""
    two = TwoCards()
    try:
        edited = ask("two", "bindings", ["first=Tcpip>{2}", f"first=Tcpip>{{{first}}}"]).text
        sent_by = two.card_towards("203.0.113.1")
        shown = [row.interface.name for row in two.host.stack.ip.routes if not row.prefix.length]
    finally:
        two.close()

    second = 3 - first
    assert edited.index(f"({{{first}}})") < edited.index(f"({{{second}}})")
    assert sent_by == first
    assert shown == [f"Local Area Connection {first}", f"Local Area Connection {second}"]


def test_an_intermediate_driver_is_parted_and_joined_under_traffic(tmp_path: Path) -> None:
    """Its virtual card goes and comes back below TCP/IP; the capture has both halves."""
    file = tmp_path / "all.pcapng"
    pair = Pair((f"capture={file}",))
    try:
        sizes: list[int] = []

        def edit() -> None:
            ask("pair", "bindings", ["unbind=rwcap>{1}"])
            sizes.append(file.stat().st_size)
            ask("pair", "bindings", ["bind=rwcap>{1}"])

        got = stream(pair, edit)
        shown = ask("pair", "bindings", []).text
    finally:
        pair.close()

    assert got == DATA
    assert 0 < sizes[0] < file.stat().st_size
    assert "- Ringwalk capture (rwcap)" in shown
    assert "x Local Area Connection 1" in shown  # TCP/IP itself is off the card
    assert [str(r) for v in pair.verifiers for r in v.reports] == []


def test_without_afds_binding_there_are_no_sockets_and_without_winsocks_no_protocols(pair: Pair) -> None:
    """What is open ends; bound again, all is as before."""
    near, _far = pair.modules
    old = near.socket()

    ask("pair", "bindings", ["disable=Afd>Tcpip"])
    with pytest.raises(OSError, match=r".") as down:
        near.socket().bind(("", 0))
    with pytest.raises(OSError, match=r"."):
        old.bind(("", 0))
    ask("pair", "bindings", ["enable=Afd>Tcpip", "disable=Winsock>Afd"])
    with pytest.raises(OSError, match=r"."):
        near.socket()
    ask("pair", "bindings", ["enable=Winsock>Afd"])

    assert down.value.errno
    assert near.socket().getsockname is not None
    assert stream(pair, lambda: None) == DATA


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["disable=Tcpip"], "is no edit"),
        (["explode=Tcpip>{1}"], "is no edit"),
        (["disable=Nbf>{1}"], "does not match"),
        (["up={1}>Tcpip"], "does not match"),
    ],
)
def test_what_is_no_edit_is_one_line(pair: Pair, arguments: list[str], why: str) -> None:
    del pair

    with pytest.raises(UsageError, match=why):
        ask("pair", "bindings", arguments)


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"[]\n", b"{}\n", b'{"tool": [], "arguments": 1}\n', b"\xff\0\n"]
)
def test_any_bytes_get_an_answer(pair: Pair, line: bytes) -> None:
    del pair
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control_path("pair")))
        client.sendall(line)
        client.shutdown(socket.SHUT_WR)

        answer = client.makefile().readline()

    assert "error" in json.loads(answer)


def test_edits_are_kept_in_a_file(pair: Pair, tmp_path: Path) -> None:
    """What is disabled stays so in the next host; a file of another kind is refused."""
    engine, path = pair.hosts[0].loader.engine, tmp_path / "bindings.json"
    binding = Binding("Tcpip", "{1}")
    with pair.hosts[0].executive.entry:
        engine.disable(binding)
        saved_bindings.save(engine, path)
        engine.enable(binding)
        before = engine.enabled(binding)
        saved_bindings.load(engine, path)
        after = engine.enabled(binding)
        engine.enable(binding)
    (tmp_path / "bad.json").write_text("[1]")

    assert (before, after) == (True, False)
    with pytest.raises(UsageError, match="was not written"):
        saved_bindings.load(engine, tmp_path / "bad.json")


def test_only_this_user_may_ask_and_a_name_is_taken_once(pair: Pair) -> None:
    """Socket 0600 in a folder 0700; several stacks must be named; a dead one's socket is no stack."""
    del pair
    path = control_path("pair")
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)]

    with pytest.raises(UsageError, match="runs already"):
        ControlServer("pair", "another", {})
    only = choose(None)
    with ControlServer("second", "another", {}), pytest.raises(UsageError, match="2 stacks run"):
        choose(None)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(control_path("dead")))

    assert modes == [0o600, 0o700]
    assert only == "pair"
    assert [one.name for one in running()] == ["pair"]


def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    open_to_all = tmp_path / "ringwalk" / "net"
    open_to_all.mkdir(parents=True)
    os.chmod(open_to_all, 0o777)  # noqa: PTH101, S103 - that is the case

    with ControlServer("any", "a test", {}):
        path = control_path("any")
        listens = path.exists()

    assert listens
    assert path.parent != open_to_all
