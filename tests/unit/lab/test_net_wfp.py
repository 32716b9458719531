"""``net wfp``: rules as sentences, and what it shows."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import pytest

from lab.host import tools
from lab.host.control_socket import QuestionError
from lab.host.virtual import VirtualHosts
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.tcp.connection import ConnectionHandler


@pytest.fixture
def hosts() -> VirtualHosts:
    return VirtualHosts()


def ask(hosts: VirtualHosts, sentence: str) -> str:
    return tools.answer("wfp", hosts.hosts[0], sentence.split()).text


def test_a_rule_blocks_and_goes_again(hosts: VirtualHosts) -> None:
    stack = hosts.hosts[0].stack
    said = ask(hosts, "block tcp to 10.0.0.9 port 80")

    with pytest.raises(NetworkError, match="a filter forbids it"):
        stack.tcp_connect(parse("10.0.0.9"), 80, ConnectionHandler())
    stack.tcp_connect(parse("10.0.0.9"), 81, ConnectionHandler())
    shown, events = ask(hosts, "show filters"), ask(hosts, "show netevents")
    gone = ask(hosts, "unblock tcp to 10.0.0.9 port 80")
    stack.tcp_connect(parse("10.0.0.9"), 80, ConnectionHandler())

    assert said == "tcp to 10.0.0.9/32 port 80: 1 filter added\n"
    assert gone == "tcp to 10.0.0.9/32 port 80: 1 filter deleted\n"
    assert "ALE_AUTH_CONNECT_V4" in shown
    assert "tcp to 10.0.0.9/32 port 80" in shown
    assert "CLASSIFY_DROP  ALE_AUTH_CONNECT_V4  6  10.0.0.1:" in events
    assert ask(hosts, "show filters") == "nothing\n"


def test_the_state_tells_points_and_generation(hosts: VirtualHosts) -> None:
    before = ask(hosts, "show state")
    ask(hosts, "block any from any")

    after = ask(hosts, "show state")

    assert "classify points: none" in before
    assert "classify points: ALE_ACCEPT, INBOUND_TRANSPORT" in after
    assert "policy generation: 1" in after


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("block sctp", "sctp is none of"),
        ("block tcp to", "write PROTOCOL"),
        ("block tcp to 10.0.0.9 from 10.0.0.8", "write PROTOCOL"),
        ("block tcp port 1 port 2", "write PROTOCOL"),
        ("block tcp to 10.0.0.999", "write addresses"),
        ("block tcp to 10.0.0.0/33", "has no 33 bits"),
        ("block tcp to 10.0.0.0/x", "write addresses"),
        ("block tcp port 65536", "ports are"),
        ("block tcp port 9-1", "ports are"),
        ("block tcp port http", "is no port"),
        ("block icmp port 80", "no ports"),
        ("unblock tcp", "is not blocked"),
        ("show nothing", "show what"),
        ("permit tcp", "invalid choice"),
    ],
)
def test_what_is_no_rule_is_told_in_one_line(hosts: VirtualHosts, sentence: str, told: str) -> None:
    with pytest.raises(QuestionError, match=told):
        ask(hosts, sentence)

    assert ask(hosts, "show filters") == "nothing\n"


def test_a_rule_twice_is_told(hosts: VirtualHosts) -> None:
    ask(hosts, "block udp to 10.0.0.0/8")

    with pytest.raises(QuestionError, match="already"):
        ask(hosts, "block udp to 10.0.0.0/8")
