"""Our end of a transfer: a thread that sends, or one that receives, over a ``socket`` module."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

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


class Sending:
    """Connects, sends ``data``, and waits until the other end closes."""

    def __init__(self, sockets: Any, server: tuple[str, int], data: bytes) -> None:  # noqa: ANN401 - a module
        """Begin, in a thread."""
        self._sockets, self._server, self._data = sockets, server, data
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
            with connected(self._sockets, self._server) as connection:
                connection.settimeout(None)
                connection.sendall(self._data)
                connection.shutdown(self._sockets.SHUT_WR)
                while connection.recv(PIECE):
                    pass
        except OSError as error:
            self._failure = error


class Receiving:
    """Connects and takes everything."""

    def __init__(self, sockets: Any, server: tuple[str, int]) -> None:  # noqa: ANN401 - a module like ``socket``
        """Begin, in a thread."""
        self._sockets, self._server = sockets, server
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
            with connected(self._sockets, self._server) as connection:
                connection.settimeout(None)
                while piece := connection.recv(PIECE):
                    self._digest.update(piece)
        except OSError as error:
            self._failure = error
