"""The module ``_ssl`` of a program over the stack: OpenSSL over memory, carried by sockets of the stack.

Python's ``ssl.py`` asks ``_SSLContext._wrap_socket`` for an object that reads and writes a descriptor. A
socket of the stack has none, so the object here moves TLS records between two MemoryBIOs and the socket.
"""

from __future__ import annotations

import _ssl
import ssl
import time
import types
from typing import TYPE_CHECKING, Any

from protocols.apis.winsock.pysocket.base import BaseSocket

if TYPE_CHECKING:
    from collections.abc import Callable

RECORD = 1 << 16
"""How much is read of the socket at once."""


class Carried:
    """``_ssl._SSLSocket``: the TLS end of one socket. What it does not do itself is OpenSSL's object's."""

    def __init__(self, end: Any, incoming: Any, outgoing: Any, sock: Any) -> None:  # noqa: ANN401 - OpenSSL's and the stack's
        self._end = end
        self._incoming = incoming
        self._outgoing = outgoing
        self._sock = sock
        self._unsent = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - OpenSSL's own
        """Ask OpenSSL's object."""
        return getattr(self._end, name)

    @property
    def context(self) -> Any:  # noqa: ANN401 - an SSLContext
        """The context."""
        return self._end.context

    @context.setter
    def context(self, value: Any) -> None:  # noqa: ANN401 - an SSLContext
        self._end.context = value

    @property
    def session(self) -> Any:  # noqa: ANN401 - an SSLSession
        """The session."""
        return self._end.session

    @session.setter
    def session(self, value: Any) -> None:  # noqa: ANN401 - an SSLSession
        self._end.session = value

    def do_handshake(self) -> None:
        """Shake hands.

        A client of TLS 1.3 may have gone when the server sends its tickets; the handshake succeeded all the
        same (OpenSSL, ssl/statem/statem_srvr.c, "We ignore connection closed errors in TLSv1.3").
        """
        try:
            self._carried(self._end.do_handshake)
        except (BrokenPipeError, ConnectionResetError):
            if not self._end.server_side or self._end.version() != "TLSv1.3":  # None: not finished
                raise
            self._unsent = b""

    def read(self, size: int, buffer: Any = None) -> Any:  # noqa: ANN401 - bytes, or how many went into the buffer
        """Read what was decrypted."""
        if buffer is None:
            return self._carried(lambda: self._end.read(size))
        return self._carried(lambda: self._end.read(size, buffer))

    def write(self, data: Any) -> int:  # noqa: ANN401 - anything with a buffer
        """Encrypt and send. SSLWantWriteError: what was encrypted before has not gone yet."""
        if self._unsent:
            self._flush(self._deadline(), ssl.SSLWantWriteError)
        return int(self._carried(lambda: self._end.write(data), keeps=True))

    def shutdown(self) -> Any:  # noqa: ANN401 - the socket
        """Say the end, and wait for the peer's."""
        self._carried(self._end.shutdown)
        return self._sock

    def _deadline(self) -> float | None:
        seconds = self._sock.gettimeout()
        return time.monotonic() + seconds if seconds else None

    def _carried(self, call: Callable[[], Any], *, keeps: bool = False) -> Any:  # noqa: ANN401 - the call's own
        """Repeat a call until it needs no more of the socket. ``keeps``: what cannot go yet is kept."""
        deadline = self._deadline()
        while True:
            try:
                found = call()
            except ssl.SSLWantReadError:
                self._flush(deadline, ssl.SSLWantWriteError)
                self._fill(deadline)
                continue
            except ssl.SSLError:
                self._flush_alert()
                raise
            try:
                self._flush(deadline, ssl.SSLWantWriteError)
            except ssl.SSLWantWriteError:
                if not keeps:
                    raise
            return found

    def _fill(self, deadline: float | None) -> None:
        with _Within(self._sock, deadline, "The read operation timed out"):
            try:
                raw = BaseSocket.recv(self._sock, RECORD)
            except BlockingIOError:
                raise ssl.SSLWantReadError(
                    ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)"
                ) from None
        if raw:
            self._incoming.write(raw)
        else:
            self._incoming.write_eof()

    def _flush(self, deadline: float | None, wants: type[ssl.SSLError]) -> None:
        self._unsent += self._outgoing.read()
        with _Within(self._sock, deadline, "The write operation timed out"):
            while self._unsent:
                try:
                    sent = BaseSocket.send(self._sock, self._unsent)
                except BlockingIOError:
                    raise wants(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)") from None
                self._unsent = self._unsent[sent:]

    def _flush_alert(self) -> None:
        """Send the alert of a failure, if the peer is still there."""
        try:
            self._flush(self._deadline(), ssl.SSLWantWriteError)
        except OSError:
            self._unsent = b""


class _Within:
    """A socket's timeout for the rest of a deadline."""

    def __init__(self, sock: Any, deadline: float | None, words: str) -> None:  # noqa: ANN401 - the stack's
        self._sock = sock
        self._deadline = deadline
        self._words = words
        self._before: float | None = None

    def __enter__(self) -> None:
        """Shorten it. TimeoutError: the deadline is over."""
        self._before = self._sock.gettimeout()
        if self._deadline is None:
            return
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(self._words)
        self._sock.settimeout(left)

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        """Put it back."""
        if self._deadline is not None and self._sock.fileno() >= 0:
            self._sock.settimeout(self._before)
        if isinstance(error, TimeoutError):
            raise TimeoutError(self._words) from None


def ssl_module() -> types.ModuleType:
    """Return a module ``_ssl`` whose contexts wrap sockets of the stack."""

    class Context(_ssl._SSLContext):  # noqa: SLF001 - ssl.py's own base class
        """``_ssl._SSLContext`` that wraps what has no descriptor."""

        def _wrap_socket(
            self,
            sock: Any,  # noqa: ANN401 - the stack's
            server_side: bool,  # noqa: FBT001 - ssl.py's call
            server_hostname: str | None = None,
            *,
            owner: Any = None,  # noqa: ANN401 - an SSLSocket
            session: Any = None,  # noqa: ANN401 - an SSLSession
        ) -> Carried:
            incoming, outgoing = _ssl.MemoryBIO(), _ssl.MemoryBIO()
            whole: Any = self  # typeshed does not know _wrap_bio
            end = whole._wrap_bio(  # noqa: SLF001 - as ssl.py calls it
                incoming, outgoing, server_side, server_hostname, owner=owner, session=session
            )
            return Carried(end, incoming, outgoing, sock)

    module = types.ModuleType("_ssl", _ssl.__doc__)
    own = ("__name__", "__doc__", "__spec__", "__loader__", "__file__")
    vars(module).update({name: one for name, one in vars(_ssl).items() if name not in own})
    vars(module)["_SSLContext"] = Context
    return module
