"""How a wire finds its other end, again and again: here, or in a process of its own for a card that may not.

A helper process (``device.sandbox.helper``) makes the connection, hosts the switch where this is the first
card on it, and hands the connected descriptor over. A request is one byte; an answer is one line, ``OK
FRAMING`` with the descriptor, ``NOT YET``, or ``ERROR`` and an errno.
"""

from __future__ import annotations

import functools
import os
import select
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from device.sandbox.helper import Helper
from device.wire.contract import Framing
from device.wire.port import Port
from device.wire.pump import Link

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_S: Final = 5.0
_LATER_MS: Final = 20
_ANSWER_BYTES: Final = 64


class Dialer(Protocol):
    """Makes the connection of a wire."""

    def dial(self) -> Link | None:
        """Return a connection, or None when nobody is there yet. Raises ``OSError``."""

    def redial(self) -> Link | None:
        """Like ``dial``; an error means not yet."""

    def close(self) -> None:
        """Give up what was made for it: a listener, a path, a switch."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How wires are opened."""

    started: bool = True
    """Whether their threads run at once; else ``device.wire.spec.start`` starts them."""
    elsewhere: bool = False
    """Whether connections are made by helper processes. They are forked, so there is one thread only."""

    def dialer(self, make: Callable[[], Dialer]) -> Dialer:
        """Return what dials as the dialer of ``make`` does. OSError."""
        return RemoteDialer(make) if self.elsewhere else make()


AT_ONCE: Final = Opening()
FOR_A_SANDBOX: Final = Opening(started=False, elsewhere=True)


class RemoteDialer:
    """A dialer in a helper process."""

    def __init__(self, make: Callable[[], Dialer]) -> None:
        """Fork the process, in which ``make`` is called. OSError."""
        self._helper = Helper(functools.partial(_dial_for, make))
        self._asked = False

    def dial(self) -> Link | None:
        """Ask, and wait for the answer. Raises ``OSError``."""
        return self._answer(_FIRST_S * 1000)

    def redial(self) -> Link | None:
        """Ask, and look for an answer: to this question, or to one that was asked before."""
        try:
            return self._answer(_LATER_MS)
        except OSError:
            return None

    def close(self) -> None:
        """End the process, which gives up what it made."""
        self._helper.close()

    def _answer(self, timeout_ms: float) -> Link | None:
        if not self._asked:
            self._helper.socket.send(b"?")
            self._asked = True
        poll = select.poll()
        poll.register(self._helper.socket, select.POLLIN)
        if not poll.poll(timeout_ms):
            return None
        self._asked = False
        line, fds, _, _ = socket.recv_fds(self._helper.socket, _ANSWER_BYTES, 1)
        return _understood(line.decode().split(), fds)


def _understood(words: list[str], fds: list[int]) -> Link | None:
    match words:
        case ["OK", framing] if fds:
            return Link(Port(fds[0], Framing(framing)), functools.partial(os.close, fds[0]))
        case ["ERROR", number]:
            raise OSError(int(number), os.strerror(int(number)))
    return None


def _dial_for(make: Callable[[], Dialer], connection: socket.socket) -> None:
    """Dial whenever it is asked for, until the card is gone."""
    dialer = make()
    try:
        while connection.recv(1):
            try:
                link = dialer.dial()
            except OSError as error:
                connection.send(f"ERROR {error.errno}\n".encode())
                continue
            if link is None:
                connection.send(b"NOT YET\n")
                continue
            socket.send_fds(connection, [f"OK {link.port.framing.value}\n".encode()], [link.port.fd])
            link.close()
    except ConnectionError:  # the card was killed meanwhile
        return
    finally:
        dialer.close()
