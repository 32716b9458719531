"""ADAPTER_STATUS and its name entries, as STATUS_RESPONSE carries them.

Source: ADAPTER_STATUS and NAME_BUFFER of nb30.h; IBM LAN Technical Reference, NCB.STATUS.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from protocols.transports.nbf.states import NameState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocols.transports.nbf.names import Name

_HEAD: Final = Struct("<6s4B5H2I4HI10H")
HEAD_BYTES: Final = _HEAD.size
_ENTRY: Final = Struct("<16sBB")
ENTRY_BYTES: Final = _ENTRY.size
VERSION: Final = 0x03
ETHERNET: Final = 0xFE
_GROUP: Final = 0x80
_STATES: Final = {
    NameState.REGISTERING: 0x00,
    NameState.REGISTERED: 0x04,
    NameState.GONE: 0x05,
    NameState.CONFLICT: 0x06,
}


@dataclass(frozen=True, slots=True)
class Status:
    """What a station says of itself; the rest of ADAPTER_STATUS is zero."""

    station: bytes
    sent: int
    received: int
    timeouts: int
    sessions: int
    sessions_limit: int
    largest_datagram: int
    largest_frame: int
    names: tuple[bytes, ...]

    def emit(self) -> bytes:
        """Return ADAPTER_STATUS and the name entries."""
        traffic = (0,) * 5 + (self.sent & 0xFFFF_FFFF, self.received & 0xFFFF_FFFF)
        timers = (0, 0, self.timeouts & 0xFFFF, 0, 0)
        sessions = self.sessions, self.sessions_limit, self.sessions_limit
        limits = (0,) * 4 + (self.largest_datagram, *sessions, self.largest_frame, len(self.names))
        head = _HEAD.pack(self.station, VERSION, 0, ETHERNET, 0, *traffic, *timers, *limits)
        return head + b"".join(self.names)


def entries(names: Iterable[Name]) -> list[bytes]:
    """Return a NAME_BUFFER for each name."""
    kinds = {False: 0, True: _GROUP}
    return [_ENTRY.pack(one.name, one.number, _STATES[one.state] | kinds[one.is_group]) for one in names]
