"""WSK's registration: capture, release, deregister, and the versions; the NMR's order between them."""

from __future__ import annotations

import pytest

from lab.host.virtual import FAST, VirtualHosts
from ntos.errors import BugCheckError
from ntos.executive.contract import StuckError
from ntos.executive.irql import Irql
from ntos.io.status import NtError, NtStatus
from protocols.apis.winsock.constants import Af, Proto, Sock
from protocols.apis.winsock.namespace import Hints
from protocols.apis.wsk.constants import WSK_NO_WAIT, Category, ClientControl, Event
from protocols.apis.wsk.npi import ClientDispatch, ClientNpi, EventCallbackControl, Output
from protocols.interfaces.tdi.address import internet
from tests.support.wsk_world import FAR, WskWorld


@pytest.fixture
def world() -> WskWorld:
    """Two hosts."""
    return WskWorld()


def test_the_npi_is_not_ready_before_a_transport_is(world: WskWorld) -> None:
    """The wait ends when the subsystem attaches to TCP/IP, or when the time is over."""
    host = world.net.hosts[0]
    world.near.leave()
    host.wsk.unload()
    registration = host.wsk_register()

    with pytest.raises(NtError, match="DEVICE_NOT_READY"):
        registration.capture_provider_npi(WSK_NO_WAIT)
    began = world.net.network.now
    with pytest.raises(NtError, match="DEVICE_NOT_READY"):
        registration.capture_provider_npi(250)
    waited_ns = world.net.network.now - began
    host.loader.reload("Wsk")
    world.net.network.at(world.net.network.now + 1_000_000, host.wsk.start)
    found = registration.capture_provider_npi(250)

    assert waited_ns == 250_000_000
    assert found.client.subsystem is host.wsk


def test_a_version_that_is_not_served_has_no_interface(world: WskWorld) -> None:
    """And the application may ask which are."""
    registration = world.net.hosts[0].wsk_register(ClientNpi(dispatch=ClientDispatch((2, 0))))

    with pytest.raises(NtError, match="NOINTERFACE"):
        registration.capture_provider_npi()

    assert registration.query_provider_characteristics() == ((1, 0), (1, 0))


def test_deregistering_waits_for_the_release_and_the_last_socket(world: WskWorld) -> None:
    """It returns in the order of both; after it nothing can be captured."""
    app = world.near
    socket = app.bound(Category.DATAGRAM)
    network, seen = world.net.network, []

    def release() -> None:
        seen.append("release")
        app.registration.release_provider_npi()

    def close() -> None:
        seen.append("close")
        app.start(socket.close_socket)

    network.at(network.now + 1_000_000, close)
    network.at(network.now + 2_000_000, release)
    app.registration.deregister()

    assert seen == ["close", "release"]
    with pytest.raises(NtError, match="DEVICE_NOT_READY"):
        app.registration.capture_provider_npi()


def test_deregistering_with_a_socket_that_nobody_closes_never_ends(world: WskWorld) -> None:
    """A virtual host says so; a real one waits for ever."""
    world.near.bound(Category.DATAGRAM)
    world.near.registration.release_provider_npi()

    with pytest.raises(StuckError, match="to part from"):
        world.near.registration.deregister()


def test_a_release_without_a_capture_stops_the_machine(world: WskWorld) -> None:
    """As does the second WskDeregister."""
    world.near.leave()

    with pytest.raises(BugCheckError, match="without a capture"):
        world.near.registration.release_provider_npi()
    with pytest.raises(BugCheckError, match="twice"):
        world.near.registration.deregister()


def test_waiting_is_for_passive_level(world: WskWorld) -> None:
    """A capture that does not wait may be made at DISPATCH_LEVEL."""
    irql = world.net.hosts[0].executive.irql

    irql.raise_to(Irql.DISPATCH)
    world.near.registration.capture_provider_npi(WSK_NO_WAIT)
    for call in (world.near.registration.capture_provider_npi, world.near.registration.deregister):
        with pytest.raises(BugCheckError, match="at DISPATCH, allowed up to PASSIVE"):
            call()
    irql.raise_to(Irql.DEVICE)
    with pytest.raises(BugCheckError, match="WskSocket at DEVICE"):
        world.near.start(world.near.dispatch.socket, Af.INET, Sock.STREAM, Proto.TCP, Category.BASIC)


