"""Signals the client's eventfds without ever waiting for one. Knows no protocol.

write(2) waits where an eventfd's counter is full, unless its description is non-blocking; and that flag is
the client's to change at any time, for we share the description. Inside the kernel there is eventfd_signal(),
which never waits: VFIO and KVM use it, and so does an AIO request that names an eventfd (IOCB_FLAG_RESFD,
io_submit(2)). So a signal is such a request: to read from a file that is empty; 0.3 µs, where a write takes
0.1. A kernel without AIO gets a write, after a look whether there is room. C twin: csrc/eventfd.c.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import re
import select
import struct
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

_LIBC = ctypes.CDLL(None, use_errno=True)
_GENERIC: Final = (0, 2)
_NUMBERS: Final = {"x86_64": (206, 209), "aarch64": _GENERIC, "riscv64": _GENERIC, "loongarch64": _GENERIC}
"""Of io_setup and io_submit, on machines whose words are 64 bits."""
_IOCB: Final = struct.Struct("<QIiHhIQQqQII")  # linux/aio_abi.h, little-endian
_PREAD, _RESFD = 0, 1
_HEAD, _TAIL = 8, 12  # of struct aio_ring, which the context's number is the address of
_COUNTER: Final = re.compile(rb"^eventfd-count:\s*[0-9a-f]+$", re.MULTILINE)


class EventSink(Protocol):
    """How ``Irqs`` reaches the client's eventfds."""

    def accepts(self, fd: int) -> bool:
        """Whether it is an eventfd."""

    def signal(self, fd: int) -> None:
        """Add 1 to it. Waits for nothing: a counter that is full is signalled already."""

    def close(self, fd: int) -> None:
        """Give it up."""


def is_eventfd(fd: int) -> bool:
    """Tell an eventfd from everything else by the kernel's word.

    A name in /proc/self/fd can be given to a file or a FIFO, too; a line of /proc/self/fdinfo cannot.
    """
    try:
        return bool(_COUNTER.search(Path(f"/proc/self/fdinfo/{fd}").read_bytes()))
    except OSError:
        return False


class Eventfds:
    """The real ``EventSink``."""

    def __init__(self) -> None:
        """Open now what is needed, not at some signal."""
        _signaller.prepare()

    def accepts(self, fd: int) -> bool:
        """Tell an eventfd from a pipe or a file, a write to which could wait or do harm."""
        return is_eventfd(fd)

    def signal(self, fd: int) -> None:
        """Add 1."""
        _signaller.signal(fd)

    def close(self, fd: int) -> None:
        """Close it; no eventfd keeps who closes it."""
        os.close(fd)


class _Signaller:
    """An AIO context of this process; a forked child makes its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._context: int | None = None
        """The AIO context; 0: this kernel gives us none. None: not asked yet."""
        self._empty = -1
        self._numbers = _NUMBERS.get(platform.machine(), _GENERIC)

    def prepare(self) -> None:
        with self._lock:
            self._ready()

    def signal(self, fd: int) -> None:
        with self._lock:
            context = self._ready()
            if context:
                self._submit(context, fd)
            else:
                _write(fd)

    def _ready(self) -> int:
        if self._context is None:
            self._context = 0
            context = ctypes.c_ulong(0)
            known = platform.machine() in _NUMBERS
            if known and not _LIBC.syscall(self._numbers[0], 1, ctypes.byref(context)):
                self._empty = os.memfd_create("empty", os.MFD_CLOEXEC)
                self._context = context.value
        return self._context

    def _submit(self, context: int, fd: int) -> None:
        head = ctypes.c_uint.from_address(context + _HEAD)
        head.value = ctypes.c_uint.from_address(context + _TAIL).value  # its completions are nobody's
        request = ctypes.create_string_buffer(
            _IOCB.pack(0, 0, 0, _PREAD, 0, self._empty, 0, 0, 0, 0, _RESFD, fd), _IOCB.size
        )
        one = ctypes.c_void_p(ctypes.addressof(request))
        if _LIBC.syscall(self._numbers[1], ctypes.c_ulong(context), 1, ctypes.byref(one)) != 1:
            _write(fd)


def _write(fd: int) -> None:
    """Add 1 if there is room: what is full is signalled already."""
    looking = select.poll()
    looking.register(fd, select.POLLOUT)
    if looking.poll(0):
        try:
            os.eventfd_write(fd, 1)
        except OSError as failed:
            if failed.errno not in {errno.EAGAIN, errno.EINTR}:
                raise


_signaller = _Signaller()
