"""NDIS 6's offload structures, and the driver's answers in them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.host.inprocess_stack import LocalStack
from ndis import offload6
from ndis.errors import NdisError
from ndis.offload import NOTHING, Checksum, Offload
from ndis.offload6 import Direction, LargeSend, OffloadParameters
from ndis.oids import Oid
from ndis.status import Status
from ndis.verifier.core import Verifier

ALL = Checksum.IP_OPTIONS | Checksum.TCP_OPTIONS | Checksum.TCP | Checksum.UDP
SUMS = st.builds(Checksum, st.integers(0, 31))
CAN = Offload(ALL | Checksum.IP, ALL | Checksum.IP, ALL, ALL, 0xFE00, 2)


@given(st.builds(Offload, SUMS, SUMS, SUMS, SUMS, st.integers(0, 1 << 20), st.integers(0, 9)))
def test_an_offload_survives_its_structure(offload: Offload) -> None:
    """112 bytes, revision 1; the segments of a large send that is not there do not count."""
    raw = offload6.emit(offload)

    again = offload6.parse(raw)

    assert raw[:4] == b"\xa7\x01\x70\0"
    assert len(raw) == 112
    assert offload6.emit(again) == raw
    if offload.large_send_bytes:
        assert again == offload


@given(st.binary(max_size=40))
def test_any_bytes_are_parameters_or_an_ndis_error(raw: bytes) -> None:
    """What is read is written back the same, flags aside."""
    try:
        parameters = OffloadParameters.parse(raw)
    except NdisError:
        return
    assert OffloadParameters.parse(parameters.emit()) == parameters


def test_parameters_switch_single_kinds_and_never_more_than_the_card_can() -> None:
    """No change leaves what was on; options come along with the first kind, and go with the last."""
    tcp = OffloadParameters(tcp_v4=Direction.TX_RX_ENABLED, large_send=LargeSend.ENABLED)
    less = OffloadParameters(tcp_v4=Direction.RX_ENABLED_TX_DISABLED, ip_v4=Direction.TX_ENABLED_RX_DISABLED)

    first = tcp.applied(NOTHING, CAN)
    second = less.applied(first, CAN)
    nothing = tcp.applied(NOTHING, NOTHING)

    options = Checksum.IP_OPTIONS | Checksum.TCP_OPTIONS
    both = options | Checksum.TCP
    assert first == Offload(both, both, large_send_bytes=0xFE00, large_send_segments=2)
    assert (second.v4_transmit, second.v4_receive) == (options | Checksum.IP, both)
    assert second.large_send_bytes == 0xFE00
    assert nothing == NOTHING


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", Status.INVALID_LENGTH),
        (bytes(20), Status.INVALID_PARAMETER),
        (b"\x80\x01\x14\0" + b"\x05" + bytes(15), Status.INVALID_PARAMETER),
        (b"\x80\x01\x14\0" + bytes(7) + b"\x02" + bytes(8), Status.NOT_SUPPORTED),
    ],
)
def test_bad_parameters_are_refused_and_change_nothing(raw: bytes, status: Status) -> None:
    """By the driver, with the configuration as it was."""
    stack = LocalStack(version=(6, 0))

    request = stack.set(Oid.TCP_OFFLOAD_PARAMETERS, raw)

    config = stack.query(Oid.TCP_OFFLOAD_CURRENT_CONFIG).buffer.answer
    assert request.status is status
    assert offload6.parse(config) == NOTHING


def test_what_is_switched_on_is_told_to_ndis_and_to_the_transports() -> None:
    """By TASK_OFFLOAD_CURRENT_CONFIG; the capabilities stay."""
    verifier = Verifier()
    stack = LocalStack(version=(6, 0), observer=verifier)
    wanted = OffloadParameters(udp_v4=Direction.TX_ENABLED_RX_DISABLED)

    request = stack.set(Oid.TCP_OFFLOAD_PARAMETERS, wanted.emit())

    config = offload6.parse(stack.query(Oid.TCP_OFFLOAD_CURRENT_CONFIG).buffer.answer)
    can = offload6.parse(stack.query(Oid.TCP_OFFLOAD_HARDWARE_CAPABILITIES).buffer.answer)
    assert request.status is Status.SUCCESS
    assert config == stack.adapter.offload == wanted.applied(NOTHING, can)
    assert config.v4_transmit & Checksum.UDP
    assert Status.TASK_OFFLOAD_CURRENT_CONFIG in stack.recorder.statuses
    assert verifier.reports == []


def test_wake_up_is_one_thing_in_both_generations_of_oids() -> None:
    """Set by OID_PM_PARAMETERS, read by OID_PNP_ENABLE_WAKE_UP; what the card cannot do is refused."""
    stack = LocalStack(version=(6, 0))

    done = stack.set(Oid.PM_PARAMETERS, struct.pack("<BBHIII", 0x80, 1, 16, 0x3, 0, 0x1))
    refused = stack.set(Oid.PM_PARAMETERS, struct.pack("<BBHIII", 0x80, 1, 16, 0x10, 0, 0))

    legacy = stack.query(Oid.PNP_ENABLE_WAKE_UP, 4).buffer.answer
    now = struct.unpack("<BBHIII", stack.query(Oid.PM_PARAMETERS).buffer.answer)
    assert (done.status, refused.status) == (Status.SUCCESS, Status.NOT_SUPPORTED)
    assert (legacy, now[3:]) == (b"\x07\0\0\0", (0x3, 0, 0x1))


def test_the_link_state_has_its_speed_in_bits_a_second() -> None:
    """NDIS_LINK_STATE: connected, full duplex, 1 Gbit/s both ways."""
    stack = LocalStack(version=(6, 0))

    raw = stack.query(Oid.GEN_LINK_STATE).buffer.answer

    assert len(raw) == 40
    assert struct.unpack_from("<II4xQQ", raw, 4) == (1, 2, 10**9, 10**9)
