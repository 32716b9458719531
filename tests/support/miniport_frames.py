"""Frames and small doubles that the miniport's tests share."""

from __future__ import annotations

import struct

OURS = bytes.fromhex("525400825701")
THEIRS = bytes.fromhex("020000000002")


def plain(number: int, length: int = 60) -> bytes:
    """Return a frame that can be told from others."""
    head = THEIRS + OURS + b"\x88\xb5" + number.to_bytes(4, "big")
    return head.ljust(length, bytes([number & 0xFF]))


def to_us(number: int, length: int = 60) -> bytes:
    """Return a frame to our card."""
    return (OURS + THEIRS + b"\x88\xb5" + number.to_bytes(4, "big")).ljust(length, b"\x5a")


def ones_sum(data: bytes) -> int:
    """Return the 16-bit ones' complement sum (RFC 1071), not inverted."""
    words = struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def ipv4_tcp(payload: bytes, *, port: int = 1000, length_in_sum: bool = True, to: bytes = THEIRS) -> bytes:
    """Return a TCP segment over IPv4 as NDIS transports hand it to a card that sums.

    The IP checksum is 0, the TCP checksum field holds the pseudo-header's sum.
    """
    source, target = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    size = 20 + len(payload)
    pseudo = source + target + struct.pack(">BBH", 0, 6, size if length_in_sum else 0)
    tcp = struct.pack(">HHIIBBHHH", port, 80, 1, 2, 5 << 4, 0x18, 65535, ones_sum(pseudo), 0)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, min(20 + size, 0xFFFF), 7, 0, 64, 6, 0) + source + target
    return to + OURS + b"\x08\x00" + ip + tcp + payload


def tcp_is_right(frame: bytes) -> bool:
    """Tell whether the IP header's and the TCP segment's checksums are those that a peer expects."""
    ip, tcp = frame[14:34], frame[34 : 14 + int.from_bytes(frame[16:18], "big")]
    pseudo = ip[12:20] + struct.pack(">BBH", 0, 6, len(tcp))
    return ones_sum(ip) == 0xFFFF and ones_sum(pseudo + tcp) == 0xFFFF


class Memory:
    """``ndis.hardware.SharedMemory`` over a bytearray."""

    def __init__(self, length: int, address: int = 0x1000) -> None:
        self.address = address
        self.raw = bytearray(length)
        self.view = memoryview(self.raw)
