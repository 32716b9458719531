"""Every option takes what its C type and its field hold, whichever way it comes in."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ntos.io.status import NtError, NtStatus
from protocols.apis.winsock import WinsockError, Wsae
from protocols.apis.winsock.constants import Af, IpOption, So, Sock, Sol, TcpOption
from protocols.apis.winsock.namespace import Hints
from protocols.apis.wsk.constants import Category, ControlType
from protocols.interfaces.options import FLAGS, OTHERS, RANGES, OptionError, checked
from protocols.interfaces.tdi.address import internet
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.requests import TransportAddress
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.tdi_edge.devices import RAWIP, TCP, UDP
from tests.support.nt_world import SERVER, World
from tests.support.wsk_world import WskWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

ANY = bytes(4)
GROUP = parse("239.1.2.3")
KINDS = {"tcp": (Af.INET, Sock.STREAM), "udp": (Af.INET, Sock.DGRAM), "udp6": (Af.INET6, Sock.DGRAM)}
REFUSED: list[tuple[str, int, int, Any, Wsae]] = [
    ("tcp", Sol.IP, IpOption.TTL, 256, Wsae.WSAEINVAL),
    ("tcp", Sol.IP, IpOption.TTL, 0, Wsae.WSAEINVAL),
    ("udp", Sol.IP, IpOption.TTL, -5, Wsae.WSAEINVAL),
    ("udp", Sol.IP, IpOption.TTL, "x", Wsae.WSAEFAULT),
    ("udp", Sol.IP, IpOption.TTL, None, Wsae.WSAEFAULT),
    ("udp", Sol.IP, IpOption.TTL, 1.5, Wsae.WSAEFAULT),
    ("udp", Sol.IP, IpOption.TTL, b"", Wsae.WSAEFAULT),
    ("udp", Sol.IP, IpOption.TTL, 1 << 40, Wsae.WSAEINVAL),
    ("udp6", Sol.IPV6, IpOption.TTL, 256, Wsae.WSAEINVAL),
    ("udp6", Sol.IPV6, IpOption.TTL, -2, Wsae.WSAEINVAL),
    ("udp6", Sol.IPV6, IpOption.MULTICAST_TTL, 256, Wsae.WSAEINVAL),
    ("tcp", Sol.IP, IpOption.TOS, 300, Wsae.WSAEINVAL),
    ("udp", Sol.IP, IpOption.TOS, -1, Wsae.WSAEINVAL),
    ("udp", Sol.IP, IpOption.MULTICAST_TTL, 999, Wsae.WSAEINVAL),
    ("udp", Sol.IP, IpOption.MULTICAST_IF, -1, Wsae.WSAEINVAL),
    ("udp", Sol.IP, IpOption.MULTICAST_IF, "eth0", Wsae.WSAEFAULT),
    ("udp", Sol.IP, IpOption.ADD_MEMBERSHIP, (parse("10.0.0.9"), 0), Wsae.WSAEINVAL),
    ("udp", Sol.IP, IpOption.ADD_MEMBERSHIP, ("239.1.1.1", 0), Wsae.WSAEFAULT),
    ("udp", Sol.IP, IpOption.ADD_MEMBERSHIP, (parse("ff02::5"), 0), Wsae.WSAEINVAL),
    ("udp", Sol.IP, IpOption.ADD_MEMBERSHIP, 5, Wsae.WSAEFAULT),
    ("udp", Sol.IP, IpOption.ADD_MEMBERSHIP, (GROUP, parse("9.9.9.9")), Wsae.WSAEADDRNOTAVAIL),
    ("tcp", Sol.SOCKET, So.RCVBUF, -1, Wsae.WSAEINVAL),
    ("tcp", Sol.SOCKET, So.SNDBUF, -1, Wsae.WSAEINVAL),
    ("tcp", Sol.SOCKET, So.RCVBUF, "x", Wsae.WSAEFAULT),
    ("udp", Sol.SOCKET, So.RCVBUF, 1 << 33, Wsae.WSAEINVAL),
    ("tcp", Sol.SOCKET, So.LINGER, -3, Wsae.WSAEINVAL),
    ("tcp", Sol.SOCKET, So.LINGER, (1, 70000), Wsae.WSAEINVAL),
    ("tcp", Sol.SOCKET, So.LINGER, b"\x01", Wsae.WSAEFAULT),
    ("tcp", Sol.SOCKET, So.RCVTIMEO, "soon", Wsae.WSAEFAULT),
    ("tcp", Sol.SOCKET, So.KEEPALIVE, "yes", Wsae.WSAEFAULT),
    ("tcp", Sol.TCP, TcpOption.NODELAY, None, Wsae.WSAEFAULT),
    ("tcp", Sol.TCP, TcpOption.KEEPALIVE, 0, Wsae.WSAEINVAL),
    ("tcp", Sol.TCP, TcpOption.KEEPALIVE, -1, Wsae.WSAEINVAL),
]
KEPT: list[tuple[str, int, int, Any, Any]] = [
    ("tcp", Sol.IP, IpOption.TTL, 255, 255),
    ("udp", Sol.IP, IpOption.TTL, b"\x07", 7),
    ("udp6", Sol.IPV6, IpOption.TTL, -1, 64),
    ("udp6", Sol.IPV6, IpOption.MULTICAST_TTL, -1, 1),
    ("tcp", Sol.SOCKET, So.KEEPALIVE, 5, 1),
    ("udp", Sol.SOCKET, So.BROADCAST, -1, 1),
    ("tcp", Sol.TCP, TcpOption.NODELAY, 7, 1),
    ("tcp", Sol.SOCKET, So.LINGER, (1, 9), 9),
    ("tcp", Sol.SOCKET, So.LINGER, (0, 9), None),
    ("tcp", Sol.SOCKET, So.LINGER, b"\x01\x00\x05\x00", 5),
    ("tcp", Sol.SOCKET, So.RCVTIMEO, -1, 0xFFFF_FFFF),
    ("tcp", Sol.SOCKET, So.RCVBUF, 0, 0),
]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    assert made.reports() == []


@pytest.mark.parametrize(("kind", "level", "option", "value", "code"), REFUSED)
def test_what_does_not_fit_is_refused(  # noqa: PLR0917 - a row of the table
    world: World, kind: str, level: int, option: int, value: object, code: Wsae
) -> None:
    number = world.client.socket(*KINDS[kind])
    before = world.client.getsockopt(number, level, option)

    with pytest.raises(WinsockError) as error:
        world.client.setsockopt(number, level, option, value)

    assert error.value.code is code
    assert world.client.getsockopt(number, level, option) == before


@pytest.mark.parametrize(("kind", "level", "option", "value", "kept"), KEPT)
def test_what_fits_is_kept_in_one_form(  # noqa: PLR0917 - a row of the table
    world: World, kind: str, level: int, option: int, value: object, kept: object
) -> None:
    number = world.client.socket(*KINDS[kind])

    world.client.setsockopt(number, level, option, value)

    assert world.client.getsockopt(number, level, option) == kept


def test_an_interface_that_there_is_not_lets_no_socket_be_half_bound(world: World) -> None:
    number = world.client.socket(Af.INET, Sock.DGRAM)
    world.client.setsockopt(number, Sol.IP, IpOption.MULTICAST_IF, 77)

    with pytest.raises(WinsockError) as error:
        world.client.bind(number, internet(ANY, 5000))
    world.client.setsockopt(number, Sol.IP, IpOption.MULTICAST_IF, 0)
    world.client.bind(number, internet(ANY, 5000))

    assert error.value.code is Wsae.WSAEADDRNOTAVAIL


@pytest.mark.parametrize("name", sorted({*RANGES, *FLAGS, *OTHERS}))
@pytest.mark.parametrize("value", ["x", 1.5, [], b"", -(1 << 70), 1 << 70], ids=repr)
def test_no_option_takes_what_no_c_type_holds(name: str, value: object) -> None:
    with pytest.raises(OptionError):
        checked(name, value)


@pytest.mark.parametrize("device", [TCP, UDP, RAWIP])
def test_a_tdi_client_is_refused_the_same(device: str) -> None:
    tdi = TdiClient(World().net.hosts[0].io)
    address = tdi.open_address(device, TransportAddress(internet(ANY, 0), protocol=99))

    with pytest.raises(NtError) as error:
        tdi.set_information(address, ttl=256)

    assert error.value.status is NtStatus.INVALID_PARAMETER
    with pytest.raises(NtError) as error:
        tdi.open_address(device, TransportAddress(internet(ANY, 0), protocol=99, options={"tos": 300}))
    assert error.value.status is NtStatus.INVALID_PARAMETER


WSK_REFUSED = [
    (Category.STREAM, Sol.IP, IpOption.TTL, 256),
    (Category.DATAGRAM, Sol.IP, IpOption.TOS, -1),
    (Category.DATAGRAM, Sol.IP, IpOption.MULTICAST_TTL, 999),
    (Category.DATAGRAM, Sol.IP, IpOption.ADD_MEMBERSHIP, ("239.1.1.1", 0)),
    (Category.STREAM, Sol.SOCKET, So.RCVBUF, "x"),
]


@pytest.mark.parametrize(("category", "level", "option", "value"), WSK_REFUSED)
def test_a_wsk_client_is_refused_the_same(category: Category, level: int, option: int, value: object) -> None:
    near = WskWorld().near
    socket = near.socket(category)

    irp = near.start(socket.control_socket, ControlType.SET_OPTION, option, level, value)

    assert irp.status is NtStatus.INVALID_PARAMETER


def test_a_group_is_joined_at_the_interface_of_an_address(world: World) -> None:
    number = world.server.socket(Af.INET, Sock.DGRAM)
    world.server.bind(number, internet(ANY, 5000))
    world.server.setsockopt(number, Sol.IP, IpOption.ADD_MEMBERSHIP, (GROUP, SERVER.address))
    sender = world.client.socket(Af.INET, Sock.DGRAM)
    world.client.setsockopt(sender, Sol.IP, IpOption.MULTICAST_IF, parse("10.0.0.1"))

    world.client.sendto(sender, b"hello", internet(GROUP, 5000))
    world.net.run(0.1)

    assert world.server.recv(number, bytearray(9)) == 5


def test_a_multicast_of_zero_hops_stays_on_this_host(world: World) -> None:
    receivers = []
    for process in (world.client, world.server):
        receivers.append(number := process.socket(Af.INET, Sock.DGRAM))
        process.bind(number, internet(ANY, 5000))
        process.setsockopt(number, Sol.IP, IpOption.ADD_MEMBERSHIP, (GROUP, 0))
    world.client.setsockopt(receivers[0], Sol.IP, IpOption.MULTICAST_TTL, 0)

    world.client.sendto(receivers[0], b"hello", internet(GROUP, 5000))
    world.net.run(0.1)

    assert world.client.recv(receivers[0], bytearray(9)) == 5
    assert world.server.select([receivers[1]], [], [], 0) == ([], [], [])


SERVICES = {
    "": 0, "0": 0, "1": 1, "010": 10, "http": 80, "smtp": 25, "mail": 25, "router": 520, "domain": 53,
    "123": 123, " 123": 123, "65535": 65535, "65536": 0, "65537": 1, "4294967295": 65535,
    "9999999999": 65535, "+5": 5, "-1": 65535, "-65534": 2,
}  # fmt: skip
NO_SERVICES = ["a", "0x1a", ":0", "28a", "28 ", "a28", "+", "- 1", "٣"]
HOSTS = {"7.8.9.10": "7.8.9.10", "1.2.3.0x4": "1.2.3.4", "1.2.3.010": "1.2.3.8", "0.0.0.0": "0.0.0.0"}  # noqa: S104 - a host to be read, nothing is bound
NO_HOSTS = ["1.2.3", "0.0.0.0:80", "0.0.0.0.0", "1.1.1.256", "1.2.3.08", "1.2.3.0x", " ", "1.2.3.-4"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_a_name_or_a_number_cut_to_16_bits(world: World, service: str) -> None:
    found = world.net.hosts[0].names.getaddrinfo("10.0.0.2", service, Hints(Af.INET))

    assert {one.address.port for one in found} == {SERVICES[service]}


@pytest.mark.parametrize("service", NO_SERVICES)
def test_other_services_are_not_found(world: World, service: str) -> None:
    with pytest.raises(WinsockError) as error:
        world.net.hosts[0].names.getaddrinfo("10.0.0.2", service, Hints(Af.INET))

    assert error.value.code is Wsae.WSATYPE_NOT_FOUND


@pytest.mark.parametrize("host", HOSTS)
def test_the_parts_of_a_host_may_be_octal_or_hexadecimal(world: World, host: str) -> None:
    found = world.net.hosts[0].names.getaddrinfo(host, None, Hints(Af.INET))

    assert {one.address.address for one in found} == {parse(HOSTS[host])}


@pytest.mark.parametrize("host", NO_HOSTS)
def test_other_hosts_are_not_found(world: World, host: str) -> None:
    with pytest.raises(WinsockError) as error:
        world.net.hosts[0].names.getaddrinfo(host, None, Hints(Af.INET))

    assert error.value.code is Wsae.WSAHOST_NOT_FOUND


@pytest.mark.parametrize("host", ["", "..localmachine"])
def test_an_empty_host_is_this_one_by_its_own_addresses(world: World, host: str) -> None:
    found = world.net.hosts[0].names.getaddrinfo(host, "80", Hints(Af.INET))

    assert {one.address for one in found} == {internet(parse("10.0.0.1"), 80)}


def test_what_is_set_is_what_goes_out(world: World) -> None:
    number = world.server.socket(Af.INET6, Sock.DGRAM)

    assert world.server.getsockopt(number, Sol.IPV6, IpOption.TTL) == 64
    assert world.net.hosts[1].stack.interfaces[1].hop_limit6 == 64
