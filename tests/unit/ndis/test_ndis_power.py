"""Power, Plug and Play, offload negotiation, and what a running stack shows of itself."""

from __future__ import annotations

# ruff: noqa: D102 - doubles implement handlers that the contract documents
import struct
from dataclasses import astuple
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndis import inspect
from ndis.errors import NdisError
from ndis.journal import Journal, Tee, attach, restore
from ndis.lifecycle import AdapterState
from ndis.offload import Checksum, Offload, PacketChecksum
from ndis.oids import Oid, PowerState
from ndis.pnp import Device, DeviceState
from ndis.power import resume, suspend
from ndis.protocol import NetEvent, PnPEvent
from ndis.samples.scripted import ADDRESS, Script
from ndis.status import Status
from ndis.suite.bench import EVERYTHING, Machine, Recorder, frame
from ndis.verifier.core import Verifier

if TYPE_CHECKING:
    from ndis.requests import InformationBuffer


class Sleepy(Script):
    """A driver that knows power states."""

    def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
        if oid == Oid.PNP_CAPABILITIES:
            return buffer.write(bytes(16))
        if oid == Oid.PNP_QUERY_POWER:
            return buffer.write_number(0)
        return super().query_information(oid, buffer)


class Told(Recorder):
    """A transport that hears of events, and may object."""

    answer = Status.SUCCESS

    def pnp_event(self, event: PnPEvent) -> Status:
        self.log.append(f"{event.code.name} {event.data}")
        objectionable = {NetEvent.QUERY_POWER, NetEvent.QUERY_REMOVE_DEVICE}
        return self.answer if event.code in objectionable else Status.SUCCESS


