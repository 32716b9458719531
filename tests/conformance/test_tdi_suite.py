"""One suite for every TDI transport: what any address object, and any connection object, must do."""

# ruff: noqa: D102, D103, ANN401 - the names are sentences; doubles need no words

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lab.host.virtual import VirtualHosts
from ntos.io.irp import Irp, Major, Memory
from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import TdiAddress, internet
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.events import Taken
from protocols.interfaces.tdi.registration import PnpClient, PnpOpcode, TdiRegistry
from protocols.interfaces.tdi.requests import Event, Flags, Query, Tdi, Transfer, TransportAddress
from protocols.transports.netbt.device import NETBT
from protocols.transports.tcpip.addresses import parse
from tests.support.addresses import inet

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY = bytes(4)
FAR = parse("10.0.0.2")
DEVICES = ["\\Device\\Tcp", "\\Device\\Udp", "\\Device\\RawIp"]
DATAGRAMS = DEVICES[1:]


class World:
    """Two hosts and a TDI client on each."""

    def __init__(self) -> None:
        self.net = VirtualHosts()
        self.near, self.far = (TdiClient(host.io) for host in self.net.hosts)

    def address(self, client: TdiClient, device: str, port: int = 0) -> Any:
        raw = device.endswith("RawIp")
        asked = TransportAddress(internet(ANY, 0 if raw else port), protocol=253 if raw else 0)
        return client.open_address(device, asked)

    def finish(self) -> None:
        assert [str(r) for host in self.net.hosts for r in host.verifier.reports] == []


@pytest.fixture
def world() -> Any:
    made = World()
    yield made
    made.finish()


@pytest.mark.parametrize("device", DEVICES)
def test_an_address_object_says_what_its_address_is(world: World, device: str) -> None:
    address = world.address(world.near, device, 4000)

    found = world.near.query(address, Query.ADDRESS_INFO)

    assert found.port == (0 if device.endswith("RawIp") else 4000)
    world.near.io.close(address)


@pytest.mark.parametrize("device", DEVICES)
def test_a_control_channel_answers_for_the_provider(world: World, device: str) -> None:
    control = world.near.io.open(device)

    info = world.near.query(control, Query.PROVIDER_INFO)

    assert info["name"] == device.rpartition("\\")[2].lower()


@pytest.mark.parametrize("device", DEVICES)
def test_a_request_that_the_object_does_not_know_is_not_supported(world: World, device: str) -> None:
    address = world.address(world.near, device)

    irp = world.near.request(address, Tdi.LISTEN, Transfer())

    assert irp.status is NtStatus.NOT_SUPPORTED


@pytest.mark.parametrize("device", DEVICES[:2])
def test_an_address_is_had_once(world: World, device: str) -> None:
    first = world.address(world.near, device, 4000)

    with pytest.raises(NtError, match="ADDRESS_ALREADY_EXISTS"):
        world.address(world.near, device, 4000)
    world.near.io.close(first)

    assert world.address(world.near, device, 4000).is_open


@pytest.mark.parametrize("device", DATAGRAMS)
def test_a_datagram_goes_to_the_waiting_request_and_then_to_the_handler(world: World, device: str) -> None:
    near, far = world.address(world.near, device), world.address(world.far, device, 4000)
    heard: list[bytes] = []
    world.far.set_event_handler(
        far, Event.RECEIVE_DATAGRAM, lambda _context, _source, data, _details: heard.append(data)
    )
    into = bytearray(64)
    waiting = world.far.request(far, Tdi.RECEIVE_DATAGRAM, None, [into])

    for data in (b"one", b"two"):
        world.near.send_datagram(near, [data], internet(FAR, 4000))
    world.net.run()

    assert waiting.status is NtStatus.SUCCESS
    assert bytes(into[: waiting.information]).endswith(b"one")
    assert len(heard) == 1
    assert heard[0].endswith(b"two")


