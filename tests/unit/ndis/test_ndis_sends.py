"""Sends: who queues, who completes, what RESOURCES means, for both kinds of drivers."""

from __future__ import annotations

# ruff: noqa: ARG002 - doubles implement handlers that the contract documents
import pytest

from ndis.packet import Buffer, Owner, OwnershipError, Packet, PacketFlags, PacketInfo
from ndis.samples.scripted import FreeScript, Script
from ndis.status import Status
from ndis.suite.bench import Machine, Recorder, frame
from ntos.errors import BugCheckError

OK, WAIT, FULL = Status.SUCCESS, Status.PENDING, Status.RESOURCES


def numbers(packets: list[Packet]) -> list[int]:
    """Return the serial numbers that ``frame`` put into packets."""
    return [int.from_bytes(p.snapshot()[14:18], "big") for p in packets]


def test_status_on_return_completes_what_does_not_pend() -> None:
    """Anything but PENDING is a synchronous completion, with that status."""
    machine = Machine()
    machine.driver.verdicts = [OK, WAIT, Status.FAILURE]

    packets = machine.send(frame(0), frame(1), frame(2))

    assert machine.recorder.sent == [(packets[0], OK), (packets[2], Status.FAILURE)]
    assert [p.owner for p in packets] == [Owner.PROTOCOL, Owner.MINIPORT, Owner.PROTOCOL]


def test_resources_takes_back_that_packet_and_all_later_ones_in_order() -> None:
    """The statuses of later packets in the array do not matter."""
    machine = Machine()
    machine.driver.verdicts = [WAIT, FULL, OK, WAIT]

    packets = machine.send(*(frame(n) for n in range(4)))

    assert numbers(machine.adapter.sends.queued) == [1, 2, 3]
    assert [p.owner for p in packets] == [Owner.MINIPORT, Owner.NDIS, Owner.NDIS, Owner.NDIS]
    assert machine.recorder.sent == []


def test_a_requeued_packet_stays_ahead_of_a_newer_one() -> None:
    """New packets join the queue behind; the driver is not asked while it is full."""
    machine = Machine()
    machine.driver.verdicts = [FULL]

    machine.send(frame(0), frame(1))
    machine.send(frame(2))

    assert numbers(machine.adapter.sends.queued) == [0, 1, 2]
    assert machine.driver.log == ["send 2"]


@pytest.mark.parametrize("how", ["send_complete", "send_resources_available"])
def test_room_again_resubmits_the_queue(how: str) -> None:
    """NdisMSendComplete and NdisMSendResourcesAvailable both say that there is room."""
    machine = Machine()
    machine.driver.verdicts = [WAIT, FULL]
    packets = machine.send(frame(0), frame(1), frame(2))
    machine.driver.got.clear()

    if how == "send_complete":
        machine.driver.ndis.send_complete(packets[0], OK)
    else:
        machine.driver.ndis.send_resources_available()

    assert numbers(machine.driver.got) == [1, 2]
    assert machine.adapter.sends.queued == []


def test_arrays_are_cut_to_what_the_driver_takes_at_once() -> None:
    """OID_GEN_MAXIMUM_SEND_PACKETS is 8 here."""
    machine = Machine()

    machine.send(*(frame(n) for n in range(20)))

    assert machine.driver.log == ["send 8", "send 8", "send 4"]


def test_a_send_from_send_complete_waits_until_the_driver_is_left() -> None:
    """A serialized driver is never entered while it is inside a call of its own."""

    class Eager(Recorder):
        machine: Machine

        def send_complete(self, packet: Packet, status: Status) -> None:
            super().send_complete(packet, status)
            if len(self.sent) == 1:
                self.machine.send(frame(9))
                self.log.append(f"driver saw {self.machine.driver.log}")

    eager = Eager()
    machine = eager.machine = Machine(client=eager)
    machine.driver.verdicts = [OK]

    machine.send(frame(0))

    assert eager.log == ["driver saw ['send 1']"]
    assert machine.driver.log == ["send 1", "send 1"]


def test_a_driver_with_send_only_gets_one_at_a_time() -> None:
    """MiniportSend's return value is the status; RESOURCES stops the queue."""

    class Single(Script):
        send_packets = None  # type: ignore[assignment]  # the class has no such handler

        def send(self, packet: Packet, flags: PacketFlags) -> Status:
            self.log.append(f"send {flags!r}")
            self.got.append(packet)
            return self.verdicts.pop(0)

    machine = Machine(Single, version=(3, 0))
    machine.driver.verdicts = [OK, WAIT, FULL]

    packets = machine.send(frame(0), frame(1), frame(2), frame(3))

    assert machine.recorder.sent == [(packets[0], OK)]
    assert numbers(machine.adapter.sends.queued) == [2, 3]


