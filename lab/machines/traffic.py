"""The host's end of a TCP transfer, as a program: it runs in the wire's namespace, with Python alone.

::

    traffic.py receive PORT          listen, take one connection to its end
    traffic.py send PORT BYTES SEED  listen, send bytes that SEED determines

Either prints one JSON line: ``bytes``, ``sha256``, ``seconds`` (from the first byte to the end).
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import sys
import time

CHUNK_BYTES = 1 << 20
ACCEPT_S = 60.0
STALL_S = 60.0


def listen(port: int) -> socket.socket:
    """Wait for one client on ``port`` of every address and return its connection."""
    with socket.create_server(("", port)) as listening:
        listening.settimeout(ACCEPT_S)
        connection, _ = listening.accept()
    connection.settimeout(STALL_S)
    return connection


def pattern(length_bytes: int, seed: int) -> bytes:
    """Return bytes that do not compress and that the seed determines."""
    return random.Random(seed).randbytes(length_bytes)  # noqa: S311 - a pattern, not a secret


def report(data_bytes: int, digest: str, seconds: float) -> str:
    """Return the line that says what was moved."""
    return json.dumps({"bytes": data_bytes, "sha256": digest, "seconds": round(seconds, 6)})


def receive(port: int) -> str:
    """Take a connection's bytes to the end."""
    digest, total, began = hashlib.sha256(), 0, 0.0
    with listen(port) as connection:
        while piece := connection.recv(CHUNK_BYTES):
            began = began or time.monotonic()
            digest.update(piece)
            total += len(piece)
    return report(total, digest.hexdigest(), time.monotonic() - began if began else 0.0)


def send(port: int, length_bytes: int, seed: int) -> str:
    """Send the pattern and wait until the other end has taken it all and closed."""
    data = pattern(length_bytes, seed)
    with listen(port) as connection:
        began = time.monotonic()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(CHUNK_BYTES):
            pass
        seconds = time.monotonic() - began
    return report(length_bytes, hashlib.sha256(data).hexdigest(), seconds)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        print(send(*map(int, sys.argv[2:5])))
    else:
        print(receive(int(sys.argv[2])))
