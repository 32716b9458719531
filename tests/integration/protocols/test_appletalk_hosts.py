"""AppleTalk between two live hosts, beside TCP/IP; Winsock and TDI above, verifiers on."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ntos.io.status import NtStatus
from protocols.apis.winsock import WinsockError
from protocols.apis.winsock.constants import Sock
from protocols.interfaces.tdi.address import AppletalkAddress
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.requests import Action, Tdi, TransportAddress
from protocols.transports.appletalk.edge import AppletalkEdge
from protocols.transports.appletalk.nbp import EntityName
from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.host.live import LiveHost
    from ntos.io.irp import Irp

AF_APPLETALK, AEP = 16, 1004
LIMIT_NS = 20_000_000_000
NAME = EntityName(b"Ringwalk", b"Workstation")


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    for host in made.hosts:
        with host.executive.entry:
            host.loader.load("netatalk")
    for host in made.hosts:
        with host.executive.entry:
            host.executive.wait(partial(_has_address, host), "an address", LIMIT_NS)
    yield made
    made.close()
    assert made.reports() == []


def _node(host: LiveHost) -> Any:  # noqa: ANN401 - the default node
    return host.upper.system.find(AppletalkEdge).node


def _has_address(host: LiveHost) -> bool:
    return _node(host).address is not None


def _address(host: LiveHost, socket: int) -> AppletalkAddress:
    ours = _node(host).address
    return AppletalkAddress(ours.network, ours.node, socket)


def _asked(host: LiveHost, file: Any, action: Action) -> Irp:  # noqa: ANN401 - a FileObject
    with host.executive.entry:
        irp = TdiClient(host.upper.io).request(file, Tdi.ACTION, action)
        host.executive.wait(lambda: irp.completed, action.name, LIMIT_NS)
    return irp


def _opened(host: LiveHost) -> Any:  # noqa: ANN401 - a FileObject
    with host.executive.entry:
        return TdiClient(host.upper.io).open_address(
            "\\Device\\AtalkDdp2", TransportAddress(AppletalkAddress(0, 0))
        )


def test_winsock_asks_for_an_echo_and_reads_it(pair: Pair) -> None:
    near, far = pair.winsocks[0], pair.hosts[1]
    number = near.socket(AF_APPLETALK, Sock.DGRAM, AEP)
    near.bind(number, AppletalkAddress(0, 0))
    buffer = bytearray(600)

    near.sendto(number, b"\1over winsock", _address(far, 4))
    count, source = near.recvfrom(number, buffer)

    assert (bytes(buffer[:count]), source) == (b"\2over winsock", _address(far, 4))


def test_a_datagram_too_long_and_an_address_of_another_family_are_refused(pair: Pair) -> None:
    near = pair.winsocks[0]
    number = near.socket(AF_APPLETALK, Sock.DGRAM, AEP)
    near.bind(number, AppletalkAddress(0, 0))

    with pytest.raises(WinsockError, match="WSAEMSGSIZE"):
        near.sendto(number, bytes(587), _address(pair.hosts[1], 4))
    with pytest.raises(WinsockError, match="WSAESOCKTNOSUPPORT"):
        near.socket(AF_APPLETALK, Sock.STREAM)


def test_a_name_of_one_host_is_found_by_the_other(pair: Pair) -> None:
    near, far = pair.hosts
    ours, theirs = _opened(near), _opened(far)

    first = _asked(far, theirs, Action("register", {"name": NAME}))
    second = _asked(near, ours, Action("register", {"name": NAME}))
    found = _asked(near, ours, Action("look_up", {"name": EntityName(b"=", NAME.type)}))

    assert (first.status, second.status) == (NtStatus.SUCCESS, NtStatus.ADDRESS_ALREADY_EXISTS)
    assert found.result == [(NAME, _address(far, theirs.fs_context.socket))]


def test_it_is_unloaded_while_a_question_is_out_and_loaded_again(pair: Pair) -> None:
    host = pair.hosts[0]
    file = _opened(host)

    with host.executive.entry:
        irp = TdiClient(host.upper.io).request(file, Tdi.ACTION, Action("look_up", {"name": NAME}))
        host.upper.io.close(file)
        host.loader.unload("AppleTalk")
        assert not any("Atalk" in one for one in host.upper.registry.devices)
        host.loader.load("netatalk")

    assert irp.completed
    with host.executive.entry:
        host.executive.wait(partial(_has_address, host), "an address", LIMIT_NS)
