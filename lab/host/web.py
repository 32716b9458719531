"""Python's own ``http.server`` over a socket module that is not Python's."""

from __future__ import annotations

import http.server
import threading
from typing import Any

CHUNK = 1 << 16
AGAIN_S = 0.2
"""How long a listener waits that lost its transport before it asks for it again."""


class WebServer:
    """Serves ``files`` by GET and takes more by PUT; one thread a connection."""

    def __init__(
        self,
        sockets: Any,  # noqa: ANN401 - the standard library's own types are as open
        address: tuple[str, int],
        files: dict[str, bytes] | None = None,
    ) -> None:
        self.files = dict(files or {})
        self.failures: list[Exception] = []
        self._sockets = sockets
        self._listener = self._listen(address)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self._address = address[0], self.port

    def start(self) -> None:
        """Serve in a thread."""
        thread = threading.Thread(target=self._serve, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Accept no more, and wait for the connections that there are."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, peer = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                self.failures.append(error)
                self._listen_again()
                continue
            thread = threading.Thread(target=self._handle, args=(connection, peer), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _listen(self, address: tuple[str, int]) -> Any:  # noqa: ANN401 - a socket of the module
        listener = self._sockets.socket()
        try:
            listener.bind(address)
            listener.listen(64)
            listener.settimeout(0.2)
        except OSError:
            listener.close()
            raise
        return listener

    def _listen_again(self) -> None:
        """Return once the transport is there again: somebody has unbound it, and may bind it again."""
        self._listener.close()
        while not self._stopping.wait(AGAIN_S):
            try:
                self._listener = self._listen(self._address)
            except OSError:
                continue
            return

    def _handle(self, connection: Any, peer: Any) -> None:  # noqa: ANN401 - sockets and addresses of the module
        handler = type("Handler", (_Handler,), {"files": self.files})
        try:
            handler(connection, peer, self)
        except OSError as error:  # a peer that is gone, or a transport that was unbound
            self.failures.append(error)
        finally:
            connection.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """The standard library's handler, with two methods."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]

    def do_GET(self) -> None:
        data = self.files.get(self.path)
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        pieces: list[bytes] = []
        while left and (piece := self.rfile.read1(min(left, CHUNK))):
            pieces.append(piece)
            left -= len(piece)
        self.files[self.path] = b"".join(pieces)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""
