r"""Reading, writing, controlling and cancelling by handle: on sockets, pipes, files and devices alike.

``create_file`` opens devices and whatever else has a name; what is particular to file systems is not here.
Sources: ReadFile, WriteFile, DeviceIoControl, GetOverlappedResult, CancelIo, CancelIoEx, CreateFile.
"""

from __future__ import annotations

import enum
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

from ntos.io.create import Create, Disposition, Options, Share
from ntos.io.device import FILE
from ntos.io.irp import Irp, Memory
from ntos.io.major import Major
from ntos.io.parameters import NOTHING, DeviceControl, Read, Write
from ntos.io.status import NtStatus
from ntos.object.access import Access, FileAccess
from protocols.apis.win32.errors import ErrorCode, code_of
from protocols.apis.win32.library import Library, require, win32

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from protocols.apis.win32.overlapped import Overlapped

OVERLAPPED = 0x4000_0000
"""FILE_FLAG_OVERLAPPED."""
WRITING = int(FileAccess.WRITE_DATA | FileAccess.APPEND_DATA)
CONTROL_ACCESS = {0: 0, 1: int(FileAccess.READ_DATA), 2: int(FileAccess.WRITE_DATA), 3: 3}
"""Bits 14 and 15 of a control code: what the handle must give (CTL_CODE)."""
_has_completed = attrgetter("completed")


class CreationDisposition(enum.IntEnum):
    """CreateFile's."""

    CREATE_NEW = 1
    CREATE_ALWAYS = 2
    OPEN_EXISTING = 3
    OPEN_ALWAYS = 4
    TRUNCATE_EXISTING = 5


DISPOSITIONS = {
    CreationDisposition.CREATE_NEW: Disposition.CREATE,
    CreationDisposition.CREATE_ALWAYS: Disposition.OVERWRITE_IF,
    CreationDisposition.OPEN_EXISTING: Disposition.OPEN,
    CreationDisposition.OPEN_ALWAYS: Disposition.OPEN_IF,
    CreationDisposition.TRUNCATE_EXISTING: Disposition.OVERWRITE,
}


def nt_name(name: str) -> str:
    r"""Return the NT name of a Win32 one: ``\\.\X``, ``\\?\X``, ``\\server\share``, ``C:\X``. NtError."""
    for prefix in ("\\\\.\\", "\\\\?\\"):
        if name.startswith(prefix):
            return "\\??\\" + name[len(prefix) :]
    if name.startswith("\\\\"):
        return "\\??\\UNC" + name[1:]
    require(name[1:2] == ":", NtStatus.OBJECT_PATH_SYNTAX_BAD, name[:80])
    return "\\??\\" + name