def test_the_transports_are_listed_and_a_change_is_told(world: WskWorld) -> None:
    """TCP and UDP over IPv4 and IPv6; none when the transport has gone."""
    app, found = world.near, Output()

    app.dispatch.control_client(ClientControl.TRANSPORT_LIST_QUERY, output=found)
    before = {(one.socket_type, one.protocol, one.address_family) for one in found.value}
    change = app.start(app.dispatch.control_client, ClientControl.TRANSPORT_LIST_CHANGE)
    pending = change.status
    world.net.hosts[0].wsk.stop()
    after = app.get(app.dispatch.control_client, ClientControl.TRANSPORT_LIST_QUERY)
    refused = app.run(app.dispatch.socket, Af.INET, Sock.STREAM, Proto.TCP, Category.BASIC)
    world.net.hosts[0].wsk.start()

    assert before == {(1, 6, 2), (2, 17, 2), (1, 6, 23), (2, 17, 23)}
    assert (pending, change.status, after) == (NtStatus.PENDING, NtStatus.SUCCESS, [])
    assert refused.status is NtStatus.NOT_SUPPORTED
    app.close(app.socket(Category.BASIC))
    world.finish()


def test_static_callbacks_come_before_the_first_socket_and_without_an_irp(world: WskWorld) -> None:
    """WSK_SET_STATIC_EVENT_CALLBACKS."""
    app, control = world.near, EventCallbackControl(Event.ACCEPT)
    code = ClientControl.SET_STATIC_EVENT_CALLBACKS

    with_irp = app.run(app.dispatch.control_client, code, control).status
    first = app.dispatch.control_client(code, control)
    app.socket(Category.BASIC)
    late = app.dispatch.control_client(code, control)

    assert (with_irp, first, late) == (
        NtStatus.INVALID_PARAMETER,
        NtStatus.SUCCESS,
        NtStatus.INVALID_DEVICE_STATE,
    )


@pytest.mark.parametrize("code", [ClientControl.TDI_BEHAVIOR, ClientControl.TDI_DEVICENAME_MAPPING])
def test_the_ways_around_through_tdi_are_not_supported(world: WskWorld, code: ClientControl) -> None:
    """WSK here has its own seam."""
    assert world.near.run(world.near.dispatch.control_client, code).status is NtStatus.NOT_SUPPORTED


def test_names_are_resolved_and_what_is_unknown_has_no_match() -> None:
    """Numbers at once, names by the namespace providers, over the wire too (LLMNR)."""
    world = WskWorld()
    for host in world.net.hosts:
        host.stack.llmnr.start(host.stack.interfaces[1])
    app = world.near
    ask = app.dispatch.get_address_info

    number = app.get(ask, "10.0.0.2", "http", Hints(kind=Sock.STREAM))
    name = app.get(ask, "host2", 80, Hints(kind=Sock.STREAM, family=Af.INET))
    nobody = app.run(ask, "nobody", 80, None)
    back = app.get(app.dispatch.get_name_info, internet(FAR.address, 80))
    unknown = app.run(app.dispatch.get_name_info, FAR, numeric=False).status
    app.dispatch.free_address_info(name[:])

    assert [one.address for one in number] == [internet(FAR.address, 80)]
    assert [one.address for one in name] == [internet(FAR.address, 80)]
    assert nobody.status is NtStatus.NO_MATCH
    assert back == ("10.0.0.2", "80")
    assert unknown is NtStatus.NO_MATCH
    world.finish()


def test_a_lookup_is_cancelled(world: WskWorld) -> None:
    """The answer that comes later goes nowhere."""
    app = world.near
    irp = app.start(app.dispatch.get_address_info, "somebody", 80, None)

    cancelled = world.net.hosts[0].io.cancel(irp)
    world.run(seconds=20)

    assert (cancelled, irp.status) == (True, NtStatus.CANCELLED)
    world.finish()


def test_an_application_that_arrives_after_the_unload_waits() -> None:
    """Unloading WSK waits for applications; those that come later have no provider."""
    host = VirtualHosts(config=FAST).hosts[0]
    registration = host.wsk_register()
    registration.capture_provider_npi()
    registration.release_provider_npi()

    host.wsk.unload()

    with pytest.raises(NtError, match="DEVICE_NOT_READY"):
        registration.capture_provider_npi(WSK_NO_WAIT)
    registration.deregister()
    assert host.verifier.finish() == []
