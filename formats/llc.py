"""IEEE 802.2 LLC headers and SNAP (IEEE 802-2014, 9.4 and 9.5), behind an 802.3 length.

::

     0      6      12       14     15     16         17 or 18
    +------+------+--------+------+------+----------+------------
    | dst  | src  | length | DSAP | SSAP | control  | information
    +------+------+--------+------+------+----------+------------

    SNAP: DSAP and SSAP AA, control 03 (UI):

     17            20      22
    +-------------+-------+---------
    | OUI         | type  | payload
    +-------------+-------+---------

The control field has one byte in U frames and two in I and S frames. A codec: the state of links is
``protocols.interfaces.llc``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from formats import ethernet

if TYPE_CHECKING:
    from formats.checksum import Buffer

NULL_SAP: Final = 0x00
SNAP_SAP: Final = 0xAA
NETBIOS_SAP: Final = 0xF0
IPX_SAP: Final = 0xE0
GLOBAL_SAP: Final = 0xFF
GROUP_BIT: Final = 0x01
"""In a DSAP: a group address."""
RESPONSE_BIT: Final = 0x01
"""In an SSAP: the frame is a response."""
UI: Final = 0x03
"""The control field of unnumbered information."""
HEADER_BYTES: Final = 3
SNAP_BYTES: Final = 5
RFC1042: Final = bytes(3)
"""The OUI under which an EtherType follows (RFC 1042)."""


@dataclass(frozen=True, slots=True)
class LlcFrame:
    """An LLC frame. ``control`` has 8 bits in a U frame, 16 (first byte low) in I and S frames."""

    destination: bytes
    source: bytes
    dsap: int
    ssap: int
    control: int
    information: bytes

    @property
    def is_unnumbered(self) -> bool:
        """Whether the control field has one byte."""
        return self.control & 3 == 3

    def emit(self) -> bytes:
        """Return the frame as it goes to the wire, not padded."""
        control = self.control.to_bytes(1 if self.is_unnumbered else 2, "little")
        body = bytes((self.dsap, self.ssap)) + control + self.information
        return self.destination + self.source + len(body).to_bytes(2) + body

    @classmethod
    def parse(cls, frame: Buffer) -> LlcFrame | None:
        """Read a frame; None when it is no LLC frame, or its length lies. Padding is cut off."""
        length = ethernet.ethertype(frame)
        start = ethernet.HEADER_BYTES
        if not HEADER_BYTES <= length <= ethernet.LARGEST_LENGTH or len(frame) < start + length:
            return None
        body = bytes(frame[start : start + length])
        numbered = body[2] & 3 != 3
        if numbered and length < HEADER_BYTES + 1:
            return None
        control = int.from_bytes(body[2 : 4 if numbered else 3], "little")
        addresses = bytes(frame[: 2 * ethernet.ADDRESS_BYTES])
        return cls(addresses[:6], addresses[6:], body[0], body[1], control, body[4 if numbered else 3 :])


def snap(oui: bytes, kind: int) -> bytes:
    """Return LLC and SNAP headers: what stands between the length and the payload."""
    return bytes((SNAP_SAP, SNAP_SAP, UI)) + oui + kind.to_bytes(2)


def parse_snap(frame: LlcFrame) -> tuple[bytes, int, bytes] | None:
    """Return OUI, type and payload of a SNAP frame; None when it is none."""
    is_snap = frame.dsap == SNAP_SAP and frame.ssap & ~RESPONSE_BIT == SNAP_SAP and frame.control == UI
    if not is_snap or len(frame.information) < SNAP_BYTES:
        return None
    return frame.information[:3], int.from_bytes(frame.information[3:5]), frame.information[5:]
