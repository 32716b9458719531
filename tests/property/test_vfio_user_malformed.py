"""Whatever a client sends, a session answers it or ends it, and never leaks an fd."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from device.vfio_user import Capabilities, DmaMap, Feature, Header, Irqs, RegionInfo, Session, TransportError
from device.vfio_user.channel import Channel
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
    MigrationData,
    RegionWriteMulti,
    SparseMmap,
    Version,
)
from device.vfio_user.protocol import Command
from device.vfio_user.server import exchange
from device.vfio_user.transport import SocketTransport

if TYPE_CHECKING:
    from collections.abc import Mapping

RAM_BYTES = 65536
FORMATS = [
    Version,
    DmaMapRequest,
    DmaUnmapRequest,
    DeviceGetInfo,
    DeviceGetRegionInfo,
    DeviceGetRegionIoFds,
    DeviceGetIrqInfo,
    DeviceSetIrqs,
    DmaAccess,
    RegionWriteMulti,
    SparseMmap,
    DeviceFeature,
    MigrationData,
]


class Memory:
    """A device of memory that never complains."""

    def __init__(self) -> None:
        """One BAR and a feature."""
        self.regions = (RegionInfo(4096),) * 9
        self.irq_counts = (1, 1, 5, 1, 1)
        self.features: Mapping[int, Feature] = {1: Feature(get=lambda data: data[:4], set=lambda _: None)}

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Check what a device may rely on."""
        assert index < 9
        assert 0 <= offset <= offset + count <= 4096
        return bytes(count)

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Check it too."""
        assert index < 9
        assert 0 <= offset <= offset + len(data) <= 4096

    def reset(self) -> None:
        """Do nothing."""

    def attached(self, dma: DmaMap, irqs: Irqs) -> None:
        """Do nothing."""

    def detached(self) -> None:
        """Do nothing."""


small = st.integers(0, 9)
edges = st.sampled_from([0, 1, 4, 16, 4095, 4096, 4097, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
u32 = st.one_of(small, edges, st.integers(0, 0xFFFFFFFF))
u64 = st.one_of(u32, st.sampled_from([1 << 63, (1 << 64) - 1, (1 << 59)]), st.integers(0, (1 << 64) - 1))
tail = st.binary(max_size=24)
payloads = st.one_of(
    st.binary(max_size=80),
    st.builds(DmaMapRequest.FORMAT.pack, u32, small, u64, u64, u64),
    st.builds(lambda *v: DmaUnmapRequest.FORMAT.pack(*v[:4]) + v[4], u32, small, u64, u64, tail),
    st.builds(lambda *v: DeviceSetIrqs.FORMAT.pack(*v[:5]) + v[5], u32, u32, small, small, small, tail),
    st.builds(DeviceGetRegionInfo.FORMAT.pack, u32, u32, u32, u32, u64, u64),
    st.builds(DeviceGetInfo.FORMAT.pack, u32, u32, small, small),
    st.builds(
        lambda o, r, d: o.to_bytes(8, "little") + r.to_bytes(4, "little") + len(d).to_bytes(4, "little") + d,
        u64,
        small,
        tail,
    ),
    st.builds(lambda v: DeviceFeature.FORMAT.pack(64, v), u32),
    st.builds(
        lambda *v: RegionWriteMulti.COUNT.pack(1) + RegionWriteMulti.FORMAT.pack(*v), u64, small, small, tail
    ),
    st.builds(lambda a, b, t: Version(a, b, t).emit(), small, small, tail),
)
commands = st.one_of(st.sampled_from([int(c) for c in Command]), st.integers(0, 0xFFFF))
flag_words = st.one_of(st.sampled_from([0, 0, 0, 0x10]), u32)
fd_kinds = st.lists(st.sampled_from(["eventfd", "memfd", "pipe", "file"]), max_size=6)
messages = st.lists(st.tuples(commands, flag_words, payloads, fd_kinds), min_size=1, max_size=12)


def make_fd(kind: str) -> int:
    """Return a new fd of a kind."""
    if kind == "eventfd":
        return os.eventfd(0, os.EFD_NONBLOCK)
    if kind == "memfd":
        fd = os.memfd_create("ram")
        os.truncate(fd, RAM_BYTES)
        return fd
    if kind == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
        return writing
    return os.open("/dev/null", os.O_RDWR)


def open_fds() -> list[str]:
    """Return this process's fds, by number."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def closes_to(fds: list[str]) -> bool:
    """Wait until no other fds are open; some are closed by a process of their own (janitor.py)."""
    deadline = time.monotonic() + 20
    while (found := set(open_fds())) - set(fds) and time.monotonic() < deadline:
        time.sleep(0.001)
    return found <= set(fds)


