r"""NetBT between two TDI edges: \Device\NetBT above, \Device\Udp below."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.host.virtual import VirtualHosts
from ntos.io.status import NtError
from ntos.netcfg.engine import Binding
from protocols.interfaces.tdi.address import IpAddress, NetbiosName, NetbiosNameType, TdiAddress
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.requests import Query, Tdi, TransportAddress
from protocols.transports.netbt.device import NETBT
from protocols.transports.netbt.names import PORT, State

if TYPE_CHECKING:
    from ntos.io.device import FileObject

NAME, GROUP = NetbiosName.of("files", 0x20), NetbiosName.of("team", 0, NetbiosNameType.GROUP)


class World:
    """Two hosts, and a TDI client on each."""

    def __init__(self) -> None:
        self.net = VirtualHosts()
        self.hosts = self.net.hosts
        self.clients = [TdiClient(host.io) for host in self.hosts]

    def open(self, host: int, address: TdiAddress) -> FileObject:
        """Open an address object of NetBT, and let the claim end."""
        file = self.clients[host].open_address(NETBT, TransportAddress(address))
        self.net.run(2)
        return file

    def states(self, host: int) -> dict[str, State]:
        """Return a host's names."""
        return {str(one.name): one.state for one in self.hosts[host].netbt.names.values()}

    def resolves(self, text: str) -> list[bytes]:
        """Ask for a name from the second host."""
        found: list[list[TdiAddress]] = []
        provider = next(one for one in self.hosts[1].names.providers if one.name == "NetBT")
        provider.lookup(text, found.append)
        self.net.run(2)
        return [one.address for one in found[0] if isinstance(one, IpAddress)]


@pytest.fixture
def world() -> World:
    return World()


def test_an_open_claims_the_name_and_its_end_releases_it(world: World) -> None:
    file = world.open(0, NetbiosName.of("files"))
    owned, found = world.states(0), world.resolves("files")

    world.hosts[0].io.close(file)
    world.net.run(1)

    assert owned == {"FILES<00>": State.OWNED}
    assert found == [bytes((10, 0, 0, 1))]
    assert (world.states(0), world.resolves("files")) == ({}, [])


def test_a_name_that_is_open_twice_is_released_once(world: World) -> None:
    first, second = world.open(0, NAME), world.open(0, NAME)

    world.hosts[0].io.close(first)
    between = world.states(0)
    world.hosts[0].io.close(second)

    assert (between, world.states(0)) == ({"FILES<20>": State.OWNED}, {})


def test_two_hosts_share_a_group_and_no_unique_name(world: World) -> None:
    for host in (0, 1):
        world.open(host, GROUP)
        world.open(host, NAME)

    assert [world.states(host) for host in (0, 1)] == [
        {"TEAM<00>": State.OWNED, "FILES<20>": State.OWNED},
        {"TEAM<00>": State.OWNED, "FILES<20>": State.CONFLICT},
    ]
    with pytest.raises(NtError, match="ADDRESS_ALREADY_EXISTS"):
        world.open(1, NAME)


def test_addresses_of_other_types_are_refused(world: World) -> None:
    for address in (IpAddress(bytes(4), 139), NetbiosName(bytes(16))):
        with pytest.raises(NtError, match="INVALID_ADDRESS_COMPONENT"):
            world.open(0, address)


def test_a_name_says_its_address_and_has_no_datagrams_yet(world: World) -> None:
    file = world.open(0, NAME)
    client = world.clients[0]

    irp = client.request(file, Tdi.SEND_DATAGRAM)

    assert client.query(file, Query.ADDRESS_INFO) == NAME
    assert irp.status.name == "NOT_SUPPORTED"


def test_unbound_from_tcpip_it_answers_for_nothing_and_claims_again_when_bound(world: World) -> None:
    world.open(0, NetbiosName.of("files"))
    engine, binding = world.hosts[0].loader.engine, Binding("NetBT", "Tcpip")

    engine.disable(binding)
    world.net.run(1)
    parted = world.states(0), world.resolves("files")
    engine.enable(binding)
    world.net.run(2)

    assert parted == ({}, [])
    assert (world.states(0), world.resolves("files")) == ({"FILES<00>": State.OWNED}, [bytes((10, 0, 0, 1))])


def test_a_program_that_has_the_port_leaves_questions_without_an_answer(world: World) -> None:
    world.hosts[1].stack.udp_bind(PORT, lambda _datagram: None)

    assert world.resolves("files") == []
    assert not world.hosts[1].netbt.start("bert")
