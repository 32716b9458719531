"""Packets that callouts inject: headers around a payload, checksums, cutting to the MTU. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats import ethernet, ipv4, ipv6
from formats.checksum import checksum, ones_sum_of, pseudo_sum
from formats.transport import ICMP, ICMPV6, TCP, UDP
from protocols.transports.tcpip.link import TxFrame
from protocols.transports.tcpip.segmentation import cut_tcp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocols.transports.tcpip.classify import Point

CHECKSUM_AT = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}
TTL = 128


class InjectedFrame(TxFrame):
    """A frame that a callout driver sends; its own callouts at that point are not asked about it."""

    __slots__ = ("injected_at", "injected_by")

    def __init__(self, data: bytes, injected_by: object, injected_at: Point) -> None:
        super().__init__([data])
        self.injected_by = injected_by
        self.injected_at = injected_at


def ends(packet: bytes) -> tuple[bytes, bytes]:
    """Return source and destination of an IP packet. ValueError: it is none."""
    if len(packet) >= ipv4.HEADER_BYTES and packet[0] >> 4 == 4:
        return packet[12:16], packet[16:20]
    if len(packet) >= ipv6.HEADER_BYTES and packet[0] >> 4 == 6:
        return packet[8:24], packet[24:40]
    raise ValueError(f"no IP packet: {packet[:4].hex()}")


def ethertype(packet: bytes) -> int:
    """Return the type of the frame that a packet is put in."""
    return ethernet.IPV4 if packet[0] >> 4 == 4 else ethernet.IPV6


def wrapped(source: bytes, destination: bytes, protocol: int, segment: bytes) -> bytes:
    """Return a packet around a transport header and its payload, of the version of the addresses."""
    if len(source) == 4:
        return ipv4.build(source, destination, protocol, len(segment), ttl=TTL) + segment
    return ipv6.build(source, destination, protocol, len(segment), hop_limit=TTL) + segment


def finished(packet: bytes) -> bytes:
    """Return a packet with the lengths and checksums that its bytes ask for; a fragment's payload is left."""
    out = bytearray(packet)
    source, destination = ends(packet)
    if out[0] >> 4 == 4:
        at, protocol = (out[0] & 15) * 4, out[9]
        out[2:4] = len(out).to_bytes(2)
        out[10:12] = bytes(2)
        out[10:12] = checksum(out[:at]).to_bytes(2)
        is_fragment = bool((out[6] << 8 | out[7]) & 0x3FFF)
    else:
        at, protocol, is_fragment = ipv6.HEADER_BYTES, out[6], False
        out[4:6] = (len(out) - at).to_bytes(2)
    where = CHECKSUM_AT.get(protocol)
    if where is None or is_fragment or len(out) < at + where + 2:
        return bytes(out)
    if protocol == UDP:
        out[at + 4 : at + 6] = (len(out) - at).to_bytes(2)
    out[at + where : at + where + 2] = bytes(2)
    start = 0 if protocol == ICMP else pseudo_sum(source, destination, protocol) + len(out) - at
    value = 0xFFFF - ones_sum_of((bytes(out[at:]),), start)
    out[at + where : at + where + 2] = ((value or 0xFFFF) if protocol == UDP else value).to_bytes(2)
    return bytes(out)


def cut(packet: bytes, mtu: int) -> Iterator[bytes]:
    """Walk the packets that fit: a TCP segment that was left to the card is cut, all else is as it is."""
    at = (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else ipv6.HEADER_BYTES
    protocol = packet[9] if packet[0] >> 4 == 4 else packet[6]
    if len(packet) <= mtu or protocol != TCP or len(packet) < at + 20:
        yield packet
        return
    header = at + (packet[at + 12] >> 4) * 4
    yield from map(bytes, cut_tcp(bytearray(packet), max(mtu - header, 1)))
