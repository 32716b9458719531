"""Receive side scaling: the Toeplitz hash, its types, the redirection table (datasheet, RSS).

Pure functions on the register file's words and a parsed packet. Verified against the vectors that
Microsoft publishes with "Verifying the RSS Hash Calculation".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from device.regs.nic import NIC
from device.regs.words import place

if TYPE_CHECKING:
    from formats.packet import Packet

_MRQC, _RETA, _RSSRK = place("MRQC"), place("RETA"), place("RSSRK")
_RFCTL, _RXCSUM = place("RFCTL"), place("RXCSUM")
_ENABLE = NIC["MRQC"]["ENABLE"]
_TCPIPV4, _IPV4 = NIC["MRQC"]["TCPIPV4"].mask, NIC["MRQC"]["IPV4"].mask
_TCPIPV6, _IPV6EX = NIC["MRQC"]["TCPIPV6EX"].mask, NIC["MRQC"]["IPV6EX"].mask
_IPV6 = NIC["MRQC"]["IPV6"].mask
_EX_DIS = NIC["RFCTL"]["IPV6_EX_DIS"].mask
_NEW_EX_DIS = NIC["RFCTL"]["NEW_IPV6_EXT_DIS"].mask
_EXTEN, _PCSD = NIC["RFCTL"]["EXTEN"].mask, NIC["RXCSUM"]["PCSD"].mask

KEY_BITS = 320
TYPE_NONE, TYPE_TCPIPV4, TYPE_IPV4, TYPE_TCPIPV6, TYPE_IPV6EX, TYPE_IPV6 = range(6)


class Choice(NamedTuple):
    """What RSS says of a packet: the descriptor's hash and type, and the queue."""

    hash: int
    type: int
    queue: int


NO_CHOICE = Choice(0, TYPE_NONE, 0)


def toeplitz(key: int, data: bytes) -> int:
    """Return the 32-bit hash of ``data`` under a key of 320 bits (most significant bit first)."""
    result = 0
    window = KEY_BITS - 32
    for byte in data:
        if byte:
            for bit in range(8):
                if byte & 0x80 >> bit:
                    result ^= key >> (window - bit)
        window -= 8
    return result & 0xFFFF_FFFF


def key(words: list[int]) -> int:
    """Return RSSRK's 40 bytes, byte 0 of register 0 first, as one number."""
    raw = b"".join(word.to_bytes(4, "little") for word in words[_RSSRK : _RSSRK + KEY_BITS // 32])
    return int.from_bytes(raw, "big")


def enabled(words: list[int]) -> bool:
    """Tell whether packets are hashed: RSS chosen, the hash wanted, and a format that can report it."""
    return bool(
        words[_MRQC] & _ENABLE.mask == _ENABLE.put(1) and words[_RXCSUM] & _PCSD and words[_RFCTL] & _EXTEN
    )


def hash_type(words: list[int], packet: Packet) -> int:
    """Return which hash MRQC and RFCTL ask for: the most specific that is enabled."""
    mrqc = words[_MRQC]
    if packet.version == 4:
        if packet.is_tcp and mrqc & _TCPIPV4:
            return TYPE_TCPIPV4
        return TYPE_IPV4 if mrqc & _IPV4 else TYPE_NONE
    if packet.version != 6:
        return TYPE_NONE
    rfctl = words[_RFCTL]
    if not (rfctl & _EX_DIS and packet.extended) and not (rfctl & _NEW_EX_DIS and packet.mobile):
        if packet.is_tcp and mrqc & _TCPIPV6:
            return TYPE_TCPIPV6
        if mrqc & _IPV6EX:
            return TYPE_IPV6EX
    return TYPE_IPV6 if mrqc & _IPV6 else TYPE_NONE


def choose(words: list[int], frame: bytes, packet: Packet) -> Choice:
    """Return the hash, its type and the queue for a packet."""
    kind = hash_type(words, packet)
    if kind == TYPE_NONE:
        return NO_CHOICE
    if kind == TYPE_IPV6:  # without extensions: the header's own addresses
        data = frame[packet.network + 8 : packet.network + 40]
    else:
        data = packet.source + packet.destination
    if kind in (TYPE_TCPIPV4, TYPE_TCPIPV6):
        data += frame[packet.transport : packet.transport + 4]
    value = toeplitz(key(words), data)
    index = value & 0x7F
    entry = words[_RETA + (index >> 2)] >> 8 * (index & 3) & 0xFF
    return Choice(value, kind, entry >> 7)