def test_send_packets_wins_over_send() -> None:
    """A driver with both is called by SendPackets only."""

    class Both(Script):
        def send(self, packet: Packet, flags: PacketFlags) -> Status:
            raise AssertionError

    machine = Machine(Both)

    machine.send(frame(0))

    assert machine.driver.log == ["send 1"]


def test_a_deserialized_driver_gets_every_array_whole_and_at_once() -> None:
    """Out-of-band status on return is ignored: nothing is completed or requeued by it."""
    machine = Machine(FreeScript)
    machine.driver.verdicts = [OK, FULL]

    packets = machine.send(*(frame(n) for n in range(10)))

    assert machine.driver.log == ["send 10"]
    assert machine.recorder.sent == []
    assert {p.owner for p in packets} == {Owner.MINIPORT}


def test_a_deserialized_driver_may_be_entered_from_its_own_completion() -> None:
    """No lock of NDIS's is in the way."""

    class Eager(Recorder):
        machine: Machine

        def send_complete(self, packet: Packet, status: Status) -> None:
            super().send_complete(packet, status)
            if len(self.sent) == 1:
                self.machine.send(frame(9))
                self.log.append(" ".join(self.machine.driver.log))

    eager = Eager()
    machine = eager.machine = Machine(FreeScript, client=eager)
    (packet,) = machine.send(frame(0))

    machine.driver.ndis.send_complete(packet, OK)

    assert eager.log == ["send 1 send 1"]


@pytest.mark.parametrize("kind", [Script, FreeScript])
def test_a_packet_completed_twice_stops_the_machine(kind: type[Script]) -> None:
    """It belongs to its protocol again after the first time."""
    machine = Machine(kind)
    (packet,) = machine.send(frame(0))
    machine.driver.ndis.send_complete(packet, OK)

    with pytest.raises(BugCheckError, match="not with the driver"):
        machine.driver.ndis.send_complete(packet, OK)


def test_a_packet_under_way_cannot_be_sent_again() -> None:
    """The protocol does not own it."""
    machine = Machine()
    packets = machine.send(frame(0))

    with pytest.raises(OwnershipError, match="MINIPORT owns it"):
        machine.open.send_packets(packets)


def test_cancel_completes_queued_packets_of_that_id_only() -> None:
    """Those with the driver are left to it; the others keep their order."""
    machine = Machine()
    machine.driver.verdicts = [WAIT, FULL]
    packets = [machine.pool.allocate(frame(n)) for n in range(4)]
    for at in (0, 1, 3):
        packets[at].info[PacketInfo.CANCEL_ID] = "a"

    machine.open.send_packets(packets)
    machine.open.cancel_sends("a")

    aborted = Status.REQUEST_ABORTED
    assert machine.recorder.sent == [(packets[1], aborted), (packets[3], aborted)]
    assert machine.adapter.sends.queued == [packets[2]]


def test_closing_waits_for_the_last_packet() -> None:
    """NdisCloseAdapter pends, then CloseAdapterComplete."""
    machine = Machine()
    (packet,) = machine.send(frame(0))

    status = machine.open.close()
    before = list(machine.recorder.log)
    machine.driver.ndis.send_complete(packet, OK)

    assert (status, before) == (WAIT, [])
    assert machine.recorder.log == ["close_adapter_complete SUCCESS"]


def test_buffers_are_chained_and_unchained_at_both_ends() -> None:
    """The chain's order is the frame's; an empty chain gives nothing."""
    packet = Packet()
    header, body, trailer = (Buffer(bytearray(text)) for text in (b"header", b"body", b"trailer"))
    packet.chain_buffer_at_back(body)
    packet.chain_buffer_at_front(header)
    packet.chain_buffer_at_back(trailer)
    whole = packet.data

    taken = [packet.unchain_buffer_at_front(), packet.unchain_buffer_at_back()]

    assert whole == b"headerbodytrailer"
    assert taken == [header, trailer]
    assert packet.unchain_buffer_at_back() is body
    assert packet.unchain_buffer_at_front() is None


def test_a_buffer_is_shortened_within_its_memory_and_no_further() -> None:
    """NdisAdjustBufferLength."""
    buffer = Buffer(bytearray(b"0123456789"), 2)

    buffer.adjust_length(3)

    assert bytes(buffer.view) == b"234"
    with pytest.raises(ValueError, match="outside the buffer"):
        buffer.adjust_length(9)
