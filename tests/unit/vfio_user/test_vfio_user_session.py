"""One client's session, without sockets: each command's answer, each refusal, each fd accounted for."""

from __future__ import annotations

import errno
import os

import pytest

from device.vfio_user import Capabilities, RegionInfo, Reply, TransportError
from device.vfio_user.messages import (
    DeviceFeature,
    DeviceGetInfo,
    DeviceGetIrqInfo,
    DeviceGetRegionInfo,
    DeviceGetRegionIoFds,
    DeviceSetIrqs,
    DmaMapRequest,
    DmaUnmapRequest,
    Header,
    IoFd,
    MmapArea,
    RegionAccess,
    RegionWriteMulti,
    Version,
    command,
    reply,
)
from device.vfio_user.protocol import Command, FeatureFlags, IrqSetFlags
from device.vfio_user.session import State
from tests.support.vfio_user_double import (
    BAR0,
    CONFIG,
    FAULTY,
    MAPPABLE,
    READ_ONLY,
    SPARSE,
    Bench,
)

READ, WRITE = Command.REGION_READ, Command.REGION_WRITE
MULTI = Capabilities(max_msg_fds=16, write_multiple=True)
EVERY_COMMAND = [c for c in Command if c is not Command.VERSION]


@pytest.fixture
def bench() -> Bench:
    """Return a negotiated session."""
    return Bench()


def access(region: int, offset: int, count: int, data: bytes = b"") -> bytes:
    """Return the payload of a register access, right or wrong."""
    return RegionAccess.FORMAT.pack(offset, region, count) + data


# --- VERSION


def test_version_0_0_is_agreed() -> None:
    """Whatever minor is proposed."""
    bench = Bench(negotiated=False)

    answer = Version.parse(bench.payload(Command.VERSION, Version(0, 9, b'{"capabilities":{}}').emit()))

    assert (answer.major, answer.minor) == (0, 0)
    assert bench.session.state is State.READY


@pytest.mark.parametrize(
    "proposal",
    [Version(1, 0).emit(), b"", b"\0\0", Version(0, 0).emit() + b"{}", Version(0, 0, b"{").emit()],
)
def test_a_version_that_cannot_be_agreed_is_refused(proposal: bytes) -> None:
    """And the client may try again with another."""
    bench = Bench(negotiated=False)

    assert bench.errno(Command.VERSION, proposal) == "EINVAL"

    assert bench.session.state is State.NEW
    bench.payload(Command.VERSION, Version(0, 0).emit())


@pytest.mark.parametrize("number", EVERY_COMMAND)
def test_nothing_comes_before_version(number: Command) -> None:
    """The fds that came with it are closed, the device is not called."""
    bench = Bench(negotiated=False)

    refusal = bench.errno(number, bytes(32), (5, 6))

    assert refusal == ("ENOSYS" if number in (Command.DMA_READ, Command.DMA_WRITE) else "EINVAL")
    assert bench.closed == [5, 6]
    assert bench.device.calls == []


def test_version_comes_only_once(bench: Bench) -> None:
    """There is nothing to renegotiate."""
    assert bench.errno(Command.VERSION, Version(0, 0).emit()) == "EINVAL"


@pytest.mark.parametrize("number", [0, 11, 12, 14, 19, 0xFFFF])
def test_commands_that_are_none_for_a_server_are_unknown(bench: Bench, number: int) -> None:
    """DMA_READ and DMA_WRITE go the other way; 14 (DIRTY_PAGES) is obsolete."""
    header = Header(7, number, 16)

    answer = bench.session.handle(header, b"", (5,))

    assert answer == Reply(Header(7, number, 16, 0x21, errno.ENOSYS).emit())
    assert bench.closed == [5]


@pytest.mark.parametrize("number", [Command.MIG_DATA_READ, Command.MIG_DATA_WRITE])
def test_migration_is_not_supported(bench: Bench, number: Command) -> None:
    """It is said so, cleanly."""
    assert bench.errno(number, bytes(8)) == "ENOTSUP"


@pytest.mark.parametrize("flags", [1, 2, 15, 0x21])
def test_a_message_that_is_no_command_breaks_the_connection(bench: Bench, flags: int) -> None:
    """A reply to nothing, or a type that there is not; its fds are closed first."""
    with pytest.raises(TransportError):
        bench.session.handle(Header(1, READ, 32, flags), access(BAR0, 0, 4), (5,))

    assert bench.closed == [5]


# --- NO_REPLY


