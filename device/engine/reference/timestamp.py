"""Timestamps of received PTP messages (IEEE 1588; datasheet, Time Sync).

TSYNCRXCTL.TYPE chooses which messages; RXMTRL and RXUDP say what they look like. One stamp is held until
the driver reads RXSTMPH (e1000e_rx_hwtstamp in Linux's e1000e/netdev.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC
from device.regs.words import place

if TYPE_CHECKING:
    from device.engine.reference.core import Core
    from formats.packet import Packet

_CONTROL = place("TSYNCRXCTL")
_VALID, _ENABLED = NIC["TSYNCRXCTL"]["VALID"].mask, NIC["TSYNCRXCTL"]["ENABLED"].mask
_TYPE = NIC["TSYNCRXCTL"]["TYPE"]
_RXSTMPL, _RXSATRL, _RXMTRL, _RXUDP = place("RXSTMPL"), place("RXSATRL"), place("RXMTRL"), place("RXUDP")

L2_V2, L4_V1, L2_L4_V2, ALL, EVENT_V2 = 0, 1, 2, 4, 5
_ON_L2: Final = frozenset({L2_V2, L2_L4_V2, EVENT_V2})
_ON_L4: Final = frozenset({L4_V1, L2_L4_V2, EVENT_V2})
_HEADER: Final = 34  # of PTP version 2 (IEEE 1588-2008, 13.3)
_EVENT_MESSAGES: Final = 8  # message types below are events
_V1_CONTROL, _SOURCE, _SEQUENCE = 32, 22, 30


def stamp(core: Core, frame: bytes, packet: Packet) -> bool:
    """Hold the time of the frame if it is to be stamped; tell whether it was."""
    words = core.words
    control = words[_CONTROL]
    if control & (_ENABLED | _VALID) != _ENABLED:
        return False
    kind = _TYPE.get(control)
    at = _message(words, frame, packet, kind)
    if kind != ALL and (not at or not _wanted(words[_RXMTRL], frame, at, kind)):
        return False
    value = core.time.value(core.now)
    words[_RXSTMPL], words[_RXSTMPL + 1] = value & 0xFFFF_FFFF, value >> 32
    source = frame[at + _SOURCE : at + _SOURCE + 6] if at else b""
    sequence = frame[at + _SEQUENCE : at + _SEQUENCE + 2] if at else b""
    words[_RXSATRL] = int.from_bytes(source[2:], "big")
    words[_RXSATRL + 1] = int.from_bytes(source[:2], "big") | int.from_bytes(sequence, "big") << 16
    words[_CONTROL] = control | _VALID
    return True


def _message(words: list[int], frame: bytes, packet: Packet, kind: int) -> int:
    """Return where the PTP message starts, 0 when the frame carries none of the chosen transport."""
    at = 0
    if kind in _ON_L2 and int.from_bytes(frame[12:14], "big") == words[_RXMTRL] & 0xFFFF:
        at = 14
    elif kind in _ON_L4 and packet.is_udp:
        port = frame[packet.transport + 2 : packet.transport + 4]
        if int.from_bytes(port, "little") == words[_RXUDP]:
            at = packet.payload
    return at if at and at + _HEADER <= len(frame) else 0


def _wanted(rxmtrl: int, frame: bytes, at: int, kind: int) -> bool:
    if kind == L4_V1:
        return frame[at + _V1_CONTROL] == rxmtrl >> 16 & 0xFF
    message = frame[at] & 0xF
    if kind == EVENT_V2:
        return message < _EVENT_MESSAGES
    return message == rxmtrl >> 24 & 0xF
