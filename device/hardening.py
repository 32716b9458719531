"""Takes away from the serving process what it needs no more, once its wire is open.

Each measure binds the calling thread and the threads that it starts from then on, so ``harden`` comes before
the card's threads; descriptors that are open stay usable (TAP, captures). What a kernel does not have is left
out and said in the ``Posture``. Run as a program it hardens itself and prints that, which is how ``doctor``
learns what is active. Sources: prctl(2), landlock(7), capabilities(7), Linux include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OPEN_FILES: Final = 512
"""A card has a dozen descriptors; a client's message brings 16 at most."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS: Final = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _RULE_PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG, _MAKE_SOCK, _TRUNCATE = 1 << 5, 1 << 8, 1 << 9, 1 << 14
_FS_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights to files that an ABI knows; from 5 on they are the same."""
_ON_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_NET_RIGHTS: Final = 3  # to bind and to connect TCP, ABI 4
_SCOPES: Final = 3  # abstract sockets, signals: ABI 6

_READ: Final = _READ_FILE | _READ_DIR
_SOCKETS: Final = _READ_DIR | _MAKE_SOCK | _REMOVE_FILE
_KEEP_FILES: Final = _READ | _WRITE_FILE | _MAKE_REG | _REMOVE_FILE | _TRUNCATE
_CAPABILITY_VERSION: Final = 0x2008_0522
_KEPT_CAPABILITIES: Final = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root may run a checkout in another user's home."""

Rule = tuple[Path, int]


@dataclass(frozen=True, slots=True)
class Posture:
    """What binds the process."""

    no_new_privs: bool
    landlock_abi: int
    """0: this kernel has none."""
    open_files: int
    """RLIMIT_NOFILE."""
    capabilities: bool
    """Whether it holds any beyond reading and writing files."""
    programs: bool
    """Whether it may start programs (the far end of a netns wire), and so keeps more."""

    def __str__(self) -> str:
        """Name what is active."""
        active = [
            "no_new_privs" if self.no_new_privs else "",
            f"Landlock ABI {self.landlock_abi}" if self.landlock_abi else "",
            f"{self.open_files} open files",
            "" if self.capabilities else "no capabilities",
            "may start programs" if self.programs else "",
        ]
        return ", ".join(one for one in active if one)


def harden(*, sockets: Iterable[Path] = (), files: Iterable[Path] = (), programs: bool = False) -> Posture:
    """Bind this thread, for good. OSError when a measure that the kernel has is refused.

    ``sockets``: folders in which it may listen. ``files``: folders in which it may keep files. ``programs``:
    it starts programs at the far end of its wire, so it may read and execute everything, and they may use
    /tmp; without, it reads Python, libraries and ours, and holds no capability.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    rules: list[Rule] = [(folder, _SOCKETS) for folder in sockets]
    rules += [(folder, _KEEP_FILES) for folder in files]
    rules.append((Path("/dev/null"), _READ_FILE | _WRITE_FILE))
    if programs:
        rules += [(Path("/"), _READ | _EXECUTE)]
        rules += [(Path(name), _KEEP_FILES) for name in ("/dev", "/proc", tempfile.gettempdir())]
    else:
        rules += [(folder, _READ) for folder in _readable()]
        _drop_capabilities()
    abi = landlock_abi()
    if abi:
        _restrict(rules, abi, strict=not programs)
    return Posture(
        no_new_privs=True,
        landlock_abi=abi,
        open_files=most,
        capabilities=programs and os.geteuid() == 0,
        programs=programs,
    )


def landlock_abi() -> int:
    """Return the kernel's Landlock ABI; 0 when it has none or it is switched off."""
    abi: int = _LIBC.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    return max(abi, 0)


def _readable() -> set[Path]:
    """Return the folders that the interpreter, its libraries and our modules are in."""
    ours = Path(__file__).resolve().parents[1]
    found = {
        Path(name)
        for name in (*sys.path, sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64", "/proc/self")
    }
    return {folder for folder in found | {ours} if folder.is_dir()}


def _restrict(rules: Sequence[Rule], abi: int, *, strict: bool) -> None:
    handled = _FS_RIGHTS[min(abi, 5)]
    attributes = struct.pack("<Q", handled)
    if abi >= 4:
        attributes += struct.pack("<Q", _NET_RIGHTS if strict else 0)
    if abi >= 6:
        attributes += struct.pack("<Q", _SCOPES if strict else 0)
    ruleset = _call("syscall", _CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & handled)
        _call("syscall", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        allowed = rights if path.is_dir() else rights & _ON_FILES
        rule = struct.pack("<Qi", allowed, place)
        _call("syscall", _ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(place)


def _drop_capabilities() -> None:
    """Give up all capabilities but ``_KEPT_CAPABILITIES``, of those that we have."""
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    held = ctypes.create_string_buffer(24)
    _call("capget", header, held)
    effective, permitted = struct.unpack_from("<II", held)
    data = struct.pack("<6I", effective & _KEPT_CAPABILITIES, permitted & _KEPT_CAPABILITIES, 0, 0, 0, 0)
    _call("capset", header, data)


def _call(name: str, *arguments: object) -> int:
    result: int = getattr(_LIBC, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def main() -> int:
    """Harden this process as ``serve`` would be, and say what that came to, as JSON."""
    print(json.dumps(asdict(harden())))  # noqa: T201 - this is a program
    return 0


if __name__ == "__main__":
    sys.exit(main())