class FileCalls(Library):
    """The functions."""

    @win32
    def create_file(
        self,
        name: str,
        access: int,
        share: Share = Share.NONE,
        disposition: CreationDisposition = CreationDisposition.OPEN_EXISTING,
        flags: int = 0,
    ) -> int:
        """CreateFile: return a handle that the calling thread's token was granted."""
        options = Options.NON_DIRECTORY_FILE
        if not flags & OVERLAPPED:
            options |= Options.SYNCHRONOUS_IO_NONALERT
        create = Create(
            access=access | Access.SYNCHRONIZE | FileAccess.READ_ATTRIBUTES,
            share=share,
            disposition=DISPOSITIONS[CreationDisposition(disposition)],
            options=options,
            token=self.process.thread.token,
        )
        opening = self.io.create_file(nt_name(name), create)
        return self.handles.adopt(opening.result(), opening.granted)

    @win32
    def read_file(self, handle: int, into: Memory, overlapped: Overlapped | None = None) -> int:
        """ReadFile: the number of bytes, 0 at the end. ERROR_IO_PENDING, ERROR_MORE_DATA."""
        file: FileObject = self.entry(handle, FILE, FileAccess.READ_DATA).target
        if overlapped is None and file.device.top.fast_io is not None:
            fast = file.device.top.fast_io.read(file, [into], _place(file, overlapped))
            if fast is not None and fast.status.ok:
                return self._moved(file, fast.information)
        irp = Irp(file.device, Major.READ, file, parameters=Read(_place(file, overlapped)), buffers=[into])
        return self._transfer(irp, file, overlapped)

    @win32
    def write_file(self, handle: int, data: Memory, overlapped: Overlapped | None = None) -> int:
        """WriteFile: the number of bytes. ERROR_IO_PENDING."""
        entry = self.entry(handle, FILE)
        require(entry.granted & WRITING, NtStatus.ACCESS_DENIED, "neither written nor appended to")
        file: FileObject = entry.target
        if overlapped is None and file.device.top.fast_io is not None:
            fast = file.device.top.fast_io.write(file, [data], _place(file, overlapped))
            if fast is not None and fast.status.ok:
                return self._moved(file, fast.information)
        at_end = not entry.granted & FileAccess.WRITE_DATA
        irp = Irp(
            file.device,
            Major.WRITE,
            file,
            parameters=Write(_place(file, overlapped), at_end=at_end),
            buffers=[data],
        )
        return self._transfer(irp, file, overlapped)

    @win32
    def device_io_control(
        self,
        handle: int,
        code: int,
        data: bytes = b"",
        into: Memory = b"",
        overlapped: Overlapped | None = None,
    ) -> int:
        """DeviceIoControl: the number of bytes in ``into``."""
        file: FileObject = self.entry(handle, FILE, CONTROL_ACCESS[code >> 14 & 3]).target
        buffers = [into] if len(into) else []
        parameters = DeviceControl(code, data)
        irp = Irp(file.device, Major.DEVICE_CONTROL, file, parameters=parameters, buffers=buffers)
        return self._transfer(irp, file, overlapped)

    @win32
    def flush_file_buffers(self, handle: int) -> None:
        """FlushFileBuffers."""
        entry = self.entry(handle, FILE)
        require(entry.granted & WRITING, NtStatus.ACCESS_DENIED, "neither written nor appended to")
        file: FileObject = entry.target
        self._transfer(Irp(file.device, Major.FLUSH_BUFFERS, file, parameters=NOTHING), file, None)

    @win32
    def get_overlapped_result(
        self, handle: int, overlapped: Overlapped, *, wait: bool = False, timeout_ns: int | None = None
    ) -> int:
        """GetOverlappedResult(Ex): the bytes moved. ERROR_IO_INCOMPLETE, WAIT_TIMEOUT, its own error."""
        self.entry(handle, FILE)
        if not overlapped.done and wait:
            self.executive.wait(lambda: overlapped.done, "an overlapped call", timeout_ns)
        if not overlapped.done:
            raise self.failed(ErrorCode.WAIT_TIMEOUT if wait else ErrorCode.IO_INCOMPLETE)
        if not overlapped.status.ok:
            raise self.failed(code_of(overlapped.status), "", overlapped.information)
        return overlapped.information

    @win32
    def cancel_io(self, handle: int) -> int:
        """CancelIo: cancel what the calling thread has outstanding; return how many requests that were."""
        return self.io.cancel_file(self.entry(handle, FILE).target, self.process.thread)

    @win32
    def cancel_io_ex(self, handle: int, overlapped: Overlapped | None = None) -> int:
        """CancelIoEx: one request, or all of every thread. ERROR_NOT_FOUND when there is none."""
        file: FileObject = self.entry(handle, FILE).target
        if overlapped is None:
            cancelled = self.io.cancel_file(file)
        else:
            irp = overlapped.irp
            cancelled = int(irp is not None and irp in file.outstanding and self.io.cancel(irp))
        require(cancelled, NtStatus.NOT_FOUND, "nothing to cancel")
        return cancelled

    def _transfer(self, irp: Irp, file: FileObject, overlapped: Overlapped | None) -> int:
        """Send a request; without ``overlapped`` wait for its end. NtError, Win32Error."""
        thread = self.process.thread
        if overlapped is not None:
            overlapped.begin(irp, thread)
            self.io.call(irp)
            overlapped.sent()
            if not irp.completed:
                raise self.failed(ErrorCode.IO_PENDING)
        else:
            irp.thread = thread
            self.io.call(irp)
            if not irp.completed:
                self.executive.wait(partial(_has_completed, irp), "a file")
        if irp.status is NtStatus.END_OF_FILE and overlapped is None:
            return 0
        if not irp.status.ok:
            raise self.failed(code_of(irp.status), "", irp.information)
        return self._moved(file, irp.information) if overlapped is None else irp.information

    @staticmethod
    def _moved(file: FileObject, count: int) -> int:
        file.position += count
        return count


def _place(file: FileObject, overlapped: Overlapped | None) -> int | None:
    """Return the place that a transfer is at: the call's own, or a synchronous file's."""
    if overlapped is not None:
        return overlapped.offset
    return file.position if file.options & Options.SYNCHRONOUS_IO_NONALERT else None
