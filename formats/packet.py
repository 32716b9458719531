"""Where a frame's headers are and what they say, as the 82574L parses them (datasheet, Receive Checksums).

It believes no length: everything is checked against the bytes there are. A packet it cannot follow is
reported as the layers it could.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from formats import ethernet, ipv6, llc
from formats.transport import TCP, UDP

_EXTENSIONS: Final = frozenset({ipv6.HOP_BY_HOP, ipv6.ROUTING, ipv6.DESTINATION_OPTIONS})
_MOST_EXTENSIONS: Final = 16
_SNAP: Final = llc.snap(llc.RFC1042, 0)[:6]
_HOME_ADDRESS: Final = 0xC9  # RFC 6275, 6.3


class Packet(NamedTuple):
    """Offsets in bytes from the frame's start; 0 where there is no such layer.

    ``end``: where the IP packet ends (padding is behind it). ``payload``: behind the TCP or UDP header.
    ``source`` and ``destination`` are the addresses that RSS takes; with extension headers they may be
    those of RFC 6275 (``mobile``).
    """

    version: int = 0
    network: int = 0
    transport: int = 0
    protocol: int = -1
    payload: int = 0
    end: int = 0
    identification: int = 0
    fragment: bool = False
    first: bool = True
    extended: bool = False
    mobile: bool = False
    source: bytes = b""
    destination: bytes = b""
    flags: int = 0

    @property
    def is_tcp(self) -> bool:
        """Whether a whole TCP header was found, in a packet that is no fragment."""
        return self.protocol == TCP and self.payload > 0

    @property
    def is_udp(self) -> bool:
        """Whether a whole UDP header was found, in a packet that is no fragment."""
        return self.protocol == UDP and self.payload > 0


NOTHING: Final = Packet()


def parse(frame: bytes, vlan_type: int) -> Packet:
    """Read the headers of an Ethernet II or SNAP frame, behind one VLAN tag of ``vlan_type``."""
    at = 14
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == vlan_type:
        ethertype = int.from_bytes(frame[16:18], "big")
        at = 18
    if ethertype <= ethernet.LARGEST_LENGTH and frame[at : at + 6] == _SNAP:
        ethertype = int.from_bytes(frame[at + 6 : at + 8], "big")
        at += 8
    if ethertype == ethernet.IPV4:
        return _ipv4(frame, at)
    if ethertype == ethernet.IPV6:
        return _ipv6(frame, at)
    return NOTHING


def _ipv4(frame: bytes, at: int) -> Packet:
    size = len(frame)
    if size < at + 20 or frame[at] >> 4 != 4:
        return NOTHING
    header = (frame[at] & 0xF) * 4
    total = int.from_bytes(frame[at + 2 : at + 4], "big")
    end = at + total
    if header < 20 or total < header or end > size:
        return NOTHING
    offset = int.from_bytes(frame[at + 6 : at + 8], "big")
    fragment = offset & 0x3FFF != 0
    protocol = frame[at + 9]
    transport = at + header
    payload, flags = (0, 0) if fragment else _transport(frame, transport, end, protocol)
    return Packet(
        4,
        at,
        transport,
        protocol,
        payload,
        end,
        int.from_bytes(frame[at + 4 : at + 6], "big"),
        fragment,
        offset & 0x1FFF == 0,
        False,  # noqa: FBT003 - positional for speed: a frame a call
        False,  # noqa: FBT003 - the same
        frame[at + 12 : at + 16],
        frame[at + 16 : at + 20],
        flags,
    )


def _ipv6(frame: bytes, at: int) -> Packet:
    size = len(frame)
    if size < at + 40 or frame[at] >> 4 != 6:
        return NOTHING
    end = at + 40 + int.from_bytes(frame[at + 4 : at + 6], "big")
    if end > size:
        return NOTHING
    source, destination = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    following, transport = frame[at + 6], at + 40
    fragment = extended = mobile = False
    first = True
    for _ in range(_MOST_EXTENSIONS):
        if following == ipv6.FRAGMENT_HEADER and transport + 8 <= end:
            extended = fragment = True
            first = int.from_bytes(frame[transport + 2 : transport + 4], "big") & 0xFFF8 == 0
            following, transport = frame[transport], transport + 8
            if not first:
                break
        elif following in _EXTENSIONS and transport + 8 <= end:
            extended = True
            length = 8 + 8 * frame[transport + 1]
            if transport + length > end:
                break
            header = frame[transport : transport + length]
            if following == ipv6.ROUTING and header[2] == 2 and header[3] == 1 and length >= 24:
                destination, mobile = header[8:24], True  # RFC 6275, 6.4: type 2, one segment left
            elif following == ipv6.DESTINATION_OPTIONS and (home := _home(header)):
                source, mobile = home, True
            following, transport = frame[transport], transport + length
        else:
            break
    payload, flags = (0, 0) if fragment else _transport(frame, transport, end, following)
    return Packet(
        6,
        at,
        transport,
        following,
        payload,
        end,
        0,
        fragment,
        first,
        extended,
        mobile,
        source,
        destination,
        flags,
    )


def _home(header: bytes) -> bytes:
    """Return the home address option of a destination options header, or nothing."""
    at = 2
    while at + 1 < len(header):
        kind = header[at]
        if kind == 0:
            at += 1
            continue
        length = header[at + 1]
        if kind == _HOME_ADDRESS and length == 16 and at + 18 <= len(header):
            return header[at + 2 : at + 18]
        at += 2 + length
    return b""


def _transport(frame: bytes, at: int, end: int, protocol: int) -> tuple[int, int]:
    """Return where the payload starts, 0 without a whole header, and TCP's flags."""
    if protocol == TCP and at + 20 <= end:
        length = (frame[at + 12] >> 4) * 4
        if length >= 20 and at + length <= end:
            return at + length, frame[at + 13]
    elif protocol == UDP and at + 8 <= end:
        return at + 8, 0
    return 0, 0
