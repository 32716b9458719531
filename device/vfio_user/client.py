"""The client's end: what a VMM, a driver without a VMM, or a test does with a vfio-user device.

Synchronous: every method sends one command and waits for its reply. While it waits it serves the
server's DMA_READ and DMA_WRITE from the memory given to ``map_dma``; a driver that waits for the
device without calling anything calls ``process``. Any thread may call; one at a time gets through.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import socket
from dataclasses import dataclass, replace
from struct import Struct
from threading import RLock
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from .capabilities import Capabilities
from .errors import MalformedError, ReplyError, TransportError
from .messages import (
    DeviceFeature,
    DeviceGetInfo,
    DeviceGetIrqInfo,
    DeviceGetRegionInfo,
    DeviceGetRegionIoFds,
    DeviceSetIrqs,
    DmaAccess,
    DmaMapRequest,
    DmaUnmapRequest,
    IoFd,
    MmapArea,
    RegionAccess,
    RegionWriteMulti,
    Version,
    command,
    error_reply,
    reply,
)
from .protocol import (
    MAX_MSG_FDS,
    Command,
    DmaLayout,
    HeaderFlags,
    IrqSetFlags,
    Protection,
    RegionFlags,
    UnmapFlags,
)
from .transport import Incoming, SocketTransport, Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENT_CAPABILITIES = Capabilities(max_msg_fds=MAX_MSG_FDS, write_multiple=True)
"""What a client proposes unless it is told otherwise."""

POSTED_WRITE32 = Struct("<HHIIIQIII")
"""A header, REGION_WRITE's address, and a value of 32 bits."""
_REGION_WRITE, _NO_REPLY = int(Command.REGION_WRITE), int(HeaderFlags.NO_REPLY)

READ_WRITE = Protection.READ | Protection.WRITE


@dataclass(frozen=True, slots=True)
class Window:
    """Memory of ours that the device may reach at ``iova``; ``memory`` is also what DMA messages use."""

    iova: int
    memory: memoryview
    protection: Protection


