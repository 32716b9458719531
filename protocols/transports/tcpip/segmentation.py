"""Doing in software what a link may do: cutting large sends, filling in checksums, fragmenting.

Used when forwarding joined segments, by links without offload that record, and by test wires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats import ethernet, ipv4
from formats.checksum import checksum, ones_sum_of, pseudo_sum
from formats.transport import CWR, FIN, PSH, TCP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocols.transports.tcpip.link import TxFrame
    from protocols.transports.tcpip.packet import Packet

FIN_PSH = FIN | PSH


def finish(frame: TxFrame) -> list[bytes]:
    """Return the frames that appear on the wire: cut to ``lso_mss``, with every checksum."""
    data = frame.data()
    if frame.lso_mss:
        ip = bytearray(data[ethernet.HEADER_BYTES :])
        return [data[: ethernet.HEADER_BYTES] + bytes(piece) for piece in cut_tcp(ip, frame.lso_mss)]
    if not frame.checksum_start and not frame.ipv4_checksum:
        return [data]
    out = bytearray(data)
    if frame.checksum_start:
        at = frame.checksum_start + frame.checksum_offset
        value = 0xFFFF - ones_sum_of((memoryview(out)[frame.checksum_start :],))
        out[at : at + 2] = (value or 0xFFFF).to_bytes(2)
    if frame.ipv4_checksum:
        _ipv4_checksum(out, ethernet.HEADER_BYTES)
    return [bytes(out)]


def cut_tcp(packet: bytearray, mss: int) -> Iterator[bytearray]:
    """Cut an IP packet with a TCP segment into segments of ``mss`` payload bytes.

    Header options are repeated; FIN and PSH are on the last only, CWR on the first only
    (as the 82574 does, datasheet 7.3.6.2).
    """
    v4 = packet[0] >> 4 == 4
    ip_bytes = (packet[0] & 15) * 4 if v4 else 40
    header_bytes = ip_bytes + (packet[ip_bytes + 12] >> 4) * 4
    sequence = int.from_bytes(packet[ip_bytes + 4 : ip_bytes + 8])
    identification = int.from_bytes(packet[4:6])
    flags = packet[ip_bytes + 13]
    payload = memoryview(packet)[header_bytes:]
    for number, at in enumerate(range(0, max(len(payload), 1), mss)):
        piece = payload[at : at + mss]
        out = packet[:header_bytes] + piece
        last = at + mss >= len(payload)
        out[ip_bytes + 13] = flags & (0xFF if last else ~FIN_PSH & 0xFF)
        if number:
            out[ip_bytes + 13] &= ~CWR & 0xFF
        out[ip_bytes + 4 : ip_bytes + 8] = ((sequence + at) & 0xFFFFFFFF).to_bytes(4)
        if v4:
            out[2:4] = len(out).to_bytes(2)
            out[4:6] = ((identification + number) & 0xFFFF).to_bytes(2)
            _ipv4_checksum(out, 0)
        else:
            out[4:6] = (len(out) - 40).to_bytes(2)
        _tcp_checksum(out, ip_bytes)
        yield out


class Segmented:
    """The packets to forward for one that came in: itself, or what the link had joined."""

    def __init__(self, packet: Packet) -> None:
        self._packet = packet

    def __iter__(self) -> Iterator[bytearray]:
        """Walk the packets, each with whole headers and checksums."""
        packet = self._packet
        raw = bytearray(packet.raw)
        for payload in packet.extra:
            raw += payload
        joined = packet.lso_mss or (len(packet.payload) if packet.extra else 0)
        if joined and packet.protocol == TCP:
            yield from cut_tcp(raw, packet.lso_mss or self._mss(raw))
        else:
            yield raw

    def _mss(self, raw: bytearray) -> int:
        ip_bytes = (raw[0] & 15) * 4 if raw[0] >> 4 == 4 else 40
        return max(1, len(self._packet.raw) - ip_bytes - (raw[ip_bytes + 12] >> 4) * 4)


def split_payload(packet: bytearray, mtu: int) -> Iterator[bytes]:
    """Fragment an IPv4 packet to ``mtu``, keeping identification (RFC 791 3.2)."""
    if len(packet) <= mtu:
        yield bytes(packet)
        return
    header_bytes = (packet[0] & 15) * 4
    header = bytes(packet[:header_bytes])
    payload = packet[header_bytes:]
    word = int.from_bytes(packet[6:8])
    base, more_after = word & ipv4.OFFSET_MASK, word & ipv4.MORE_FRAGMENTS
    at = 0
    while at < len(payload):
        piece = payload[at : at + ((mtu - len(header)) & ~7)]
        last = at + len(piece) == len(payload)
        flags = more_after if last else ipv4.MORE_FRAGMENTS
        out = bytearray(header + piece)
        out[0] = 0x40 | len(header) // 4
        out[2:4] = len(out).to_bytes(2)
        out[6:8] = (flags | (base + at // 8)).to_bytes(2)
        _ipv4_checksum(out, 0)
        yield bytes(out)
        at += len(piece)
        if len(header) > ipv4.HEADER_BYTES:
            header = header[: ipv4.HEADER_BYTES] + ipv4.copied_options(header[20:])


def _ipv4_checksum(packet: bytearray, at: int) -> None:
    end = at + (packet[at] & 15) * 4
    packet[at + 10 : at + 12] = bytes(2)
    packet[at + 10 : at + 12] = checksum(packet[at:end]).to_bytes(2)


def _tcp_checksum(packet: bytearray, ip_bytes: int) -> None:
    at = ip_bytes + 16
    packet[at : at + 2] = bytes(2)
    split = (12, 16, 20) if ip_bytes != 40 or packet[0] >> 4 == 4 else (8, 24, 40)
    source = bytes(packet[split[0] : split[1]])
    destination = bytes(packet[split[1] : split[2]])
    segment = memoryview(packet)[ip_bytes:]
    start = pseudo_sum(source, destination, TCP) + len(segment)
    value = 0xFFFF - ones_sum_of((segment,), start)
    segment.release()
    packet[at : at + 2] = value.to_bytes(2)