@pytest.mark.parametrize("device", DATAGRAMS)
def test_a_waiting_receive_can_be_cancelled(world: World, device: str) -> None:
    far = world.address(world.far, device, 4000)
    waiting = world.far.request(far, Tdi.RECEIVE_DATAGRAM, None, [bytearray(8)])

    cancelled = world.far.io.cancel(waiting)

    assert (cancelled, waiting.status) == (True, NtStatus.CANCELLED)


class Connected:
    """A TCP connection made by TDI_LISTEN and TDI_CONNECT."""

    def __init__(self, world: World) -> None:
        device = DEVICES[0]
        self.world = world
        self.far_address = world.address(world.far, device, 4000)
        self.far = world.far.open_connection(device, "far")
        world.far.associate(self.far, self.far_address)
        self.listened = world.far.request(self.far, Tdi.LISTEN, Transfer())
        self.near_address = world.address(world.near, device)
        self.near = world.near.open_connection(device, "near")
        world.near.associate(self.near, self.near_address)
        self.connected = world.near.connect(self.near, internet(FAR, 4000))
        world.net.run()


def test_listen_and_connect_complete_with_the_handshake(world: World) -> None:
    pair = Connected(world)

    info = world.near.query(pair.near, Query.CONNECTION_INFO)

    assert (pair.listened.status, pair.connected.status) == (NtStatus.SUCCESS, NtStatus.SUCCESS)
    assert pair.listened.result.address == parse("10.0.0.1")
    assert (info["state"], info["remote"]) == ("ESTABLISHED", internet(FAR, 4000))


def test_an_unassociated_connection_connects_to_nothing(world: World) -> None:
    connection = world.near.open_connection(DEVICES[0], "x")

    irp = world.near.connect(connection, internet(FAR, 1))

    assert irp.status is NtStatus.ADDRESS_NOT_ASSOCIATED


def test_an_active_connection_is_not_disassociated(world: World) -> None:
    pair = Connected(world)

    with pytest.raises(NtError, match="CONNECTION_ACTIVE"):
        world.near.disassociate(pair.near)


def test_a_receive_of_expedited_data_gets_the_urgent_byte_alone(world: World) -> None:
    """TDI_RECEIVE with TDI_RECEIVE_EXPEDITED: before its turn it waits, and other data goes elsewhere."""
    pair = Connected(world)
    urgent, plain, after = bytearray(8), bytearray(2), bytearray(8)
    waiting = world.far.request(pair.far, Tdi.RECEIVE, Transfer(Flags.EXPEDITED), [urgent])

    world.near.send(pair.near, [b"ab"])
    world.near.send(pair.near, [b"!"], None, Flags.EXPEDITED)
    world.near.send(pair.near, [b"cd"])
    world.net.run()
    before = waiting.status
    first = world.far.receive(pair.far, [plain])
    world.net.run()
    second = world.far.receive(pair.far, [after])
    world.net.run()

    assert before is NtStatus.PENDING
    assert (first.information, bytes(plain)) == (2, b"ab")
    assert (waiting.status, waiting.result) == (NtStatus.SUCCESS, Flags.EXPEDITED)
    assert urgent[: waiting.information] == b"!"
    assert after[: second.information] == b"cd"


def test_a_receive_of_expedited_data_is_cancelled_and_ends_with_the_stream(world: World) -> None:
    """Without an urgent byte there is nothing for it: FIN completes it with none."""
    pair = Connected(world)
    requests = [
        world.far.request(pair.far, Tdi.RECEIVE, Transfer(Flags.EXPEDITED), [bytearray(1)]) for _ in range(2)
    ]

    cancelled = world.far.io.cancel(requests[0])
    world.near.disconnect(pair.near, Flags.RELEASE)
    world.net.run()

    assert (cancelled, requests[0].status) == (True, NtStatus.CANCELLED)
    assert (requests[1].status, requests[1].information) == (NtStatus.SUCCESS, 0)