def test_a_driver_that_knows_power_is_told_and_keeps_running() -> None:
    """SET_POWER down and up, filters set again, sends refused meanwhile."""
    machine = Machine(Sleepy, Told())
    suspend(machine.adapter)
    (packet,) = machine.send(frame(0))
    asleep = machine.adapter.power
    resume(machine.adapter)

    powers = [d[0] for oid, d in machine.driver.sets if oid == Oid.PNP_SET_POWER]
    assert powers == [PowerState.D3, PowerState.D0]
    assert asleep is PowerState.D3
    assert machine.recorder.sent == [(packet, Status.LOW_POWER_STATE)]
    assert (Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", EVERYTHING)) in machine.driver.sets[-3:]
    assert "halt" not in machine.driver.log


def test_a_driver_that_does_not_is_halted_and_started_anew() -> None:
    """The transport's filter is set in the new start."""
    machine = Machine(client=Told())

    suspend(machine.adapter)
    state = machine.adapter.state
    resume(machine.adapter)

    assert state is AdapterState.HALTED
    assert machine.adapter.state is AdapterState.RUNNING
    assert machine.driver.log == ["halt"]
    assert machine.adapter.filter.packet_filter == EVERYTHING


def test_a_transport_may_refuse_a_suspend() -> None:
    """Then nothing changes."""
    told = Told()
    told.answer = Status.FAILURE
    machine = Machine(Sleepy, told)

    with pytest.raises(NdisError, match="refuses D3"):
        suspend(machine.adapter)

    assert machine.adapter.power is PowerState.D0


@pytest.mark.parametrize("answer", [Status.SUCCESS, Status.FAILURE])
def test_a_device_stops_only_when_all_agree(answer: Status) -> None:
    """Stopped and started again the bindings are still there; an objection is taken back."""
    told = Told()
    told.answer = answer
    machine = Machine(client=told)
    device = Device(machine.adapter)

    willing = device.query_stop()
    if willing:
        device.stop()
        device.start()

    assert willing == (answer is Status.SUCCESS)
    assert device.state is DeviceState.STARTED
    assert machine.adapter.opens == (machine.open,)
    cancelled = any(line.startswith("CANCEL_REMOVE") for line in told.log)
    assert cancelled != willing


def test_a_surprise_removal_brings_every_packet_home() -> None:
    """Aborted, unbound, halted; the device can only be removed once."""
    machine = Machine()
    machine.driver.verdicts = [Status.PENDING, Status.RESOURCES]
    machine.send(frame(0), frame(1))
    device = Device(machine.adapter)

    device.surprise_remove()

    assert len(machine.recorder.sent) == 2
    assert Status.SUCCESS not in [s for _, s in machine.recorder.sent]
    assert (device.state, machine.adapter.state) == (DeviceState.REMOVED, AdapterState.HALTED)
    with pytest.raises(NdisError, match="remove while REMOVED"):
        device.remove()


FLAGS = st.integers(0, 31).map(Checksum)


@given(FLAGS, FLAGS, FLAGS, FLAGS, st.integers(0, 65535), st.integers(0, 16))
def test_an_offload_header_survives_the_wire(  # noqa: PLR0917 - one argument a field
    a: Checksum, b: Checksum, c: Checksum, d: Checksum, size: int, segments: int
) -> None:
    """Emitted and parsed again it is the same."""
    offload = Offload(a, b, c, d, size, segments if size else 0)

    assert Offload.parse(offload.emit()) == offload
    assert offload.within(offload)


@given(st.binary(max_size=120))
def test_any_bytes_are_an_offload_or_an_error(raw: bytes) -> None:
    """INVALID_DATA or INVALID_LENGTH; parsing always ends."""
    try:
        Offload.parse(raw)
    except NdisError as error:
        refused = error.status
    else:
        refused = Status.INVALID_DATA

    assert refused in {Status.INVALID_DATA, Status.INVALID_LENGTH}


def test_an_offload_is_within_what_the_card_can() -> None:
    """More than the card can is not; packets may ask for what is on."""
    card = Offload(v4_transmit=Checksum.TCP | Checksum.IP, large_send_bytes=64000)

    assert Offload(v4_transmit=Checksum.TCP).within(card)
    assert not Offload(v4_transmit=Checksum.UDP).within(card)
    assert not Offload(large_send_bytes=65000).within(card)
    assert card.allows(PacketChecksum.TX_V4 | PacketChecksum.TX_TCP)
    assert not card.allows(PacketChecksum.TX_V4 | PacketChecksum.TX_UDP)
    assert not card.allows(PacketChecksum.TX_V6 | PacketChecksum.TX_TCP)


def test_the_offload_that_a_driver_accepts_is_the_current_one() -> None:
    """A malformed header never reaches the driver."""
    machine = Machine()
    wanted = Offload(v4_transmit=Checksum.TCP)

    bad = machine.set(Oid.TCP_TASK_OFFLOAD, b"short")
    good = machine.set(Oid.TCP_TASK_OFFLOAD, wanted.emit())

    assert (bad.status, good.status) == (Status.INVALID_LENGTH, Status.SUCCESS)
    assert machine.adapter.offload == wanted
    assert [oid for oid, _ in machine.driver.sets].count(Oid.TCP_TASK_OFFLOAD) == 1


def test_a_running_stack_shows_itself() -> None:
    """Adapters, opens, what pends, one packet with its history, requests, the log."""
    journal = Journal()
    machine = Machine(observer=Tee(Verifier(), journal))
    machine.driver.verdicts = [Status.PENDING, Status.RESOURCES]
    machine.driver.pend = {Oid.GEN_VENDOR_ID}
    packets = machine.send(frame(0), frame(1))
    machine.query(Oid.GEN_VENDOR_ID)
    machine.executive.advance(1_000_000_000)
    number = packets[0].number

    (adapter,), (open_,) = inspect.adapters(machine.ndis), inspect.opens(machine.ndis)
    pending = inspect.pending(machine.ndis)
    (packet,) = inspect.packets(machine.ndis, number)
    oid, *seen = inspect.seen_oids(machine.ndis, journal)
    past = inspect.history(journal, number)

    assert astuple(adapter)[:5] == ("card0", "Script", "5.1", "serialized", "RUNNING")
    assert (adapter.address, adapter.sends, adapter.queued) == (ADDRESS.hex(":"), 1, 1)
    assert (open_.protocol, open_.filter) == ("test", "DIRECTED|MULTICAST|BROADCAST")
    assert [(one.where, one.age_s) for one in pending] == [
        ("send, with the driver", 1.0),
        ("send, in NDIS's queue", None),
        ("request, with the driver", 1.0),
    ]
    assert (oid.oid, oid.state) == ("OID_GEN_VENDOR_ID", "query with the driver")
    assert seen
    assert (packet.owner, packet.bytes) == ("MINIPORT", 60)
    assert [one.kind for one in past][:2] == ["SUBMIT", "SEND"]
    assert inspect.table([oid]).splitlines()[0].split() == ["adapter", "oid", "state", "answer", "raw"]


def test_a_log_can_be_switched_on_while_the_stack_runs() -> None:
    """And off again: no event is made before or after."""
    machine = Machine()
    journal = Journal()
    machine.send(frame(0))

    before = attach(machine.ndis, journal)
    machine.send(frame(1))
    restore(machine.ndis, before)
    count = len(journal.events)
    machine.send(frame(2))

    assert count == len(journal.events) > 0
    assert [one.kind for one in inspect.log(journal, 1000)].count("SUBMIT") == 1
