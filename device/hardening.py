"""Takes away from the serving process what it needs no more, once its wire is open and its socket is bound.

``harden`` comes before the process listens and before it has a second thread: some measures bind the calling
thread and those that it starts from then on. Descriptors that are open stay usable (TAP, captures). What a
kernel does not have is left out and said in the ``Posture``. Run as a program it hardens itself and prints
that, which is how ``doctor`` learns what is active. The mechanisms are in ``device.sandbox``.
"""

from __future__ import annotations

import json
import os
import resource
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.sandbox import calls, identity, landlock, limits, seccomp
from device.sandbox.needs import Needs

if TYPE_CHECKING:
    from collections.abc import Iterable

_OWN_LISTS: Final = (Path("/proc/self/fd"), Path("/proc/self/fdinfo"))
"""All that stays readable: what this process has open."""


@dataclass(frozen=True, slots=True)
class Posture:
    """What binds the process."""

    seccomp: bool
    """Whether only the calls of ``device.sandbox.calls`` are left."""
    landlock_abi: int
    """0: this kernel has none."""
    no_new_code: bool
    """Whether the kernel refuses memory that becomes executable by itself; the filter refuses it too."""
    uid: int
    open_files: int
    """RLIMIT_NOFILE."""
    no_new_privs: bool = True
    capabilities: bool = False
    """Whether it holds any."""

    def __str__(self) -> str:
        """Name what is active, and what is not."""
        active = [
            f"seccomp ({len(calls.CALLS)} calls)"
            if self.seccomp
            else "no seccomp (this kernel or machine lacks it)",
            f"Landlock ABI {self.landlock_abi}"
            if self.landlock_abi
            else "no Landlock (this kernel lacks it)",
            "no new code" if self.no_new_code or self.seccomp else "",
            f"user {self.uid}",
            "" if self.capabilities else "no capabilities",
            f"{self.open_files} open files",
            "no dumps",
        ]
        return ", ".join(one for one in active if one)


def harden(needs: Needs | None = None, *, sockets: Iterable[Path] = ()) -> Posture:
    """Bind this process, for good. OSError when a measure that the kernel has is refused.

    ``sockets`` are those of ``needs``, for a caller that needs nothing else; ValueError when there is
    anything in one of them, for that would be within reach.
    """
    needs = needs or Needs(sockets=tuple(sockets))
    _alone()
    for folder in needs.sockets:
        _private(folder)
    limits.limit(captures=needs.captures)
    limits.no_new_privileges()
    for (
        folder
    ) in _OWN_LISTS:  # procfs makes a new inode when it has forgotten one, and no rule would be for that
        os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # so it is held, for good
    makes = landlock.MAKE_SOCKET | landlock.REMOVE
    rules = [(folder, landlock.READ) for folder in _OWN_LISTS]
    rules += [(folder, makes) for folder in needs.sockets]
    abi = landlock.restrict(rules)
    identity.give_up_root(owning=needs.sockets)
    identity.drop_capabilities()
    limits.no_dumps()
    no_new_code = limits.no_new_code()
    return Posture(
        seccomp=seccomp.install(calls.allowed(needs.calls)),
        landlock_abi=abi,
        no_new_code=no_new_code,
        uid=os.geteuid(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    )


def _alone() -> None:
    """See that no thread was started before: Landlock and capabilities would not bind it."""
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names are counted
    if threads != 1:
        raise AssertionError(f"{threads} threads are there before the process is hardened")


def _private(folder: Path) -> None:
    """See that a folder is of no worth but for the socket. ValueError."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077 or status.st_uid != os.geteuid():
        raise ValueError(f"{folder} is no folder of this user's alone")
    if any(folder.iterdir()):
        raise ValueError(
            f"{folder} is not empty: a socket that is made after the start wants a folder of its own"
        )


def main() -> int:
    """Harden this process as ``serve`` would be, and say what that came to, as JSON."""
    print(json.dumps(asdict(harden())))  # noqa: T201 - this is a program
    return 0


if __name__ == "__main__":
    sys.exit(main())
