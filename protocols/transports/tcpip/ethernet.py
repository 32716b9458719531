"""Ethernet II framing (RFC 894, RFC 2464), and 802.1Q tags on the way in.

::

     0              6              12    14
    +--------------+--------------+-----+---------
    | destination  |    source    | type| payload
    +--------------+--------------+-----+---------
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocols.transports.tcpip.checksum import Buffer

HEADER_BYTES = 14
IPV4 = 0x0800
ARP = 0x0806
VLAN = 0x8100
IPV6 = 0x86DD


def header(destination: bytes, source: bytes, ethertype: int) -> bytes:
    """Return the 14 bytes in front of a payload."""
    return destination + source + ethertype.to_bytes(2)


def ethertype(frame: Buffer) -> int:
    """Return the type field; 0 for a runt."""
    if len(frame) < HEADER_BYTES:
        return 0
    return (frame[12] << 8) | frame[13]
