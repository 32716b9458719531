"""The samples do what they say, over two hosts on a virtual wire; the verifier has nothing to say."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntos.object.token import system_token
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.classify import Endpoint
from protocols.wfp import samples
from protocols.wfp.kernel import CalloutDriver
from protocols.wfp.samples.datagram_proxy import DatagramProxy
from protocols.wfp.samples.inspector import Inspector
from protocols.wfp.samples.installed import Installed
from protocols.wfp.samples.monitor import Monitor
from protocols.wfp.samples.shaper import Shaper
from protocols.wfp.samples.stream_editor import StreamEditor
from tests.support.wfp_world import FAR, PORT, World

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_LINES = 150


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def installed(world: World) -> Iterator[Installed]:
    session = world.bfe.engine_open(system_token(), is_dynamic=True)
    found = Installed(CalloutDriver("sample", world.engine), session)
    yield found
    found.remove()
    assert world.engine.verifier.reports == []
    assert world.bfe.layers == {}


def test_the_stream_editor_replaces_a_phrase_wherever_it_is_cut(world: World, installed: Installed) -> None:
    editor = StreamEditor(installed.driver, b"hello", b"good morning")
    installed.add("STREAM_V4", editor)
    world.listen()
    connection = world.connect()
    text = b"hello, say hello; hell" + b"o and hellohe"

    for at in range(0, len(text), 7):
        connection.send(text[at : at + 7])
        world.run(0.05)
    connection.shutdown()
    world.run()

    assert world.server.data == text.replace(b"hello", b"good morning")
    assert editor.edits == 4


def test_the_datagram_proxy_moves_datagrams_and_their_answers(world: World, installed: Installed) -> None:
    told, real = Endpoint(parse("10.0.0.77"), 53), Endpoint(FAR, 5353)
    proxy = DatagramProxy(installed, told, real)
    proxy.install()
    got: list[tuple[bytes, bytes, int]] = []
    near = world.near.udp_bind(7000, lambda one: got.append((bytes(one.data), one.source, one.source_port)))
    far = world.far.udp_bind(5353, lambda one: far.send(bytes(one.data).upper(), one.source, one.source_port))

    near.send(b"name", told.address, told.port)
    world.run()

    assert got == [(b"NAME", told.address, 53)]
    assert proxy.moved == 2


@pytest.mark.parametrize("is_permitted", [True, False])
def test_the_inspector_holds_a_connection_until_it_is_told(
    world: World, installed: Installed, *, is_permitted: bool
) -> None:
    inspector = Inspector(installed)
    inspector.install()
    world.listen()
    world.connect()
    before = list(world.client.events)

    subject = inspector.decide(is_permitted=is_permitted)
    world.run()

    assert (before, subject.remote_port) == ([], PORT)
    assert world.client.events == (["connected"] if is_permitted else ["PROHIBITED"])


def test_the_monitor_keeps_an_account_of_each_connection(world: World, installed: Installed) -> None:
    monitor = Monitor(installed, PORT)
    monitor.install()
    world.listen()
    connection = world.connect()
    connection.send(b"question")
    world.run()
    world.accepted[0].send(b"answer" * 1000)
    world.far.flush()
    world.run()
    open_ = monitor.accounts[0].is_over

    connection.abort()

    (account,) = monitor.accounts
    assert (account.peer, open_, account.is_over) == ((FAR, PORT), False, True)
    assert bytes(account.kept[False]) == b"question"
    assert account.counted == {False: 8, True: 6000}
    assert len(account.kept[True]) == 4096


def test_the_shaper_delays_limits_and_loses(world: World, installed: Installed) -> None:
    shaper = Shaper(installed.driver, world.near.context.timers, delay_ns=50_000_000, rate_bps=1_000_000)
    shaper.is_lost = lambda packet: packet.endswith(b"lost")
    installed.add("OUTBOUND_IPPACKET_V4", shaper)
    got: list[tuple[int, int]] = []
    world.far.udp_bind(9, lambda one: got.append((world.hosts.network.now, len(one.data))))
    near = world.near.udp_bind(7000, lambda _one: None)
    began = world.hosts.network.now

    for data in (b"x" * 1222, b"lost", b"x" * 1222):
        near.send(data, FAR, 9)
    world.run(1)

    assert [size for _at, size in got] == [1222, 1222]
    first, second = (at - began for at, _size in got)
    assert first >= 60_000_000
    assert second - first >= 9_000_000
    assert (shaper.lost, shaper.passed) == (1, 2)
    shaper.stop()


def test_each_sample_is_short() -> None:
    files = sorted(Path(samples.__file__).parent.glob("*.py"))

    assert len(files) == 7
    assert all(len(one.read_text().splitlines()) < MOST_LINES for one in files)
