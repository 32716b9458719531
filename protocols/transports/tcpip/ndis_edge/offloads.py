"""Between TCP/IP's words for offloaded work and NDIS's: pure functions, no state.

Sources: "TCP/IP Task Offload" (NDIS 5.1): a transport puts the pseudo header's sum in the checksum field;
for a large send that sum is made without the TCP length, since the card adds each segment's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.offload import Checksum, PacketChecksum
from ndis.offload import Offload as Tasks
from ndis.packet import PacketInfo
from protocols.transports.tcpip.link import Offload, RxFrame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from formats.checksum import Buffer
    from ndis.packet import Packet
    from ndis.rsc import CoalescedSegments
    from protocols.transports.tcpip.link import TxFrame

TRANSPORTS = Checksum.TCP | Checksum.TCP_OPTIONS
_IPV4_TYPE = b"\x08\x00"
_TCP_CHECKSUM_AT, _UDP_CHECKSUM_AT = 16, 6
_V4, _V6 = int(PacketChecksum.TX_V4), int(PacketChecksum.TX_V6)
_IP, _TCP, _UDP = int(PacketChecksum.TX_IP), int(PacketChecksum.TX_TCP), int(PacketChecksum.TX_UDP)
_RECEIVED_IP = int(PacketChecksum.RX_IP_SUCCEEDED)  # plain numbers: this is looked at for every frame
_RECEIVED_L4 = int(PacketChecksum.RX_TCP_SUCCEEDED | PacketChecksum.RX_UDP_SUCCEEDED)
FAILED = int(PacketChecksum.RX_TCP_FAILED | PacketChecksum.RX_UDP_FAILED | PacketChecksum.RX_IP_FAILED)


def for_stack(tasks: Tasks) -> Offload:
    """Return what TCP/IP may leave to a card that can do ``tasks``.

    TCP/IP asks for both IP versions alike, so only what the card does for both is used; TCP always
    has options in our segments (timestamps), so a card that cannot step over options does nothing.
    """
    both = tasks.v4_transmit & tasks.v6_transmit
    tcp = both & TRANSPORTS == TRANSPORTS
    # NDIS 5.1's large send was defined for IPv4 only.
    return Offload(
        tx_ipv4_checksum=bool(tasks.v4_transmit & Checksum.IP),
        tx_tcp_checksum=tcp,
        tx_udp_checksum=bool(both & Checksum.UDP),
        lso_v4_max_bytes=tasks.large_send_bytes if tcp else 0,
        lso_v6_max_bytes=0,
    )


def packet_info(frame: TxFrame) -> dict[PacketInfo, Any]:
    """Return the per-packet information that asks for a frame's offloaded work."""
    if not frame.checksum_start and not frame.ipv4_checksum:
        return {}
    head = bytes(frame.buffers[0])
    v4 = head[12:14] == _IPV4_TYPE
    asked = _V4 if v4 else _V6
    if frame.ipv4_checksum:
        asked |= _IP
    if frame.checksum_start:
        asked |= _UDP if frame.checksum_offset == _UDP_CHECKSUM_AT else _TCP
    info: dict[PacketInfo, Any] = {PacketInfo.TCP_IP_CHECKSUM: asked}
    if frame.lso_mss:
        info[PacketInfo.TCP_LARGE_SEND] = frame.lso_mss
    return info


def buffers(frame: TxFrame) -> list[Buffer]:
    """Return a large send's buffers as NDIS wants them: its sum is made without the length."""
    at = frame.checksum_start + frame.checksum_offset
    found = list(frame.buffers)
    head = bytearray(found[0])
    length = len(frame) - frame.checksum_start
    with_length = int.from_bytes(head[at : at + 2])
    # One's complement subtraction: add the complement, carry around.
    total = with_length + (0xFFFF - length % 0xFFFF)
    head[at : at + 2] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2)
    found[0] = bytes(head)
    return found


def prepare(frame: TxFrame) -> tuple[Sequence[Buffer], dict[PacketInfo, Any]]:
    """Return a frame's buffers and per-packet information, as NDIS wants them."""
    if not frame.checksum_start and not frame.ipv4_checksum:
        return frame.buffers, {}
    return buffers(frame) if frame.lso_mss else frame.buffers, packet_info(frame)


def received(packet: Packet) -> RxFrame:
    """Return a received frame with what the card says of its checksums, and of the segments it is made of.

    A card that says *failed* is not believed: the stack sums again and counts the error where it belongs.
    """
    data, info = packet.data, packet.info
    answered = int(info.get(PacketInfo.TCP_IP_CHECKSUM, 0))
    unit: CoalescedSegments | None = info.get(PacketInfo.TCP_RECV_SEG_COALESCE)
    return RxFrame(
        data,
        ip_verified=bool(answered & _RECEIVED_IP),
        l4_verified=bool(answered & _RECEIVED_L4) and not answered & FAILED,
        lso_mss=-(-len(data) // unit.count) if unit is not None else 0,
    )