def test_a_posted_write_is_done_and_not_answered(bench: Bench) -> None:
    """The common case of a doorbell."""
    message = command(1, WRITE, access(BAR0, 8, 4, b"abcd"), reply=False)

    assert bench.send(message) is None

    assert bench.device.calls == [("write", BAR0, 8, b"abcd")]


def test_a_posted_command_that_is_refused_is_not_answered_either(bench: Bench) -> None:
    """And its fds are closed."""
    message = command(1, WRITE, access(BAR0, 1 << 40, 4, b"abcd"), reply=False)

    assert bench.send(message, (5,)) is None

    assert bench.closed == [5]
    assert bench.device.calls == []


# --- information


def test_the_device_is_a_pci_device_that_can_be_reset(bench: Bench) -> None:
    """DEVICE_GET_INFO."""
    raw = bench.payload(Command.DEVICE_GET_INFO, DeviceGetInfo(64).emit())

    assert DeviceGetInfo.parse(raw) == DeviceGetInfo(16, 3, 9, 5)


@pytest.mark.parametrize(
    ("index", "size", "flags"), [(BAR0, 4096, 3), (READ_ONLY, 256, 1), (5, 0, 0), (CONFIG, 256, 3)]
)
def test_a_region_is_described(bench: Bench, index: int, size: int, flags: int) -> None:
    """Size and rights; a region that is not there has neither."""
    request = DeviceGetRegionInfo(index, 32).emit()

    raw = bench.payload(Command.DEVICE_GET_REGION_INFO, request)

    assert DeviceGetRegionInfo.parse(raw) == DeviceGetRegionInfo(index, 32, flags, 0, size)


def test_a_mappable_region_comes_with_its_fd(bench: Bench) -> None:
    """FLAG_MMAP."""
    answer = bench.ask(Command.DEVICE_GET_REGION_INFO, DeviceGetRegionInfo(MAPPABLE, 32).emit())

    assert answer is not None
    info = DeviceGetRegionInfo.parse(answer.data[16:])
    assert (info.flags, info.size) == (7, 8192)
    assert answer.fds == (bench.device.file,)


def test_capabilities_come_only_when_there_is_room(bench: Bench) -> None:
    """The first answer says how much; it has cap_offset already, without which QEMU gives up."""
    short = bench.ask(Command.DEVICE_GET_REGION_INFO, DeviceGetRegionInfo(SPARSE, 32).emit())
    whole = bench.ask(Command.DEVICE_GET_REGION_INFO, DeviceGetRegionInfo(SPARSE, 64).emit())

    assert short is not None
    assert whole is not None
    expected = DeviceGetRegionInfo(SPARSE, 64, 15, 32, 8192)
    assert (DeviceGetRegionInfo.parse(short.data[16:]), short.fds) == (expected, ())
    info = DeviceGetRegionInfo.parse(whole.data[16:])
    assert (info.argsz, info.flags, info.cap_offset) == (64, 15, 32)
    assert (info.sparse_areas(), whole.fds) == ((MmapArea(4096, 4096),), (bench.device.file,))


def test_io_fds_are_listed_with_their_fds() -> None:
    """Without room for them: how much is needed, and no fds."""
    bench = Bench()
    io_fd = IoFd(0x18, 4, 0)
    bench.device.regions = (RegionInfo(4096, io_fds=(io_fd,), io_fd_list=(44,)),)
    bench.session.__init__(bench.device, bench.dma, bench.irqs)  # type: ignore[misc]  # with the new regions
    bench.payload(Command.VERSION, Version(0, 0).emit())

    short = bench.ask(Command.DEVICE_GET_REGION_IO_FDS, DeviceGetRegionIoFds(0, 16).emit())
    whole = bench.ask(Command.DEVICE_GET_REGION_IO_FDS, DeviceGetRegionIoFds(0, 56).emit())

    assert short == Reply(reply(Header(7, 6, 16), DeviceGetRegionIoFds(0, 56, 0, 1).emit()))
    assert whole == Reply(reply(Header(7, 6, 16), DeviceGetRegionIoFds(0, 56, 0, 1, (io_fd,)).emit()), (44,))


def test_a_region_without_io_fds_has_none(bench: Bench) -> None:
    """A count of 0."""
    raw = bench.payload(Command.DEVICE_GET_REGION_IO_FDS, DeviceGetRegionIoFds(BAR0).emit())

    assert DeviceGetRegionIoFds.parse(raw) == DeviceGetRegionIoFds(BAR0, 16, 0, 0)


