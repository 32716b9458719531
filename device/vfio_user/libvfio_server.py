"""Serves a ``Device`` by libvfio-user: the same face as ``Server``, somebody else's protocol engine below.

The library moves and answers the messages, maps the client's memory and keeps its own table of it. What it
tells nobody is which kind of interrupt a client armed (INTx, MSI and MSI-X share one table of eventfds in it,
and its callbacks tell only of masking), and it does no automasking. So each SET_IRQS is looked at before the
library takes it off the socket (``MSG_PEEK``, which gives duplicates of the eventfds too): ``Irqs`` is kept
as with our own server, and an engine's threads signal without the library, which is not thread-safe.

What this transport cannot do, besides: memory without an fd is not reached (the library's message would have
to be sent and awaited on the serving thread, and QEMU 7.2's copy loses the offset in a region); a SET_IRQS
that the library takes and ``Irqs`` refuses is answered as the library answers it.

Sources: lib/libvfio-user.c, lib/irq.c, lib/tran_sock.c of libvfio-user.
"""

from __future__ import annotations

import array
import os
import select
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .departure import attempt, tell
from .dma import DmaMap
from .errors import MalformedError, RequestRefused, TransportError
from .hostmemory import MappedMemory
from .irqs import Irqs
from .janitor import JANITOR
from .libvfio import Binding, Context, LibraryError
from .listening import ListenError, check_path, peer_uid, unlink
from .messages import DeviceSetIrqs, Header
from .protocol import HEADER_BYTES, MAX_MSG_FDS, Command, PciRegion, Protection
from .server import Log, Silence

if TYPE_CHECKING:
    from collections.abc import Collection

    from .device import Device

_PEEKED_BYTES = HEADER_BYTES + DeviceSetIrqs.FORMAT.size + 64  # 64: a bool a vector, more than we have


class LibraryMemory(MappedMemory):
    """Memory that the library mapped: it is read and written here, and unmapped there."""

    def map(self, fd: int, offset: int, size: int, protection: Protection) -> int:  # noqa: ARG002 - the seam
        """Return ``offset``, where the address has been put."""
        return offset

    def unmap(self, address: int) -> None:
        """Leave it to the library, which does it when its callback has returned."""


