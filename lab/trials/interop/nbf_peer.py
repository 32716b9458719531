"""Linux's end of ``interop nbf``: NetBIOS frames over the kernel's ``llc2`` links. Runs in a guest.

It imports nothing of ours. UI goes by a packet socket, as ``llc2`` gives SAP F0 to one socket alone; I PDUs
go by a stream socket of AF_LLC. What a read returns may hold several PDUs: they are parted at the NetBIOS
header, which the data here never holds.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

AF_LLC, ARPHRD_ETHER, SAP = 26, 1, 0xF0
TO_ALL = bytes.fromhex("030000000001")
NAME_HEAD, SESSION_HEAD = "<HHBBHHH16s16s", "<HHBBHHHBB"
MARK = b"\x0e\x00\xff\xef"
PIECE, LIMIT_S, RETRY_S = 1400, 60, 0.5
QUERY, RECOGNIZED = 0x0A, 0x0E
ACK, FIRST, LAST, CONFIRM, END, INITIALIZE = 0x14, 0x15, 0x16, 0x17, 0x18, 0x19
NO_RECEIVE, OUTSTANDING, CONTINUE = 0x1A, 0x1B, 0x1C
OURS, THEIRS = b"LINUX".ljust(15) + b"\x20", b"RINGWALK".ljust(15) + b"\x20"
NUMBER = 9
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Do what the first argument says; print JSON."""
    what, interface, ours, theirs, size = sys.argv[1:6]
    peer = Peer(interface, bytes.fromhex(ours), bytes.fromhex(theirs))
    print(json.dumps({"call": peer.call, "listen": peer.listen}[what](int(size))))


