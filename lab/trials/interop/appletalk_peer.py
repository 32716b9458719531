"""Linux's end of ``interop appletalk``: the interface's address and sockets of AF_APPLETALK. Runs in a guest.

``sockaddr_at`` (linux/atalk.h); where an interface is given its address, the range lies in its last bytes::

     0        2      3    4         6      7    8       9    10      12
    +--------+------+----+---------+------+----+-------+----+-------+-------+-----
    | family | port | 00 | network | node | 00 | phase | 00 | first | last  | 0000
    +--------+------+----+---------+------+----+-------+----+-------+-------+-----

The first byte of a datagram, to and from a socket, is its DDP type.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import struct
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

AF_APPLETALK, DATAGRAM = 5, 2
SIOCGIFADDR, SIOCSIFADDR = 0x8915, 0x8916
PHASE_2 = 2
FIRST, LAST = 0xFF00, 0xFFFE
ECHO_SOCKET, AEP = 4, 4
REQUEST, REPLY = 1, 2
LIMIT = 1024
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Do what the first argument says; print JSON."""
    what, *rest = sys.argv[1:]
    print(json.dumps(PARTS[what](*rest)))


def claim(interface: str, network: str, node: str) -> dict[str, object]:
    """Give the interface an address, which Linux probes for; tell what it has then."""
    number = checked(LIBC.socket(AF_APPLETALK, DATAGRAM, 0))
    wanted = struct.pack("=HBx", AF_APPLETALK, 0) + struct.pack(">HBx", int(network), int(node))
    wanted += struct.pack(">BxHH2x", PHASE_2, FIRST, LAST)
    fcntl.ioctl(number, SIOCSIFADDR, interface.encode().ljust(16, b"\0") + wanted + bytes(8))
    told = fcntl.ioctl(number, SIOCGIFADDR, interface.encode().ljust(16, b"\0") + bytes(24))
    return {"network": int.from_bytes(told[20:22], "big"), "node": told[22]}


def serve(count: str) -> dict[str, object]:
    """Answer echo requests."""
    number = bound(ECHO_SOCKET)
    print("listening", file=sys.stderr, flush=True)
    answered = 0
    while answered < int(count):
        buffer, source = ctypes.create_string_buffer(LIMIT), ctypes.create_string_buffer(16)
        length = ctypes.c_uint(16)
        size = checked(LIBC.recvfrom(number, buffer, LIMIT, 0, source, ctypes.byref(length)))
        data = buffer.raw[:size]
        if data[:2] == bytes((AEP, REQUEST)):
            answer = bytes((AEP, REPLY)) + data[2:]
            checked(LIBC.sendto(number, answer, len(answer), 0, source, 16))
            answered += 1
    return {"answered": answered}


def ask(network: str, node: str, count: str) -> dict[str, object]:
    """Send echo requests of growing size; count what comes back as it was sent."""
    number, same = bound(0), 0
    began = time.monotonic()
    to = struct.pack("=HBx", AF_APPLETALK, ECHO_SOCKET) + struct.pack(">HBx8x", int(network), int(node))
    for at in range(int(count)):
        data = bytes(at % 251 for at in range(1 + at * 585 // max(int(count) - 1, 1) - (at > 0)))
        asked = bytes((AEP, REQUEST)) + data
        checked(LIBC.sendto(number, asked, len(asked), 0, to, 16))
        same += os.read(number, LIMIT) == bytes((AEP, REPLY)) + data
    return {"same": same, "seconds": time.monotonic() - began}


def bound(port: int) -> int:
    """Return a socket."""
    number = checked(LIBC.socket(AF_APPLETALK, DATAGRAM, 0))
    limit = struct.pack("@ll", 10, 0)
    checked(LIBC.setsockopt(number, 1, 20, limit, len(limit)))  # SO_RCVTIMEO
    checked(LIBC.bind(number, struct.pack("=HBx12x", AF_APPLETALK, port), 16))
    return int(number)


def checked(answer: int) -> int:
    """Return what the C library did. OSError."""
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


PARTS: dict[str, Callable[..., dict[str, object]]] = {"claim": claim, "serve": serve, "ask": ask}

if __name__ == "__main__":
    main()
