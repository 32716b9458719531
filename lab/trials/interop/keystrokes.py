"""The far end of ``interop prompt``, as a program with Python alone: it types, or it moves bulk.

::

    keystrokes.py type HOST PORT COUNT PAUSE_MS    send a byte, wait for its echo, pause; print the times
    keystrokes.py send HOST PORT SECONDS           send as fast as it goes; print the bytes
    keystrokes.py receive HOST PORT SECONDS        receive as fast as it comes; print the bytes

Each prints one JSON line.
"""

from __future__ import annotations

import json
import socket
import sys
import time

STALL_S = 30.0
PIECE = 1 << 16


def keys(sock: socket.socket, count: int, pause_ms: int) -> list[int]:
    """Return each echo's time in microseconds."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times = []
    for number in range(count):
        began = time.monotonic_ns()
        sock.sendall(bytes((number & 0xFF,)))
        if sock.recv(1) != bytes((number & 0xFF,)):
            raise ConnectionError("another byte came back")
        times.append((time.monotonic_ns() - began) // 1000)
        time.sleep(pause_ms / 1000)
    return times


def bulk(sock: socket.socket, seconds: float, *, send: bool) -> int:
    """Return how many bytes went."""
    end, total, block = time.monotonic() + seconds, 0, bytes(PIECE)
    while time.monotonic() < end:
        total += sock.send(block) if send else len(sock.recv(PIECE))
    return total


def main(argv: list[str]) -> None:
    """Do what the arguments say."""
    what, host, port, *rest = argv
    with socket.create_connection((host, int(port)), STALL_S) as sock:
        if what == "type":
            print(json.dumps({"us": keys(sock, int(rest[0]), int(rest[1]))}))
        else:
            print(json.dumps({"bytes": bulk(sock, float(rest[0]), send=what == "send")}))


if __name__ == "__main__":
    main(sys.argv[1:])
