"""What ``net atalk`` prints. The host's lock is held, and given up while the network is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from formats.appletalk import ANY_NODE, DdpType, NodeAddress
from lab.host.control_socket import Answer, QuestionError
from protocols.transports.appletalk.edge import AppletalkEdge
from protocols.transports.appletalk.nbp import HERE, EntityName
from protocols.transports.appletalk.parameters import ECHO_SOCKET, AppletalkError
from protocols.transports.appletalk.zones import GET_ZONE_LIST

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.appletalk import Datagram
    from lab.host.host import Upper
    from protocols.transports.appletalk.nbp import Entry
    from protocols.transports.appletalk.node import Node

ENCODING: Final = "mac_roman"
LIMIT_NS: Final = 20_000_000_000
ECHO_NS: Final = 4_000_000_000
HELLO: Final = b"ringwalk"


def lookup(host: Upper, text: str) -> Answer:
    """Print all that have a name."""
    head, _at, zone = text.partition("@")
    object_, _colon, kind = head.partition(":")
    try:
        name = EntityName(object_.encode(ENCODING), kind.encode(ENCODING), zone.encode(ENCODING) or HERE)
    except (AppletalkError, UnicodeEncodeError) as error:
        raise QuestionError(f"{text}: give OBJECT:TYPE@ZONE, as =:LaserWriter@*") from error
    node = _node(host)
    found: list[list[Entry]] = []
    _begun(host, lambda: node.names.look_up(name, found.append))
    host.executive.wait(lambda: bool(found), "an NBP lookup", LIMIT_NS)
    told = [
        {
            "name": f"{_text(one.name.object)}:{_text(one.name.type)}@{_text(one.name.zone)}",
            "address": f"{one.address.network}.{one.address.node}:{one.socket}",
        }
        for one in (found[0] if found else [])
    ]
    lines = [f"{one['name']:<50} {one['address']}" for one in told]
    return Answer("\n".join([*(lines or ["No such name here."]), ""]), told)


def zones(host: Upper, _nothing: str) -> Answer:
    """Print the zones that the router lists."""
    node = _node(host)
    found: list[list[bytes] | None] = []
    _begun(host, lambda: node.zones.read(GET_ZONE_LIST, found.append))
    host.executive.wait(lambda: bool(found), "a list of zones", LIMIT_NS)
    told = found[0] if found else None
    if told is None:
        raise QuestionError("the router does not answer")
    names = [_text(one) for one in told]
    return Answer("\n".join([*names, ""]), names)


def echo(host: Upper, text: str) -> Answer:
    """Ask a node for an echo."""
    network, _dot, number = text.partition(".")
    is_number = network.isdecimal() and number.isdecimal()
    to = NodeAddress(int(network), int(number)) if is_number and len(text) <= len("65535.253") else None
    if to is None or to.network > 0xFFFF or not 1 <= to.node < ANY_NODE:
        raise QuestionError(f"{text}: give NETWORK.NODE, as 65280.9")
    node = _node(host)
    came: list[Datagram] = []
    socket = node.open_socket(0, came.append)
    began = host.executive.now_ns()
    try:
        _begun(host, lambda: node.send(to, ECHO_SOCKET, socket, DdpType.AEP, b"\1" + HELLO))
        host.executive.wait(lambda: bool(came), "an echo", ECHO_NS)
    finally:
        node.close_socket(socket)
    if not came or came[0].data != b"\2" + HELLO:
        raise QuestionError(f"{text} does not answer")
    time_ms = (host.executive.now_ns() - began) / 1e6
    line = f"Reply from {text}: bytes={len(HELLO)} time={time_ms:.3f}ms"
    return Answer(f"{line}\n", {"address": text, "ms": time_ms})


def _node(host: Upper) -> Node:
    node = host.system.find(AppletalkEdge).node if host.system.has(AppletalkEdge) else None
    if node is None or node.address is None:
        raise QuestionError("AppleTalk is not loaded here, or has no address yet")
    return node


def _begun(host: Upper, begin: Callable[[], None]) -> None:
    """Ask, and have what is asked go out. QuestionError."""
    try:
        begin()
    except AppletalkError as error:
        raise QuestionError(str(error)) from error
    host.system.find(AppletalkEdge).request_turn()


def _text(raw: bytes) -> str:
    return raw.decode(ENCODING)


REPORTS: Final = {"lookup": lookup, "zones": zones, "echo": echo}
