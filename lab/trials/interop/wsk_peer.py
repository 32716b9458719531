"""Linux's half of ``interop wsk``, as a program: plain sockets, standard library alone; prints JSON.

::

    wsk_peer.py tcp HOST PORT SIZE...     echo each size over a connection of its own
    wsk_peer.py udp HOST PORT SIZE...     echo each size in a datagram
    wsk_peer.py many HOST PORT COUNT SIZE echo SIZE bytes over COUNT connections at once
    wsk_peer.py abort HOST PORT COUNT     send to the echo, and reset before it has all come back
    wsk_peer.py reset HOST PORT           send to who resets; tell how the connection ended
    wsk_peer.py nc HOST PORT SIZE         have ``nc -N`` echo
    wsk_peer.py serve PORT COUNT          echo COUNT connections and as many datagrams, then end
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
from typing import Any

PATIENCE_S = 60.0
PIECE = 1 << 16
MAX_DATAGRAM = 65507


def pattern(size: int) -> bytes:
    """Return bytes that a size determines."""
    return random.Random(size).randbytes(size)  # noqa: S311 - a pattern, not a secret


def digest(data: bytes) -> str:
    """Return SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def echo(host: str, port: int, data: bytes) -> bytes:
    """Send, close our half, and return what comes back up to the end."""
    with socket.create_connection((host, port), PATIENCE_S) as sock:
        sender = threading.Thread(target=push, args=(sock, data), daemon=True)
        sender.start()
        back = b"".join(iter(lambda: sock.recv(PIECE), b""))
        sender.join(PATIENCE_S)
    return back


def push(sock: socket.socket, data: bytes) -> None:
    """Send and close our half."""
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def compared(size: int, back: bytes) -> dict[str, Any]:
    """Compare by SHA-256."""
    return {"size": size, "bytes": len(back), "same": digest(back) == digest(pattern(size))}


def tcp(host: str, port: int, *sizes: int) -> list[dict[str, Any]]:
    """Echo streams."""
    return [compared(size, echo(host, port, pattern(size))) for size in sizes]


def udp(host: str, port: int, *sizes: int) -> list[dict[str, Any]]:
    """Echo datagrams."""
    found = []
    for size in sizes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect((host, port))
            sock.send(pattern(size))
            found.append(compared(size, sock.recv(MAX_DATAGRAM)))
    return found


def many(host: str, port: int, count: int, size: int) -> dict[str, Any]:
    """Have all connections open before any sends."""
    data, ready = pattern(size), threading.Barrier(count)
    same: list[bool] = []

    def one() -> None:
        with socket.create_connection((host, port), PATIENCE_S) as sock:
            ready.wait(PATIENCE_S)
            threading.Thread(target=push, args=(sock, data), daemon=True).start()
            back = b"".join(iter(lambda: sock.recv(PIECE), b""))
        same.append(digest(back) == digest(data))

    threads = [threading.Thread(target=one, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    return {"count": count, "same": sum(same)}


def abort(host: str, port: int, count: int) -> dict[str, Any]:
    """Reset in the middle."""
    for _ in range(count):
        with socket.create_connection((host, port), PATIENCE_S) as sock:
            sock.sendall(pattern(50_000))
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return {"count": count}


def reset(host: str, port: int) -> dict[str, Any]:
    """Tell how the far end ends."""
    with socket.create_connection((host, port), PATIENCE_S) as sock:
        sock.sendall(b"end it")
        try:
            return {"error": f"{len(sock.recv(1))} bytes"}
        except OSError as error:
            return {"error": type(error).__name__}


def nc(host: str, port: int, size: int) -> dict[str, Any]:
    """Let a foreign program do it; ``there`` is false where there is none."""
    program = shutil.which("nc")
    if program is None:
        return {"there": False}
    done = subprocess.run(
        [program, "-N", host, str(port)],
        input=pattern(size),
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return {"there": True, **compared(size, done.stdout)}


def serve(port: int, count: int) -> dict[str, Any]:
    """Echo."""
    echoed = 0
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("", port))

    def answer() -> None:
        while True:
            data, source = datagrams.recvfrom(MAX_DATAGRAM)
            datagrams.sendto(data, source)

    threading.Thread(target=answer, daemon=True).start()
    with socket.create_server(("", port)) as listener:
        listener.settimeout(PATIENCE_S)
        for _ in range(count):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE_S)
                while piece := connection.recv(PIECE):
                    connection.sendall(piece)
                    echoed += len(piece)
    return {"echoed": echoed}


PARTS = {"tcp": tcp, "udp": udp, "many": many, "abort": abort, "reset": reset, "nc": nc, "serve": serve}


def main() -> None:
    """Do the part that the arguments name."""
    part, *rest = sys.argv[1:]
    arguments: list[Any] = [int(one) if one.isdecimal() else one for one in rest]
    print(json.dumps(PARTS[part](*arguments)))  # type: ignore[operator]  # each has its own arguments


if __name__ == "__main__":
    main()
