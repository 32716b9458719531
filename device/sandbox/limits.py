"""Limits that a card never meets, and switches that it never needs: dumps, memory that becomes code.

Source: getrlimit(2), prctl(2), core(5).
"""

from __future__ import annotations

import errno
import os
import resource
import stat
from typing import Final

from device.sandbox.kernel import call

OPEN_FILES: Final = 512

ADDRESSES_BYTES: Final = 1 << 42
DATA_BYTES: Final = 2 << 30

LIMITS: Final = {
    resource.RLIMIT_NOFILE: OPEN_FILES,
    resource.RLIMIT_AS: ADDRESSES_BYTES,
    resource.RLIMIT_DATA: DATA_BYTES,
    resource.RLIMIT_CORE: 0,
}
"""A card has a dozen descriptors, and a client's message brings 16 at most; the guest's memory is mapped, and
lies in the address space (4 TiB); what is the card's own (2 GiB) does not grow with it."""

PLAIN_FILE_BYTES: Final = 1 << 30
"""How large a file may become where nothing is recorded: only standard output may be one."""
CAPTURE_BYTES: Final = 64 << 30
"""How large a capture or a recording may become."""

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 4, 38, 65
_MDWE_REFUSE_EXEC_GAIN: Final = 1


def no_new_privileges() -> None:
    """Let no program that this process could execute give it more rights. OSError."""
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def limit(*, captures: bool) -> None:
    """Set every limit, the hard ones too. OSError."""
    files = CAPTURE_BYTES if captures else PLAIN_FILE_BYTES
    files += max((os.fstat(fd).st_size for fd in (1, 2) if _is_file(fd)), default=0)
    for which, most in {**LIMITS, resource.RLIMIT_FSIZE: files}.items():
        hard = resource.getrlimit(which)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (value, value))


def _is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:  # closed: `serve 2>&-`
        return False


def no_dumps() -> None:
    """Leave no core file, and let no other process of this user read our memory. OSError."""
    call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def no_new_code() -> bool:
    """Refuse memory that becomes executable; False where the kernel (before Linux 6.3) cannot. OSError."""
    try:
        call("prctl", _PR_SET_MDWE, _MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True
