"""The vfio-user codec: layouts as the specification draws them, and nothing else accepted."""

from __future__ import annotations

import pytest

from device.vfio_user.errors import MalformedError
from device.vfio_user.messages import (
    DeviceFeature,
    DeviceGetInfo,
    DeviceGetIrqInfo,
    DeviceGetRegionInfo,
    DeviceGetRegionIoFds,
    DeviceSetIrqs,
    DmaAccess,
    DmaMapRequest,
    DmaUnmapRequest,
    Header,
    IoFd,
    MigrationData,
    MmapArea,
    RegionAccess,
    RegionWriteMulti,
    SparseMmap,
    Version,
    command,
    error_reply,
    reply,
)
from device.vfio_user.protocol import Command, DmaLayout

# (message, its bytes by hand from docs/interop/vfio-user.rst)
SAMPLES = [
    (Version(0, 1, b"{}"), "0000 0100 7b7d00"),
    (Version(0, 0), "0000 0000"),
    (
        DmaMapRequest(3, 0x1000, 0x2000, 0x3000),
        "20000000 03000000 0010000000000000 0020000000000000 0030000000000000",
    ),
    (DmaUnmapRequest(2, 0, 0), "18000000 02000000 0000000000000000 0000000000000000"),
    (DeviceGetInfo(16, 3, 9, 5), "10000000 03000000 09000000 05000000"),
    (
        DeviceGetRegionInfo(1, 32, 3, 0, 0x1000, 0x40),
        "20000000 03000000 01000000 00000000 0010000000000000 4000000000000000",
    ),
    (
        DeviceGetRegionIoFds(2, 56, 0, 1, (IoFd(0x18, 4, 0, 0, 1, 7),)),
        (
            "38000000 00000000 02000000 01000000"
            "1800000000000000 0400000000000000 00000000 00000000 01000000 00000000 0700000000000000"
        ),
    ),
    (DeviceGetIrqInfo(2, 16, 9, 5), "10000000 09000000 02000000 05000000"),
    (DeviceSetIrqs(0x22, 2, 1, 2, b"\1\0", 22), "16000000 22000000 02000000 01000000 02000000 0100"),
    (RegionAccess(0x3818, 0, 4, b"abcd"), "1838000000000000 00000000 04000000 61626364"),
    (DmaAccess(0x1000, 2, b"hi"), "0010000000000000 0200000000000000 6869"),
    (
        RegionWriteMulti((RegionAccess(8, 1, 2, b"hi"),)),
        "0100000000000000 0800000000000000 01000000 02000000 6869000000000000",
    ),
    (DeviceFeature(0x10001, b"x", 9), "09000000 01000100 78"),
    (MigrationData(1, b"x", 9), "09000000 01000000 78"),
]


@pytest.mark.parametrize(("message", "text"), SAMPLES, ids=lambda v: type(v).__name__)
def test_every_message_lies_as_the_specification_draws_it(message: object, text: str) -> None:
    """Written and read back, each field is where the tables say."""
    raw = bytes.fromhex(text)

    emitted = message.emit()  # type: ignore[attr-defined]  # every sample is a message

    assert emitted == raw
    assert type(message).parse(raw) == message  # type: ignore[attr-defined]  # the same


@pytest.mark.parametrize(("message", "text"), SAMPLES, ids=lambda v: type(v).__name__)
def test_a_message_that_is_cut_short_is_malformed(message: object, text: str) -> None:
    """One byte less than the fixed part is refused, and never read past."""
    shortest = min(len(bytes.fromhex(text)), type(message).FORMAT.size)  # type: ignore[attr-defined]  # all have one

    with pytest.raises(MalformedError):
        type(message).parse(bytes.fromhex(text)[: shortest - 1])  # type: ignore[attr-defined]  # the same


def test_a_command_its_reply_and_its_refusal_share_an_id() -> None:
    """The header of QEMU's hw/vfio-user/protocol.h: id, command, size, flags, errno."""
    asked = command(0x1234, Command.DEVICE_RESET, b"xy")
    posted = command(1, Command.REGION_WRITE, reply=False)

    header = Header.parse(asked[:16])

    assert asked == bytes.fromhex("34120d00 12000000 00000000 00000000 7879")
    assert posted == bytes.fromhex("01000a00 10000000 10000000 00000000")
    assert reply(header, b"z") == bytes.fromhex("34120d00 11000000 01000000 00000000 7a")
    assert error_reply(header, 22) == bytes.fromhex("34120d00 10000000 21000000 16000000")
    assert (header.is_reply, header.wants_reply) == (False, True)
    assert Header.parse(posted).wants_reply is False


def test_sparse_areas_are_found_behind_another_capability() -> None:
    """The list is followed by its offsets, which count from the structure's start."""
    other = SparseMmap.HEADER.pack(2, 1, 32 + 16) + bytes(8)
    areas = (MmapArea(0x1000, 0x2000), MmapArea(0x8000, 0x1000))
    info = DeviceGetRegionInfo(0, 104, 15, 32, 0x10000, 0, other + SparseMmap(areas).emit())

    found = DeviceGetRegionInfo.parse(info.emit()).sparse_areas()

    assert found == areas


def test_a_capability_list_that_bites_its_tail_ends() -> None:
    """A server's nonsense does not hang the client."""
    loop = SparseMmap.HEADER.pack(2, 1, 32)
    info = DeviceGetRegionInfo(0, 40, 15, 32, 0x1000, 0, loop)

    assert info.sparse_areas() == ()


def test_sparse_areas_that_do_not_fit_are_malformed() -> None:
    """The count is not believed before the length is checked."""
    raw = SparseMmap.HEADER.pack(1, 1, 0) + SparseMmap.COUNT.pack(0xFFFFFFFF, 0)

    with pytest.raises(MalformedError, match="0xffffffff areas"):
        SparseMmap.parse(raw)


def test_qemus_dma_layout_has_the_data_four_bytes_earlier() -> None:
    """VFIOUserDMARW of hw/vfio-user/protocol.h: message offset 28, the same length in all."""
    access = DmaAccess(0x1000, 4, b"data")

    raw = access.emit(DmaLayout.EARLY_QEMU)

    assert raw == bytes.fromhex("0010000000000000 04000000") + b"data" + bytes(4)
    assert len(raw) == len(access.emit())
    assert DmaAccess.parse(raw, DmaLayout.EARLY_QEMU) == access


@pytest.mark.parametrize("size", [0, 9, 0xFFFFFFFF])
def test_a_write_of_a_multi_holds_one_to_eight_bytes(size: int) -> None:
    """Its data field has room for no more."""
    raw = RegionWriteMulti.COUNT.pack(1) + RegionWriteMulti.FORMAT.pack(0, 0, size, b"")

    with pytest.raises(MalformedError, match="a write of"):
        RegionWriteMulti.parse(raw)


def test_data_that_is_not_count_bytes_is_malformed() -> None:
    """A count is not believed."""
    with pytest.raises(MalformedError, match="count 0x5"):
        RegionAccess.parse(RegionAccess.FORMAT.pack(0, 0, 5) + b"abcd")
    with pytest.raises(MalformedError, match="count 0x5"):
        DmaAccess.parse(DmaAccess.FORMAT.pack(0, 5) + b"abcd")
