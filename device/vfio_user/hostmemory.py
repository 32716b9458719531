"""The system calls that DMA and interrupts need: other processes' memory, and eventfds.

Knows no protocol. ``mmap`` is called through ctypes because Python's own object keeps a duplicate of the fd
for each mapping (a client may make 65,535), hides the address that a native engine needs, and cannot be
unmapped while a buffer of it is about.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from pathlib import Path
from typing import Protocol

from .protocol import Protection

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)
_LIBC.munmap.restype = ctypes.c_int
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_MAP_FAILED = ctypes.c_void_p(-1).value
_MAX_FILE_OFFSET = (1 << 63) - 1


class HostMemory(Protocol):
    """How ``DmaMap`` reaches memory that came with an fd; a test's double is a plain class."""

    def map(self, fd: int, offset: int, size: int, protection: Protection) -> int:
        """Map ``size`` bytes from ``offset`` of the file; return their address. Keeps no fd.

        OSError.
        """

    def unmap(self, address: int) -> None:
        """Undo the ``map`` that returned ``address``."""

    def read(self, address: int, count: int) -> bytes:
        """Copy ``count`` bytes out."""

    def write(self, address: int, data: bytes) -> None:
        """Copy ``data`` in."""


class MappedMemory:
    """The real ``HostMemory``: shared mappings in this process."""

    def __init__(self) -> None:
        """Map nothing yet."""
        self._mapped: dict[int, tuple[int, int]] = {}  # what map() returned -> (base, length) of the mapping

    def map(self, fd: int, offset: int, size: int, protection: Protection) -> int:
        """Map a part of a file.

        OSError, besides those of mmap(2): EINVAL when the file ends before the region does, because
        a later access beyond its end would be a SIGBUS.
        """
        status = os.fstat(fd)
        if offset + size > _MAX_FILE_OFFSET or status.st_size < offset + size:
            raise OSError(errno.EINVAL, f"the file is shorter than {offset:#x}+{size:#x}")
        page = mmap.PAGESIZE
        if status.st_blksize % page == 0:  # hugetlbfs names its huge page here, and maps nothing smaller
            page = max(page, status.st_blksize)
        lead = offset % page
        length = -(-(size + lead) // page) * page
        prot = (mmap.PROT_READ if protection & Protection.READ else 0) | (
            mmap.PROT_WRITE if protection & Protection.WRITE else 0
        )
        base = _LIBC.mmap(None, length, prot, mmap.MAP_SHARED, fd, offset - lead)
        if base is None or base == _MAP_FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._mapped[base + lead] = (base, length)
        return int(base) + lead

    def unmap(self, address: int) -> None:
        """Unmap what ``map`` returned."""
        base, length = self._mapped.pop(address)
        if _LIBC.munmap(base, length):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def read(self, address: int, count: int) -> bytes:
        """Copy out."""
        return ctypes.string_at(address, count)

    def write(self, address: int, data: bytes) -> None:
        """Copy in."""
        ctypes.memmove(address, data, len(data))


class EventSink(Protocol):
    """How ``Irqs`` reaches the client's eventfds."""

    def accepts(self, fd: int) -> bool:
        """Whether it is an eventfd."""

    def signal(self, fd: int) -> None:
        """Add 1 to it."""

    def close(self, fd: int) -> None:
        """Give it up."""


class Eventfds:
    """The real ``EventSink``."""

    def accepts(self, fd: int) -> bool:
        """Tell an eventfd from a pipe or a file, a write to which could block or do harm."""
        return Path(f"/proc/self/fd/{fd}").readlink().name == "anon_inode:[eventfd]"

    def signal(self, fd: int) -> None:
        """Add 1; a counter that is full is signalled already."""
        try:
            os.eventfd_write(fd, 1)
        except BlockingIOError:
            return

    def close(self, fd: int) -> None:
        """Close it."""
        os.close(fd)
