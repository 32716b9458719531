"""Blocks of the pcapng format, as bytes.

Sans I/O. It knows the format and nothing of wires. Source: draft-ietf-opsawg-pcapng, sections 3.1,
4.1 to 4.3; the direction bits are those of ``epb_flags``, section 4.3.1.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import Final

_UINT32: Final = Struct("=I")
_OPTION: Final = Struct("=HH")
_SECTION: Final = Struct("=IHHq")
_INTERFACE: Final = Struct("=HHI")
_PACKET: Final = Struct("=IIIII")

_BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
_LINKTYPE_ETHERNET: Final = 1
_END: Final = _OPTION.pack(0, 0)


class Direction(enum.IntEnum):
    """Bits 0 and 1 of epb_flags."""

    UNKNOWN = 0
    INBOUND = 1
    OUTBOUND = 2


def section_header(application: str) -> bytes:
    """Return the block a file begins with; ``application`` is shb_userappl."""
    body = _SECTION.pack(_BYTE_ORDER_MAGIC, 1, 0, -1)
    return _block(0x0A0D0D0A, body + _option(4, application.encode()) + _END)


def interface_description(name: str) -> bytes:
    """Return the block of an Ethernet interface with nanosecond times and no snap length."""
    body = _INTERFACE.pack(_LINKTYPE_ETHERNET, 0, 0)
    return _block(1, body + _option(2, name.encode()) + _option(9, b"\x09") + _END)


def enhanced_packet(
    data: bytes, time_ns: int, direction: Direction, interface: int = 0, *, comment: str = ""
) -> bytes:
    """Return the block of a whole frame; ``time_ns`` is since 1970, UTC; ``comment`` is opt_comment."""
    body = _PACKET.pack(interface, time_ns >> 32 & 0xFFFFFFFF, time_ns & 0xFFFFFFFF, len(data), len(data))
    said = _option(1, comment.encode()[:0xFFFF]) if comment else b""
    return _block(6, body + _padded(data) + said + _option(2, _UINT32.pack(direction)) + _END)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return _OPTION.pack(code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = _UINT32.pack(len(body) + 12)
    return _UINT32.pack(kind) + length + body + length
