"""Landlock: the paths below which a process may still do something, and nothing else.

Source: landlock(7); Linux include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.sandbox.kernel import call

if TYPE_CHECKING:
    from collections.abc import Sequence

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _RULE_PATH_BENEATH = 1, 1

_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 5
_MAKE_REG, _MAKE_SOCK, _TRUNCATE = 1 << 8, 1 << 9, 1 << 14
_FS_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights to files that an ABI knows; from 5 on they are the same."""
_NET_RIGHTS: Final = 3  # to bind and to connect TCP, ABI 4
_SCOPES: Final = 3  # abstract sockets, signals: ABI 6

READ: Final = _READ_FILE | _READ_DIR
MAKE_SOCKET: Final = _MAKE_SOCK
KEEP_FILES: Final = READ | _WRITE_FILE | _MAKE_REG | _REMOVE_FILE | _TRUNCATE
REMOVE: Final = _REMOVE_FILE

Rule = tuple[Path, int]


def abi() -> int:
    """Return the kernel's Landlock ABI; 0 when it has none or it is switched off."""
    try:
        return call("syscall", _CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(rules: Sequence[Rule]) -> int:
    """Bind this thread to ``rules``, for good, and return the ABI; 0: the kernel has none. OSError.

    ``no_new_privs`` is set already. TCP, abstract sockets of others and signals to others end with it, where
    the ABI has them.
    """
    known = abi()
    if not known:
        return 0
    handled = _FS_RIGHTS[min(known, 5)]
    attributes = struct.pack("<Q", handled)
    if known >= 4:
        attributes += struct.pack("<Q", _NET_RIGHTS)
    if known >= 6:
        attributes += struct.pack("<Q", _SCOPES)
    ruleset = call("syscall", _CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & handled)
        call("syscall", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return known


def _allow(ruleset: int, folder: Path, rights: int) -> None:
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call("syscall", _ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("<Qi", rights, place), 0)
    finally:
        os.close(place)
