"""The system calls that a serving card may make, as a table; ``seccomp`` makes the kernel's filter of it.

Whatever is not in it is refused. A rule may ask for values of arguments; there is none for pointers but
NULL, for the kernel's filter cannot follow them. The numbers are checked against the kernel's headers by
tests/unit/device/test_seccomp.py. Source: Linux arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SELF: Final = -1
"""In the place of a value: this process's own id."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What an argument has to be: one of ``values`` where ``mask`` has ones, in the lower 32 bits."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFF_FFFF
    high: bool = False
    """Look at the upper 32 bits instead."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call, its numbers (None: that machine has it not), and the conditions, all of which have to hold."""

    name: str
    x86_64: int | None
    aarch64: int | None
    conditions: tuple[Condition, ...] = ()
    allows: str = ""
    """What that leaves possible, for people; empty for what every program does with its own things."""


def _null(argument: int) -> tuple[Condition, ...]:
    return Condition(argument, (0,)), Condition(argument, (0,), high=True)


_PROT_EXEC: Final = 4
_NOT_EXECUTABLE: Final = (Condition(2, (0,), _PROT_EXEC),)
_READ_ONLY: Final = (Condition(2, (os.O_RDONLY,), os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND),)
_CLONE_VM, _CLONE_FILES, _CLONE_THREAD = 0x100, 0x400, 0x1_0000
_CLONE_NEW: Final = 0x7E02_0080
"""Every CLONE_NEW* that clone(2) takes: new namespaces of any kind."""
_THREAD: Final = _CLONE_VM | _CLONE_FILES | _CLONE_THREAD
_CLONE: Final = (Condition(0, (_THREAD, _CLONE_FILES), _THREAD | _CLONE_NEW),)
"""A thread, or a process that shares our descriptors: device.vfio_user.janitor has it close one of them."""
_OWN: Final = (Condition(0, (SELF,)),)
_ZERO_OR_OWN: Final = (Condition(0, (0, SELF)),)
_FCNTL: Final = (0, 1, 2, 3, 4, 1030, 1033, 1034)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS."""
_IOCTL: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX; not TIOCSTI, which types for the user."""
_PRCTL: Final = (15, 29)
"""PR_SET_NAME, PR_SET_TIMERSLACK."""

