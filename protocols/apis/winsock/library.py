"""What Winsock's functions share: WSAStartup's count, the last error, the way from a number to a provider.

A socket is a handle of the process. What ws2_32 keeps of it, its provider above all, hangs on the handle. For
a handle that came by DuplicateHandle or by inheritance AFD is asked what its file was opened as.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from ntos.io.device import FILE, FileObject
from ntos.io.irp import Irp, Major
from ntos.io.status import NtError
from ntos.object.access import FileAccess
from ntos.object.handles import TAG_BITS
from protocols.apis.afd.requests import Afd
from protocols.apis.winsock.afdcalls import Handle
from protocols.apis.winsock.constants import So, Sol
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.msafd import MsafdProvider
from protocols.apis.winsock.mswsock import Extensions

if TYPE_CHECKING:
    from ntos.object.apc import ApcQueue
    from protocols.apis.win32 import Win32
    from protocols.apis.winsock.spi import Catalog, Provider
    from protocols.apis.winsock.window import Window

HIGHEST = (2, 2)
VERSIONS = ((1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
GRANTED = int(FileAccess.GENERIC_READ | FileAccess.GENERIC_WRITE)
"""What a socket's handle gives."""


class Entry:
    """What Winsock keeps of a socket in this process."""

    __slots__ = ("asynchronous", "handle", "provider")

    def __init__(self, provider: Provider, handle: Handle) -> None:
        self.provider = provider
        self.handle = handle
        self.asynchronous: tuple[Window, int, int] | None = None  # WSAAsyncSelect's arguments


@dataclass(slots=True)
class Duplicate:
    """The WSAPROTOCOL_INFO of WSADuplicateSocket: a handle of a socket on its way to another process."""

    handle: Handle
    process: Library
    taken: bool = False


class Library:
    """ws2_32 in one process. ``win32`` is the process's kernel32."""

    def __init__(self, win32: Win32, catalog: Catalog) -> None:
        self.win32 = win32
        self.process = win32.process
        self.io = win32.io
        self.executive = win32.executive
        self.catalog = catalog
        self._table = win32.handles
        self._handles = win32.handles.entries
        self._started = 0
        self._version = (0, 0)
        self.base = MsafdProvider(self.io, self.executive, self.process)
        self.extensions = Extensions(self.base)

    def startup(self, version: tuple[int, int] = HIGHEST) -> tuple[int, int]:
        """WSAStartup: count, and return the version that will be spoken. WSAVERNOTSUPPORTED below 1.0."""
        if version < VERSIONS[0]:
            raise self._failed(WinsockError(Wsae.WSAVERNOTSUPPORTED, f"{version[0]}.{version[1]}"))
        spoken = max(one for one in VERSIONS if one <= version)
        if not self._started:
            self._version = spoken
        self._started += 1
        return self._version

    def cleanup(self) -> None:
        """WSACleanup: the last one closes every socket, hard."""
        self._require()
        self._started -= 1
        if self._started:
            return
        for number, opened in list(self._handles.items()):
            entry = opened.context
            if not is_socket(entry) or self._handles.get(number) is not opened:
                continue
            self.io.cancel_file(entry.handle.file)
            if entry.handle.stream:
                entry.provider.setsockopt(entry.handle, Sol.SOCKET, So.LINGER, 0)
            entry.provider.closesocket(entry.handle)
            self._table.forget(number)

    def get_last_error(self) -> int:
        """WSAGetLastError: the thread's, and so GetLastError's."""
        return self.process.thread.last_error

    def set_last_error(self, code: int) -> None:
        """WSASetLastError."""
        self.process.thread.last_error = code

    def apcs(self) -> ApcQueue:
        """Return the calling thread's APCs."""
        return self.process.thread.apcs

    def handle(self, number: int) -> Handle:
        """Return what the extension functions take."""
        return self._entry(number).handle

    # Inside

    def _add(self, provider: Provider, handle: Handle) -> int:
        """Put a socket that was opened into the handle table. WinsockError(WSAEMFILE)."""
        try:
            number = self._table.adopt(handle.file, GRANTED)
        except NtError as error:
            provider.closesocket(handle)
            raise WinsockError(Wsae.WSAEMFILE, str(error)) from error
        self._handles[number].context = Entry(provider, handle)
        return number

    def _known(self, number: int) -> Entry | None:
        """Return what is kept of a socket, asking AFD the first time; None for what is no socket."""
        opened = self._handles.get(number & ~TAG_BITS)
        if opened is None or opened.target.object_type is not FILE:
            return None
        if opened.context is None:
            handle = self._opened_as(opened.target)
            if handle is not None:
                opened.context = Entry(self._provider_of(handle), handle)
        entry = opened.context
        return entry if is_socket(entry) else None

    def _opened_as(self, file: FileObject) -> Handle | None:
        irp = Irp(file.device, Major.DEVICE_CONTROL, file, minor=Afd.GET_CONTEXT)
        self.io.call(irp)
        if not irp.completed:
            self.io.cancel(irp)
        return irp.result if isinstance(irp.result, Handle) else None

    def _provider_of(self, handle: Handle) -> Provider:
        """Return this process's provider for a socket of any process's."""
        if handle.info in self.catalog.entries:
            return self.catalog.provider(handle.info)
        return self.base

    def _entry(self, number: int) -> Entry:
        self._require()
        entry = self._known(number)
        if entry is None:
            raise self._failed(WinsockError(Wsae.WSAENOTSOCK, f"{number:#x}"))
        return entry

    def _call(self, number: int, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - the table's functions differ
        opened = self._handles.get(number)
        entry = opened.context if opened is not None else None
        if entry is None or not self._started:
            entry = self._entry(number)  # which says what is wrong
        try:
            return getattr(entry.provider, name)(entry.handle, *arguments)
        except WinsockError as error:
            raise self._failed(error) from None

    def _require(self) -> None:
        if not self._started:
            raise self._failed(WinsockError(Wsae.WSANOTINITIALISED))

    def _failed(self, error: WinsockError) -> WinsockError:
        self.set_last_error(int(error.code))
        return error


def is_socket(context: object) -> TypeGuard[Entry]:
    """Tell whether what hangs on a handle is Winsock's."""
    return isinstance(context, Entry)
