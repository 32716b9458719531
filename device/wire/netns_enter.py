"""The program by which ``device.wire.netns`` runs another in its namespace.

Arguments: the descriptors of the user and network namespaces, the parent's process id, then the
program; or, in the program's place, ``--socket FAMILY TYPE FD`` to send back a socket made in the
namespace over descriptor FD. It imports nothing of ours, so that it starts fast. Source: setns(2),
prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def _enter(fd: int, kind: int) -> None:
    if _LIBC.setns(fd, kind):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    os.close(fd)


def main(argv: list[str]) -> int:
    """Enter and execute; return 127 when the program cannot be run, as a shell does."""
    user, net, parent, *program = argv[1:]
    own = os.stat("/proc/self/ns/user").st_ino  # noqa: PTH116 - starts fast without pathlib
    if os.fstat(int(user)).st_ino != own:
        _enter(int(user), _CLONE_NEWUSER)
        os.setgid(0)
        os.setuid(0)
    else:
        os.close(int(user))
    _enter(int(net), _CLONE_NEWNET)
    # After the identity changed, which would clear it.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before that took effect
        return 1
    if program[0] == "--socket":
        made = socket.socket(int(program[1]), int(program[2]))
        with socket.socket(fileno=int(program[3])) as report:
            socket.send_fds(report, [b"."], [made.fileno()])
        return 0
    try:
        os.execvp(program[0], program)  # noqa: S606 - no shell, on purpose
    except OSError as error:
        sys.stderr.write(f"{program[0]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv))
