"""Which frames of an Ethernet are a transport's: by EtherType, by LLC SAP, by SNAP protocol.

A type field up to 1500 is a length, and LLC follows (IEEE 802.3, 3.2.6). Novell's raw 802.3 has no LLC: IPX's
checksum, FFFF, stands in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from formats import ethernet, llc

if TYPE_CHECKING:
    from formats.checksum import Buffer

_LLC_AT = ethernet.HEADER_BYTES
_SNAP_AT = _LLC_AT + llc.HEADER_BYTES
_RAW = (0xFF, 0xFF)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a transport takes. Frames that are none of these are other transports'."""

    ethertypes: frozenset[int] = frozenset()
    saps: frozenset[int] = frozenset()
    """Destination SAPs of LLC frames; a group SAP that a transport hears is named like any other."""
    snap: frozenset[tuple[bytes, int]] = frozenset()
    """(OUI, type) of SNAP frames; an EtherType under RFC 1042's OUI is not taken for ``ethertypes``."""
    is_raw: bool = False
    """Whether raw 802.3 is taken: FFFF behind the length."""

    def takes(self, frame: Buffer) -> bool:
        """Whether a frame, from its destination address on, is wanted. A runt never is."""
        kind = ethernet.ethertype(frame)
        if kind > ethernet.LARGEST_LENGTH:
            return kind in self.ethertypes
        if kind < llc.HEADER_BYTES or len(frame) < _SNAP_AT:
            return False
        saps = frame[_LLC_AT], frame[_LLC_AT + 1]
        if saps == _RAW:
            return self.is_raw
        if saps[0] != llc.SNAP_SAP:
            return saps[0] in self.saps
        protocol = bytes(frame[_SNAP_AT : _SNAP_AT + llc.SNAP_BYTES])
        return len(protocol) == llc.SNAP_BYTES and (protocol[:3], int.from_bytes(protocol[3:])) in self.snap
