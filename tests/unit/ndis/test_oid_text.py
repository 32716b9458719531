"""OIDs are told in words, registers by name: what ``ringwalk ndis`` shows of a driver."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import struct

import pytest

from lab.host.demo import busy_stack
from lab.host.inspection import register, tools
from lab.host.modes import MODES
from ndis import inspect
from ndis.hardware import RegisterAccess
from ndis.oid_text import DECODERS, meaning
from ndis.oids import Oid

U32 = struct.Struct("<I").pack


@pytest.mark.parametrize(
    ("oid", "raw", "said"),
    [
        (Oid.GEN_LINK_SPEED, U32(10_000_000), "1000 Mbit/s"),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, U32(1500), "1,500 bytes"),
        (Oid.GEN_CURRENT_PACKET_FILTER, U32(0x0B), "DIRECTED|MULTICAST|BROADCAST"),
        (Oid.GEN_CURRENT_PACKET_FILTER, U32(0x4000_0001), "DIRECTED|0x40000000"),
        (Oid.GEN_CURRENT_PACKET_FILTER, U32(0), "none"),
        (Oid.GEN_MEDIA_CONNECT_STATUS, U32(1), "DISCONNECTED"),
        (Oid.GEN_HARDWARE_STATUS, U32(77), "77"),
        (Oid.GEN_DRIVER_VERSION, b"\x01\x05", "NDIS 5.1"),
        (Oid.O802_3_CURRENT_ADDRESS, bytes.fromhex("525400825701"), "52:54:00:82:57:01"),
        (Oid.GEN_VENDOR_DESCRIPTION, b"a card\0", "'a card'"),
        (
            Oid.GEN_SUPPORTED_LIST,
            b"".join(map(U32, (Oid.GEN_XMIT_OK, 0xFF, 3, 4, 5))),
            "OID_GEN_XMIT_OK, OID 0x000000ff, OID 0x00000003 and 2 more",
        ),
        (
            Oid.PNP_CAPABILITIES,
            struct.pack("<IIII", 0, 4, 4, 0),
            "magic packet from D3, pattern from D3, link change from UNSPECIFIED",
        ),
        (
            Oid.GEN_INTERRUPT_MODERATION,
            struct.pack("<BBHII", 0x80, 1, 12, 0, 3),
            "revision 1, flags 0, moderation DISABLED",
        ),
        (Oid.GEN_RCV_DISCARDS, struct.pack("<Q", 1 << 40), "1,099,511,627,776"),
    ],
)
def test_an_answer_is_told_in_words(oid: Oid, raw: bytes, said: str) -> None:
    assert meaning(oid, raw) == said


@pytest.mark.parametrize("oid", sorted(DECODERS))
def test_an_answer_of_the_wrong_length_is_not_explained_and_breaks_nothing(oid: int) -> None:
    for length in range(64):
        assert isinstance(meaning(oid, bytes(length)), str)


def test_an_oid_that_nobody_knows_is_not_explained() -> None:
    assert meaning(0xFF01_0203, b"abcd") == ""


@pytest.mark.parametrize("mode", MODES)
def test_every_answer_of_our_driver_has_its_words(mode: str) -> None:
    views = inspect.ask_oids(busy_stack(mode, "reference").ndis)

    answered = [one for one in views if one.state == "SUCCESS" and one.raw]

    assert len(answered) > 40
    assert [one.oid for one in answered if not one.answer] == []


def test_a_register_access_has_its_name_value_and_fields() -> None:
    stack = busy_stack("serialized", "reference")

    shown = tools(lambda: stack)["log"](["1000"]).text

    lines = [line.split() for line in shown.splitlines() if " MMIO " in line]
    told = {line[-1].partition("=")[0] for line in lines} | {line[5].partition("=")[0] for line in lines}
    assert {"TDT0", "TCTL"} & told
    assert register(RegisterAccess(0x100, 0x8002)) == "RCTL=00008002 EN BAM"
    assert register(RegisterAccess(0x100)) == "RCTL"


def test_a_read_is_told_with_what_the_bus_answered() -> None:
    stack = busy_stack("serialized", "reference")
    assert stack.journal is not None

    reads = [e.subject for e in stack.journal.events if e.kind.name == "MMIO" and e.name == "read"]

    assert reads
    assert all(isinstance(one, RegisterAccess) and one.value is not None for one in reads)
