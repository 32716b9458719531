"""A host of a few lines for the tests with a Linux peer: answers ARP and ICMP echo on one NDIS binding."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ndis.oids import Oid
from ndis.protocol import BindingClient
from ndis.requests import Request
from ndis.suite.bench import EVERYTHING, Transport

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter
    from ndis.packet import Packet
    from ndis.status import Status
    from ndis.wrapper import Ndis

ARP, IPV4, ECHO_REQUEST = b"\x08\x06", b"\x08\x00", 8


def checksum(data: bytes) -> int:
    """Return the Internet checksum."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) & ~1]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def echo_reply(datagram: bytes) -> bytes | None:
    """Return the answer to an ICMP echo request; None for any other IPv4 datagram."""
    size = (datagram[0] & 15) * 4
    if datagram[9] != 1 or datagram[size] != ECHO_REQUEST:
        return None
    icmp = b"\0\0\0\0" + datagram[size + 4 : int.from_bytes(datagram[2:4], "big")]
    icmp = icmp[:2] + struct.pack(">H", checksum(icmp)) + icmp[4:]
    head = datagram[:10] + b"\0\0" + datagram[16:20] + datagram[12:16]
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:20] + icmp


class Host(BindingClient):
    """One address on one adapter. ``asked`` counts the echo requests that came."""

    def __init__(self, ndis: Ndis, adapter: MiniportAdapter, address: str) -> None:
        self.address = IPv4Address(address).packed
        self.asked = 0
        self.pool = ndis.packet_pool(256)
        self.mac = adapter.filter.address
        self.open = ndis.bind(ndis.register_protocol(f"host {address}", Transport(self)), adapter)
        self.open.request(Request.set(Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", EVERYTHING)))

    def receive_packet(self, packet: Packet) -> int:
        """ProtocolReceivePacket."""
        frame = packet.data
        kind = frame[12:14]
        if kind == ARP and frame[20:22] == b"\0\1" and frame[38:42] == self.address:
            answer = frame[14:20] + b"\0\2" + self.mac + self.address + frame[22:32]
            self._send(frame[6:12], ARP, answer)
        elif kind == IPV4 and frame[30:34] == self.address:
            reply = echo_reply(frame[14:])
            if reply is not None:
                self.asked += 1
                self._send(frame[6:12], IPV4, reply)
        return 0

    def send_complete(self, packet: Packet, status: Status) -> None:
        """ProtocolSendComplete."""
        del status
        self.pool.free(packet)

    def _send(self, to: bytes, kind: bytes, payload: bytes) -> None:
        self.open.send_packets([self.pool.allocate((to + self.mac + kind + payload).ljust(60, b"\0"))])
