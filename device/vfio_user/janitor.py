"""Closes descriptors that a client sent and that nobody wants, without waiting for what is behind them.

close(2) asks a file system whether it may (FUSE: FLUSH), and waits for the answer, through SIGKILL too.
Shared memory, pipes, local sockets, anonymous inodes and /dev/null keep nobody, and are closed at once.
Anything else is closed by a process of its own that shares our table of descriptors (clone(2), CLONE_FILES)
and runs nothing but close: it may wait as long as it likes, our process still ends. Where such a process is
refused, a thread does it. Knows no protocol.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import stat
import struct
import sys
import threading
from pathlib import Path
from typing import Final

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLOSE: Final = ctypes.cast(_LIBC.close, ctypes.c_void_p)
_CLONE_FILES: Final = 0x400
_STACK_BYTES: Final = 1 << 16
_MOST: Final = 8
"""How many such processes there may be; what comes then waits, and RLIMIT_NOFILE bounds that."""
_HARMLESS: Final = ("pipe:[", "anon_inode:")
"""How a descriptor's name begins where no file system is asked; a path begins with a slash."""
_EMPTY_PATH, _DONT_SYNC = 0x1000, 0x4000
_STATX_BYTES, _STATX_MODE, _STATX_RDEV_MAJOR = 256, 28, 128  # linux/stat.h
_MEMORY_MAJOR: Final = 1


class Janitor:
    """Closes descriptors. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[int] = []
        self._closers: set[int] = set()
        self._stack = ctypes.create_string_buffer(_STACK_BYTES)
        """A child's; it runs on its own copy."""

    def close(self, fd: int) -> None:
        """Have ``fd`` closed, now or soon."""
        if _is_harmless(fd):
            os.close(fd)
            return
        with self._lock:
            self._waiting.append(fd)
            self._closers = {pid for pid in self._closers if not _has_ended(pid)}
            while self._waiting and len(self._closers) < _MOST:
                self._start(self._waiting.pop(0))

    def part(self) -> None:
        """Let go of standard output and error, which a closer that still waits would keep open behind us.

        What it shares with us is the table itself: its copies go with ours. Called at the process's end.
        """
        with self._lock:
            self._closers = {pid for pid in self._closers if not _has_ended(pid)}
            if not self._closers:
                return
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        nowhere = os.memfd_create("nowhere", os.MFD_CLOEXEC)  # a sandbox may leave no path to open
        for stream in (1, 2):
            os.dup2(nowhere, stream, inheritable=False)  # dup3, where a sandbox knows no dup2

    def _start(self, fd: int) -> None:
        top = (ctypes.addressof(self._stack) + _STACK_BYTES) & ~0xF
        pid = _LIBC.clone(_CLOSE, ctypes.c_void_p(top), _CLONE_FILES | signal.SIGCHLD, ctypes.c_void_p(fd))
        if pid < 0:
            threading.Thread(target=_closed, args=(fd,), name="janitor", daemon=True).start()
        else:
            self._closers.add(pid)


def _closed(fd: int) -> None:
    with contextlib.suppress(OSError):  # its file system had something to say
        os.close(fd)


def _is_harmless(fd: int) -> bool:
    """Tell whether closing it asks nobody; these questions do not, either."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        return True  # shared memory
    with contextlib.suppress(OSError):
        name = str(Path(f"/proc/self/fd/{fd}").readlink())
        if name.startswith(_HARMLESS) or (name.startswith("socket:[") and _is_local(fd)):
            return True
    return _is_memory_device(fd)


def _is_local(fd: int) -> bool:
    """Tell whether a socket is of this machine: one of TCP may linger."""
    borrowed = socket.socket(fileno=fd)
    local = borrowed.family == socket.AF_UNIX
    borrowed.detach()
    return local


def _is_memory_device(fd: int) -> bool:
    """Tell /dev/null and its kin, of which a file system knows no more than the name; it is not asked."""
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if _LIBC.statx(fd, b"", _EMPTY_PATH | _DONT_SYNC, 0, found):
        return False
    (mode,) = struct.unpack_from("<H", found, _STATX_MODE)
    (major,) = struct.unpack_from("<I", found, _STATX_RDEV_MAJOR)
    return stat.S_ISCHR(mode) and major == _MEMORY_MAJOR


def _has_ended(pid: int) -> bool:
    """Reap a child."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True  # somebody else has


JANITOR: Final = Janitor()
"""This process's."""
atexit.register(JANITOR.part)