class LibvfioServer:
    """Serves one device to one client at a time; a further one waits in the socket's queue."""

    def __init__(
        self,
        at: str | os.PathLike[str],
        device: Device,
        binding: Binding,
        *,
        allowed_uids: Collection[int] | None = None,
        log: Log | None = None,
    ) -> None:
        """Listen at a path, mode 0600. ListenError; LibraryError for a device that the library refuses.

        ``allowed_uids`` closes clients of other users, once the library has shaken hands with them.
        """
        self._allowed_uids = allowed_uids
        self._path = os.fspath(at)
        check_path(self._path)
        self._device = device
        self._log: Log = log or Silence()
        self._dma = DmaMap(LibraryMemory())
        self._irqs = Irqs(device.irq_counts)
        before = os.umask(0o177)  # the library binds and listens in one call: 0600 has to be there before
        try:
            self._context = Context(binding, self._path, self)
        except LibraryError as failed:
            raise ListenError(self._path, f"{os.strerror(failed.errno)}; choose another path") from failed
        finally:
            os.umask(before)
        self._inode = Path(self._path).lstat().st_ino
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._lock = threading.Lock()  # stop() and close() against each other
        self._declare()

    def _declare(self) -> None:
        """Tell the library what the device is."""
        self._context.pci(express=True)
        for index, region in enumerate(self._device.regions):
            if region.size:
                self._context.region(
                    index,
                    region.size,
                    memory=index != PciRegion.CONFIG,
                    rights=region.flags,
                    always=index == PciRegion.CONFIG,
                    areas=region.mmap_areas,
                    fd=-1 if region.fd is None else region.fd,
                    offset=region.fd_offset,
                )
        self._context.irqs(self._device.irq_counts)
        self._context.realize()

    def serve_forever(self) -> None:
        """Serve clients until ``stop``."""
        while not self._stopping:
            if self._wait(self._context.fd):
                try:
                    attached = self._context.attach()
                except LibraryError as failed:
                    self._log.info("client.refused", reason=str(failed))
                    continue
                if attached:
                    self._serve()

    def stop(self) -> None:
        """Make ``serve_forever`` return soon; any thread, or a signal's handler, may call it."""
        self._stopping = True
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Stop listening and remove the socket file; call it when serving has returned."""
        self._context.close()
        unlink(self._path, self._inode)
        with self._lock:
            if self._wake >= 0:
                os.close(self._wake)
                self._wake = -1

    def __enter__(self) -> Self:
        """Be closed at the end of a ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    # -- what the library calls -------------------------------------------------------------------------

    def access(self, index: int, offset: int, count: int, data: bytes | None) -> bytes:
        """Read or write a region."""
        if data is None:
            return self._device.read_region(index, offset, count)
        self._device.write_region(index, offset, data)
        return b""

    def reset(self, reason: int) -> None:
        """Reset as the client asked; when it is lost, ``_serve`` does it."""
        if reason == 0:
            self._device.reset()

    def log(self, level: int, text: str) -> None:
        """Pass the library's words on."""
        self._log.info("libvfio_user.said", level=level, text=text)

    def dma_added(self, iova: int, size: int, protection: int, address: int | None) -> None:
        """Note a region; one that is mapped again as it is stays."""
        if any((known.iova, known.size) == (iova, size) for known in self._dma.regions):
            return
        where = {} if address is None else {"fd": -1, "offset": address}
        try:
            self._dma.map(iova, size, Protection(protection), **where)
        except RequestRefused as refused:  # neither readable nor writable: the library takes that
            self._log.info("dma.ignored", reason=str(refused))

    def dma_removed(self, iova: int, size: int) -> None:
        """Have every listener let go of a region."""
        self._dma.unmap(iova, size)

    # -- one client -----------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Serve the client that has just been taken, to its end."""
        reason = "closed by the client"
        with socket.socket(fileno=os.dup(self._context.fd)) as connection:
            uid = peer_uid(connection)
            if self._allowed_uids is not None and uid not in self._allowed_uids:
                self._log.info("client.refused", uid=uid)
                self._turn_away(connection)
                return
            self._log.info("client.connected", uid=uid)
            try:
                self._device.attached(self._dma, self._irqs)
                while self._step(connection):
                    pass
            except (LibraryError, TransportError) as broken:
                reason = str(broken)
            except Exception as failure:  # noqa: BLE001 - departure.py says why
                reason = tell(failure)
            finally:
                attempt(self._device.detached)
                attempt(lambda: self._hang_up(connection))
                attempt(self._dma.clear)
                attempt(self._irqs.clear)
                self._device.reset()
        self._log.info("client.gone", reason=reason)

    def _step(self, connection: socket.socket) -> bool:
        """Handle one message; False at the client's end, or ours."""
        try:
            start = connection.recv(_PEEKED_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._wait(connection.fileno())
            return not self._stopping
        except ConnectionResetError:
            start = b""
        if (
            len(start) >= HEADER_BYTES
            and Header.parse(start[:HEADER_BYTES]).command == Command.DEVICE_SET_IRQS
        ):
            self._arm(connection)
        return self._context.run() and not self._stopping

    def _arm(self, connection: socket.socket) -> None:
        """Do the SET_IRQS that the library is about to read, with eventfds of our own."""
        room = socket.CMSG_SPACE(MAX_MSG_FDS * array.array("i").itemsize)
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        raw, ancillary, _, _ = connection.recvmsg(_PEEKED_BYTES, room, flags)
        fds = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        try:
            size = Header.parse(raw[:HEADER_BYTES]).size
            self._irqs.set_irqs(DeviceSetIrqs.parse(raw[HEADER_BYTES:size]), fds.tolist())
        except (MalformedError, RequestRefused) as refused:
            self._log.info("irqs.refused", reason=str(refused))
            for fd in fds:
                JANITOR.close(fd)

    def _hang_up(self, connection: socket.socket) -> None:
        """End a connection that is still there, and have the library notice: it has no call for that."""
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        if self._context.fd == -1 or not os.path.sameopenfile(self._context.fd, connection.fileno()):
            return  # the library has noticed: it waits for the next client
        with suppress(LibraryError):
            while self._context.run():  # what is still in the socket, and then its end
                pass

    def _turn_away(self, connection: socket.socket) -> None:
        """Hang up on a client before any message of it but VERSION is read."""
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # nothing more comes; what has come is not for the device
            while connection.recv(1 << 16, socket.MSG_DONTWAIT):
                pass
        self._hang_up(connection)

    def _wait(self, fd: int) -> bool:
        """Wait until ``fd`` has something; False when it is time to stop."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        ready = dict(poll.poll())
        return fd in ready and not self._stopping
