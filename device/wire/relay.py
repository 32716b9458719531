"""Datagrams to a path that a confined card may not reach: a process with its user's rights sends them.

It sends on the card's own socket, so the other end sees the address that it knows, also when it has connected
its socket there (unix(7): then it hears nobody else). A frame is one packet to the helper.
"""

from __future__ import annotations

import functools
import socket
import time
from typing import Final

from device.sandbox.helper import Helper
from device.wire.contract import LARGEST_FRAME_BYTES

_FULL_S: Final = 1.0
"""How long a frame waits for an end that does not read; then it is lost."""
_LOOK_S: Final = 0.0005


class DatagramRelay:
    """The helper, as the card's port sees it."""

    def __init__(self, local: socket.socket, remote: str) -> None:
        self._frames, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        work = functools.partial(_relay, local, theirs, remote)
        self._helper = Helper(work, (local.fileno(), theirs.fileno()))
        theirs.close()
        self._frames.setblocking(False)  # noqa: FBT003 - the socket module's signature

    def send(self, data: bytes) -> int:
        """Hand a frame over. BlockingIOError: the other end does not take what was handed over before."""
        return self._frames.send(data)

    def close(self) -> None:
        """End the process."""
        self._frames.close()
        self._helper.close()


def _relay(local: socket.socket, frames: socket.socket, remote: str, _: socket.socket) -> None:
    """Send what comes, until the card is gone."""
    while data := frames.recv(LARGEST_FRAME_BYTES + 1):
        deadline = time.monotonic() + _FULL_S
        while time.monotonic() < deadline:
            try:
                local.sendto(data, remote)
            except BlockingIOError:
                time.sleep(_LOOK_S)  # poll(2) knows nothing of the queue at the other end
                continue
            except OSError:  # nobody is there: lost, as on a cable
                pass
            break