def test_a_refused_indication_is_silent_until_a_receive_asks(world: World) -> None:
    pair = Connected(world)
    told: list[int] = []

    def refuse(_context: object, _flags: Flags, available: int, _lookahead: Memory) -> Taken:
        told.append(available)
        return Taken(NtStatus.DATA_NOT_ACCEPTED)

    world.far.set_event_handler(pair.far_address, Event.RECEIVE, refuse)
    for data in (b"abc", b"def"):
        world.near.send(pair.near, [data])
        world.net.run()
    into = bytearray(16)
    irp = world.far.receive(pair.far, [into])
    world.net.run()

    assert told[0] == 3
    assert len(told) <= 2
    assert bytes(into[: irp.information]).startswith(b"abc")


def test_a_handler_takes_some_bytes_and_gives_a_request_for_the_rest(world: World) -> None:
    pair = Connected(world)
    rest = bytearray(16)
    given: list[Irp] = []

    def take(_context: object, _flags: Flags, _available: int, _lookahead: Memory) -> Taken:
        irp = Irp(
            pair.far.device,
            Major.INTERNAL_DEVICE_CONTROL,
            pair.far,
            minor=Tdi.RECEIVE,
            parameters=Transfer(),
            buffers=[rest],
        )
        irp.current -= 1  # as IoSetNextIrpStackLocation: the transport has it now
        given.append(irp)
        return Taken(NtStatus.SUCCESS, 2, irp)

    world.far.set_event_handler(pair.far_address, Event.RECEIVE, take)
    world.near.send(pair.near, [b"abcdef"])
    world.net.run()

    assert bytes(rest[: given[0].information]) == b"cdef"


def test_a_chained_receive_takes_buffers_whole(world: World) -> None:
    pair = Connected(world)
    got: list[Memory] = []

    def take(_context: object, buffers: Sequence[Memory]) -> NtStatus:
        got.extend(buffers)
        return NtStatus.SUCCESS

    world.far.set_event_handler(pair.far_address, Event.CHAINED_RECEIVE, take)
    world.near.send(pair.near, [bytes(100_000)])
    world.net.run(1)

    assert sum(map(len, got)) == 100_000


def test_a_send_is_over_at_once_where_tcp_has_room_and_waits_its_turn_where_it_has_not(world: World) -> None:
    pair = Connected(world)
    got = bytearray()

    def take(_context: object, buffers: Sequence[Memory]) -> NtStatus:
        got.extend(b"".join(buffers))
        return NtStatus.SUCCESS

    first = world.near.send(pair.near, [b"first"])
    large = world.near.send(pair.near, [bytes(4_000_000)])
    behind = world.near.send(pair.near, [b"behind"])
    before = [(irp.completed, irp.locations[-1].pending) for irp in (first, large, behind)]
    world.far.set_event_handler(pair.far_address, Event.CHAINED_RECEIVE, take)
    world.net.run()

    assert before == [(True, False), (False, True), (False, True)]
    assert [irp.information for irp in (first, large, behind)] == [5, 4_000_000, 6]
    assert got == b"first" + bytes(4_000_000) + b"behind"


def test_a_cancelled_send_that_waits_ends_the_connection(world: World) -> None:
    pair = Connected(world)
    large = world.near.send(pair.near, [bytes(4_000_000)])
    behind = world.near.send(pair.near, [b"behind"])

    cancelled = world.near.io.cancel(large)
    world.net.run()

    assert cancelled
    assert large.status is NtStatus.CANCELLED
    assert behind.status is not NtStatus.PENDING
    assert not behind.status.ok


def test_release_tells_the_peer_in_order_and_wait_hears_it(world: World) -> None:
    pair = Connected(world)
    told: list[tuple[object, Flags]] = []
    world.far.set_event_handler(pair.far_address, Event.DISCONNECT, lambda *args: told.append(args))
    world.near.send(pair.near, [b"last words"])
    wait = world.far.disconnect(pair.far, Flags.WAIT)

    world.near.disconnect(pair.near, Flags.RELEASE)
    world.net.run()
    before = list(told)
    into = bytearray(64)
    irp = world.far.receive(pair.far, [into])
    world.net.run()

    assert before == []
    assert bytes(into[: irp.information]) == b"last words"
    assert told == [("far", Flags.RELEASE)]
    assert wait.status is NtStatus.SUCCESS


