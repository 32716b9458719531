"""Numbers of the IP protocols, and where the fields of TCP's and UDP's headers are (RFC 9293 3.1, RFC 768).

Offsets are in bytes from the header's start. TCP's options and whole segments are
``protocols.transports.tcpip.tcp.segment``'s.
"""

from __future__ import annotations

from typing import Final

ICMP: Final = 1
IGMP: Final = 2
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58

PORTS_AT: Final = 0
PORTS_BYTES: Final = 4

TCP_SEQUENCE_AT: Final = 4
TCP_ACKNOWLEDGMENT_AT: Final = 8
TCP_OFFSET_AT: Final = 12
"""The header's length in words is in the high half of this byte."""
TCP_FLAGS_AT: Final = 13
TCP_WINDOW_AT: Final = 14
TCP_CHECKSUM_AT: Final = 16
TCP_HEADER_BYTES: Final = 20

UDP_LENGTH_AT: Final = 4
UDP_CHECKSUM_AT: Final = 6
UDP_HEADER_BYTES: Final = 8

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80
