"""Ethernet framing (IEEE 802.3 clause 3, RFC 894, RFC 2464) and 802.1Q tags.

::

     0              6              12    14
    +--------------+--------------+-----+---------
    | destination  |    source    | type| payload
    +--------------+--------------+-----+---------

    with a tag (IEEE 802.1Q clause 9):

     0              6              12    14    16    18
    +--------------+--------------+-----+-----+-----+---------
    | destination  |    source    | 8100| tag | type| payload
    +--------------+--------------+-----+-----+-----+---------

A type of at most 1500 is the length of an LLC frame (``formats.llc``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from formats.checksum import Buffer

ADDRESS_BYTES = 6
TYPE_AT = 12
HEADER_BYTES = 14
TAG_BYTES = 4
MINIMUM_BYTES = 60
"""The shortest frame, without its FCS."""
LARGEST_LENGTH = 1500
"""A type field up to this is a length (IEEE 802.3, 3.2.6)."""

IPV4 = 0x0800
ARP = 0x0806
VLAN = 0x8100
IPV6 = 0x86DD
MAC_CONTROL = 0x8808
SERVICE_VLAN = 0x88A8
PTP = 0x88F7
QINQ = 0x9100
"""The type that equipment before IEEE 802.1ad gave an outer tag."""
TAG_TYPES = frozenset({VLAN, SERVICE_VLAN, QINQ})

BROADCAST = b"\xff" * ADDRESS_BYTES


def header(destination: bytes, source: bytes, ethertype: int) -> bytes:
    """Return the 14 bytes in front of a payload."""
    return destination + source + ethertype.to_bytes(2)


def ethertype(frame: Buffer) -> int:
    """Return the type field; 0 for a runt."""
    if len(frame) < HEADER_BYTES:
        return 0
    return (frame[TYPE_AT] << 8) | frame[TYPE_AT + 1]


def padded(frame: bytes) -> bytes:
    """Return the frame with zeros up to the shortest length."""
    return frame.ljust(MINIMUM_BYTES, b"\0")
