"""The case of a large send: what the wire must show of it. A driver that does not offer it passes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from formats.checksum import ones_sum
from ndis.filter8023 import PacketFilter
from ndis.offload import Offload
from ndis.oids import Oid
from ndis.packet import PacketInfo
from ndis.requests import Request
from ndis.status import Status
from ndis.suite.fixture import Party, check

if TYPE_CHECKING:
    from ndis.suite.fixture import Rig

ACK, PSH, FIN = 0x10, 0x08, 0x01
SEGMENT_BYTES = 1460
PAYLOAD_BYTES = 2 * SEGMENT_BYTES + 700
FIRST_SEQUENCE = 0x0102_0304
ADDRESSES = bytes([10, 0, 0, 1, 10, 0, 0, 2])
HEADERS = 14 + 20 + 20


def two_large_send(rig: Rig) -> None:
    """Send one large TCP segment with PSH and FIN: the wire has them on the last of its segments only."""
    here, there = Party(rig, 0), Party(rig, 1, PacketFilter.DIRECTED)
    offer = here.ask(Request.query(Oid.TCP_TASK_OFFLOAD, 256))
    if offer.status is Status.SUCCESS and Offload.parse(offer.buffer.answer).large_send_bytes:
        here.set(Oid.TCP_TASK_OFFLOAD, offer.buffer.answer)
        _send(here, there)
    here.close()
    there.close()


def _send(here: Party, there: Party) -> None:
    payload = bytes(n & 0xFF for n in range(PAYLOAD_BYTES))
    packet = here.pool.allocate(there.address + here.address + b"\x08\x00" + _headers() + payload)
    packet.info[PacketInfo.TCP_LARGE_SEND] = SEGMENT_BYTES
    here.open.send_packets([packet])
    here.await_sent(1)
    here.rig.settle()
    frames = [f for f in there.client.received if f[12:14] == b"\x08\x00"]
    sizes = [int.from_bytes(f[16:18], "big") - 40 for f in frames]
    check(sizes == [SEGMENT_BYTES, SEGMENT_BYTES, 700], f"segments of {sizes} bytes")
    starts = [int.from_bytes(f[38:42], "big") - FIRST_SEQUENCE for f in frames]
    check(starts == [0, SEGMENT_BYTES, 2 * SEGMENT_BYTES], f"sequence numbers at {starts}")
    got = b"".join(f[HEADERS : HEADERS + size] for f, size in zip(frames, sizes, strict=True))
    check(got == payload, "the payload is not what was sent")
    bad = [n for n, f in enumerate(frames) if ones_sum(f[14:34]) != 0xFFFF or _tcp_sum(f) != 0xFFFF]
    check(not bad, f"bad checksums in segments {bad}")
    flags = [f[47] for f in frames]
    check(flags == [ACK, ACK, ACK | PSH | FIN], f"flags are {[hex(x) for x in flags]}")


def _headers() -> bytes:
    pseudo = ones_sum(ADDRESSES + struct.pack(">BBH", 0, 6, 0))  # without the length: the card adds it
    tcp = struct.pack(">HHIIBBHHH", 1, 2, FIRST_SEQUENCE, 4, 5 << 4, ACK | PSH | FIN, 512, pseudo, 0)
    size = 40 + PAYLOAD_BYTES
    return struct.pack(">BBHHHBBH", 0x45, 0, size, 7, 0, 64, 6, 0) + ADDRESSES + tcp


def _tcp_sum(frame: bytes) -> int:
    segment = frame[34 : 14 + int.from_bytes(frame[16:18], "big")]
    return ones_sum(frame[26:34] + struct.pack(">BBH", 0, 6, len(segment)) + segment)
