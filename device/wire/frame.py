"""A frame, and the ``virtio_net_hdr`` that may travel with it.

Sans I/O. It knows nothing of descriptors; ``device.wire.port`` moves the bytes.

Source: virtio 1.2, section 5.1.6 (legacy header, native order); Linux
``include/uapi/linux/virtio_net.h``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from struct import Struct
from typing import Final

from device.wire.contract import LARGEST_FRAME_BYTES, SMALLEST_FRAME_BYTES, MalformedFrame

VNET_HEADER: Final = Struct("=BBHHHH")
"""``virtio_net_hdr``::

      0       1          2       4          6            8             10
    +-------+----------+---------+----------+------------+-------------+
    | flags | gso_type | hdr_len | gso_size | csum_start | csum_offset |
    +-------+----------+---------+----------+------------+-------------+
"""

PLAIN_HEADER: Final = bytes(VNET_HEADER.size)
"""The header of a frame that needs nothing done."""

_ECN: Final = 0x80
_GSO_BY_FRAGS: Final = 0xFFFF  # a value of gso_size that Linux keeps for itself and refuses


class GsoType(enum.IntEnum):
    """VIRTIO_NET_HDR_GSO_*: what the payload is to be cut into."""

    NONE = 0
    TCPV4 = 1
    TCPV6 = 4
    UDP_L4 = 5
    """UDP datagrams of ``size`` bytes of payload each."""

    # VIRTIO_NET_HDR_GSO_UDP (3) asks for IP fragments. Linux 4.14 gave it up; it is refused here.


class GsoFlag(enum.IntFlag):
    """VIRTIO_NET_HDR_F_*."""

    NONE = 0
    NEEDS_CSUM = 1
    """The field at csum_start + csum_offset holds the pseudo header's sum only."""
    DATA_VALID = 2
    """The sender's checksum was verified."""


@dataclass(frozen=True, slots=True)
class Gso:
    """What is still to be done to a frame before a cable could carry it; in bytes."""

    type: GsoType = GsoType.NONE
    hdr_len: int = 0
    size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    flags: GsoFlag = GsoFlag.NONE
    ecn: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """An Ethernet frame without FCS; ``gso`` is None when it is ready for a cable."""

    data: bytes
    gso: Gso | None = None


def check_length(length_bytes: int) -> None:
    """Raise ``MalformedFrame`` for a length that no frame here can have."""
    if not SMALLEST_FRAME_BYTES <= length_bytes <= LARGEST_FRAME_BYTES:
        raise MalformedFrame(f"a frame of {length_bytes:#x} bytes")


def parse_vnet(message: bytes) -> Frame:
    """Return the frame in a message of VNET framing.

    Raises ``MalformedFrame``: nothing in the header is believed before it is checked.
    """
    if len(message) < VNET_HEADER.size:
        raise MalformedFrame(f"a virtio-net header of {len(message):#x} bytes")
    data = message[VNET_HEADER.size :]
    check_length(len(data))
    if message.startswith(PLAIN_HEADER):
        return Frame(data)
    flags, kind, hdr_len, size, start, offset = VNET_HEADER.unpack_from(message)
    try:
        gso_type = GsoType(kind & ~_ECN)
    except ValueError:
        raise MalformedFrame(f"gso_type {kind:#x}") from None
    needs = bool(flags & GsoFlag.NEEDS_CSUM)
    if needs and (start < SMALLEST_FRAME_BYTES or start + offset + 2 > len(data)):
        raise MalformedFrame(f"checksum at {start:#x}+{offset:#x} of {len(data):#x} bytes")
    if gso_type is not GsoType.NONE and not 0 < size < _GSO_BY_FRAGS:
        raise MalformedFrame(f"gso_size {size:#x}")
    if gso_type is GsoType.NONE and not needs:
        return Frame(data)  # DATA_VALID alone: a cable would say nothing of it
    known = GsoFlag(flags & (GsoFlag.NEEDS_CSUM | GsoFlag.DATA_VALID))
    gso = Gso(gso_type, hdr_len, size, start, offset, known, bool(kind & _ECN))
    return Frame(data, gso)


def emit_vnet_header(frame: Frame) -> bytes:
    """Return the 10 bytes that go before ``frame.data`` in VNET framing."""
    gso = frame.gso
    if gso is None:
        return PLAIN_HEADER
    kind = gso.type | (_ECN if gso.ecn else 0)
    return VNET_HEADER.pack(gso.flags, kind, gso.hdr_len, gso.size, gso.csum_start, gso.csum_offset)
