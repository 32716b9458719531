"""What kernel32's functions share: the process, its handles, and the last error of the calling thread."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from ntos.io.status import NtError, NtStatus
from ntos.object.access import Access
from ntos.object.access_check import access_check
from ntos.object.handles import HandleEntry
from ntos.object.process import PROCESS, THREAD
from protocols.apis.win32.errors import ErrorCode, Win32Error, code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.contract import Executive
    from ntos.io.system import IoSystem
    from ntos.object.process import Process
    from ntos.object.types import KernelObject, ObjectType

INVALID_HANDLE_VALUE = -1
CURRENT_PROCESS = -1
CURRENT_THREAD = -2

P = ParamSpec("P")
R = TypeVar("R")
L = TypeVar("L", bound="Library")


class Library:
    """kernel32 in one process. A function that would return FALSE raises ``Win32Error``."""

    def __init__(self, process: Process, io: IoSystem, executive: Executive) -> None:
        self.process = process
        self.io = io
        self.executive = executive
        self.handles = process.handle_table

    def get_last_error(self) -> int:
        """GetLastError: of the calling thread."""
        return self.process.thread.last_error

    def set_last_error(self, code: int) -> None:
        """SetLastError."""
        self.process.thread.last_error = code

    def failed(self, code: ErrorCode, detail: str = "", information: int = 0) -> Win32Error:
        """Return the error to raise, after it has become the thread's last one."""
        self.set_last_error(code)
        return Win32Error(code, detail, information)

    def entry(self, handle: int, object_type: ObjectType | None = None, desired: int = 0) -> HandleEntry:
        """Return what a handle is, pseudo-handles included. NtError."""
        pseudo = {CURRENT_PROCESS: (PROCESS, self.process), CURRENT_THREAD: (THREAD, self.process.thread)}
        if handle in pseudo and object_type in (None, pseudo[handle][0]):
            kind, target = pseudo[handle]
            return HandleEntry(target, kind.mapping.all)
        return self.handles.lookup(handle, object_type, desired)

    def allowed(self, target: KernelObject, access: int) -> int:
        """Return what ``access`` gives when the calling thread opens an object. NtError(ACCESS_DENIED)."""
        mapping = target.object_type.mapping
        if target.descriptor is None:
            return mapping.all if access & Access.MAXIMUM_ALLOWED else mapping.map(access)
        return access_check(target.descriptor, self.process.thread.token, access, mapping)


def win32(function: Callable[Concatenate[L, P], R]) -> Callable[Concatenate[L, P], R]:
    """Have a function report an NtError of what it calls as kernel32 does."""

    def call(self: L, /, *arguments: P.args, **named: P.kwargs) -> R:
        try:
            return function(self, *arguments, **named)
        except NtError as error:
            raise self.failed(code_of(error.status), str(error)) from error

    functools.update_wrapper(call, function)
    return call


def require(condition: object, status: NtStatus, detail: str = "") -> None:
    """Raise NtError unless the condition holds."""
    if not condition:
        raise NtError(status, detail)
