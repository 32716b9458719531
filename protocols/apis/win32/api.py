"""kernel32, as far as handles go: one object for each process."""

from __future__ import annotations

from protocols.apis.win32.files import FileCalls
from protocols.apis.win32.handles import HandleCalls
from protocols.apis.win32.ports import PortCalls
from protocols.apis.win32.waits import WaitCalls


class Win32(HandleCalls, WaitCalls, PortCalls, FileCalls):
    """The functions of all four kinds, for one process."""
