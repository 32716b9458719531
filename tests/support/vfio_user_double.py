"""A device that notes what it is asked, and sessions and servers around it, for the vfio-user tests."""

from __future__ import annotations

import errno
import gc
import os
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from device.vfio_user import (
    NO_REGION,
    SERVER_CAPABILITIES,
    DmaMap,
    Feature,
    GuestError,
    Header,
    Irqs,
    RegionFlags,
    RegionInfo,
    Reply,
    Server,
    Session,
)
from device.vfio_user.client import CLIENT_CAPABILITIES
from device.vfio_user.messages import MmapArea, Version, command
from device.vfio_user.protocol import Command, HeaderFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from device.vfio_user import Capabilities

BAR0, READ_ONLY, MAPPABLE, SPARSE, CONFIG = 0, 1, 2, 3, 7
DOORBELL = 0x10
FAULTY = 0x20


class NotingDevice:
    """Five regions of memory; ``calls`` has what happened, ``on_doorbell`` runs at a write to DOORBELL."""

    def __init__(self) -> None:
        self.file = os.memfd_create("bar2")
        os.truncate(self.file, 8192)
        self.regions: Sequence[RegionInfo] = (
            RegionInfo(4096),
            RegionInfo(256, RegionFlags.READ),
            RegionInfo(8192, fd=self.file),
            RegionInfo(8192, fd=self.file, mmap_areas=(MmapArea(4096, 4096),)),
            *[NO_REGION] * 3,
            RegionInfo(256),
            NO_REGION,
        )
        self.irq_counts = (1, 1, 5, 1, 1)
        self.stored = b"stored"
        self.features = {1: Feature(get=lambda _: self.stored, set=self.store)}
        self.memory = bytearray(8192)
        self.calls: list[object] = []
        self.on_doorbell: Callable[[], None] = lambda: None

    def store(self, data: bytes) -> None:
        """Set the feature."""
        self.stored = data

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Read the memory that all regions share."""
        self.calls.append(("read", index, offset, count))
        if offset == FAULTY:
            raise GuestError("no such register")
        return bytes(self.memory[offset : offset + count])

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write it."""
        self.calls.append(("write", index, offset, data))
        self.memory[offset : offset + len(data)] = data
        if offset == DOORBELL:
            self.on_doorbell()

    def reset(self) -> None:
        """Note it."""
        self.calls.append("reset")

    def attached(self, dma: DmaMap, irqs: Irqs) -> None:
        """Note it."""
        self.calls.append("attached")
        self.dma, self.irqs = dma, irqs

    def detached(self) -> None:
        """Note it."""
        self.calls.append("detached")

    def close(self) -> None:
        """Close the file behind the mappable regions."""
        os.close(self.file)


class NotingSink:
    """Stands for the client's eventfds: numbers that are written down."""

    def __init__(self) -> None:
        self.signalled: list[int] = []
        self.closed: list[int] = []
        self.foreign: set[int] = set()

    def accepts(self, fd: int) -> bool:
        """Everything but ``foreign`` is an eventfd."""
        return fd not in self.foreign

    def signal(self, fd: int) -> None:
        """Note it."""
        self.signalled.append(fd)

    def close(self, fd: int) -> None:
        """Note it."""
        self.closed.append(fd)


class Bench:
    """A session with a noting device, without sockets; fds are numbers."""

    def __init__(
        self,
        offered: Capabilities = SERVER_CAPABILITIES,
        proposed: Capabilities = CLIENT_CAPABILITIES,
        *,
        negotiated: bool = True,
    ) -> None:
        """Negotiate, unless told not to."""
        self.device = NotingDevice()
        self.sink = NotingSink()
        self.closed: list[int] = []
        self.dma = DmaMap()
        self.irqs = Irqs(self.device.irq_counts, self.sink)
        self.session = Session(self.device, self.dma, self.irqs, offered, self.closed.append)
        if negotiated:
            assert self.ask(Command.VERSION, Version(0, 0, proposed.emit()).emit()) is not None

    def send(self, message: bytes, fds: Sequence[int] = ()) -> Reply | None:
        """Give the session a whole message."""
        return self.session.handle(Header.parse(message[:16]), message[16:], fds)

    def ask(self, number: int, payload: bytes = b"", fds: Sequence[int] = ()) -> Reply | None:
        """Send a command that wants a reply."""
        return self.send(command(7, Command(number), payload), fds)

    def payload(self, number: int, payload: bytes = b"", fds: Sequence[int] = ()) -> bytes:
        """Return the payload of the reply to a command that is obeyed."""
        reply = self.ask(number, payload, fds)
        assert reply is not None
        header = Header.parse(reply.data[:16])
        assert header == Header(7, number, len(reply.data), HeaderFlags.REPLY, 0)
        return reply.data[16:]

    def errno(self, number: int, payload: bytes = b"", fds: Sequence[int] = ()) -> str:
        """Return the name of the errno with which a command is refused."""
        reply = self.ask(number, payload, fds)
        assert reply is not None
        header = Header.parse(reply.data)
        assert (header.message_id, header.command, header.size) == (7, number, 16)
        assert header.flags == HeaderFlags.REPLY | HeaderFlags.ERROR
        return errno.errorcode[header.error]


@contextmanager
def serving(device: NotingDevice, path: Path, **options: object) -> Iterator[Server]:
    """Run a server for ``device`` in a thread; it is stopped, joined and closed at the end."""
    server = Server(path, device, **options)  # type: ignore[arg-type]  # the tests' own options
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()
        server.close()


def open_fds() -> int:
    """Return how many fds this process has open, without those of garbage."""
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
