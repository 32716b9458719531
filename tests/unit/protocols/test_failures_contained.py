"""A failure of ours with one frame or one connection leaves what stands beside it for the next turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lab.host.virtual import VirtualHosts
from ndis.miniport import MiniportCharacteristics
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.wrapper import Ndis
from ntos.executive.virtual import VirtualExecutive
from protocols.interfaces.edge.protocol import RETRY_NS
from protocols.transports.tcpip import RxFrame, Stack
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.ndis_edge import TcpipDriver
from protocols.transports.tcpip.tcp import output
from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler

if TYPE_CHECKING:
    from collections.abc import Callable


class BugError(Exception):
    """What a bug raises."""


class Collector(ConnectionHandler):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.data = b""

    def readable(self, connection: Connection) -> None:
        """Take it."""
        self.data += connection.receive()


def failing_once(call: Callable[..., Any], when: Callable[..., bool]) -> Callable[..., Any]:
    """Return a call that raises the first time that ``when`` says so."""
    failed: list[int] = []

    def wrapped(*arguments: Any) -> Any:  # noqa: ANN401 - the call's own
        if not failed and when(*arguments):
            failed.append(1)
            raise BugError
        return call(*arguments)

    return wrapped


def test_the_frames_behind_one_that_fails_are_handled_in_the_next_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They came in one batch; only the one that failed is lost, as if the wire had lost it."""
    hosts = VirtualHosts()
    stack = hosts.hosts[0].stack
    interface = stack.interfaces[1]
    seen: list[bytes] = []

    def receive(_interface: object, frame: RxFrame) -> None:
        seen.append(bytes(frame.data))

    monkeypatch.setattr(stack.ip, "receive", failing_once(receive, lambda _i, frame: frame.data[:1] == b"b"))
    frames = [RxFrame(bytes([letter]) * 60) for letter in b"abcd"]

    with pytest.raises(BugError):
        stack.receive(interface, frames, hosts.network.now)
    before = [one[:1] for one in seen]
    stack.receive(interface, [RxFrame(b"e" * 60)], hosts.network.now)

    assert before == [b"a"]
    assert [one[:1] for one in seen] == [b"a", b"c", b"d", b"e"]


def test_a_connection_whose_output_fails_does_not_keep_others_from_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both had something to send in the same turn."""
    hosts = VirtualHosts()
    near, far = (host.stack for host in hosts.hosts)
    collectors = [Collector(), Collector()]
    for port, collector in enumerate(collectors, 80):
        far.tcp_listen(port, lambda _c, one=collector: one)  # type: ignore[misc]  # a default binds
    first, second = (near.tcp_connect(parse("10.0.0.2"), port, ConnectionHandler()) for port in (80, 81))
    hosts.run(1)
    first.send(b"bad")
    second.send(b"good")
    monkeypatch.setattr(output, "pump", failing_once(output.pump, lambda one: one is first))

    with pytest.raises(BugError):
        near.flush()
    hosts.run(0.001)

    assert collectors[1].data == b"good"


def test_after_a_turn_that_failed_the_next_comes_by_itself_and_not_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failure in every turn must not take all of the processor's time."""
    executive = VirtualExecutive()
    ndis = Ndis(executive)
    driver = TcpipDriver(ndis, Stack(bytes))
    kind = ndis.register_miniport(MiniportCharacteristics.of(LoopbackAdapter))
    adapter = ndis.add_adapter(
        kind, "card", None, {"Cable": Cable(), "NetworkAddress": bytes([2, 0, 0, 0, 0, 1])}
    )
    ndis.bind(ndis.register_protocol("tcpip", driver), adapter)
    executive.run()
    turns: list[int] = []

    def advance(now: int) -> None:
        turns.append(now)

    monkeypatch.setattr(driver.stack, "advance", failing_once(advance, lambda _now: True))
    start_ns = executive.now_ns()
    driver.request_turn()

    with pytest.raises(BugError):
        executive.run()
    executive.advance(RETRY_NS - 1)
    before = list(turns)
    executive.advance(1)

    assert before == []
    assert turns[:1] == [start_ns + RETRY_NS]
