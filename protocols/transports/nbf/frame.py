"""NetBIOS frames as they lie behind an LLC header: UI with names, or I with session numbers.

::

     0        2           4         5       6       8            10              12
    +--------+-----------+---------+-------+-------+------------+---------------+----------
    | length | delimiter | command | DATA1 | DATA2 | transmit   | response      | addresses
    |        | EFFF      |         |       |       | correlator | correlator    |
    +--------+-----------+---------+-------+-------+------------+---------------+----------

    UI, length 2C:  destination name (16), source name (16)
    I,  length 0E:  destination session number (1), source session number (1)

All numbers are little-endian. Source: IBM LAN Technical Reference (SC30-3383), "NetBIOS frames". The
flags of piggybacked acknowledgment: Microsoft Knowledge Base Q63374. A codec; it knows no state.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from struct import Struct
from typing import Final

DELIMITER: Final = 0xEFFF
NAME_BYTES: Final = 16
_NAMES: Final = Struct("<HHBBHHH16s16s")
_SESSIONS: Final = Struct("<HHBBHHHBB")
NAME_HEADER_BYTES: Final = _NAMES.size
SESSION_HEADER_BYTES: Final = _SESSIONS.size
NO_NAME: Final = bytes(NAME_BYTES)


class Command(enum.IntEnum):
    """What a frame is."""

    ADD_GROUP_NAME_QUERY = 0x00
    ADD_NAME_QUERY = 0x01
    NAME_IN_CONFLICT = 0x02
    STATUS_QUERY = 0x03
    TERMINATE_TRACE = 0x07
    DATAGRAM = 0x08
    DATAGRAM_BROADCAST = 0x09
    NAME_QUERY = 0x0A
    ADD_NAME_RESPONSE = 0x0D
    NAME_RECOGNIZED = 0x0E
    STATUS_RESPONSE = 0x0F
    TERMINATE_TRACE_BOTH = 0x13
    DATA_ACK = 0x14
    DATA_FIRST_MIDDLE = 0x15
    DATA_ONLY_LAST = 0x16
    SESSION_CONFIRM = 0x17
    SESSION_END = 0x18
    SESSION_INITIALIZE = 0x19
    NO_RECEIVE = 0x1A
    RECEIVE_OUTSTANDING = 0x1B
    RECEIVE_CONTINUE = 0x1C
    SESSION_ALIVE = 0x1F

    @property
    def is_sessions(self) -> bool:
        """Whether it goes over a link, with session numbers."""
        return self >= Command.DATA_ACK


COMMANDS: Final = {command.value: command for command in Command}


class DataFlag(enum.IntFlag):
    """DATA1 of DATA_FIRST_MIDDLE and DATA_ONLY_LAST."""

    NONE = 0
    RECEIVE_CONTINUE_REQUESTED = 0x01
    NO_ACK = 0x02
    ACK_WITH_DATA_ALLOWED = 0x04
    ACK_INCLUDED = 0x08


SESSION_VERSION: Final = 0x01
"""DATA1 of SESSION_INITIALIZE and SESSION_CONFIRM: NetBIOS 2.00 or higher."""
LARGEST_FRAME_1500: Final = 0x02
"""DATA1 of SESSION_INITIALIZE: the largest frame of the path, a code in bits 3-1: 1 for Ethernet's."""
RESYNC: Final = 1
"""DATA2 of the first data frame after RECEIVE_OUTSTANDING."""
NO_LISTEN: Final = 0x00
CANNOT: Final = 0xFF
"""In place of a session number in NAME_RECOGNIZED: nobody listens; somebody does, but there is no room."""
GROUP: Final = 1
"""The type of a name: 0 unique, 1 group."""
STATUS_LARGER_THAN_BUFFER: Final = 0x4000
STATUS_LARGER_THAN_FRAME: Final = 0x8000
STATUS_LENGTH: Final = 0x3FFF


@dataclass(frozen=True, slots=True)
class NameFrame:
    """A UI frame."""

    command: Command
    destination: bytes = NO_NAME
    source: bytes = NO_NAME
    data1: int = 0
    data2: int = 0
    transmit: int = 0
    response: int = 0
    data: bytes = b""

    def emit(self) -> bytes:
        """Return the information of the UI frame."""
        numbers = self.data1, self.data2, self.transmit, self.response
        names = self.destination, self.source
        return _NAMES.pack(_NAMES.size, DELIMITER, self.command, *numbers, *names) + self.data

    @classmethod
    def parse(cls, raw: bytes) -> NameFrame | None:
        """Read the information of a UI frame; None when it is none of NetBIOS."""
        if len(raw) < _NAMES.size:
            return None
        length, delimiter, code, data1, data2, transmit, response, to, source = _NAMES.unpack_from(raw)
        command = COMMANDS.get(code)
        if length != _NAMES.size or delimiter != DELIMITER or command is None or command.is_sessions:
            return None
        return cls(command, to, source, data1, data2, transmit, response, raw[length:])


@dataclass(frozen=True, slots=True)
class SessionFrame:
    """An I frame: ``destination`` and ``source`` are the session's numbers at either end."""

    command: Command
    destination: int
    source: int
    data1: int = 0
    data2: int = 0
    transmit: int = 0
    response: int = 0
    data: bytes = b""

    def emit(self) -> bytes:
        """Return the information of the I frame."""
        numbers = self.data1, self.data2, self.transmit, self.response
        sessions = self.destination, self.source
        return _SESSIONS.pack(_SESSIONS.size, DELIMITER, self.command, *numbers, *sessions) + self.data

    @classmethod
    def parse(cls, raw: bytes) -> SessionFrame | None:
        """Read the information of an I frame; None when it is none of NetBIOS."""
        if len(raw) < _SESSIONS.size:
            return None
        length, delimiter, code, data1, data2, transmit, response, to, source = _SESSIONS.unpack_from(raw)
        command = COMMANDS.get(code)
        if length != _SESSIONS.size or delimiter != DELIMITER or command is None or not command.is_sessions:
            return None
        return cls(command, to, source, data1, data2, transmit, response, raw[length:])
