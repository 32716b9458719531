"""``ringwalk net``: plain words, and a web server that outlives its transport."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest

from lab.host import reports, tools
from lab.host.control_socket import QuestionError
from lab.host.virtual import VirtualHosts
from lab.host.web import WebServer
from protocols.transports.tcpip.icmp import ErrorKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.mark.parametrize("name", tools.names())
def test_every_tool_says_what_it_is_for_and_reads_its_arguments(name: str) -> None:
    parser = tools.ToolParser(prog=name)

    tools.declare(name, parser)

    assert not tools.tool(name).HELP.endswith(".")
    assert "--json" in parser.format_help()


@pytest.mark.parametrize("name", tools.names())
def test_no_argument_of_a_tool_is_taken_for_one_that_every_tool_has(name: str) -> None:
    """``net atalk lookup NAME`` was sent to a stack called NAME."""
    parser = tools.ToolParser(prog=name)
    tools.tool(name).add_arguments(parser)

    own = {action.dest for one in _parsers(parser) for action in one._actions}

    assert not own & {"stack", "as_json", "raw_words", "tool"}


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _parsers(one)


def test_a_tool_is_sent_the_words_that_were_typed() -> None:
    host = VirtualHosts().hosts[0]
    parser = tools.ToolParser(prog="netstat")
    tools.declare("netstat", parser)

    words = parser.parse_args(["--name", "anna", "-s"]).raw_words
    said = tools.answer("netstat", host, words)

    assert words == ["--name", "anna", "-s"]
    assert said.data == dict(sorted(host.stack.counters.items()))


def test_a_table_is_an_object_a_row_for_programs() -> None:
    host = VirtualHosts().hosts[0]

    said = tools.answer("route", host, [])

    assert isinstance(said.data, list)
    assert set(said.data[0]) == {"Destination", "Gateway", "Interface", "Metric", "Origin"}
    assert said.text.startswith("Destination")


def test_words_that_a_tool_does_not_know_are_the_askers_mistake() -> None:
    host = VirtualHosts().hosts[0]

    with pytest.raises(QuestionError, match="unrecognized arguments: --what"):
        tools.answer("netstat", host, ["--what"])


def test_every_failure_of_an_echo_has_words() -> None:
    assert set(reports.ECHO_FAILURES) == set(ErrorKind)


def test_ping_to_a_dead_host_says_so_in_words() -> None:
    host = VirtualHosts().hosts[0]

    said = reports.ping(host, "10.0.0.99")

    assert said.count("Reply from 10.0.0.1: Destination host unreachable.") == reports.PING_COUNT
    assert "HOST_UNREACHABLE" not in said
    assert reports.NO_REPLY in said


def test_tracert_to_a_dead_host_does_not_pass_our_own_address_off_as_a_hop() -> None:
    host = VirtualHosts().hosts[0]

    said = reports.tracert(host, "10.0.0.99")

    assert "Destination host unreachable." in said
    assert reports.NO_REPLY in said
    assert "ms  10.0.0.1" not in said


def test_nslookup_without_a_server_says_how_to_get_one() -> None:
    host = VirtualHosts().hosts[0]

    with pytest.raises(reports.ReportError, match="no DNS server is known; name one with net up --dns"):
        reports.nslookup(host, "example.com")


class Listener:
    """A listening socket whose ``accept`` does what the test says."""

    def __init__(self, accept: Callable[[], Any], *, can_bind: bool) -> None:
        self.accept = accept
        self.is_closed = False
        self._can_bind = can_bind

    def bind(self, _address: tuple[str, int]) -> None:
        """Take the address, or say that the network is down."""
        if not self._can_bind:
            raise OSError(10050, "WSAENETDOWN")

    def listen(self, _backlog: int) -> None:
        """Listen."""

    def settimeout(self, _seconds: float) -> None:
        """Take note of nothing."""

    def getsockname(self) -> tuple[str, int]:
        """Return an address."""
        return "0.0.0.0", 80  # noqa: S104 - a double's

    def close(self) -> None:
        """Close."""
        self.is_closed = True


def test_a_server_listens_again_when_its_transport_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.host.web.AGAIN_S", 0)

    def unbound() -> None:
        raise ConnectionAbortedError(10053, "WSAECONNABORTED")

    def stop() -> None:
        server.stop()
        raise TimeoutError

    made = [
        Listener(unbound, can_bind=True),
        Listener(unbound, can_bind=False),
        Listener(stop, can_bind=True),
    ]
    waiting = list(made)

    class Sockets:
        """A socket module."""

        @staticmethod
        def socket() -> Listener:
            """Return the next listener."""
            return waiting.pop(0)

    server = WebServer(Sockets, ("0.0.0.0", 80))  # noqa: S104 - a double's

    server._serve()

    assert [one.is_closed for one in made] == [True, True, True]
    assert len(server.failures) == 1
