"""The control field of IEEE 802.2: kinds of PDU, numbers, poll/final (ISO/IEC 8802-2:1998, 5.2 to 5.4).

::

           bit 0                  7   8   9              15
    I     | 0 |        N(S)        |P/F|       N(R)        |
    S     | 1   0 | S   S | 0 0 0 0|P/F|       N(R)        |
    U     | 1   1 | M   M |P/F| M M M|

A frame whose control field is none of these has no kind; the link that it is for answers FRMR.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from formats.llc import GROUP_BIT, RESPONSE_BIT, LlcFrame

MODULUS: Final = 128
_UNNUMBERED: Final = 3
_POLL_U: Final = 0x10
_POLL_NUMBERED: Final = 0x100
_SUPERVISORY_RESERVED: Final = 0xF0


class Kind(enum.Enum):
    """A PDU's kind. The value is the first byte of its control field, without P/F and sequence numbers."""

    I = 0x00  # noqa: E741 - the standard's name
    RR = 0x01
    RNR = 0x05
    REJ = 0x09
    UI = 0x03
    DM = 0x0F
    DISC = 0x43
    UA = 0x63
    SABME = 0x6F
    FRMR = 0x87
    XID = 0xAF
    TEST = 0xE3


SUPERVISORY: Final = frozenset({Kind.RR, Kind.RNR, Kind.REJ})
NUMBERED: Final = SUPERVISORY | {Kind.I}
LINKLESS: Final = frozenset({Kind.UI, Kind.XID, Kind.TEST})
"""Type 1: no link is needed for them, and a group SAP may be addressed."""
COMMANDS: Final = frozenset({Kind.UI, Kind.SABME, Kind.DISC})
"""Never a response."""
RESPONSES: Final = frozenset({Kind.UA, Kind.DM, Kind.FRMR})
"""Never a command."""
WITH_INFORMATION: Final = frozenset({Kind.I, Kind.UI, Kind.XID, Kind.TEST, Kind.FRMR})
_BY_CODE: Final = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Pdu:
    """A PDU as a station or a link takes it. ``ns`` and ``nr`` are 0 where the kind has none."""

    source: bytes
    dsap: int
    ssap: int
    """Without the response bit."""
    is_command: bool
    kind: Kind | None
    """None: the control field is undefined, or the kind is none for a command or for a response."""
    pf: bool
    """P of a command, F of a response."""
    ns: int
    nr: int
    information: bytes
    control: int
    """As it came, for FRMR."""

    @classmethod
    def of(cls, frame: LlcFrame) -> Pdu:
        """Read the control field of a frame."""
        is_command = not frame.ssap & RESPONSE_BIT
        control = frame.control
        kind, pf, ns, nr = _unnumbered(control) if frame.is_unnumbered else _numbered(control)
        if kind in (RESPONSES if is_command else COMMANDS):
            kind = None
        ssap = frame.ssap & ~RESPONSE_BIT
        return cls(frame.source, frame.dsap, ssap, is_command, kind, pf, ns, nr, frame.information, control)

    @property
    def is_group(self) -> bool:
        """Whether it is for a group of SAPs."""
        return bool(self.dsap & GROUP_BIT)


def control(kind: Kind, *, pf: bool = False, ns: int = 0, nr: int = 0) -> int:
    """Return a control field: 8 bits of a U frame, 16 bits (first byte low) of the others."""
    if kind not in NUMBERED:
        return kind.value | pf * _POLL_U
    return kind.value | ns << 1 | nr << 9 | pf * _POLL_NUMBERED


def _unnumbered(value: int) -> tuple[Kind | None, bool, int, int]:
    return _BY_CODE.get(value & ~_POLL_U), bool(value & _POLL_U), 0, 0


def _numbered(value: int) -> tuple[Kind | None, bool, int, int]:
    pf, nr = bool(value & _POLL_NUMBERED), value >> 9
    if not value & 1:
        return Kind.I, pf, value >> 1 & (MODULUS - 1), nr
    first = value & 0xFF
    return (None if first & _SUPERVISORY_RESERVED else _BY_CODE.get(first)), pf, 0, nr