@pytest.mark.parametrize(("index", "flags", "count"), [(0, 7, 1), (1, 9, 1), (2, 9, 5), (3, 9, 1), (4, 9, 1)])
def test_an_interrupt_type_is_described(bench: Bench, index: int, flags: int, count: int) -> None:
    """INTx can be masked and masks itself; MSI and MSI-X are set up as a whole."""
    raw = bench.payload(Command.DEVICE_GET_IRQ_INFO, DeviceGetIrqInfo(index).emit())

    assert DeviceGetIrqInfo.parse(raw) == DeviceGetIrqInfo(index, 16, flags, count)


@pytest.mark.parametrize(
    ("number", "payload"),
    [
        (Command.DEVICE_GET_INFO, DeviceGetInfo(15).emit()),
        (Command.DEVICE_GET_REGION_INFO, DeviceGetRegionInfo(0, 31).emit()),
        (Command.DEVICE_GET_REGION_INFO, DeviceGetRegionInfo(9, 32).emit()),
        (Command.DEVICE_GET_REGION_INFO, DeviceGetRegionInfo(0xFFFFFFFF, 32).emit()),
        (Command.DEVICE_GET_REGION_IO_FDS, DeviceGetRegionIoFds(0, 15).emit()),
        (Command.DEVICE_GET_REGION_IO_FDS, DeviceGetRegionIoFds(9, 16).emit()),
        (Command.DEVICE_GET_REGION_IO_FDS, DeviceGetRegionIoFds(0, 16, flags=1).emit()),
        (Command.DEVICE_GET_IRQ_INFO, DeviceGetIrqInfo(5).emit()),
        (Command.DEVICE_GET_IRQ_INFO, DeviceGetIrqInfo(0, 15).emit()),
        (Command.DEVICE_RESET, b"x"),
        *[(number, b"\0" * 3) for number in EVERY_COMMAND if number not in range(11, 13) and number < 17],
    ],
)
def test_a_malformed_request_is_refused(number: Command, payload: bytes) -> None:
    """Too short, too long, or about what there is not; the device is not called."""
    bench = Bench(MULTI)

    assert bench.errno(number, payload) == "EINVAL"

    assert bench.device.calls == []


# --- registers


def test_a_read_returns_what_the_device_says(bench: Bench) -> None:
    """With the request's fields in front."""
    bench.device.memory[8:12] = b"abcd"

    raw = bench.payload(READ, access(BAR0, 8, 4))

    assert raw == access(BAR0, 8, 4, b"abcd")
    assert bench.device.calls == [("read", BAR0, 8, 4)]


def test_a_write_is_acknowledged_without_its_data(bench: Bench) -> None:
    """Offset, region and count alone."""
    raw = bench.payload(WRITE, access(BAR0, 8, 4, b"abcd"))

    assert raw == access(BAR0, 8, 4)


@pytest.mark.parametrize(
    ("number", "payload"),
    [
        (READ, access(BAR0, 4093, 4)),
        (READ, access(BAR0, 4096, 1)),
        (READ, access(BAR0, (1 << 64) - 1, 4)),
        (READ, access(BAR0, 0, 0xFFFFFFFF)),
        (READ, access(6, 0, 4)),
        (READ, access(9, 0, 4)),
        (READ, access(0xFFFFFFFF, 0, 4)),
        (READ, access(BAR0, 0, 4, b"data")),
        (WRITE, access(BAR0, 4093, 4, b"abcd")),
        (WRITE, access(READ_ONLY, 0, 4, b"abcd")),
        (WRITE, access(BAR0, 0, 5, b"abcd")),
        (WRITE, access(BAR0, 0, 3, b"abcd")),
        (WRITE, access(BAR0, 0, 4)),
    ],
)
def test_an_access_that_is_not_the_regions_is_refused(bench: Bench, number: Command, payload: bytes) -> None:
    """Out of bounds, without the right, or not as long as it says."""
    assert bench.errno(number, payload) == "EINVAL"

    assert bench.device.calls == []


def test_more_than_max_data_xfer_size_is_refused() -> None:
    """In one access."""
    bench = Bench(Capabilities(max_data_xfer_size=64))

    assert bench.errno(READ, access(BAR0, 0, 65)) == "EINVAL"

    assert len(bench.payload(READ, access(BAR0, 0, 64))) == 16 + 64


def test_what_the_guest_did_wrong_is_the_devices_errno(bench: Bench) -> None:
    """A GuestError is an answer, not the end."""
    assert bench.errno(READ, access(BAR0, FAULTY, 4)) == "EIO"

    bench.payload(READ, access(BAR0, 0, 4))


