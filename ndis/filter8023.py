"""The 802.3 filter library (EthFilter).

Packet filters and multicast lists of every open, and their union.

It decides; it sends nothing. The key of an open is any hashable object. Source: ReactOS and DDK
``efilter.h``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ndis.errors import NdisError
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Hashable

BROADCAST = b"\xff" * 6
ADDRESS_BYTES = 6


class PacketFilter(enum.IntFlag):
    """NDIS_PACKET_TYPE_*."""

    NONE = 0
    DIRECTED = 0x0001
    MULTICAST = 0x0002
    ALL_MULTICAST = 0x0004
    BROADCAST = 0x0008
    SOURCE_ROUTING = 0x0010
    PROMISCUOUS = 0x0020
    SMT = 0x0040
    ALL_LOCAL = 0x0080
    GROUP = 0x1000
    ALL_FUNCTIONAL = 0x2000
    FUNCTIONAL = 0x4000
    MAC_FRAME = 0x8000


ETHERNET = (
    PacketFilter.DIRECTED
    | PacketFilter.MULTICAST
    | PacketFilter.ALL_MULTICAST
    | PacketFilter.BROADCAST
    | PacketFilter.PROMISCUOUS
    | PacketFilter.ALL_LOCAL
)


# Plain numbers: they are looked at for every frame.
_DIRECTED, _PROMISCUOUS = int(PacketFilter.DIRECTED), int(PacketFilter.PROMISCUOUS)


@dataclass(slots=True)
class OpenFilter:
    """What one open has asked for."""

    packet_filter: PacketFilter = PacketFilter.NONE
    multicast: tuple[bytes, ...] = ()
    lookahead: int = 0


def split_addresses(raw: bytes) -> tuple[bytes, ...]:
    """Cut a multicast list into addresses. Raises NdisError(INVALID_LENGTH, INVALID_DATA)."""
    if len(raw) % ADDRESS_BYTES:
        raise NdisError(Status.INVALID_LENGTH, f"multicast list of {len(raw)} bytes")
    found = tuple(raw[n : n + ADDRESS_BYTES] for n in range(0, len(raw), ADDRESS_BYTES))
    if any(not address[0] & 1 for address in found):
        raise NdisError(Status.INVALID_DATA, "an address of the list is not multicast")
    return found


class EthFilter:
    """Filters of all opens of one adapter.

    Invariant: ``packet_filter`` and ``multicast`` are the union over the opens, the list without
    duplicates and in the order of the first mention.
    """

    def __init__(self, address: bytes = bytes(6), list_size: int = 32) -> None:
        """Filter for the station ``address``; the card holds ``list_size`` multicast addresses."""
        self.address = address
        self.list_size = list_size
        self._opens: dict[Hashable, OpenFilter] = {}

    def add(self, key: Hashable) -> None:
        """Know an open, which receives nothing yet."""
        self._opens[key] = OpenFilter()

    def remove(self, key: Hashable) -> None:
        """Forget an open."""
        self._opens.pop(key, None)

    def of(self, key: Hashable) -> OpenFilter:
        """Return what the open has asked for."""
        return self._opens[key]

    @property
    def packet_filter(self) -> PacketFilter:
        """The union of the opens' filters: what the card must be set to."""
        union = PacketFilter.NONE
        for one in self._opens.values():
            union |= one.packet_filter
        return union

    @property
    def multicast(self) -> tuple[bytes, ...]:
        """The union of the opens' lists."""
        return tuple(dict.fromkeys(a for one in self._opens.values() for a in one.multicast))

    @property
    def lookahead(self) -> int:
        """The largest lookahead that an open wants, in bytes."""
        return max((one.lookahead for one in self._opens.values()), default=0)

    def set_packet_filter(self, key: Hashable, value: int) -> PacketFilter:
        """Set an open's filter; return the one before. Raises NdisError(NOT_SUPPORTED)."""
        if value & ~ETHERNET:
            raise NdisError(Status.NOT_SUPPORTED, f"packet filter {value:#x} on 802.3")
        mine = self._opens[key]
        before, mine.packet_filter = mine.packet_filter, PacketFilter(value)
        return before

    def set_multicast(self, key: Hashable, addresses: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Set an open's list; return the one before.

        Raises NdisError(MULTICAST_FULL), nothing changed.
        """
        mine = self._opens[key]
        before, mine.multicast = mine.multicast, addresses
        if len(self.multicast) > self.list_size:
            mine.multicast = before
            raise NdisError(Status.MULTICAST_FULL, f"the card holds {self.list_size} addresses")
        return before

    def wanted(self, key: Hashable, destination: bytes) -> bool:
        """Whether the open's own filter lets a received frame to ``destination`` through."""
        mine = self._opens[key]
        asked = int(mine.packet_filter)
        if asked & _PROMISCUOUS:
            return True
        if not destination[0] & 1:
            return bool(asked & _DIRECTED) and destination == self.address
        if destination == BROADCAST:
            return bool(asked & PacketFilter.BROADCAST)
        if asked & PacketFilter.ALL_MULTICAST:
            return True
        return bool(asked & PacketFilter.MULTICAST) and destination in mine.multicast

    def card_accepts(self, destination: bytes) -> bool:
        """Whether the union would let the card receive ``destination``.

        Hash filters may let more in.
        """
        return any(self.wanted(key, destination) for key in self._opens)

    def loops_back(self, key: Hashable, destination: bytes) -> bool:
        """Whether a frame sent here comes back to this open: as received, or by ALL_LOCAL."""
        local = self._opens[key].packet_filter & PacketFilter.ALL_LOCAL
        return bool(local) or self.wanted(key, destination)
