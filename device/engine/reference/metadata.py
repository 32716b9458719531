"""What a receive descriptor says of a frame besides where it lies: checksums, types, hash.

Pure functions on the register file's words and a parsed frame (datasheet, Receive, RSS).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from device import rss
from device.regs.nic import NIC
from device.regs.words import place
from device.rings.receive import RX_PACKET_SHIFT, RxError, RxPacket, RxStatus
from formats.checksum import checksum, ones_sum

if TYPE_CHECKING:
    from formats.packet import Packet

_RXCSUM, _RFCTL = place("RXCSUM"), place("RFCTL")
_PCSS = NIC["RXCSUM"]["PCSS"].mask
_IPOFL, _TUOFL = NIC["RXCSUM"]["IPOFL"].mask, NIC["RXCSUM"]["TUOFL"].mask
_IPPCSE, _PCSD = NIC["RXCSUM"]["IPPCSE"].mask, NIC["RXCSUM"]["PCSD"].mask
_IPV6_DIS, _IPV6_XSUM_DIS = NIC["RFCTL"]["IPV6_DIS"].mask, NIC["RFCTL"]["IPV6_XSUM_DIS"].mask
_ACK_DIS, _ACKD_DIS = NIC["RFCTL"]["ACK_DIS"].mask, NIC["RFCTL"]["ACKD_DIS"].mask
_TCP_ACK = 0x10

_IPCS, _TCPCS, _UDPCS = int(RxStatus.IPCS), int(RxStatus.TCPCS), int(RxStatus.UDPCS)
_IXSM, _IPIDV, _UDPV, _ACK = int(RxStatus.IXSM), int(RxStatus.IPIDV), int(RxStatus.UDPV), int(RxStatus.ACK)
_TCPE, _IPE = int(RxError.TCPE), int(RxError.IPE)


class Metadata(NamedTuple):
    """``status`` without DD and EOP, with the packet type; ``errors`` is the error byte.

    ``checksum`` and ``ip_id``, or the two halves of the hash in their place.
    """

    status: int
    errors: int
    checksum: int
    ip_id: int
    mrq: int
    queue: int
    ack: bool


def _pseudo(frame: bytes, packet: Packet) -> int:
    """Return the sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1).

    With a routing header the final destination counts, which ``packet.destination`` is.
    """
    if packet.version == 4:
        addresses = frame[packet.network + 12 : packet.network + 20]
    else:
        addresses = frame[packet.network + 8 : packet.network + 24] + packet.destination
    return ones_sum(addresses, packet.protocol + packet.end - packet.transport)


def checksums(words: list[int], frame: bytes, packet: Packet) -> tuple[int, int]:
    """Return the status and error bits of the checksums that RXCSUM has verified."""
    rxcsum, rfctl = words[_RXCSUM], words[_RFCTL]
    if not packet.version or (packet.version == 6 and rfctl & (_IPV6_DIS | _IPV6_XSUM_DIS)):
        return _IXSM, 0
    status = errors = 0
    if packet.version == 4 and rxcsum & _IPOFL:
        status |= _IPCS
        if checksum(frame[packet.network : packet.transport]):
            errors |= _IPE
    if rxcsum & _TUOFL and packet.payload:
        given = True
        if packet.is_udp:
            # RFC 768: a checksum of zero is none, so nothing was verified.
            given = frame[packet.transport + 6 : packet.transport + 8] != b"\0\0"
            bits = _TCPCS | _UDPCS
        else:
            bits = _TCPCS
        if given:
            status |= bits
            if checksum(frame[packet.transport : packet.end], _pseudo(frame, packet)):
                errors |= _TCPE
    return status or _IXSM, errors


def describe(words: list[int], frame: bytes, packet: Packet, crc: bytes) -> Metadata:
    """Return everything for the descriptor; ``frame`` is stripped of its tag, ``crc`` is what is stored."""
    status, errors = checksums(words, frame, packet)
    rxcsum, rfctl = words[_RXCSUM], words[_RFCTL]
    kind = RxPacket.MAC
    if packet.version == 4:
        kind = RxPacket.IPV4_TRANSPORT if packet.payload else RxPacket.IPV4
    elif packet.version == 6 and not rfctl & _IPV6_DIS:
        kind = RxPacket.IPV6_TRANSPORT if packet.payload else RxPacket.IPV6
    status |= kind << RX_PACKET_SHIFT
    ack = False
    if packet.flags & _TCP_ACK and not rfctl & _ACK_DIS:
        ack = not (rfctl & _ACKD_DIS and packet.end > packet.payload)
        if ack:
            status |= _ACK
    choice = rss.choose(words, frame, packet) if rss.enabled(words) else rss.NO_CHOICE
    if rxcsum & _PCSD:
        return Metadata(
            status,
            errors,
            choice.hash >> 16,
            choice.hash & 0xFFFF,
            choice.type | choice.queue << 8,
            choice.queue,
            ack,
        )
    ip_id = 0
    if packet.version == 4:
        status |= _IPIDV
        ip_id = packet.identification
    if rxcsum & _IPPCSE:
        summed = 0
        if packet.fragment and packet.protocol == 17:
            summed = checksum(frame[packet.transport : packet.end])
            if packet.first and frame[packet.transport + 6 : packet.transport + 8] not in (b"\0\0", b""):
                status |= _UDPV
    else:
        summed = checksum((frame + crc)[rxcsum & _PCSS :])
    return Metadata(status, errors, summed, ip_id, 0, 0, ack)
