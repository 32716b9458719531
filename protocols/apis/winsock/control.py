"""Control data of WSARecvMsg and WSASendMsg: WSACMSGHDRs with where a datagram came in, or shall leave.

Windows' own layouts: IN_PKTINFO is the destination and an interface index (8 bytes), IN6_PKTINFO the same
with 16 bytes of address (``ws2ipdef.h``). Numbers are little-endian, as on the machines Windows runs on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protocols.apis.winsock.constants import IpOption, Sol

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = struct.Struct("<QII")  # cmsg_len, cmsg_level, cmsg_type: WSACMSGHDR of 64-bit Windows
ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class ControlMessage:
    """One WSACMSGHDR and its data."""

    level: int
    kind: int
    data: bytes

    @property
    def space(self) -> int:
        """WSA_CMSG_SPACE: bytes that it takes in a control buffer."""
        return HEADER.size + len(self.data) + -len(self.data) % ALIGNMENT

    def emit(self) -> bytes:
        """Return its bytes in a control buffer."""
        head = HEADER.pack(HEADER.size + len(self.data), self.level, self.kind)
        return (head + self.data).ljust(self.space, b"\0")


@dataclass(frozen=True, slots=True)
class PacketInfo:
    """IN_PKTINFO or IN6_PKTINFO: where a datagram was sent to, and the interface that it came by."""

    destination: bytes
    interface: int

    @classmethod
    def parse(cls, data: bytes) -> PacketInfo:
        """Read 8 or 20 bytes. ValueError for any other length."""
        if len(data) not in (8, 20):
            raise ValueError(f"{len(data)} bytes are no IN_PKTINFO")
        return cls(data[:-4], int.from_bytes(data[-4:], "little"))

    def emit(self) -> bytes:
        """Return the 8 or 20 bytes."""
        return self.destination + self.interface.to_bytes(4, "little")


def received(details: dict[str, Any], options: dict[str, Any]) -> tuple[ControlMessage, ...]:
    """Return what a socket's options ask to be told of a datagram."""
    if not options["packet_info"] or "destination" not in details:
        return ()
    info = PacketInfo(details["destination"], details["interface"])
    level = Sol.IP if len(info.destination) == 4 else Sol.IPV6
    return (ControlMessage(level, IpOption.PKTINFO, info.emit()),)


def source_of(messages: Iterable[ControlMessage]) -> PacketInfo | None:
    """Return what control data says of where a datagram shall leave. ValueError for any other data."""
    found = None
    for message in messages:
        if message.level not in (Sol.IP, Sol.IPV6) or message.kind != IpOption.PKTINFO:
            raise ValueError(f"control data {message.kind:#x} of level {message.level:#x}")
        found = PacketInfo.parse(message.data)
    return found


def fitting(messages: tuple[ControlMessage, ...], room: int) -> tuple[ControlMessage, ...]:
    """Return the messages that a control buffer of ``room`` bytes holds whole."""
    found: list[ControlMessage] = []
    for message in messages:
        room -= message.space
        if room < 0:
            break
        found.append(message)
    return tuple(found)
