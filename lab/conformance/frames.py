"""Frames for the checks, built from nothing but their fields.

Sources: IEEE 802.3, 802.1Q; RFC 791, 768, 9293, 8200, 1071. It shares no code with the
card on purpose: a mistake made in both places would not show.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

CARD_MAC = bytes.fromhex("525400123456")
PEER_MAC = bytes.fromhex("020000000099")
BROADCAST = b"\xff" * 6
ETH_IPV4, ETH_IPV6, ETH_VLAN, ETH_PTP = 0x0800, 0x86DD, 0x8100, 0x88F7
TCP, UDP = 6, 17
IPV4_A, IPV4_B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
IPV6_A = bytes.fromhex("fd000000000000000000000000000001")
IPV6_B = bytes.fromhex("fd000000000000000000000000000002")
PAUSE_GROUP = bytes.fromhex("0180c2000001")


def payload(length: int, seed: int = 0) -> bytes:
    """Return bytes that differ from their neighbours and from another seed's."""
    return bytes((index * 7 + seed * 13 + (index >> 8)) & 0xFF for index in range(length))


def ethernet(
    data: bytes, *, to: bytes = PEER_MAC, sender: bytes = CARD_MAC, ethertype: int = 0x88B5
) -> bytes:
    """Return an Ethernet II frame (88B5: IEEE's local experimental ethertype), not padded."""
    return to + sender + struct.pack(">H", ethertype) + data


def tagged(frame: bytes, tag: int, ethertype: int = ETH_VLAN) -> bytes:
    """Return the frame with an 802.1Q tag after its addresses."""
    return frame[:12] + struct.pack(">HH", ethertype, tag) + frame[12:]


def padded(frame: bytes, length: int = 60) -> bytes:
    """Return the frame with zeros up to the minimum length, FCS not counted."""
    return frame.ljust(length, b"\0")


def ones_sum(data: bytes) -> int:
    """Return the 16-bit one's complement sum (RFC 1071), not inverted."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data: bytes) -> int:
    """Return the Internet checksum."""
    return ~ones_sum(data) & 0xFFFF


def put16(data: bytes, at: int, value: int) -> bytes:
    """Return the bytes with a big-endian word replaced."""
    return data[:at] + struct.pack(">H", value) + data[at + 2 :]


def pseudo(protocol: int, length: int, *, v6: bool = False) -> bytes:
    """Return the pseudo-header between our two addresses."""
    if v6:
        return IPV6_A + IPV6_B + struct.pack(">IxxxB", length, protocol)
    return IPV4_A + IPV4_B + struct.pack(">xBH", protocol, length)


def ipv4(data: bytes, protocol: int, *, identification: int = 0x1234, options: bytes = b"") -> bytes:
    """Return an IPv4 packet with a right header checksum."""
    header_length = 20 + len(options)
    header = struct.pack(
        ">BBHHHBBH4s4s",
        0x40 | header_length // 4,
        0,
        header_length + len(data),
        identification,
        0x4000,
        64,
        protocol,
        0,
        IPV4_A,
        IPV4_B,
    )
    header += options
    return put16(header, 10, checksum(header)) + data


def ipv6(data: bytes, next_header: int) -> bytes:
    """Return an IPv6 packet."""
    return struct.pack(">IHBB16s16s", 6 << 28, len(data), next_header, 64, IPV6_A, IPV6_B) + data


def tcp(data: bytes, *, v6: bool = False, flags: int = 0x18, sequence: int = 1000) -> bytes:
    """Return a TCP segment (ports 4000 to 5000) with a right checksum."""
    segment = struct.pack(">HHIIBBHHH", 4000, 5000, sequence, 77, 5 << 4, flags, 8192, 0, 0) + data
    return put16(segment, 16, checksum(pseudo(TCP, len(segment), v6=v6) + segment))


def udp(data: bytes, *, v6: bool = False, ports: tuple[int, int] = (4000, 5000)) -> bytes:
    """Return a UDP datagram with a right checksum."""
    datagram = struct.pack(">HHHH", *ports, 8 + len(data), 0) + data
    return put16(datagram, 6, checksum(pseudo(UDP, len(datagram), v6=v6) + datagram) or 0xFFFF)


def pause(quanta: int) -> bytes:
    """Return an IEEE 802.3x PAUSE frame (31B): opcode 1, time in 512 bit times."""
    return padded(ethernet(struct.pack(">HH", 1, quanta), to=PAUSE_GROUP, sender=PEER_MAC, ethertype=0x8808))


@dataclass(frozen=True, slots=True)
class Segmentable:
    """A TCP frame before it is cut, as a driver gives it to the card, and where its headers end."""

    frame: bytes
    header_length: int
    ip_at: int
    tcp_at: int
    v6: bool


def segmentable(length: int, *, v6: bool = False, flags: int = 0x18, vlan: bool = False) -> Segmentable:
    """Return headers prepared as e1000_tso does (netdev.c): lengths 0, pseudo-header without length."""
    ip_at = 18 if vlan else 14
    tcp_at = ip_at + (40 if v6 else 20)
    segment = put16(tcp(payload(length), v6=v6, flags=flags), 16, ones_sum(pseudo(TCP, 0, v6=v6)))
    packet = ipv6(segment, TCP) if v6 else ipv4(segment, TCP)
    packet = put16(packet, 4, 0) if v6 else put16(put16(packet, 2, 0), 10, 0)
    frame = ethernet(packet, ethertype=ETH_IPV6 if v6 else ETH_IPV4)
    if vlan:
        frame = tagged(frame, 5)
    return Segmentable(frame, tcp_at + 20, ip_at, tcp_at, v6)


def segments(length: int, mss: int, *, v6: bool = False, flags: int = 0x18) -> list[bytes]:
    """Return the frames that the wire must carry for ``segmentable(length)``."""
    data = payload(length)
    frames = []
    for index, start in enumerate(range(0, length, mss)):
        last = start + mss >= length
        part = tcp(
            data[start : start + mss],
            v6=v6,
            flags=flags if last else flags & ~0x09,
            sequence=1000 + start,
        )
        packet = ipv6(part, TCP) if v6 else ipv4(part, TCP, identification=0x1234 + index)
        frames.append(ethernet(packet, ethertype=ETH_IPV6 if v6 else ETH_IPV4))
    return frames