def test_a_bug_of_the_device_is_not_hidden(bench: Bench) -> None:
    """A read of the wrong length crashes."""
    bench.device.memory = bytearray(2)

    with pytest.raises(AssertionError, match="0x2 bytes, not 0x4"):
        bench.ask(READ, access(BAR0, 0, 4))


def test_coalesced_writes_are_done_in_order() -> None:
    """REGION_WRITE_MULTI."""
    bench = Bench(MULTI)
    writes = (RegionAccess(8, BAR0, 4, b"abcd"), RegionAccess(4, CONFIG, 2, b"xy"))

    raw = bench.payload(Command.REGION_WRITE_MULTI, RegionWriteMulti(writes).emit())

    assert raw == (2).to_bytes(8, "little")
    assert bench.device.calls == [("write", BAR0, 8, b"abcd"), ("write", CONFIG, 4, b"xy")]


def test_one_bad_write_of_several_stops_them_all() -> None:
    """None is done."""
    bench = Bench(MULTI)
    writes = (RegionAccess(8, BAR0, 4, b"abcd"), RegionAccess(4095, BAR0, 2, b"xy"))

    assert bench.errno(Command.REGION_WRITE_MULTI, RegionWriteMulti(writes).emit()) == "EINVAL"

    assert bench.device.calls == []


@pytest.mark.parametrize(("offered", "proposed"), [(MULTI, Capabilities()), (Capabilities(), MULTI)])
def test_coalesced_writes_need_both_sides(offered: Capabilities, proposed: Capabilities) -> None:
    """They have to be negotiated."""
    bench = Bench(offered, proposed)

    assert bench.errno(Command.REGION_WRITE_MULTI, RegionWriteMulti(()).emit()) == "ENOTSUP"


# --- set-up


def test_a_region_is_mapped_and_its_fd_closed(bench: Bench) -> None:
    """The mapping does not need it."""
    fd = os.memfd_create("ram")
    os.truncate(fd, 8192)
    os.pwrite(fd, b"here", 4096)

    assert bench.payload(Command.DMA_MAP, DmaMapRequest(3, 4096, 0x1000, 4096).emit(), (fd,)) == b""

    os.close(fd)
    assert bench.closed == [fd]
    assert bench.dma.read(0x1000, 4) == b"here"


@pytest.mark.parametrize(
    ("request_", "fds", "name"),
    [
        (DmaMapRequest(3, 0, 0, 4096), (-1,), "EBADF"),
        (DmaMapRequest(3, 0, 0, 4096), (5, 6), "EINVAL"),
        (DmaMapRequest(7, 0, 0, 4096), (), "EINVAL"),
        (DmaMapRequest(0, 0, 0, 4096), (), "EINVAL"),
        (DmaMapRequest(3, 0, 0, 0), (), "EINVAL"),
        (DmaMapRequest(3, 0, (1 << 64) - 1, 4096), (), "EINVAL"),
        (DmaMapRequest(3, 0, 0x8000, 1), (), "EEXIST"),
    ],
)
def test_a_map_that_is_refused_closes_its_fds(
    bench: Bench, request_: DmaMapRequest, fds: tuple[int, ...], name: str
) -> None:
    """And changes nothing."""
    bench.payload(Command.DMA_MAP, DmaMapRequest(3, 0, 0x8000, 4096).emit())

    assert bench.errno(Command.DMA_MAP, request_.emit(), fds) == name

    assert bench.closed == list(fds)
    assert len(bench.dma.regions) == 1


def test_unmap_is_answered_with_the_request(bench: Bench) -> None:
    """As the specification says, also for a range that was never mapped."""
    bench.payload(Command.DMA_MAP, DmaMapRequest(3, 0, 0x8000, 4096).emit())
    one = DmaUnmapRequest(0, 0x8000, 4096).emit()

    answers = [bench.payload(Command.DMA_UNMAP, one), bench.payload(Command.DMA_UNMAP, one)]

    assert answers == [one, one]
    assert bench.dma.regions == ()


def test_an_unmap_of_everything_names_no_range(bench: Bench) -> None:
    """Bit 1, with no range."""
    for at in range(3):
        bench.payload(Command.DMA_MAP, DmaMapRequest(3, 0, at * 0x8000, 4096).emit())

    assert bench.errno(Command.DMA_UNMAP, DmaUnmapRequest(2, 0, 4096).emit()) == "EINVAL"
    bench.payload(Command.DMA_UNMAP, DmaUnmapRequest(2, 0, 0).emit())

    assert bench.dma.regions == ()


