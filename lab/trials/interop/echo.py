"""Our twins of ``winsock/echo_server.c`` and ``winsock/echo_client.c``, on our stack's ``socket``."""

from __future__ import annotations

import functools
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZES = (1, 512, 1459, 1460, 1461, 8192, 65507, 65508, 1_000_000)
"""What is echoed; up to the largest datagram also by UDP."""

MAX_DATAGRAM = 65507
PATIENCE_S = 30.0
PIECE = 1 << 16


def pattern(size: int) -> bytes:
    """Return the bytes that stand for a size; ``pattern`` of ``winsock/common.h`` makes the same."""
    state, made = size, bytearray(size)
    for at in range(size):
        state = (state * 1664525 + 1013904223) & 0xFFFF_FFFF
        made[at] = state >> 24
    return bytes(made)


class EchoServer:
    """Echoes streams and datagrams on ``port``; resets streams on the next one."""

    def __init__(self, sockets: Any, port: int) -> None:  # noqa: ANN401 - a module like ``socket``
        """Listen, and serve until ``close``."""
        self._module = sockets
        self._open = [
            self._listening(port, self._echo),
            self._listening(port + 1, self._reset),
            self._datagrams(port),
        ]

    def close(self) -> None:
        """Serve nobody any more."""
        for one in self._open:
            one.close()

    def _listening(self, port: int, serve: Callable[[Any], None]) -> Any:  # noqa: ANN401 - a socket
        listener = self._module.socket()
        listener.bind(("0.0.0.0", port))  # noqa: S104 - of the emulated card, not of this machine
        listener.listen(16)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listener

    def _echo(self, connection: Any) -> None:  # noqa: ANN401 - a socket
        try:
            while piece := connection.recv(PIECE):
                connection.sendall(piece)
            connection.shutdown(self._module.SHUT_WR)
        except OSError:
            return  # the peer's reset is the end, too
        finally:
            connection.close()

    def _reset(self, connection: Any) -> None:  # noqa: ANN401 - a socket
        connection.recv(1)
        hard = struct.pack("<ii", 1, 0)
        connection.setsockopt(self._module.SOL_SOCKET, self._module.SO_LINGER, hard)
        connection.close()

    def _datagrams(self, port: int) -> Any:  # noqa: ANN401 - a socket
        sock = self._module.socket(self._module.AF_INET, self._module.SOCK_DGRAM)
        sock.bind(("0.0.0.0", port))  # noqa: S104 - of the emulated card, not of this machine

        def answer() -> None:
            while True:
                try:
                    data, source = sock.recvfrom(PIECE)
                    sock.sendto(data, source)
                except ConnectionResetError:
                    continue  # an answer found nobody: Windows tells it here
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        return sock


def echoes(sockets: Any, host: str, port: int, sizes: Sequence[int] = SIZES) -> list[str]:  # noqa: ANN401 - a module
    """Have each size echoed; return a line for each, as the program in C prints them."""
    lines: list[str] = []
    for size in sizes:
        data = pattern(size)
        lines.append(f"tcp {size} {_told(functools.partial(_stream, sockets, (host, port)), data)}")
        if size <= MAX_DATAGRAM:
            lines.append(f"udp {size} {_told(functools.partial(_datagram, sockets, (host, port)), data)}")
    return lines


def wait_for(sockets: Any, host: str, port: int) -> None:  # noqa: ANN401 - a module like ``socket``
    """Wait until somebody listens there. TimeoutError."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            sockets.create_connection((host, port), 2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"nobody listens at {host}:{port}")


def _told(exchange: Callable[[bytes], bytes], data: bytes) -> str:
    try:
        back = exchange(data)
    except OSError as error:
        return str(error)
    return "same" if back == data else f"differs, {len(back)} bytes"


def _stream(sockets: Any, peer: tuple[str, int], data: bytes) -> bytes:  # noqa: ANN401 - a module
    with sockets.create_connection(peer, PATIENCE_S) as connection:
        sender = threading.Thread(target=_push, args=(sockets, connection, data), daemon=True)
        sender.start()
        pieces: list[bytes] = []
        while piece := connection.recv(PIECE):
            pieces.append(piece)
        sender.join(PATIENCE_S)
    return b"".join(pieces)


def _push(sockets: Any, connection: Any, data: bytes) -> None:  # noqa: ANN401 - a module and its socket
    connection.sendall(data)
    connection.shutdown(sockets.SHUT_WR)


def _datagram(sockets: Any, peer: tuple[str, int], data: bytes) -> bytes:  # noqa: ANN401 - a module
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.sendto(data, peer)
        back: bytes = sock.recvfrom(PIECE)[0]
        return back