class Peer:
    """A station with one session."""

    def __init__(self, interface: str, mac: bytes, theirs: bytes) -> None:
        self.mac, self.theirs = mac, theirs
        self.packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.packets.bind((interface, 3))
        joined = struct.pack("iHH8s", socket.if_nametoindex(interface), 0, 6, TO_ALL)
        self.packets.setsockopt(263, 1, joined)  # SOL_PACKET, PACKET_ADD_MEMBERSHIP
        self.link = checked(LIBC.socket(AF_LLC, 1, 0))
        checked(LIBC.bind(self.link, address(mac), 16))
        self.remote = 0
        self.queue: list[bytes] = []
        self.seen: list[int] = []
        """The commands that came over the link."""

    def call(self, size: int) -> dict[str, object]:
        """Call, send a message, have it back, end the session."""
        end = time.monotonic() + LIMIT_S
        answer = None
        while answer is None and time.monotonic() < end:
            self.send_name(TO_ALL, QUERY, THEIRS, OURS, data2=NUMBER, response=77)
            answer = self.name_frame(RECOGNIZED, RETRY_S)
        if answer is None:
            raise SystemExit("nobody has the name")
        self.remote = answer[4] & 0xFF
        checked(LIBC.connect(self.link, address(self.theirs), 16))
        self.send(INITIALIZE, data1=0x05, data2=PIECE, transmit=answer[6], response=78)
        self.wait(CONFIRM)
        data = pattern(size)
        self.message(data)
        back = self.received()
        self.send(END)
        os.close(self.link)
        return {"same": back == data, "bytes": len(back), "seen": sorted(set(self.seen))}

    def listen(self, size: int) -> dict[str, object]:
        """Take a call; send each message back."""
        checked(LIBC.listen(self.link, 1))
        print("listening", file=sys.stderr, flush=True)
        listening, accepted = self.link, None
        end = time.monotonic() + LIMIT_S
        while accepted is None and time.monotonic() < end:
            waited: list[Any] = [listening, self.packets]
            ready, _, _ = select.select(waited, [], [], 1)
            if listening in ready:
                accepted = checked(LIBC.accept(listening, None, None))
            elif ready:
                query = self.name_frame(QUERY, 0.1)
                if query is not None and query[7] == OURS:
                    self.remote = query[4] & 0xFF
                    self.send_name(
                        self.theirs, RECOGNIZED, query[8], OURS, data2=NUMBER, transmit=query[6], response=5
                    )
        if accepted is None:
            raise SystemExit("nobody called")
        self.link = accepted
        first = self.wait(INITIALIZE)
        self.send(CONFIRM, data1=1, data2=PIECE, transmit=first[6])
        got = self.received()
        self.message(got)
        self.wait(END)
        sha = hashlib.sha256(got).hexdigest()
        return {
            "same": got == pattern(size),
            "bytes": len(got),
            "sha256": sha,
            "seen": sorted(set(self.seen)),
        }

    # Messages

    def message(self, data: bytes) -> None:
        """Send a message, as the receiver's flow control lets it go."""
        at, resync, may_ask = 0, 0, True
        while True:
            piece = data[at : at + PIECE]
            at += len(piece)
            is_last = at == len(data)
            asks, may_ask = may_ask and not is_last, False
            self.send(LAST if is_last else FIRST, data1=int(asks), data2=resync, response=40, data=piece)
            resync = 0
            if not (asks or is_last or self.pending()):
                continue
            came = self.frame()
            if came[2] == NO_RECEIVE:
                came = self.wait(OUTSTANDING)
                at, resync = came[4], 1
            elif came[2] == ACK:
                return

    def received(self) -> bytes:
        """Return the next message, and acknowledge it."""
        data = b""
        while True:
            came = self.frame()
            if came[2] not in (FIRST, LAST):
                continue
            data += bytes(came[9])
            if came[2] == LAST:
                self.send(ACK, transmit=came[6])
                return data
            if came[3] & 1:
                self.send(CONTINUE, transmit=came[6])

    # Frames

    def wait(self, command: int) -> tuple[Any, ...]:
        """Return the next frame of a command."""
        while True:
            came = self.frame()
            if came[2] == command:
                return came

    def pending(self) -> bool:
        """Whether a frame has come."""
        return bool(self.queue) or bool(select.select([self.link], [], [], 0)[0])

    def frame(self) -> tuple[Any, ...]:
        """Return the next frame of the session: its header's fields, and its data."""
        while not self.queue:
            raw = os.read(self.link, 1 << 16)
            if not raw:
                raise SystemExit("the link is down")
            self.queue += [MARK + part for part in raw.split(MARK)[1:]]
        raw = self.queue.pop(0)
        fields = struct.unpack(SESSION_HEAD, raw[:14])
        self.seen.append(fields[2])
        return (*fields, raw[14:])

    def send(
        self,
        command: int,
        *,
        data1: int = 0,
        data2: int = 0,
        transmit: int = 0,
        response: int = 0,
        data: bytes = b"",
    ) -> None:
        """Send a frame of the session, a PDU."""
        numbers = data1, data2, transmit, response, self.remote, NUMBER
        raw = struct.pack(SESSION_HEAD, 14, 0xEFFF, command, *numbers) + data
        if os.write(self.link, raw) != len(raw):
            raise SystemExit("a PDU was cut")

    def send_name(
        self,
        to: bytes,
        command: int,
        name: bytes,
        source: bytes,
        *,
        data2: int = 0,
        transmit: int = 0,
        response: int = 0,
    ) -> None:
        """Send UI."""
        body = bytes((SAP, SAP, 3))
        body += struct.pack(NAME_HEAD, 44, 0xEFFF, command, 0, data2, transmit, response, name, source)
        self.packets.send((to + self.mac + struct.pack(">H", len(body)) + body).ljust(60, b"\0"))

    def name_frame(self, command: int, limit_s: float) -> tuple[Any, ...] | None:
        """Return the next UI frame of a command, within a time."""
        end = time.monotonic() + limit_s
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.packets], [], [], left)[0]:
                return None
            raw = self.packets.recv(2048)
            is_netbios = raw[6:12] == self.theirs and raw[14:17] == b"\xf0\xf0\x03" and len(raw) >= 61
            if is_netbios and raw[21] == command:
                return struct.unpack(NAME_HEAD, raw[17:61])
        return None


def pattern(size: int) -> bytes:
    """Return bytes without FF."""
    return bytes(at * 7 % 251 for at in range(size))


def address(mac: bytes) -> bytes:
    """Return a ``sockaddr_llc``."""
    return struct.pack("=HHBBBB6s2x", AF_LLC, ARPHRD_ETHER, 0, 0, 0, SAP, mac)


def checked(answer: int) -> int:
    """Return what the C library did. OSError."""
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


if __name__ == "__main__":
    main()
