"""Segmentation and checksums in software, for cables that carry no virtio-net header.

Sans I/O: a frame in, the frames a cable would carry out. It trusts no length: the headers are
found by reading the frame, and ``Gso.hdr_len`` (a hint, says virtio 1.2 section 5.1.6.2) is not
used.

Sources: RFC 1071 (checksum), RFC 9293 section 3.1, RFC 768, RFC 8200 sections 4 and 8.1, RFC 3168
section 6.1.2 (CWR goes on the first segment only); 82574L datasheet, Transmit (what TSO does
to each header).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.wire.contract import MalformedFrame
from device.wire.frame import GsoFlag, GsoType
from formats import ethernet, ipv6
from formats.checksum import checksum
from formats.transport import CWR, FIN, PSH, TCP, UDP

if TYPE_CHECKING:
    from device.wire.frame import Frame, Gso

MOST_SEGMENTS: Final = 4096
"""One frame becomes no more than this: 64 KiB at 16 bytes each, far below any real MSS."""

_PROTOCOL: Final = {GsoType.TCPV4: TCP, GsoType.TCPV6: TCP, GsoType.UDP_L4: UDP}
_EXTENSIONS: Final = frozenset({ipv6.HOP_BY_HOP, ipv6.ROUTING, ipv6.DESTINATION_OPTIONS})
_FIN_PSH: Final = FIN | PSH


@dataclass(frozen=True, slots=True)
class _Headers:
    """Where the headers of a frame are: offsets in bytes from its start."""

    version: int
    network: int
    transport: int
    protocol: int
    addresses: bytes


def _locate(data: bytes) -> _Headers:
    ethertype, at = int.from_bytes(data[12:14], "big"), 14
    for _ in range(2):
        if ethertype in ethernet.TAG_TYPES:
            ethertype, at = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    if ethertype == ethernet.IPV4 and len(data) >= at + 20 and data[at] >> 4 == 4:
        ihl = (data[at] & 15) * 4
        if ihl < 20:
            raise MalformedFrame(f"IHL {ihl:#x}")
        return _Headers(4, at, at + ihl, data[at + 9], data[at + 12 : at + 20])
    if ethertype == ethernet.IPV6 and len(data) >= at + 40 and data[at] >> 4 == 6:
        following, transport = data[at + 6], at + 40
        while following in _EXTENSIONS:
            if transport + 8 > len(data):
                raise MalformedFrame("an IPv6 extension header runs over the end")
            following, transport = data[transport], transport + 8 + 8 * data[transport + 1]
        return _Headers(6, at, transport, following, data[at + 8 : at + 40])
    raise MalformedFrame(f"ethertype {ethertype:#06x} cannot be segmented")


def complete_checksum(frame: Frame) -> bytes:
    """Return the frame with the checksum that NEEDS_CSUM asks for, if it does."""
    gso = frame.gso
    if gso is None or not gso.flags & GsoFlag.NEEDS_CSUM:
        return frame.data
    where = gso.csum_start + gso.csum_offset
    if where + 2 > len(frame.data):
        raise MalformedFrame(f"checksum at {where:#x} of {len(frame.data):#x} bytes")
    value = checksum(frame.data[gso.csum_start :])
    if value == 0 and gso.csum_offset == 6:
        value = 0xFFFF  # RFC 768: a UDP checksum of 0 would say "none"
    return frame.data[:where] + value.to_bytes(2, "big") + frame.data[where + 2 :]


def segment(frame: Frame) -> list[bytes]:
    """Return the frames a cable carries for ``frame``, with all checksums whole.

    Raises ``MalformedFrame`` when the frame is not what its ``gso`` says.
    """
    if frame.gso is None or frame.gso.type is GsoType.NONE:
        return [complete_checksum(frame)]
    return _cut(frame.data, frame.gso)


def _cut(data: bytes, gso: Gso) -> list[bytes]:
    headers = _locate(data)
    tcp = _check(data, gso, headers)
    at = headers.transport
    payload = at + ((data[at + 12] >> 4) * 4 if tcp else 8)
    if payload < at + (20 if tcp else 8) or payload > len(data):
        raise MalformedFrame(f"transport header up to {payload:#x} of {len(data):#x} bytes")
    starts = range(payload, len(data), gso.size) or range(payload, payload + 1)
    if len(starts) > MOST_SEGMENTS:
        raise MalformedFrame(f"{len(starts):#x} segments of {gso.size:#x} bytes")
    sequence = int.from_bytes(data[at + 4 : at + 8], "big")
    frames = []
    for index, start in enumerate(starts):
        head, body = bytearray(data[:payload]), data[start : start + gso.size]
        _patch_network(head, headers, len(body), index)
        if tcp:
            head[at + 4 : at + 8] = ((sequence + start - payload) & 0xFFFFFFFF).to_bytes(4, "big")
            if index:
                head[at + 13] &= ~CWR
            if index != len(starts) - 1:
                head[at + 13] &= ~_FIN_PSH
        _patch_transport(head, headers, body, field=16 if tcp else 6)
        frames.append(bytes(head) + body)
    return frames


def _check(data: bytes, gso: Gso, headers: _Headers) -> bool:
    """Return whether it is TCP; raise when the packet is not of the kind that ``gso`` names."""
    versions = {GsoType.TCPV4: (4,), GsoType.TCPV6: (6,), GsoType.UDP_L4: (4, 6)}[gso.type]
    if headers.version not in versions or headers.protocol != _PROTOCOL[gso.type]:
        raise MalformedFrame(
            f"gso_type {gso.type.name} on IPv{headers.version} protocol {headers.protocol:#x}"
        )
    tcp = headers.protocol == TCP
    if headers.transport + (20 if tcp else 8) > len(data):
        raise MalformedFrame(f"transport header at {headers.transport:#x} runs over the end")
    if gso.size <= 0:
        raise MalformedFrame("gso_size 0x0")
    return tcp


def _patch_network(head: bytearray, headers: _Headers, body_bytes: int, index: int) -> None:
    at, total = headers.network, len(head) - headers.network + body_bytes
    if headers.version == 6:
        head[at + 4 : at + 6] = ((total - 40) & 0xFFFF).to_bytes(2, "big")
        return
    identification = int.from_bytes(head[at + 4 : at + 6], "big") + index
    head[at + 2 : at + 4] = (total & 0xFFFF).to_bytes(2, "big")
    head[at + 4 : at + 6] = (identification & 0xFFFF).to_bytes(2, "big")
    head[at + 10 : at + 12] = bytes(2)
    value = checksum(bytes(head[at : headers.transport]))
    head[at + 10 : at + 12] = value.to_bytes(2, "big")


def _patch_transport(head: bytearray, headers: _Headers, body: bytes, *, field: int) -> None:
    at, udp = headers.transport, headers.protocol == UDP
    length = len(head) - at + len(body)
    if udp:
        head[at + 4 : at + 6] = (length & 0xFFFF).to_bytes(2, "big")
    head[at + field : at + field + 2] = bytes(2)
    pseudo = headers.addresses + length.to_bytes(4, "big") + headers.protocol.to_bytes(4, "big")
    value = checksum(pseudo + bytes(head[at:]) + body)
    if udp and value == 0:
        value = 0xFFFF
    head[at + field : at + field + 2] = value.to_bytes(2, "big")
