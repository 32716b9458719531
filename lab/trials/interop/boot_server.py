"""DHCP and TFTP for one guest at the far end of a netns wire, as a program of its own, with Python alone.

::

    boot_server.py SCRIPT PROGRAM     answer DHCP with 10.82.57.2, serve the two files by TFTP

iPXE is told SCRIPT, any other firmware PROGRAM. It knows one client. When that asks for a name that begins
with ``reached-``, the name is printed, and the program ends: a script that was loaded says so that it runs.
Sources: RFC 2131 (DHCP), RFC 2132 (options), RFC 1350 (TFTP), RFC 2347 and 2348 (TFTP options, block size).
"""

from __future__ import annotations

import select
import socket
import struct
import sys
from pathlib import Path

SERVER, CLIENT = "10.82.57.1", "10.82.57.2"
INTERFACE = b"wire0"
COOKIE = b"\x63\x82\x53\x63"
OFFERS = {1: 2, 3: 5}  # DISCOVER: OFFER, REQUEST: ACK
USER_CLASS = 77  # RFC 3004
RRQ, DATA, ACK, ERROR, OACK = 1, 3, 4, 5, 6


def options_of(message: bytes) -> dict[int, bytes]:
    """Return a DHCP message's options."""
    found: dict[int, bytes] = {}
    at = 240
    while at + 1 < len(message) and message[at] != 255:
        if message[at] == 0:
            at += 1
            continue
        length = message[at + 1]
        found[message[at]] = message[at + 2 : at + 2 + length]
        at += 2 + length
    return found


def answer_dhcp(message: bytes, script: str, program: str) -> bytes | None:
    """Return the reply to a client's message: always the same address, and the file for its kind."""
    asked = options_of(message)
    kind = OFFERS.get(asked.get(53, b"\0")[0])
    file = script if asked.get(USER_CLASS) == b"iPXE" else program
    if message[:1] != b"\x01" or message[236:240] != COOKIE or kind is None:
        return None
    address, server = socket.inet_aton(CLIENT), socket.inet_aton(SERVER)
    head = b"\x02" + message[1:4] + message[4:8] + b"\0\0\x80\0" + bytes(4) + address + server + bytes(4)
    head += message[28:44] + bytes(64) + file.encode().ljust(128, b"\0") + COOKIE
    options = {53: bytes([kind]), 54: server, 51: struct.pack("!I", 3600), 1: b"\xff\xff\xff\0", 3: server}
    options |= {66: SERVER.encode(), 67: file.encode()}
    body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    return head + body + b"\xff"


class Transfer:
    """One TFTP transfer, block after block, on a port of its own."""

    def __init__(self, client: tuple[str, int], content: bytes, options: dict[str, str]) -> None:
        """Send the first answer: the options taken over, or the first block."""
        self._content = content
        self._client = client
        self._size = min(int(options.get("blksize", "512")), 1400)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((SERVER, 0))
        taken = {name: value for name, value in options.items() if name in ("blksize", "tsize")}
        if "blksize" in taken:
            taken["blksize"] = str(self._size)
        if "tsize" in taken:
            taken["tsize"] = str(len(content))
        if taken:
            pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in taken.items())
            self.socket.sendto(struct.pack("!H", OACK) + pairs, client)
        else:
            self.send(1)

    def send(self, block: int) -> None:
        """Send a block; block numbers wrap."""
        piece = self._content[(block - 1) * self._size : block * self._size]
        if (block - 1) * self._size <= len(self._content):
            self.socket.sendto(struct.pack("!HH", DATA, block & 0xFFFF) + piece, self._client)

    def receive(self) -> None:
        """Take a confirmation and send what comes after it."""
        message = self.socket.recv(2048)
        if len(message) >= 4 and struct.unpack("!H", message[:2])[0] == ACK:
            self.send(struct.unpack("!H", message[2:4])[0] + 1)


def main(script: str, program: str) -> str:
    """Serve until a name is asked for that begins with ``reached-``; return it."""
    contents = {Path(path).name: Path(path).read_bytes() for path in (script, program)}
    names = [Path(path).name for path in (script, program)]
    dhcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dhcp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    dhcp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INTERFACE)
    dhcp.bind(("", 67))
    tftp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tftp.bind((SERVER, 69))
    transfers: list[Transfer] = []
    while True:
        for ready in select.select([dhcp, tftp, *(one.socket for one in transfers)], [], [])[0]:
            if ready is dhcp:
                reply = answer_dhcp(dhcp.recv(2048), *names)
                if reply is not None:
                    dhcp.sendto(reply, ("255.255.255.255", 68))
            elif ready is tftp:
                message, client = tftp.recvfrom(2048)
                words = message[2:].split(b"\0")
                if words[0].startswith(b"reached-"):
                    tftp.sendto(struct.pack("!HH", ERROR, 1) + b"thank you\0", client)
                    return words[0].decode()
                content = contents.get(words[0].decode(errors="replace"))
                if struct.unpack("!H", message[:2])[0] == RRQ and content is not None:
                    options = [word.decode().lower() for word in words[2:]]
                    taken = dict(zip(options[::2], options[1::2], strict=False))
                    transfers.append(Transfer(client, content, taken))
                else:
                    tftp.sendto(struct.pack("!HH", ERROR, 1) + b"no such file\0", client)
            else:
                next(one for one in transfers if one.socket is ready).receive()


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:3]) + "\n")
