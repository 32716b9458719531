"""Registration: versions, structure sizes and handlers are checked before a driver is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ndis.errors import NdisError
from ndis.lifecycle import AdapterState
from ndis.miniport import (
    TRANSITIONS,
    VERSIONS,
    MiniportCharacteristics,
    State,
    Version,
    advance,
    minimum_length,
)
from ndis.samples.scripted import Script
from ndis.status import Status
from ndis.suite.bench import Machine
from ndis.wrapper import Ndis
from ntos.errors import BugCheckError
from ntos.executive.virtual import VirtualExecutive


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_a_structure_shorter_than_its_version_requires_is_bad(version: Version) -> None:
    """One byte less than the offset after the version's last member."""
    good = MiniportCharacteristics.of(Script, version)
    short = replace(good, length=minimum_length(version) - 1)

    with pytest.raises(NdisError) as refusal:
        short.check()

    assert refusal.value.status is Status.BAD_CHARACTERISTICS


@pytest.mark.parametrize("version", [(2, 0), (3, 1), (4, 1), (5, 2), (7, 0)])
def test_an_unknown_version_is_refused(version: Version) -> None:
    """BAD_VERSION comes before anything else is looked at."""
    wrong = replace(MiniportCharacteristics.of(Script), version=version, length=0)

    with pytest.raises(NdisError) as refusal:
        wrong.check()

    assert refusal.value.status is Status.BAD_VERSION


@pytest.mark.parametrize(
    ("without", "named"),
    [
        ("halt", "halt"),
        ("initialize", "initialize"),
        ("reset", "reset"),
        ("query_information", "co_request"),
        ("set_information", "co_request"),
        ("send_packets", "send_packets"),
    ],
)
def test_each_mandatory_handler_is_missed(without: str, named: str) -> None:
    """BAD_CHARACTERISTICS, and the message names what is missing."""
    whole = MiniportCharacteristics.of(Script)
    lacking = replace(whole, handlers=whole.handlers - {without})

    with pytest.raises(NdisError, match=named) as refusal:
        Ndis(VirtualExecutive()).register_miniport(lacking)

    assert refusal.value.status is Status.BAD_CHARACTERISTICS


def test_send_packets_does_not_count_for_a_version_that_lacks_it() -> None:
    """NDIS 3.0 knows only MiniportSend."""
    old = replace(MiniportCharacteristics.of(Script), version=(3, 0))

    with pytest.raises(NdisError, match="send"):
        old.check()


def test_each_newer_structure_is_longer() -> None:
    """5.0 without connection-oriented members in 4.0; 5.1 adds three."""
    sizes = [minimum_length(v) for v in ((3, 0), (4, 0), (5, 0), (5, 1))]

    assert sizes == [8 + 8 * n for n in (13, 16, 22, 25)]


def test_the_driver_table_knows_only_its_own_moves() -> None:
    """A whole round through the table, and one wrong move."""
    state = State.HALTED
    for event in ("initialize", "restart", "pause", "drained", "halt"):
        state = advance(state, event)

    assert state is State.HALTED
    assert len(TRANSITIONS) == 5
    with pytest.raises(ValueError, match="pause in HALTED"):
        advance(State.HALTED, "pause")


def test_a_driver_that_fails_to_initialize_is_not_kept() -> None:
    """The status is the driver's."""

    class Fails(Script):
        def initialize(self, media):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - only its status matters
            return Status.DEVICE_FAILED, media[0]

    with pytest.raises(NdisError) as failure:
        Machine(Fails)

    assert failure.value.status is Status.DEVICE_FAILED


def test_what_ndis_learns_at_start_is_the_drivers() -> None:
    """Address, list size, send array size; and removal halts exactly once."""
    machine = Machine()
    adapter = machine.adapter

    machine.ndis.remove_adapter(adapter)

    assert adapter.filter.address == bytes.fromhex("020000000001")
    assert (adapter.filter.list_size, adapter.max_send_packets) == (4, 8)
    assert adapter.state is AdapterState.HALTED
    assert machine.driver.log.count("halt") == 1


def test_a_driver_that_halts_with_a_timer_set_stops_the_machine() -> None:
    """Windows would bug check: the timer would call into unloaded code."""

    class Careless(Script):
        def halt(self) -> None:
            self.ndis.timer(lambda: None).set(5)

    machine = Machine(Careless)

    with pytest.raises(BugCheckError, match="still holds timer"):
        machine.ndis.remove_adapter(machine.adapter)


def test_a_driver_that_goes_takes_its_adapters_along() -> None:
    """NdisMDeregisterMiniport: each is halted, and NDIS knows the driver no more."""
    machine = Machine()
    second = machine.ndis.add_adapter(machine.registered, "second")

    machine.ndis.deregister_miniport(machine.registered)

    assert (machine.adapter.state, second.state) == (AdapterState.HALTED, AdapterState.HALTED)
    assert (machine.ndis.adapters, machine.ndis.miniports) == ([], [])