def test_abort_resets_and_ends_what_waits(world: World) -> None:
    pair = Connected(world)
    told: list[tuple[object, Flags]] = []
    world.far.set_event_handler(pair.far_address, Event.DISCONNECT, lambda *args: told.append(args))
    waiting = world.far.receive(pair.far, [bytearray(8)])

    world.near.disconnect(pair.near, Flags.ABORT)
    world.net.run()

    assert waiting.status is NtStatus.CONNECTION_RESET
    assert told == [("far", Flags.ABORT)]
    assert world.near.send(pair.near, [b"x"]).status is NtStatus.LOCAL_DISCONNECT


def test_a_cancelled_connect_leaves_nothing(world: World) -> None:
    address = world.address(world.near, DEVICES[0])
    connection = world.near.open_connection(DEVICES[0], "x")
    world.near.associate(connection, address)
    irp = world.near.connect(connection, internet(parse("10.0.0.77"), 80))

    world.near.io.cancel(irp)
    world.net.run()

    assert irp.status is NtStatus.CANCELLED
    assert not world.net.hosts[0].stack.tcp.connections


class Listener(PnpClient):
    """Writes down what it hears."""

    def __init__(self, refuse: str = "") -> None:
        self.heard: list[tuple[str, str]] = []
        self.refuse = refuse

    def binding(self, opcode: PnpOpcode, device: str, order: tuple[str, ...]) -> None:
        del order
        self.heard.append((opcode.name, device))

    def add_net_address(self, address: TdiAddress, device: str) -> None:
        self.heard.append((f"+{inet(address).address.hex()}", device))

    def del_net_address(self, address: TdiAddress, device: str) -> None:
        self.heard.append((f"-{inet(address).address.hex()}", device))

    def pnp_power(self, device: str, event: str) -> NtStatus:
        del device
        return NtStatus.ACCESS_DENIED if event == self.refuse else NtStatus.SUCCESS


def test_a_late_client_hears_what_is_there_and_then_what_changes(world: World) -> None:
    host = world.net.hosts[0]
    client = Listener()

    host.registry.register_pnp_handlers(client)
    first = list(client.heard)
    host.stack.remove_address(host.stack.interfaces[1], parse("10.0.0.1"))
    host.devices.addresses_changed()

    assert [name for opcode, name in first if opcode == "ADD"] == [*DEVICES, NETBT]
    assert ("+0a000001", DEVICES[0]) in first
    assert first[-1] == ("NETREADY", "")
    assert client.heard[-1] == ("-0a000001", DEVICES[0])


def test_a_client_may_refuse_a_power_change_and_the_bindings_decide_the_order() -> None:
    registry = TdiRegistry()
    registry.register_pnp_handlers(Listener(refuse="QUERY_POWER"))
    for device in ("\\Device\\A", "\\Device\\B"):
        registry.register_device_object(device)

    refused = registry.pnp_power_request("\\Device\\A", "QUERY_POWER")
    registry.reorder(["\\Device\\B"])

    assert refused is NtStatus.ACCESS_DENIED
    assert registry.devices == ["\\Device\\B", "\\Device\\A"]


def test_a_device_that_goes_takes_its_addresses_along_and_a_client_that_left_hears_nothing() -> None:
    registry, stays, leaves = TdiRegistry(), Listener(), Listener()
    for client in (stays, leaves):
        registry.register_pnp_handlers(client)
    registry.register_device_object("\\Device\\A")
    registry.register_net_address(internet(parse("10.0.0.1"), 0), "\\Device\\A")
    registry.deregister_pnp_handlers(leaves)

    registry.deregister_device_object("\\Device\\A")

    assert leaves.heard == [("ADD", "\\Device\\A"), ("+0a000001", "\\Device\\A")]
    assert stays.heard[2:] == [("-0a000001", "\\Device\\A"), ("DELETE", "\\Device\\A")]
    assert (registry.devices, registry.addresses) == ([], [])