class Client:
    """A connection to a vfio-user server, negotiated and ready."""

    def __init__(
        self,
        connection: socket.socket,
        proposed: Capabilities = CLIENT_CAPABILITIES,
        timeout_s: float = 5.0,
    ) -> None:
        """Take over a connected socket and agree on a version. TransportError, ReplyError."""
        connection.settimeout(timeout_s)
        self._socket = connection
        self._transport: Transport = SocketTransport(connection)
        self._lock = RLock()
        self._next_id = 0
        self._windows: list[Window] = []
        self._layout = DmaLayout.SPECIFIED
        self.server = Capabilities()
        """What the server answered."""
        try:
            self.server = self._negotiate(proposed)
        except TransportError:
            self.close()
            raise

    @classmethod
    def connect(
        cls,
        path: str | os.PathLike[str],
        proposed: Capabilities = CLIENT_CAPABILITIES,
        timeout_s: float = 5.0,
    ) -> Self:
        """Connect to the socket at ``path``. OSError when nobody listens there."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.connect(os.fspath(path))
        except OSError:
            connection.close()
            raise
        return cls(connection, proposed, timeout_s)

    def close(self) -> None:
        """Go; the server resets the device."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Be closed at the end of a ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _negotiate(self, proposed: Capabilities) -> Capabilities:
        answer = self.request(Command.VERSION, Version(0, 0, proposed.emit()).emit())
        try:
            version = Version.parse(answer.payload)
            if version.major or version.minor:
                raise TransportError(f"the server speaks {version.major}.{version.minor}, not 0.0")
            return Capabilities.parse(version.data)
        except MalformedError as bad:
            raise TransportError(f"the server's answer to VERSION: {bad}") from bad

    # --- what the device is

    def info(self) -> DeviceGetInfo:
        """DEVICE_GET_INFO."""
        answer = self.request(Command.DEVICE_GET_INFO, DeviceGetInfo().emit())
        return _parsed(DeviceGetInfo, answer)

    def region_info(self, index: int) -> tuple[DeviceGetRegionInfo, int | None]:
        """DEVICE_GET_REGION_INFO: the description, and an fd for the caller to close if it can be mapped."""
        room = DeviceGetRegionInfo.FORMAT.size
        while True:
            request = DeviceGetRegionInfo(index, room).emit()
            answer = self.request(Command.DEVICE_GET_REGION_INFO, request)
            info = _parsed(DeviceGetRegionInfo, answer)
            if info.argsz <= room:
                return info, _only(answer.fds)
            _close_all(answer.fds)
            room = info.argsz

    def map_region(self, index: int) -> list[tuple[MmapArea, mmap.mmap]]:
        """Map what can be mapped of a region; empty when nothing can."""
        info, fd = self.region_info(index)
        if fd is None:
            return []
        rights = (mmap.PROT_READ if info.flags & RegionFlags.READ else 0) | (
            mmap.PROT_WRITE if info.flags & RegionFlags.WRITE else 0
        )
        try:
            return [
                (area, mmap.mmap(fd, area.size, prot=rights, offset=info.offset + area.offset))
                for area in info.sparse_areas() or (MmapArea(0, info.size),)
            ]
        finally:
            os.close(fd)

    def region_io_fds(self, index: int) -> tuple[tuple[IoFd, ...], tuple[int, ...]]:
        """DEVICE_GET_REGION_IO_FDS: the sub-regions and the fds that they use, for the caller to close."""
        room = DeviceGetRegionIoFds.FORMAT.size
        while True:
            request = DeviceGetRegionIoFds(index, room).emit()
            answer = self.request(Command.DEVICE_GET_REGION_IO_FDS, request)
            found = _parsed(DeviceGetRegionIoFds, answer)
            if found.argsz <= room:
                return found.io_fds, answer.fds
            _close_all(answer.fds)
            room = found.argsz

    def irq_info(self, index: int) -> DeviceGetIrqInfo:
        """DEVICE_GET_IRQ_INFO."""
        request = DeviceGetIrqInfo(index).emit()
        return _parsed(DeviceGetIrqInfo, self.request(Command.DEVICE_GET_IRQ_INFO, request))

    # --- registers

    def read(self, region: int, offset: int, count: int) -> bytes:
        """REGION_READ of ``count`` bytes."""
        request = RegionAccess.FORMAT.pack(offset, region, count)
        data = self.request(Command.REGION_READ, request).payload[len(request) :]
        if len(data) != count:
            raise TransportError(f"{len(data):#x} bytes read, not {count:#x}")
        return data

    def write(self, region: int, offset: int, data: bytes, *, posted: bool = False) -> None:
        """REGION_WRITE; ``posted`` does not wait, and learns of no error."""
        request = RegionAccess.FORMAT.pack(offset, region, len(data)) + data
        if posted:
            self.post(Command.REGION_WRITE, request)
        else:
            self.request(Command.REGION_WRITE, request)

    def post_write32(self, region: int, offset: int, value: int) -> None:
        """REGION_WRITE of 32 bits, posted: what a driver's doorbells are, so it is packed in one go."""
        with self._lock:
            message = POSTED_WRITE32.pack(
                self._new_id(), _REGION_WRITE, POSTED_WRITE32.size, _NO_REPLY, 0, offset, region, 4, value
            )
            self._transport.send(message)

    def write_multi(self, writes: Sequence[tuple[int, int, bytes]], *, posted: bool = True) -> None:
        """REGION_WRITE_MULTI of (region, offset, at most 8 bytes), if ``write_multiple`` was agreed."""
        each = tuple(RegionAccess(offset, region, len(d), d) for region, offset, d in writes)
        request = RegionWriteMulti(each).emit()
        if posted:
            self.post(Command.REGION_WRITE_MULTI, request)
        else:
            self.request(Command.REGION_WRITE_MULTI, request)

    def reset(self) -> None:
        """DEVICE_RESET."""
        self.request(Command.DEVICE_RESET)

    def feature(self, flags: int, data: bytes = b"", room: int = 4096) -> bytes:
        """DEVICE_FEATURE: ``flags`` has the index and what to do; return the data of the reply."""
        request = DeviceFeature(flags, data, room).emit()
        return _parsed(DeviceFeature, self.request(Command.DEVICE_FEATURE, request)).data

    # --- interrupts

    def set_irqs(self, request: DeviceSetIrqs, fds: Sequence[int] = ()) -> None:
        """DEVICE_SET_IRQS as it is; the fds stay the caller's."""
        whole = replace(request, argsz=DeviceSetIrqs.FORMAT.size + len(request.data))
        self.request(Command.DEVICE_SET_IRQS, whole.emit(), fds)

    def enable_irqs(self, index: int, eventfds: Sequence[int], start: int = 0) -> None:
        """Have the device signal these eventfds, one a vector, from vector ``start`` on."""
        most = max(1, self.server.max_msg_fds)
        for at in range(0, len(eventfds), most):
            some = eventfds[at : at + most]
            flags = IrqSetFlags.DATA_EVENTFD | IrqSetFlags.ACTION_TRIGGER
            self.set_irqs(DeviceSetIrqs(flags, index, start + at, len(some)), some)

    def disable_irqs(self, index: int) -> None:
        """Disarm all vectors of a type."""
        flags = IrqSetFlags.DATA_NONE | IrqSetFlags.ACTION_TRIGGER
        self.set_irqs(DeviceSetIrqs(flags, index, 0, 0))

    def unmask_irq(self, index: int, vector: int = 0) -> None:
        """Unmask; INTx needs it after each interrupt."""
        flags = IrqSetFlags.DATA_NONE | IrqSetFlags.ACTION_UNMASK
        self.set_irqs(DeviceSetIrqs(flags, index, vector, 1))

    def mask_irq(self, index: int, vector: int = 0) -> None:
        """Mask."""
        flags = IrqSetFlags.DATA_NONE | IrqSetFlags.ACTION_MASK
        self.set_irqs(DeviceSetIrqs(flags, index, vector, 1))

    # --- memory

    def map_dma(
        self,
        iova: int,
        memory: memoryview | bytearray | mmap.mmap,
        *,
        fd: int | None = None,
        offset: int = 0,
        protection: Protection = READ_WRITE,
    ) -> None:
        """DMA_MAP: let the device reach ``memory`` at ``iova``.

        With ``fd``, of which ``memory`` is a mapping at ``offset``, the device maps it too;
        without, it sends us DMA_READ and DMA_WRITE. The fd stays the caller's.
        """
        view = memoryview(memory).cast("B")
        request = DmaMapRequest(int(protection), offset, iova, len(view)).emit()
        self.request(Command.DMA_MAP, request, () if fd is None else (fd,))
        self._windows.append(Window(iova, view, protection))

    def unmap_dma(self, iova: int, size: int) -> None:
        """DMA_UNMAP of every region inside the range."""
        self.request(Command.DMA_UNMAP, DmaUnmapRequest(0, iova, size).emit())
        end = iova + size
        self._windows = [w for w in self._windows if not (iova <= w.iova and w.iova + len(w.memory) <= end)]

    def unmap_all_dma(self) -> None:
        """DMA_UNMAP of everything."""
        self.request(Command.DMA_UNMAP, DmaUnmapRequest(UnmapFlags.ALL, 0, 0).emit())
        self._windows = []

    def process(self, timeout_s: float = 0.0) -> bool:
        """Serve one DMA_READ or DMA_WRITE of the server, if one comes in time; False if none did."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return False
        with self._lock:
            # another thread's request may have read what was there
            if not poll.poll(0):
                return True
            self._serve(self._received())
        return True

    # --- messages

    def post(self, number: Command, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        """Send a command that wants no reply."""
        with self._lock:
            self._transport.send(command(self._new_id(), number, payload, reply=False), fds)

    def request(self, number: Command, payload: bytes = b"", fds: Sequence[int] = ()) -> Incoming:
        """Send a command and return its reply.

        ReplyError when it was refused; TransportError when the server is lost.
        """
        with self._lock:
            message_id = self._new_id()
            self._transport.send(command(message_id, number, payload), fds)
            while True:
                incoming = self._received()
                if not incoming.header.is_reply:
                    self._serve(incoming)
                elif incoming.header.message_id == message_id:
                    break
                else:
                    _close_all(incoming.fds)
        if incoming.header.flags & HeaderFlags.ERROR:
            _close_all(incoming.fds)
            raise ReplyError(number, incoming.header.error)
        return incoming

    def _new_id(self) -> int:
        self._next_id = (self._next_id + 1) & 0xFFFF
        return self._next_id

    def _received(self) -> Incoming:
        incoming = self._transport.receive()
        if incoming is None:
            raise TransportError("the server closed the connection")
        return incoming

    def _serve(self, incoming: Incoming) -> None:
        """Answer a command of the server."""
        header = incoming.header
        _close_all(incoming.fds)
        if header.is_reply:  # of a command that was given up
            return
        try:
            answer = self._dma(header.command, incoming.payload)
        except MalformedError:
            answer = None
        message = error_reply(header, errno.EFAULT) if answer is None else reply(header, answer)
        if header.wants_reply:
            self._transport.send(message)

    def _dma(self, number: int, payload: bytes) -> bytes | None:
        """Do a DMA_READ or DMA_WRITE; None when it is neither or nothing allows it."""
        access = DmaAccess.parse(payload, self._layout)
        needed = {Command.DMA_READ: Protection.READ, Command.DMA_WRITE: Protection.WRITE}
        right = needed.get(Command(number)) if number in needed else None
        for window in self._windows:
            at = access.address - window.iova
            if not 0 <= at <= at + access.count <= len(window.memory):
                continue
            if right is None or right not in window.protection:
                return None
            place = window.memory[at : at + access.count]
            if right is Protection.READ:
                return DmaAccess(access.address, access.count, bytes(place)).emit(self._layout)
            if len(access.data) != access.count:
                return None
            place[:] = access.data
            return DmaAccess(access.address, access.count).emit()
        return None


class _Payload(Protocol):
    """A message format of messages.py."""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read it."""


_Format = TypeVar("_Format", bound=_Payload)


def _parsed(kind: type[_Format], answer: Incoming) -> _Format:
    """Read a reply; one that cannot be read ends the connection."""
    try:
        return kind.parse(answer.payload)
    except MalformedError as bad:
        _close_all(answer.fds)
        raise TransportError(f"the server's reply: {bad}") from bad


def _only(fds: Sequence[int]) -> int | None:
    """Return the first fd and close any other."""
    _close_all(fds[1:])
    return fds[0] if fds else None


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
