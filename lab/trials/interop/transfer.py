"""Our end of a transfer: a thread that sends, or one that receives, over a ``socket`` module."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 1 << 16
PATIENCE_S = 60.0


def connected(sockets: Any, server: tuple[str, int]) -> Any:  # noqa: ANN401 - a module and its socket
    """Connect as soon as somebody listens there. OSError when nobody does in time."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return sockets.create_connection(server, PATIENCE_S)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def listening(sockets: Any, address: tuple[str, int]) -> Callable[[], Any]:  # noqa: ANN401 - a module
    """Listen; return what waits for one connection."""
    listener = sockets.socket()
    listener.bind(address)
    listener.listen(1)
    listener.settimeout(PATIENCE_S)

    def accept() -> Any:  # noqa: ANN401 - a socket
        connection, _ = listener.accept()
        listener.close()
        return connection

    return accept


class Sending:
    """Gets a connection, sends ``data``, and waits until the other end closes."""

    def __init__(self, connect: Callable[[], Any], data: bytes) -> None:
        """Begin, in a thread; ``connect`` returns the connection."""
        self._connect, self._data = connect, data
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, limit_s: float) -> str | None:
        """Return the SHA-256 of what was sent; None when it failed or took longer."""
        self._thread.join(limit_s)
        if self._thread.is_alive() or self._failure:
            return None
        return hashlib.sha256(self._data).hexdigest()

    def _run(self) -> None:
        try:
            with self._connect() as connection:
                connection.settimeout(None)
                connection.sendall(self._data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(PIECE):
                    pass
        except OSError as error:
            self._failure = error


class Receiving:
    """Gets a connection and takes everything."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        """Begin, in a thread; ``connect`` returns the connection."""
        self._connect = connect
        self._digest = hashlib.sha256()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, limit_s: float) -> str | None:
        """Return the SHA-256 of what came; None when it failed or took longer."""
        self._thread.join(limit_s)
        return None if self._thread.is_alive() or self._failure else self._digest.hexdigest()

    def _run(self) -> None:
        try:
            with self._connect() as connection:
                connection.settimeout(None)
                while piece := connection.recv(PIECE):
                    self._digest.update(piece)
        except OSError as error:
            self._failure = error
