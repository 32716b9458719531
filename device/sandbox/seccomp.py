"""Makes a filter of the table of allowed calls: a classic BPF program over a call's number and arguments.

A refused call fails with EPERM; one that is younger than Linux 5.1 with ENOSYS, as an old kernel would
answer, so that the C library takes its older way. A call by another architecture's numbers ends the
process. Source: seccomp(2), Linux include/uapi/linux/{seccomp,filter,audit}.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import TYPE_CHECKING, Final

from device.sandbox.calls import SELF
from device.sandbox.kernel import call

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from device.sandbox.calls import Call, Condition

_NUMBER: Final = {"x86_64": 317, "aarch64": 277}
"""Of seccomp(2) itself."""
_ARCHITECTURE: Final = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_X32: Final = 0x4000_0000
_YOUNG: Final = 424
"""From here on all machines share their numbers: Linux 5.1."""

_SET_MODE_FILTER, _TSYNC = 1, 1
_LOAD, _AND, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_KILL, _ALLOW, _ERROR = 0x8000_0000, 0x7FFF_0000, 0x0005_0000
_AT_NUMBER, _AT_ARCHITECTURE, _AT_ARGUMENTS = 0, 4, 16

Instruction = tuple[int, int, int, int]
"""Code, jump when true, jump when false, constant: ``struct sock_filter``."""

_RETURN_ALLOW: Final[Instruction] = (_RETURN, 0, 0, _ALLOW)
_RETURN_KILL: Final[Instruction] = (_RETURN, 0, 0, _KILL)
_RETURN_EPERM: Final[Instruction] = (_RETURN, 0, 0, _ERROR | errno.EPERM)
_RETURN_ENOSYS: Final[Instruction] = (_RETURN, 0, 0, _ERROR | errno.ENOSYS)


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def program(calls: Iterable[Call], machine: str, own_pid: int) -> list[Instruction]:
    """Return the filter for one machine, ``x86_64`` or ``aarch64``. KeyError for another."""
    made: list[Instruction] = [
        (_LOAD, 0, 0, _AT_ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURE[machine]),
        _RETURN_KILL,
        (_LOAD, 0, 0, _AT_NUMBER),
    ]
    if machine == "x86_64":
        made += [(_JUMP_AT_LEAST, 0, 1, _X32), _RETURN_KILL]
    for one in calls:
        number = one.x86_64 if machine == "x86_64" else one.aarch64
        if number is not None:
            body = _body(one.conditions, own_pid)
            made += [(_JUMP_EQUAL, 0, len(body), number), *body]
    return [*made, (_JUMP_AT_LEAST, 0, 1, _YOUNG), _RETURN_ENOSYS, _RETURN_EPERM]


def _body(conditions: Iterable[Condition], own_pid: int) -> list[Instruction]:
    """Return what is done once the number is that of the call; it ends in a return on every way."""
    made: list[Instruction] = []
    for condition in conditions:
        word = _AT_ARGUMENTS + 8 * condition.argument + 4 * condition.high  # both machines are little-endian
        made += [(_LOAD, 0, 0, word), (_AND, 0, 0, condition.mask)]
        values = [own_pid if value == SELF else value for value in condition.values]
        for left, value in reversed(list(enumerate(reversed(values)))):
            made.append((_JUMP_EQUAL, left + 1, 0, value))  # over the other values and the refusal
        made.append(_RETURN_EPERM)
    return [*made, _RETURN_ALLOW]


def emit(instructions: Sequence[Instruction]) -> bytes:
    """Return the program as the kernel reads it."""
    return b"".join(struct.pack("=HBBI", *one) for one in instructions)


def supported() -> bool:
    """Tell whether there is a filter for this machine and interpreter."""
    return platform.machine() in _NUMBER and sys.maxsize > 1 << 32


def install(calls: Iterable[Call]) -> bool:
    """Bind every thread of this process, for good; False where there is no seccomp. OSError.

    ``no_new_privs`` is set already.
    """
    if not supported():
        return False
    machine = platform.machine()
    made = program(calls, machine, os.getpid())
    packed = _Program(len(made), emit(made))
    try:
        call("syscall", _NUMBER[machine], _SET_MODE_FILTER, _TSYNC, ctypes.byref(packed))
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EINVAL}:  # a kernel without the call, or without filters
            raise
        return False
    return True
