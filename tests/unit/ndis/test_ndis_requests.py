"""OID requests: one at a time, merged filters, BytesNeeded."""

from __future__ import annotations

import struct

import pytest

from ndis.filter8023 import PacketFilter
from ndis.oids import BY_NUMBER, MANDATORY, TABLE, Oid, oid_name
from ndis.requests import InformationBuffer, Request
from ndis.samples.scripted import FreeScript, Script
from ndis.status import Status
from ndis.suite.bench import Machine, Recorder, Transport
from ntos.errors import BugCheckError


@pytest.mark.parametrize("kind", [Script, FreeScript])
def test_the_second_request_waits_for_the_first(kind: type[Script]) -> None:
    """Also for a deserialized driver."""
    machine = Machine(kind)
    machine.driver.pend = {Oid.GEN_VENDOR_ID, Oid.GEN_LINK_SPEED}
    machine.query(Oid.GEN_VENDOR_ID)
    machine.query(Oid.GEN_LINK_SPEED)
    before = list(machine.driver.log)

    machine.driver.ndis.query_information_complete(Status.SUCCESS)

    assert before == [f"query {Oid.GEN_VENDOR_ID:#x}"]
    assert machine.driver.log == [*before, f"query {Oid.GEN_LINK_SPEED:#x}"]
    assert [r.oid for r, _ in machine.recorder.requests] == [
        Oid.GEN_CURRENT_PACKET_FILTER,
        Oid.GEN_VENDOR_ID,
    ]


def test_a_short_buffer_is_told_what_is_needed() -> None:
    """INVALID_LENGTH with BytesNeeded, nothing written."""
    machine = Machine()

    request = machine.query(Oid.O802_3_CURRENT_ADDRESS, length=3)

    assert request.status is Status.INVALID_LENGTH
    assert (request.buffer.bytes_needed, request.buffer.answer) == (6, b"")


def test_an_unknown_oid_is_not_supported() -> None:
    """The driver's word goes to whoever asked."""
    machine = Machine()

    assert machine.query(0xFF01_0101).status is Status.NOT_SUPPORTED


def test_the_driver_is_told_the_union_of_the_filters_and_only_changes() -> None:
    """Two opens with filters 1 and 9, then 1 and 1: the card is set three times."""
    machine = Machine(packet_filter=PacketFilter.DIRECTED)
    protocol = machine.ndis.register_protocol("second", Transport(Recorder()))
    other = machine.ndis.bind(protocol, machine.adapter)
    both = PacketFilter.DIRECTED | PacketFilter.BROADCAST

    for value in (PacketFilter.DIRECTED, both, PacketFilter.DIRECTED):
        other.request(Request.set(Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", value)))

    told = [d for oid, d in machine.driver.sets if oid == Oid.GEN_CURRENT_PACKET_FILTER]
    assert [struct.unpack("<I", d)[0] for d in told] == [1, 9, 1]


def test_each_open_reads_its_own_filter() -> None:
    """NDIS answers; the card knows only the union."""
    machine = Machine(packet_filter=PacketFilter.DIRECTED)

    request = machine.query(Oid.GEN_CURRENT_PACKET_FILTER)

    assert request.buffer.answer == struct.pack("<I", PacketFilter.DIRECTED)


def test_a_filter_the_driver_refuses_is_taken_back() -> None:
    """The open keeps what it had."""

    class Refuses(Script):
        def set_information(self, oid: int, buffer: InformationBuffer) -> Status:
            if buffer.data == struct.pack("<I", 1 | PacketFilter.PROMISCUOUS):
                return Status.NOT_ACCEPTED
            return super().set_information(oid, buffer)

    machine = Machine(Refuses, packet_filter=1)

    request = machine.set(Oid.GEN_CURRENT_PACKET_FILTER, b"\x21\0\0\0")

    assert request.status is Status.NOT_ACCEPTED
    assert machine.adapter.filter.packet_filter is PacketFilter.DIRECTED


def test_multicast_lists_are_merged_without_duplicates() -> None:
    """The driver sees the union in the order of first mention."""
    machine = Machine()
    a, b, c = (b"\x01\0\x5e\0\0" + bytes([n]) for n in range(3))
    protocol = machine.ndis.register_protocol("second", Transport(Recorder()))
    other = machine.ndis.bind(protocol, machine.adapter)

    machine.set(Oid.O802_3_MULTICAST_LIST, a + b)
    other.request(Request.set(Oid.O802_3_MULTICAST_LIST, b + c))

    assert machine.driver.sets[-1] == (Oid.O802_3_MULTICAST_LIST, a + b + c)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x01\0\x5e\0\0", Status.INVALID_LENGTH),
        (b"\x02\0\x5e\0\0\0", Status.INVALID_DATA),
        (b"".join(b"\x01\0\0\0\0" + bytes([n]) for n in range(5)), Status.MULTICAST_FULL),
    ],
)
def test_a_bad_multicast_list_never_reaches_the_driver(data: bytes, status: Status) -> None:
    """Not whole addresses, not multicast, too many for the card's four."""
    machine = Machine()
    before = list(machine.driver.sets)

    assert machine.set(Oid.O802_3_MULTICAST_LIST, data).status is status
    assert machine.driver.sets == before


def test_a_request_completed_twice_stops_the_machine() -> None:
    """Bug check 0x7C with parameter 0x91002."""
    machine = Machine()
    machine.driver.pend = {Oid.GEN_VENDOR_ID}
    machine.query(Oid.GEN_VENDOR_ID)
    machine.driver.ndis.query_information_complete(Status.SUCCESS)

    with pytest.raises(BugCheckError, match="0x91002"):
        machine.driver.ndis.query_information_complete(Status.SUCCESS)


def test_a_closing_open_withdraws_its_filter_from_the_card() -> None:
    """The union shrinks to nothing."""
    machine = Machine()

    machine.ndis.unbind(machine.open)

    assert machine.driver.sets[-1] == (Oid.GEN_CURRENT_PACKET_FILTER, bytes(4))


def test_the_oid_table_is_whole() -> None:
    """Every number of the enumeration has its row, once, and names are those of ntddndis.h."""
    assert sorted(BY_NUMBER) == sorted(Oid)
    assert len(TABLE) == len(BY_NUMBER)
    assert oid_name(Oid.O802_3_CURRENT_ADDRESS) == "OID_802_3_CURRENT_ADDRESS"
    assert oid_name(Oid.GEN_XMIT_OK) == "OID_GEN_XMIT_OK"
    assert {Oid.GEN_SUPPORTED_LIST, Oid.O802_3_MULTICAST_LIST} < MANDATORY
