"""Linux's end of ``interop llc``: sockets of AF_LLC, by the C library. Runs in a guest.

``sockaddr_llc`` (linux/llc.h)::

     0        2         4      5     6    7     8        14     16
    +--------+---------+------+-----+----+-----+--------+------+
    | family | arphrd  | test | xid | ua | sap | mac    | zero |
    +--------+---------+------+-----+----+-----+--------+------+
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import struct
import sys

AF_LLC, STREAM, DATAGRAM, ARPHRD_ETHER = 26, 1, 2, 1
PIECE = 1000
LIMIT = 4096
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Do what the first argument says; print JSON."""
    what, sap, ours, theirs, size = sys.argv[1:6]
    told = PARTS[what](int(sap, 0), bytes.fromhex(ours), bytes.fromhex(theirs), int(size))
    print(json.dumps(told))


def connecting(sap: int, ours: bytes, theirs: bytes, size: int) -> dict[str, object]:
    """Connect, send ``size`` bytes, and read as many back."""
    number = bound(STREAM, sap, ours)
    checked(LIBC.connect(number, address(sap, theirs), 16))
    return echoed(number, size)


def listening(sap: int, ours: bytes, _theirs: bytes, size: int) -> dict[str, object]:
    """Take one connection; send back what comes, ``size`` bytes."""
    number = bound(STREAM, sap, ours)
    checked(LIBC.listen(number, 1))
    print("listening", file=sys.stderr, flush=True)
    taken = checked(LIBC.accept(number, None, None))
    got = b""
    while len(got) < size:
        piece = os.read(taken, LIMIT)
        if not piece:
            break
        got += piece
        written(taken, piece)
    while os.read(taken, LIMIT):  # until the peer's DISC: all has arrived
        pass
    return {"bytes": len(got), "sha256": hashlib.sha256(got).hexdigest()}


def datagrams(sap: int, ours: bytes, theirs: bytes, size: int) -> dict[str, object]:
    """Send UI, and have it back, ``size`` times."""
    number, same = bound(DATAGRAM, sap, ours), 0
    for count in range(size):
        data = b"datagram %d" % count
        checked(LIBC.sendto(number, data, len(data), 0, address(sap, theirs), 16))
        same += os.read(number, LIMIT) == data
    return {"same": same}


def echoed(number: int, size: int) -> dict[str, object]:
    """Send a pattern and read it back, a piece at a time."""
    sent = bytes(at * 7 % 251 for at in range(size))
    got = b""
    for at in range(0, size, PIECE):
        written(number, sent[at : at + PIECE])
        while len(got) < min(at + PIECE, size):
            piece = os.read(number, LIMIT)
            if not piece:
                break
            got += piece
    os.close(number)
    return {"bytes": len(got), "same": got == sent}


def written(number: int, data: bytes) -> None:
    """Write all: a socket takes a PDU at a time."""
    while data:
        data = data[os.write(number, data) :]


def bound(kind: int, sap: int, mac: bytes) -> int:
    """Return a socket at a SAP of the card with this address."""
    number = checked(LIBC.socket(AF_LLC, kind, 0))
    checked(LIBC.bind(number, address(sap, mac), 16))
    return int(number)


def address(sap: int, mac: bytes) -> bytes:
    """Return a ``sockaddr_llc``."""
    return struct.pack("=HHBBBB6s2x", AF_LLC, ARPHRD_ETHER, 0, 0, 0, sap, mac)


def checked(answer: int) -> int:
    """Return what the C library did. OSError."""
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


PARTS = {"connect": connecting, "listen": listening, "datagrams": datagrams}

if __name__ == "__main__":
    main()