@pytest.mark.parametrize(
    ("flags", "tail", "name"), [(1, bytes(16), "ENOTSUP"), (4, b"", "EINVAL"), (0, b"x", "EINVAL")]
)
def test_an_unmap_with_more_to_it_is_refused(bench: Bench, flags: int, tail: bytes, name: str) -> None:
    """There are no dirty bitmaps without migration."""
    request = DmaUnmapRequest(flags, 0, 4096, tail=tail).emit()

    assert bench.errno(Command.DMA_UNMAP, request) == name


def test_interrupts_keep_their_fds(bench: Bench) -> None:
    """They are the session's only fds that are not closed at once."""
    flags = IrqSetFlags.DATA_EVENTFD | IrqSetFlags.ACTION_TRIGGER

    bench.payload(Command.DEVICE_SET_IRQS, DeviceSetIrqs(flags, 2, 0, 2).emit(), (10, 11))

    assert (bench.closed, bench.irqs.eventfd(2, 1)) == ([], 11)


def test_interrupts_that_are_refused_close_their_fds(bench: Bench) -> None:
    """Three fds for two vectors."""
    flags = IrqSetFlags.DATA_EVENTFD | IrqSetFlags.ACTION_TRIGGER
    request = DeviceSetIrqs(flags, 2, 0, 2).emit()

    assert bench.errno(Command.DEVICE_SET_IRQS, request, (10, 11, 12)) == "EINVAL"

    assert bench.closed == [10, 11, 12]


@pytest.mark.parametrize("number", [c for c in EVERY_COMMAND if c not in (2, 8, 11, 12)])
def test_fds_in_the_wrong_place_are_closed_and_refused(bench: Bench, number: Command) -> None:
    """Only DMA_MAP and SET_IRQS have any use for them."""
    name = bench.errno(number, b"", (5, 6, 7))

    assert name == ("ENOTSUP" if number >= 17 else "EINVAL")
    assert bench.closed == [5, 6, 7]


def test_more_fds_than_we_said_we_take_are_refused(bench: Bench) -> None:
    """max_msg_fds is 16."""
    flags = IrqSetFlags.DATA_EVENTFD | IrqSetFlags.ACTION_TRIGGER
    fds = tuple(range(100, 117))

    assert bench.errno(Command.DEVICE_SET_IRQS, DeviceSetIrqs(flags, 2, 0, 17).emit(), fds) == "EINVAL"

    assert bench.closed == list(fds)


def test_reset_resets_the_device_and_nothing_else(bench: Bench) -> None:
    """Memory and interrupts are the client's to take away."""
    bench.payload(Command.DMA_MAP, DmaMapRequest(3, 0, 0x8000, 4096).emit())

    bench.payload(Command.DEVICE_RESET)

    assert bench.device.calls == ["reset"]
    assert len(bench.dma.regions) == 1


# --- features


def test_a_feature_is_got_set_and_probed(bench: Bench) -> None:
    """One that the device has."""
    get, put, probe = FeatureFlags.GET, FeatureFlags.SET, FeatureFlags.PROBE

    got = bench.payload(Command.DEVICE_FEATURE, DeviceFeature(get | 1, b"", 64).emit())
    answer = bench.payload(Command.DEVICE_FEATURE, DeviceFeature(put | 1, b"new", 11).emit())
    probed = bench.payload(Command.DEVICE_FEATURE, DeviceFeature(probe | get | put | 1).emit())

    assert DeviceFeature.parse(got) == DeviceFeature(get | 1, b"stored", 14)
    assert DeviceFeature.parse(answer) == DeviceFeature(put | 1, b"new", 11)
    assert DeviceFeature.parse(probed) == DeviceFeature(probe | get | put | 1)
    assert bench.device.stored == b"new"


def test_a_feature_too_long_for_the_client_says_how_long_it_is(bench: Bench) -> None:
    """As everywhere with argsz."""
    raw = bench.payload(Command.DEVICE_FEATURE, DeviceFeature(FeatureFlags.GET | 1, b"", 13).emit())

    assert DeviceFeature.parse(raw) == DeviceFeature(FeatureFlags.GET | 1, b"", 14)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (FeatureFlags.GET | 2, "ENOTTY"),
        (FeatureFlags.PROBE | 2, "ENOTTY"),
        (1, "EINVAL"),
        (FeatureFlags.GET | FeatureFlags.SET | 1, "EINVAL"),
        (1 << 19 | FeatureFlags.GET | 1, "EINVAL"),
    ],
)
def test_a_feature_that_is_not_there_is_refused(bench: Bench, flags: int, name: str) -> None:
    """And so is a request that does not say what it wants."""
    assert bench.errno(Command.DEVICE_FEATURE, DeviceFeature(flags).emit()) == name
