"""Writes pcapng: section header, interface description and enhanced packet blocks, as bytes.

Source: draft-ietf-opsawg-pcapng, sections 4.1 to 4.3. It opens no file: the caller has a sink.
"""

from __future__ import annotations

import struct

LINKTYPE_ETHERNET = 1
_BYTE_ORDER = 0x1A2B_3C4D
_IF_NAME, _IF_TSRESOL, _EPB_FLAGS = 2, 9, 2
INBOUND, OUTBOUND = 1, 2


def _block(kind: int, body: bytes) -> bytes:
    total = 12 + len(body)
    return struct.pack("<II", kind, total) + body + struct.pack("<I", total)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


_END = struct.pack("<HH", 0, 0)


def section_header() -> bytes:
    """Return the block a file begins with."""
    return _block(0x0A0D_0D0A, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1))


def interface(name: str, snap_bytes: int = 0) -> bytes:
    """Return the block that describes an Ethernet interface; timestamps are in microseconds."""
    options = _option(_IF_NAME, name.encode()) + _option(_IF_TSRESOL, b"\x06") + _END
    return _block(1, struct.pack("<HHI", LINKTYPE_ETHERNET, 0, snap_bytes) + options)


def packet(interface_number: int, at_us: int, frame: bytes, direction: int) -> bytes:
    """Return the block of one frame."""
    head = struct.pack("<IIIII", interface_number, at_us >> 32, at_us & 0xFFFF_FFFF, len(frame), len(frame))
    options = _option(_EPB_FLAGS, struct.pack("<I", direction)) + _END
    return _block(6, head + _padded(frame) + options)
