"""Handles: closing, duplicating, and what is said of them."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from ntos.io.status import NtStatus
from ntos.object.process import PROCESS
from protocols.apis.win32.library import CURRENT_PROCESS, CURRENT_THREAD, Library, require, win32

if TYPE_CHECKING:
    from ntos.object.process import Process

DUP_HANDLE = 0x0040
"""PROCESS_DUP_HANDLE."""


class HandleFlags(enum.IntFlag):
    """HANDLE_FLAG_*."""

    NONE = 0
    INHERIT = 1
    PROTECT_FROM_CLOSE = 2


class HandleCalls(Library):
    """The functions."""

    @win32
    def close_handle(self, handle: int) -> None:
        """CloseHandle. ERROR_INVALID_HANDLE; a pseudo-handle is not closed, and that is no error."""
        if handle not in (CURRENT_PROCESS, CURRENT_THREAD):
            self.handles.close(handle)

    @win32
    def duplicate_handle(
        self,
        handle: int,
        target_process: int = CURRENT_PROCESS,
        *,
        source_process: int = CURRENT_PROCESS,
        access: int | None = None,
        inherit: bool = False,
        close_source: bool = False,
    ) -> int:
        """DuplicateHandle: return the number in the target process. ``access`` None: DUPLICATE_SAME_ACCESS.

        A pseudo-handle becomes a real one.
        """
        source, target = self._process(source_process), self._process(target_process)
        if handle in (CURRENT_PROCESS, CURRENT_THREAD) and source is self.process:
            entry = self.entry(handle)
            granted = entry.granted_as(access)
            require(not granted & ~entry.granted, NtStatus.ACCESS_DENIED)
            return target.handle_table.insert(entry.target, granted, inherit=inherit)
        return source.handle_table.duplicate(
            handle, target.handle_table, access, inherit=inherit, close_source=close_source
        )

    @win32
    def get_handle_information(self, handle: int) -> HandleFlags:
        """GetHandleInformation."""
        entry = self.handles.lookup(handle)
        found = HandleFlags.INHERIT if entry.inherit else HandleFlags.NONE
        return found | (HandleFlags.PROTECT_FROM_CLOSE if entry.protect else HandleFlags.NONE)

    @win32
    def set_handle_information(self, handle: int, mask: HandleFlags, flags: HandleFlags) -> None:
        """SetHandleInformation: the flags in ``mask`` become as in ``flags``."""
        entry = self.handles.lookup(handle)
        if mask & HandleFlags.INHERIT:
            entry.inherit = bool(flags & HandleFlags.INHERIT)
        if mask & HandleFlags.PROTECT_FROM_CLOSE:
            entry.protect = bool(flags & HandleFlags.PROTECT_FROM_CLOSE)

    @win32
    def open_process(self, process_id: int, access: int) -> int:
        """OpenProcess. ERROR_INVALID_PARAMETER when there is none of that number."""
        found = self.io.objects.processes.get(process_id)
        require(found is not None, NtStatus.INVALID_PARAMETER, f"process {process_id}")
        return self.handles.insert(found, self.allowed(found, access))  # type: ignore[arg-type]  # it was required

    def _process(self, handle: int) -> Process:
        found: Process = self.entry(handle, PROCESS, DUP_HANDLE).target
        return found
