"""The system calls that DMA needs: other processes' memory.

Knows no protocol. ``mmap`` is called through ctypes because Python's own object keeps a duplicate of the fd
for each mapping (a client may make 65,535), hides the address that a native engine needs, and cannot be
unmapped while a buffer of it is about.

What is mapped is shared memory alone: a memfd, a file of tmpfs or of hugetlbfs. The kernel tells them by
their seals, which is the one question about a descriptor that asks no file system; a page of any other file
may have to be fetched by one that never answers (FUSE, NFS), and who touches it then waits through SIGKILL.

Each mapping may need an area of its own (vm.max_map_count), also when the kernel put several together: to
unmap one in the middle takes them apart again. So all are counted as apart, and the one too many is refused.

A client may cut its file short after we mapped it; a copy would then end us with a SIGBUS. A file that is
sealed against that (QEMU's memory-backend-memfd is) is copied directly, 0.8 µs from Python; while any other
is mapped, copies go by process_vm_readv(2) of this process, 6.4 µs by ctypes, where the kernel answers EFAULT
instead. /proc/self/mem would take 2.2 µs, but whoever holds it open may write to code, too; pread of the
client's fd would keep one fd for each mapping.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .protocol import Protection

if TYPE_CHECKING:
    from collections.abc import Container

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
_SPARE_AREAS = 2048
"""Map areas left for what comes yet: libraries, threads' stacks, arenas."""
_USUAL_AREAS = 65530
Identity = tuple[int, int]
"""Which file it is: its st_dev and st_ino."""
NOT_SHARED_MEMORY = (
    "no shared memory: take a memfd, or a file of tmpfs (/dev/shm) or hugetlbfs; the file system behind any"
    " other could keep the card waiting"
)


class _Span(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_SPANS = (ctypes.c_int, *(ctypes.POINTER(_Span), ctypes.c_ulong) * 2, ctypes.c_ulong)
for _copy in (_LIBC.process_vm_readv, _LIBC.process_vm_writev):
    _copy.restype = ctypes.c_ssize_t
    _copy.argtypes = _SPANS


def _copied(write: bool, address: int, buffer: ctypes.Array[ctypes.c_char], count: int) -> None:  # noqa: FBT001
    """Copy between ``address`` and a buffer by the kernel. OSError, also when only a part could be copied."""
    copy = _LIBC.process_vm_writev if write else _LIBC.process_vm_readv
    local, remote = _Span(ctypes.addressof(buffer), count), _Span(address, count)
    done = copy(os.getpid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if done < count:
        raise OSError(errno.EFAULT, "the file ends inside the range")


class HostMemory(Protocol):
    """How ``DmaMap`` reaches memory that came with an fd; a test's double is a plain class."""

    def map(self, fd: int, offset: int, size: int, protection: Protection) -> int:
        """Map ``size`` bytes from ``offset`` of the file; return their address. Keeps no fd.

        OSError.
        """

    def unmap(self, address: int) -> None:
        """Undo the ``map`` that returned ``address``."""

    def read(self, address: int, count: int) -> bytes:
        """Copy ``count`` bytes out. OSError when the file has become shorter than the mapping."""

    def write(self, address: int, data: bytes) -> None:
        """Copy ``data`` in. OSError as ``read``."""


class MappedMemory:
    """The real ``HostMemory``: shared mappings in this process."""

    def __init__(self, own: Container[Identity] = ()) -> None:
        """Map nothing yet. ``own`` are our own files, which no client may have mapped."""
        self._own = own
        self._mapped: dict[int, tuple[int, int, bool]] = {}
        """What ``map`` returned: the mapping's base and length, and whether its file may still shrink."""
        self._shrinkable = 0

    def map(self, fd: int, offset: int, size: int, protection: Protection) -> int:
        """Map a part of a file.

        OSError, besides those of mmap(2): EINVAL when it is no shared memory, or ends before the region
        does, because a later access beyond its end would be a SIGBUS; EPERM for our own files; ENOSPC when
        there are as many areas as the kernel allows.
        """
        seals = _seals(fd)
        if seals is None:
            raise OSError(errno.EINVAL, NOT_SHARED_MEMORY)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) in self._own:
            raise OSError(errno.EPERM, "a file of our own")
        if len(self._mapped) >= MOST_MAPPINGS:
            raise OSError(errno.ENOSPC, f"more than {MOST_MAPPINGS} mappings (vm.max_map_count)")
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
        shrinkable = not seals & fcntl.F_SEAL_SHRINK
        self._mapped[base + lead] = (base, length, shrinkable)
        self._shrinkable += shrinkable
        return int(base) + lead

    def unmap(self, address: int) -> None:
        """Unmap what ``map`` returned."""
        base, length, shrinkable = self._mapped.pop(address)
        self._shrinkable -= shrinkable
        if _LIBC.munmap(base, length):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def read(self, address: int, count: int) -> bytes:
        """Copy out."""
        if not self._shrinkable:
            return ctypes.string_at(address, count)
        buffer = ctypes.create_string_buffer(count)
        _copied(False, address, buffer, count)  # noqa: FBT003 - read
        return buffer.raw

    def write(self, address: int, data: bytes) -> None:
        """Copy in."""
        if not self._shrinkable:
            ctypes.memmove(address, data, len(data))
        else:
            buffer = ctypes.create_string_buffer(data, len(data))
            _copied(True, address, buffer, len(data))  # noqa: FBT003 - write


def _seals(fd: int) -> int | None:
    """Return the seals of shared memory; None: it is something else. OSError: it is no descriptor."""
    if fd < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    try:
        return int(fcntl.fcntl(fd, fcntl.F_GET_SEALS))
    except OSError as failed:
        if failed.errno == errno.EINVAL:
            return None
        raise


def _areas_allowed() -> int:
    """Return how many map areas a process may have."""
    try:
        return int(Path("/proc/sys/vm/max_map_count").read_text())
    except OSError:
        return _USUAL_AREAS


def _areas_used() -> int:
    """Return how many map areas this process has."""
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return 0


MOST_MAPPINGS = _areas_allowed() - _areas_used() - _SPARE_AREAS
"""How many mappings of clients this process can bear; asked at import, for a sandbox may forbid it later."""