CALLS: Final = (
    # The filter looks at those with conditions each time, in this order; the kernel remembers the others.
    Call("sendto", 44, 206, _null(4), "send on sockets that are connected"),
    Call("mmap", 9, 222, _NOT_EXECUTABLE, "map memory, none of it executable"),
    Call("mprotect", 10, 226, _NOT_EXECUTABLE, "change its rights, never to executable"),
    Call("fcntl", 72, 25, (Condition(1, _FCNTL),), "flags, duplicates and seals of descriptors"),
    Call("ioctl", 16, 29, (Condition(1, _IOCTL),), "blocking or not, bytes waiting, a terminal's size"),
    Call("process_vm_readv", 310, 270, _OWN, "copy within its own memory, where a bad page is an error"),
    Call("process_vm_writev", 311, 271, _OWN),
    Call("openat", 257, 56, _READ_ONLY, "open for reading what Landlock leaves: its own list of descriptors"),
    Call("clone", 56, 220, _CLONE, "start threads, and processes that share its descriptors; no programs"),
    Call("prctl", 157, 167, (Condition(0, _PRCTL),), "name threads, set their timers' slack"),
    Call("kill", 62, 129, _OWN, "signal itself"),
    Call("tgkill", 234, 131, _OWN),
    Call("prlimit64", 302, 261, (*_ZERO_OR_OWN, *_null(2)), "read its limits"),
    Call("sched_setaffinity", 203, 122, _ZERO_OR_OWN, "choose its processors"),
    # Descriptors that are open.
    Call("read", 0, 63, allows="read, write and poll what is open"),
    Call("write", 1, 64),
    Call("readv", 19, 65),
    Call("writev", 20, 66),
    Call("pread64", 17, 67),
    Call("pwrite64", 18, 68),
    Call("preadv", 295, 69),
    Call("pwritev", 296, 70),
    Call("lseek", 8, 62),
    Call("ftruncate", 77, 46),
    Call("fsync", 74, 82),
    Call("fdatasync", 75, 83),
    Call("close", 3, 57),
    Call("close_range", 436, 436),
    Call("dup", 32, 23),
    Call("dup3", 292, 24),
    Call("getdents64", 217, 61),
    Call("poll", 7, None),
    Call("ppoll", 271, 73),
    Call("select", 23, None),
    Call("pselect6", 270, 72),
    Call("epoll_create1", 291, 20),
    Call("epoll_ctl", 233, 21),
    Call("epoll_wait", 232, None),
    Call("epoll_pwait", 281, 22),
    Call("eventfd2", 290, 19),
    Call("io_setup", 206, 0),
    Call("io_submit", 209, 2),
    Call("io_destroy", 207, 1),
    Call("timerfd_create", 283, 85),
    Call("timerfd_settime", 286, 86),
    Call("timerfd_gettime", 287, 87),
    Call("pipe2", 293, 59),
    Call("memfd_create", 319, 279, allows="make memory files (the doorbells that a client may map)"),
    # What files are, never what is in them: neither seccomp nor Landlock sees the path.
    Call("fstat", 5, 80),
    Call("newfstatat", 262, 79, allows="ask whether a path is there, and what it is"),
    Call("statx", 332, 291),
    Call("readlink", 89, None),
    Call("readlinkat", 267, 78),
    # Sockets that are there.
    Call("listen", 50, 201, allows="listen on the socket that was bound before, and accept"),
    Call("accept", 43, 202),
    Call("accept4", 288, 242),
    Call("recvfrom", 45, 207),
    Call("recvmsg", 47, 212),
    Call("recvmmsg", 299, 243),
    Call("sendmsg", 46, 211),
    Call("shutdown", 48, 210),
    Call("getsockname", 51, 204),
    Call("getpeername", 52, 205),
    Call("getsockopt", 55, 209),
    Call("setsockopt", 54, 208),
    # Memory, threads, time.
    Call("munmap", 11, 215),
    Call("mremap", 25, 216),
    Call("madvise", 28, 233),
    Call("mincore", 27, 232),
    Call("msync", 26, 227),
    Call("brk", 12, 214),
    Call("membarrier", 324, 283),
    Call("futex", 202, 98),
    Call("futex_waitv", 449, 449),
    Call("set_robust_list", 273, 99),
    Call("set_tid_address", 218, 96),
    Call("rseq", 334, 293),
    Call("sched_yield", 24, 124),
    Call("sched_getaffinity", 204, 123),
    Call("getcpu", 309, 168),
    Call("nanosleep", 35, 101),
    Call("clock_nanosleep", 230, 115),
    Call("clock_gettime", 228, 113),
    Call("clock_getres", 229, 114),
    Call("gettimeofday", 96, 169),
    Call("setitimer", 38, 103),
    Call("rt_sigaction", 13, 134),
    Call("rt_sigprocmask", 14, 135),
    Call("rt_sigreturn", 15, 139),
    Call("sigaltstack", 131, 132),
    Call("restart_syscall", 219, 128),
    Call("getrandom", 318, 278),
    # Itself.
    Call("getpid", 39, 172),
    Call("gettid", 186, 178),
    Call("getppid", 110, 173),
    Call("getuid", 102, 174),
    Call("geteuid", 107, 175),
    Call("getgid", 104, 176),
    Call("getegid", 108, 177),
    Call("getrlimit", 97, 163),
    Call("getrusage", 98, 165),
    Call("sysinfo", 99, 179),
    Call("times", 100, 153),
    Call("uname", 63, 160),
    Call("getcwd", 79, 17),
    # The end: its helpers', and its own.
    Call("wait4", 61, 260),
    Call("waitid", 247, 95),
    Call("exit", 60, 93),
    Call("exit_group", 231, 94),
)

DATAGRAMS: Final = (Call("sendto", 44, 206, allows="send datagrams to any address"),)
"""For a wire whose other end comes and goes, and is found by its address with each frame."""

OWN_SOCKET: Final = (
    Call("socket", 41, 198, (Condition(0, (socket.AF_UNIX,)),), "make unix sockets, and bind them"),
    Call("bind", 49, 200),
    Call("unlink", 87, None),
    Call("unlinkat", 263, 35),
    Call("umask", 95, 166),
)
"""For a transport that makes the socket it listens at by itself."""


def allowed(more: Iterable[Call] = ()) -> tuple[Call, ...]:
    """Return the table, with what ``more`` has in the place of its own rules of the same names."""
    wider = {call.name: call for call in more}
    return (*wider.values(), *(call for call in CALLS if call.name not in wider))
