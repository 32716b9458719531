"""NDIS 6: lists and clones, both generations joined, pausing, light-weight filters."""

from __future__ import annotations

# ruff: noqa: D102, FBT001 - doubles implement handlers that the contract documents
import pytest

from ndis.lifecycle import AdapterState
from ndis.lwf import FilterModule, FilterStack
from ndis.nbl import NetBuffer, NetBufferList
from ndis.packet import Buffer, Owner, OwnershipError
from ndis.samples.scripted import ADDRESS
from ndis.samples.scripted6 import Script6
from ndis.status import Status
from ndis.suite.bench import Machine, Recorder, frame
from ndis.verifier.core import Verifier
from ntos.errors import BugCheckError
from ntos.executive.contract import SECOND


class Lister(Recorder):
    """A transport of the NDIS 6 kind."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: list[tuple[NetBufferList, Status]] = []
        self.got: list[NetBufferList] = []

    def send_net_buffer_lists_complete(self, nbls: list[NetBufferList]) -> None:  # type: ignore[override]  # narrower on purpose
        self.lists += [(n, n.status) for n in nbls]

    def receive_net_buffer_lists(self, nbls: list[NetBufferList], resources: bool) -> None:
        self.received += [n.data for n in nbls]
        if not resources:
            self.got += nbls


def machine6(client: Recorder | None = None, verifier: Verifier | None = None) -> Machine:
    """Make a machine with an NDIS 6 driver."""
    return Machine(Script6, client, version=(6, 0), observer=verifier)


def driver(machine: Machine) -> Script6:
    """Return the driver's object."""
    found = machine.adapter.driver
    assert isinstance(found, Script6)
    return found


def indicate(machine: Machine, data: bytes) -> NetBufferList:
    """Indicate one list of the driver's."""
    nbl = NetBufferList(data)
    nbl.owner = Owner.MINIPORT
    driver(machine).ndis.indicate_receive_net_buffer_lists([nbl])
    return nbl


def test_retreat_and_advance_move_the_start_of_a_frame() -> None:
    """Into the unused space in front first, then into a new buffer."""
    nb = NetBuffer([Buffer(bytearray(b"..payload"))], 2)

    nb.retreat(2)
    nb.write(0, b"AB")
    nb.retreat(3)
    nb.write(0, b"xyzC")

    assert nb.data == b"xyzCBpayload"
    nb.advance(5)
    assert nb.data == b"payload"
    with pytest.raises(ValueError, match="advance"):
        nb.advance(8)


def test_a_clone_shares_memory_and_counts_on_its_parent() -> None:
    """The original is not complete while a clone lives."""
    original = NetBufferList(bytearray(b"frame"))

    twin = original.clone()
    children = original.children

    assert (twin.data, children) == (b"frame", 1)
    assert twin.free_clone() is original
    assert original.children == 0
    with pytest.raises(BugCheckError, match="clone"):
        twin.free_clone()


def test_lists_go_down_and_come_back_once() -> None:
    """With the driver's status."""
    machine = machine6(Lister())
    nbl = NetBufferList(frame(0))

    machine.open.send_net_buffer_lists([nbl])
    owner = nbl.owner
    driver(machine).complete(Status.SUCCESS)

    assert owner is Owner.MINIPORT
    assert isinstance(machine.client, Lister)
    assert machine.client.lists == [(nbl, Status.SUCCESS)]
    with pytest.raises(BugCheckError, match="not with the driver"):
        driver(machine).ndis.send_net_buffer_lists_complete([nbl])


def test_a_packet_transport_works_over_a_list_driver() -> None:
    """Packets are wrapped on the way down, lists on the way up; references are the packet's."""
    machine = machine6(Recorder(keep=1))

    (packet,) = machine.send(frame(0))
    seen = [n.data for n in driver(machine).got]
    driver(machine).complete(Status.SUCCESS)
    nbl = indicate(machine, frame(1, ADDRESS))
    before = list(driver(machine).returned)
    machine.open.return_packets(machine.recorder.held)

    assert seen == [frame(0)]
    assert machine.recorder.sent == [(packet, Status.SUCCESS)]
    assert machine.recorder.received == [frame(1, ADDRESS)]
    assert (before, driver(machine).returned) == ([], [nbl])


