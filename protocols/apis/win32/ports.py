"""Completion ports by handle. Sources: CreateIoCompletionPort, GetQueuedCompletionStatusEx and their kin."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from ntos.io.device import FILE
from ntos.io.port import IO_COMPLETION, MODIFY_STATE, CompletionPacket, CompletionPort
from ntos.io.status import NtStatus
from protocols.apis.win32.errors import ErrorCode, code_of
from protocols.apis.win32.library import INVALID_HANDLE_VALUE, Library, require, win32

if TYPE_CHECKING:
    from protocols.apis.win32.overlapped import Overlapped


class NotificationModes(enum.IntFlag):
    """FILE_SKIP_*."""

    NONE = 0
    SKIP_COMPLETION_PORT_ON_SUCCESS = 1
    SKIP_SET_EVENT_ON_HANDLE = 2


class PortCalls(Library):
    """The functions."""

    @win32
    def create_io_completion_port(
        self,
        file: int = INVALID_HANDLE_VALUE,
        port: int | None = None,
        key: object = None,
        concurrency: int = 0,
    ) -> int:
        """CreateIoCompletionPort: make a port, or take one; join a file to it. Return the port's handle.

        ERROR_INVALID_PARAMETER: the file has a port already, or is synchronous; a port and no file.
        """
        require(
            file != INVALID_HANDLE_VALUE or port is None,
            NtStatus.INVALID_PARAMETER,
            "a port, and no file for it",
        )
        target = self.entry(file, FILE).target if file != INVALID_HANDLE_VALUE else None
        if port is not None:
            found: CompletionPort = self.entry(port, IO_COMPLETION, MODIFY_STATE).target
        else:
            found = CompletionPort(concurrency=concurrency)
        if target is not None:
            found.join(target, key)
        return port if port is not None else self.handles.insert(found, IO_COMPLETION.mapping.all)

    @win32
    def get_queued_completion_status(self, port: int, timeout_ns: int | None = None) -> CompletionPacket:
        """GetQueuedCompletionStatus: one packet, whose ``status`` says how its request ended.

        ERROR_WAIT_TIMEOUT; ERROR_ABANDONED_WAIT_0 when the port is closed meanwhile.
        """
        (packet,) = self._remove(port, 1, timeout_ns, alertable=False)
        return packet

    @win32
    def get_queued_completion_status_ex(
        self, port: int, most: int, timeout_ns: int | None = None, *, alertable: bool = False
    ) -> list[CompletionPacket]:
        """GetQueuedCompletionStatusEx: up to ``most``, and none when an APC has ended the wait.

        ERROR_WAIT_TIMEOUT, ERROR_ABANDONED_WAIT_0; ERROR_INVALID_PARAMETER for less than one.
        """
        require(most > 0, NtStatus.INVALID_PARAMETER, f"{most} packets")
        return self._remove(port, most, timeout_ns, alertable=alertable)

    @win32
    def post_queued_completion_status(
        self, port: int, information: int = 0, key: object = None, overlapped: Overlapped | object = None
    ) -> None:
        """PostQueuedCompletionStatus."""
        found: CompletionPort = self.entry(port, IO_COMPLETION, MODIFY_STATE).target
        found.post(CompletionPacket(key, overlapped, NtStatus.SUCCESS, information))

    @win32
    def set_file_completion_notification_modes(self, file: int, modes: NotificationModes) -> None:
        """SetFileCompletionNotificationModes: what is set stays set."""
        target = self.entry(file, FILE).target
        target.skip_port_on_success |= bool(modes & NotificationModes.SKIP_COMPLETION_PORT_ON_SUCCESS)
        target.skip_event |= bool(modes & NotificationModes.SKIP_SET_EVENT_ON_HANDLE)

    def _remove(
        self, handle: int, most: int, timeout_ns: int | None, *, alertable: bool
    ) -> list[CompletionPacket]:
        port: CompletionPort = self.entry(handle, IO_COMPLETION, MODIFY_STATE).target
        apcs = self.process.thread.apcs

        def is_over() -> bool:
            return bool(port.packets) or port.is_closed or (alertable and len(apcs) > 0)

        if not self.executive.wait(is_over, "a completion packet", timeout_ns):
            raise self.failed(ErrorCode.WAIT_TIMEOUT)
        if port.packets:
            return port.take(most)
        if port.is_closed:
            raise self.failed(code_of(NtStatus.ABANDONED_WAIT_0))
        apcs.deliver()
        return []
