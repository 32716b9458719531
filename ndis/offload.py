"""Task offload: what a card can do, what a transport has switched on, and how a packet asks for it.

The negotiation of OID_TCP_TASK_OFFLOAD (NDIS 5.1): a transport queries the capabilities and sets
the subset it will use; packets ask by per-packet information. Source: "TCP/IP Offload",
NDIS_TASK_OFFLOAD_HEADER in ``ntddndis.h``.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from ndis.errors import NdisError
from ndis.status import Status

HEADER = struct.Struct("<IIIIIHH")  # Version, Size, Reserved, OffsetFirstTask, encapsulation (3)
TASK = struct.Struct("<IIIII")  # Version, Size, Task, OffsetNextTask, TaskBufferLength
CHECKSUM = struct.Struct("<IIII")  # V4Transmit, V4Receive, V6Transmit, V6Receive
LARGE_SEND = struct.Struct("<IIIBB2x")  # Version, MaxOffLoadSize, MinSegmentCount, TcpOptions, IpOptions
VERSION = 1


class Task(enum.IntEnum):
    """NDIS_TASK."""

    TCP_IP_CHECKSUM = 0
    IPSEC = 1
    TCP_LARGE_SEND = 2


class Checksum(enum.IntFlag):
    """Bits of NDIS_TASK_TCP_IP_CHECKSUM for one direction and IP version."""

    NONE = 0
    IP_OPTIONS = 0x01
    TCP_OPTIONS = 0x02
    TCP = 0x04
    UDP = 0x08
    IP = 0x10


class PacketChecksum(enum.IntFlag):
    """NDIS_TCP_IP_CHECKSUM_PACKET_INFO: asked on the way down, answered on the way up."""

    NONE = 0
    TX_V4 = 0x01
    TX_V6 = 0x02
    TX_TCP = 0x04
    TX_UDP = 0x08
    TX_IP = 0x10
    RX_TCP_FAILED = 0x01
    RX_UDP_FAILED = 0x02
    RX_IP_FAILED = 0x04
    RX_TCP_SUCCEEDED = 0x08
    RX_UDP_SUCCEEDED = 0x10
    RX_IP_SUCCEEDED = 0x20
    RX_LOOPBACK = 0x40


@dataclass(frozen=True, slots=True)
class Offload:
    """What is offloaded. ``large_send_bytes`` 0: no segmentation by the card."""

    v4_transmit: Checksum = Checksum.NONE
    v4_receive: Checksum = Checksum.NONE
    v6_transmit: Checksum = Checksum.NONE
    v6_receive: Checksum = Checksum.NONE
    large_send_bytes: int = 0
    large_send_segments: int = 0

    def within(self, capabilities: Offload) -> bool:
        """Whether a card with ``capabilities`` can do all of this."""
        pairs = (
            (self.v4_transmit, capabilities.v4_transmit),
            (self.v4_receive, capabilities.v4_receive),
            (self.v6_transmit, capabilities.v6_transmit),
            (self.v6_receive, capabilities.v6_receive),
        )
        return (
            all(not mine & ~can for mine, can in pairs)
            and self.large_send_bytes <= capabilities.large_send_bytes
            and (not self.large_send_bytes or self.large_send_segments >= capabilities.large_send_segments)
        )

    def allows(self, asked: PacketChecksum) -> bool:
        """Whether a packet may ask for these transmit checksums."""
        on = self.v6_transmit if asked & PacketChecksum.TX_V6 else self.v4_transmit
        wanted = (
            (PacketChecksum.TX_TCP, Checksum.TCP),
            (PacketChecksum.TX_UDP, Checksum.UDP),
            (PacketChecksum.TX_IP, Checksum.IP),
        )
        return all(on & bit for ask, bit in wanted if asked & ask)

    def emit(self) -> bytes:
        """Return the NDIS_TASK_OFFLOAD_HEADER with its tasks, as OID_TCP_TASK_OFFLOAD carries it."""
        bodies: list[tuple[Task, bytes]] = []
        sums = (self.v4_transmit, self.v4_receive, self.v6_transmit, self.v6_receive)
        if any(sums):
            bodies.append((Task.TCP_IP_CHECKSUM, CHECKSUM.pack(*sums)))
        if self.large_send_bytes:
            body = LARGE_SEND.pack(0, self.large_send_bytes, self.large_send_segments, 1, 1)
            bodies.append((Task.TCP_LARGE_SEND, body))
        raw = HEADER.pack(VERSION, HEADER.size, 0, HEADER.size if bodies else 0, 1, 1, 14)
        for at, (task, body) in enumerate(bodies):
            step = TASK.size + len(body) if at + 1 < len(bodies) else 0
            raw += TASK.pack(VERSION, TASK.size, task, step, len(body)) + body
        return raw

    @classmethod
    def parse(cls, raw: bytes) -> Offload:
        """Read such a header.

        Raises NdisError(INVALID_DATA, INVALID_LENGTH) for what is not one.
        """
        if len(raw) < HEADER.size:
            raise NdisError(Status.INVALID_LENGTH, f"offload header of {len(raw)} bytes")
        version, _size, _reserved, at, *_encapsulation = HEADER.unpack_from(raw)
        if version != VERSION:
            raise NdisError(Status.INVALID_DATA, f"offload header version {version}")
        sums: tuple[int, ...] = (0, 0, 0, 0)
        size = segments = 0
        while at:
            if at + TASK.size > len(raw):
                raise NdisError(Status.INVALID_LENGTH, f"offload task at {at:#x}")
            _version, _size, task, step, length = TASK.unpack_from(raw, at)
            body = raw[at + TASK.size : at + TASK.size + length]
            if task == Task.TCP_IP_CHECKSUM and len(body) >= CHECKSUM.size:
                sums = CHECKSUM.unpack_from(body)
            elif task == Task.TCP_LARGE_SEND and len(body) >= LARGE_SEND.size:
                _version, size, segments, _tcp, _ip = LARGE_SEND.unpack_from(body)
            if step and step < TASK.size:
                raise NdisError(Status.INVALID_DATA, f"next offload task after {step} bytes")
            at = at + step if step else 0
        flags = [Checksum(s) for s in sums]
        return cls(flags[0], flags[1], flags[2], flags[3], size, segments)


NOTHING = Offload()