def test_a_list_transport_works_over_a_packet_driver() -> None:
    """One packet a frame; one failure makes the list fail; the received packet is lent as a list."""
    machine = Machine(client=Lister())
    nbl = NetBufferList([NetBuffer([Buffer(frame(n))]) for n in range(2)])
    client = machine.client
    assert isinstance(client, Lister)

    machine.open.send_net_buffer_lists([nbl])
    packets = list(machine.driver.got)
    for packet, status in zip(packets, (Status.FAILURE, Status.SUCCESS), strict=True):
        machine.driver.ndis.send_complete(packet, status)
    lent = machine.driver.ndis.packet_pool(1).allocate(frame(5, ADDRESS))
    machine.driver.ndis.indicate_receive_packets([lent])
    owner = lent.owner
    machine.open.return_net_buffer_lists(client.got)

    assert client.lists == [(nbl, Status.FAILURE)]
    assert (owner, lent.owner) == (Owner.PROTOCOL, Owner.MINIPORT)
    assert machine.driver.returned == [lent]


def test_a_paused_adapter_refuses_lists_until_it_is_restarted() -> None:
    """PAUSED is the status; pausing waits for what is under way."""
    machine = machine6(Lister())
    client = machine.client
    assert isinstance(client, Lister)
    early, late, after = (NetBufferList(frame(n)) for n in range(3))
    machine.open.send_net_buffer_lists([early])

    machine.adapter.pause()
    machine.open.send_net_buffer_lists([late])
    state = machine.adapter.state
    machine.adapter.restart()
    machine.open.send_net_buffer_lists([after])

    assert state is AdapterState.PAUSED
    assert client.lists == [(early, Status.SUCCESS), (late, Status.PAUSED)]
    assert driver(machine).got == [after]


@pytest.mark.parametrize("broken", [True, False])
def test_v32_a_pause_may_complete_only_when_drained(broken: bool) -> None:
    """A driver that says so too early is reported."""
    verifier = Verifier()
    machine = machine6(Lister(), verifier)
    machine.open.send_net_buffer_lists([NetBufferList(frame(0))])
    driver(machine).pause_pends = True

    def finish() -> None:
        if not broken:
            driver(machine).complete(Status.SUCCESS)
        driver(machine).ndis.pause_complete()

    machine.executive.queue_dpc("finish", finish)
    machine.adapter.pause()

    assert verifier.broken == ({"V32"} if broken else set())


def test_cancel_completes_the_lists_of_an_id() -> None:
    """REQUEST_ABORTED, by the driver."""
    machine = machine6(Lister())
    client = machine.client
    assert isinstance(client, Lister)
    nbls = [NetBufferList(frame(n)) for n in range(2)]
    nbls[0].cancel_id = "x"

    machine.open.send_net_buffer_lists(nbls)
    machine.open.cancel_sends("x")

    assert client.lists == [(nbls[0], Status.REQUEST_ABORTED)]
    assert driver(machine).got == [nbls[1]]


class Plain:
    """A filter with the four mandatory handlers."""

    def __init__(self, handle: FilterModule) -> None:
        self.handle = handle
        self.log: list[str] = []

    def attach(self) -> Status:
        self.log.append("attach")
        return Status.SUCCESS

    def detach(self) -> None:
        self.log.append("detach")

    def pause(self) -> Status:
        self.log.append("pause")
        return Status.SUCCESS

    def restart(self) -> Status:
        self.log.append("restart")
        return Status.SUCCESS