@settings(max_examples=300, deadline=None)
@given(messages, st.booleans())
def test_a_session_survives_any_messages_and_closes_every_fd(
    sent: list[tuple[int, int, bytes, list[str]]],
    negotiated: bool,  # noqa: FBT001 - hypothesis draws it
) -> None:
    """Each is answered with a reply of the right id and size, or not at all, or ends the session."""
    Irqs(Memory().irq_counts)  # the first one opens an empty file, which stays for all
    before = open_fds()
    device = Memory()
    dma, irqs = DmaMap(), Irqs(device.irq_counts)
    session = Session(device, dma, irqs, Capabilities(write_multiple=True))
    if negotiated:
        session.handle(Header(0, Command.VERSION, 20), Version(0, 0).emit())

    for number, (command, flags, payload, kinds) in enumerate(sent):
        header = Header(number, command, 16 + len(payload), flags)
        try:
            reply = session.handle(header, payload, [make_fd(kind) for kind in kinds])
        except TransportError:
            assert flags & 0xF
            continue
        assert (reply is None) == bool(flags & 0x10)
        if reply is not None:
            answer = Header.parse(reply.data[:16])
            assert (answer.message_id, answer.command) == (number, command)
            assert answer.size == len(reply.data)
            assert answer.flags in (0x01, 0x21)
            assert answer.flags == 0x01 or (answer.size == 16 and answer.error)
    dma.clear()
    irqs.clear()

    assert closes_to(before)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=6), messages)
def test_a_connection_survives_any_bytes(
    noise: list[bytes], sent: list[tuple[int, int, bytes, list[str]]]
) -> None:
    """Messages and rubbish over a real socket: the server's loop ends by itself, with every fd closed."""
    before = open_fds()
    ours, theirs = socket.socketpair()
    device = Memory()
    dma, irqs = DmaMap(), Irqs(device.irq_counts)
    session = Session(device, dma, irqs)
    ended: list[str] = []

    def serve() -> None:
        channel = Channel(SocketTransport(ours))
        try:
            exchange(channel, session)
        except TransportError:
            ended.append("broken")
        else:
            ended.append("closed")
        channel.close()

    thread = Thread(target=serve)
    thread.start()
    for number, (command, flags, payload, kinds) in enumerate(sent):
        fds = [make_fd(kind) for kind in kinds]
        try:
            header = Header(number, command, 16 + len(payload), flags).emit()
            socket.send_fds(theirs, [header + payload], fds)
            if number < len(noise) and noise[number]:
                theirs.sendall(noise[number])
        except OSError:  # the server has closed it already
            break
        finally:
            for fd in fds:
                os.close(fd)
    theirs.close()
    thread.join(30)
    dma.clear()
    irqs.clear()

    assert ended in (["broken"], ["closed"])
    assert closes_to(before)


@settings(max_examples=300)
@given(st.sampled_from(FORMATS), st.binary(max_size=200))
def test_the_codec_reads_any_bytes_or_says_that_they_are_malformed(kind: type[Version], raw: bytes) -> None:
    """And what it reads, it writes the same, where nothing is left out."""
    try:
        message = kind.parse(raw)
    except MalformedError:
        return

    assert kind.parse(message.emit()) == message


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_capabilities_are_read_or_malformed(text: bytes) -> None:
    """No other exception, whatever the text."""
    try:
        found = Capabilities.parse(text)
    except MalformedError:
        return

    assert isinstance(found.write_multiple, bool)
