"""The Internet checksum (RFC 1071) and the Ethernet FCS. Pure functions on bytes.

The sum of 16-bit words modulo 0xFFFF is the whole number modulo 0xFFFF, because 2**16 is 1 there; the one's
complement sum differs only in writing a multiple of 0xFFFF as 0xFFFF and not as 0. That makes one big
integer the fastest way in Python.
"""

from __future__ import annotations

import zlib

FCS_SIZE = 4


def ones_sum(data: bytes | bytearray | memoryview, initial: int = 0) -> int:
    """Return the 16-bit one's complement sum of big-endian words; an odd length is padded with zero."""
    number = int.from_bytes(data, "big")
    if len(data) & 1:
        number <<= 8
    number += initial
    return number % 0xFFFF or (0xFFFF if number else 0)


def internet(data: bytes | bytearray | memoryview, initial: int = 0) -> int:
    """Return the checksum that goes into a header: the complement of the sum."""
    return 0xFFFF ^ ones_sum(data, initial)


def fcs(frame: bytes | bytearray | memoryview) -> bytes:
    """Return the four bytes of the frame check sequence in the order of the wire (IEEE 802.3, 3.2.9)."""
    return zlib.crc32(frame).to_bytes(FCS_SIZE, "little")


def insert(frame: bytearray, start: int, end: int, where: int, add: int = 0) -> bool:
    """Put the checksum of ``frame[start:end]`` at ``where``; False when the numbers do not fit the frame.

    What lies at ``where`` takes part in the sum: drivers put zero or a pseudo header's sum there.
    ``add`` is added to the sum. A sum of zero in the place of UDP's checksum, 6 bytes after ``start``, is
    sent as 0xFFFF (RFC 768: zero would say "none").
    """
    size = len(frame)
    end = min(end, size)
    if start >= end or where + 2 > size:
        return False
    value = internet(memoryview(frame)[start:end], add)
    if value == 0 and where - start == 6:
        value = 0xFFFF
    frame[where] = value >> 8
    frame[where + 1] = value & 0xFF
    return True