class Counting(Plain):
    """Passes everything on and counts, and can send its own."""

    def send_net_buffer_lists(self, nbls: list[NetBufferList]) -> None:
        self.log.append(f"send {len(nbls)}")
        self.handle.send(nbls)

    def send_net_buffer_lists_complete(self, nbls: list[NetBufferList]) -> None:
        self.log.append(f"complete {len(nbls)}")
        self.handle.send_complete(nbls)

    def receive_net_buffer_lists(self, nbls: list[NetBufferList], resources: bool) -> None:
        self.log.append(f"receive {len(nbls)}")
        self.handle.indicate(nbls, resources=resources)

    def return_net_buffer_lists(self, nbls: list[NetBufferList]) -> None:
        self.log.append(f"return {len(nbls)}")
        self.handle.returned(nbls)

    def own_lists_complete(self, nbls: list[NetBufferList]) -> None:
        self.log.append(f"own {len(nbls)}")


class Hoarding(Plain):
    """Keeps what is sent."""

    def send_net_buffer_lists(self, nbls: list[NetBufferList]) -> None:
        self.log.append(f"keeps {len(nbls)}")


def filtered(*kinds: type[Plain], verifier: Verifier | None = None) -> tuple[Machine, list[Plain]]:
    """Make a machine with filters, the first on top."""
    machine = machine6(Lister(), verifier)
    stack = machine.adapter.lists.stack = FilterStack(machine.adapter)
    modules = [stack.attach(kind.__name__, kind) for kind in kinds]
    return machine, [m.driver for m in modules]


def test_a_filter_sees_both_ways_and_one_without_handlers_is_passed_by() -> None:
    """Two filters: the upper has no data handlers."""
    machine, (upper, lower) = filtered(Plain, Counting)
    lister = machine.client
    assert isinstance(lister, Lister)
    nbl = NetBufferList(frame(0))

    machine.open.send_net_buffer_lists([nbl])
    driver(machine).complete(Status.SUCCESS)
    received = indicate(machine, frame(1, ADDRESS))
    machine.open.return_net_buffer_lists(lister.got)

    assert lower.log[2:] == ["send 1", "complete 1", "receive 1", "return 1"]
    assert "send 1" not in upper.log
    assert lister.lists == [(nbl, Status.SUCCESS)]
    assert (received.owner, driver(machine).returned) == (Owner.MINIPORT, [received])


def test_a_filters_own_list_comes_back_to_it_alone() -> None:
    """By SourceHandle: no protocol and no filter above hears of it."""
    machine, (upper, lower) = filtered(Counting, Counting)
    assert isinstance(machine.client, Lister)
    own = NetBufferList(frame(7))

    lower.handle.send([own])
    mine = set(lower.handle.mine)
    driver(machine).complete(Status.SUCCESS)

    assert mine == {own}
    assert lower.log[-1] == "own 1"
    assert not any("complete" in line for line in upper.log)
    assert (machine.client.lists, lower.handle.mine) == ([], set())


def test_attaching_pauses_what_is_there() -> None:
    """From the top down; and restarts from the bottom up."""
    machine, (first,) = filtered(Counting)
    stack = machine.adapter.lists.stack
    assert isinstance(stack, FilterStack)

    second = stack.attach("second", Plain, at=0)
    stack.detach(second)

    assert first.log == ["attach", "restart", "pause", "restart", "pause", "restart"]
    assert second.driver.log == ["attach", "restart", "pause", "detach"]
    assert driver(machine).log[:4] == ["restart", "pause", "restart", "pause"]


@pytest.mark.parametrize("kind", [Hoarding, Counting])
def test_v20_a_filter_that_keeps_a_send_is_reported(kind: type[Plain]) -> None:
    """After 30 s; one that passes it on is not."""
    verifier = Verifier()
    machine, _filters = filtered(kind, verifier=verifier)

    machine.open.send_net_buffer_lists([NetBufferList(frame(0))])
    driver(machine).complete(Status.SUCCESS)
    machine.executive.advance(36 * SECOND)

    assert ("V20" in verifier.broken) == (kind is Hoarding)


def test_a_list_in_two_hands_is_stopped() -> None:
    """The protocol sends it twice."""
    machine = machine6(Lister())
    nbl = NetBufferList(frame(0))
    machine.open.send_net_buffer_lists([nbl])

    with pytest.raises(OwnershipError):
        machine.open.send_net_buffer_lists([nbl])
