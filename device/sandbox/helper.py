"""A process beside the card's: forked before the card is confined, it does one thing that the card may not.

It has its user's rights and a single socket, on which the card asks. It ends when that socket closes,
however the card ends; so no signal ends it, for those reach a whole terminal. It knows nothing of what is
asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

from device.sandbox import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

END_S: Final = 0.3
"""How long the card waits, at its own end, for a helper's."""

_LEFT_TO_THE_CARD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class Helper:
    """A helper, as the card sees it: the socket to ask on."""

    def __init__(self, work: Callable[[socket.socket], None], fds: Iterable[int] = ()) -> None:
        """Fork a process that runs ``work`` on its end of ``socket``; it keeps ``fds`` open. OSError.

        This process has one thread only. ``work`` returns when its socket has ended.
        """
        self.socket, theirs = socket.socketpair()
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            _be(work, theirs, {theirs.fileno(), *fds})
        theirs.close()

    def close(self) -> None:
        """End it, and wait a moment until it has cleaned up. Idempotent."""
        if self.socket.fileno() < 0:
            return
        self.socket.settimeout(END_S)
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(1 << 16):  # answers that nobody waits for; then the end: it is gone
                pass
        except OSError:  # it is gone already, or it does not end: it is left behind
            return
        finally:
            self.socket.close()
        os.waitpid(self._pid, 0)  # its socket closes with the process, and with nothing before


def _be(work: Callable[[socket.socket], None], connection: socket.socket, kept: set[int]) -> None:
    """Be the child: never return."""
    status = 1
    try:
        for number in _LEFT_TO_THE_CARD:
            signal.signal(number, signal.SIG_IGN)
        _close_but(kept)
        limits.no_new_privileges()
        work(connection)
        status = 0
    except BaseException as bug:  # noqa: BLE001 - the top of a process: what no one catches is printed
        sys.excepthook(type(bug), bug, bug.__traceback__)
    os._exit(status)  # nothing of the card's, which this is a copy of, is to be ended here


def _close_but(kept: set[int]) -> None:
    """Close the copies of the card's descriptors: the cable and the client are not to be held by two."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # who reads the card's output sees its end when the card ends
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - names are numbers here
        if fd > 2 and fd not in kept:
            with contextlib.suppress(OSError):  # the one that listed them is gone
                os.close(fd)
