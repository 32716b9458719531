"""Who a process is: root becomes nobody, and no capability is kept.

Source: capabilities(7), setresuid(2), prctl(2).
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from device.sandbox.kernel import call

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NOBODY: Final = 65534
"""The kernel's overflow user and group, which own nothing."""

_CAPABILITY_VERSION: Final = 0x2008_0522
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_NOT_MAPPED: Final = frozenset({errno.EINVAL, errno.EPERM})
"""A user namespace may map a single user, or forbid setgroups: root there is an ordinary user outside."""


def give_up_root(owning: Iterable[Path] = ()) -> None:
    """Become nobody, who owns the folders ``owning``, where this is root and its namespace has a nobody.

    OSError for any other reason.
    """
    if os.geteuid() != 0:
        return
    try:
        for folder in owning:
            os.chown(folder, NOBODY, NOBODY)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError as error:
        if error.errno not in _NOT_MAPPED:
            raise


def drop_capabilities() -> None:
    """Give up every capability, effective, permitted, inheritable and ambient. OSError."""
    call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    call("capset", struct.pack("<Ii", _CAPABILITY_VERSION, 0), bytes(24))
