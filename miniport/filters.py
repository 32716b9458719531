"""Which frames are wanted: NDIS's packet filter and multicast list, on the card's coarser filters.

The card's multicast table is a hash; what it lets through by accident is dropped by ``accepts``.
Source: datasheet, Receive (MTA), e1000_hash_mc_addr_generic of Linux's e1000e/mac.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniport import registers as r
from ndis.filter8023 import BROADCAST, PacketFilter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from miniport.hardware import Hardware

EXACT_PLACES = 15
"""Places of the exact filter besides the card's own address."""
MAXIMUM_LIST_SIZE = 128
# Plain numbers: they are looked at for every frame.
_DIRECTED, _PROMISCUOUS = int(PacketFilter.DIRECTED), int(PacketFilter.PROMISCUOUS)
SUPPORTED = (
    PacketFilter.DIRECTED
    | PacketFilter.MULTICAST
    | PacketFilter.ALL_MULTICAST
    | PacketFilter.BROADCAST
    | PacketFilter.PROMISCUOUS
)


def table_bit(address: bytes) -> tuple[int, int]:
    """Return register and bit of the multicast table for an address (RCTL.MO 0: bits 47:36)."""
    value = (address[4] >> 4 | address[5] << 4) & 0xFFF
    return value >> 5, value & 31


class Filters:
    """What the transports want, and the card's registers that say so."""

    def __init__(self, hardware: Hardware, options: int) -> None:
        """Want nothing. ``options`` are RCTL's bits that have nothing to do with filters."""
        self._hardware = hardware
        self._options = options
        self.address = bytes(6)
        self.packet_filter = PacketFilter.NONE
        self.multicast: tuple[bytes, ...] = ()
        self._groups: frozenset[bytes] = frozenset()

    def forget(self) -> None:
        """Start again with nothing, as after a reset."""
        self.packet_filter = PacketFilter.NONE
        self.multicast = ()
        self._groups = frozenset()

    def apply(self) -> None:
        """Write RCTL; the receiver runs only while somebody wants something."""
        wanted = self.packet_filter
        bits = self._options
        bits |= r.RCTL_EN if wanted else 0
        # UPE and MPE say nothing of broadcasts, on QEMU's model at least: promiscuous needs BAM too.
        bits |= r.RCTL_BAM if wanted & (PacketFilter.BROADCAST | PacketFilter.PROMISCUOUS) else 0
        bits |= r.RCTL_MPE if wanted & (PacketFilter.ALL_MULTICAST | PacketFilter.PROMISCUOUS) else 0
        bits |= r.RCTL_UPE if wanted & PacketFilter.PROMISCUOUS else 0
        self._hardware.write(r.RCTL, bits)
        self._hardware.flush()

    def set_multicast(self, groups: Iterable[bytes]) -> None:
        """Take a new list: the first into the exact filter, the rest into the table."""
        self.multicast = tuple(groups)
        self._groups = frozenset(self.multicast)
        exact, rest = self.multicast[:EXACT_PLACES], self.multicast[EXACT_PLACES:]
        for at in range(EXACT_PLACES):
            self._hardware.set_address(at + 1, exact[at] if at < len(exact) else None)
        table = [0] * 128
        for group in rest:
            register, bit = table_bit(group)
            table[register] |= 1 << bit
        for at, value in enumerate(table):
            self._hardware.write(r.MTA0 + 4 * at, value)
        self._hardware.flush()

    def accepts(self, destination: bytes) -> bool:
        """Tell whether the packet filter lets a frame to this address up."""
        wanted = int(self.packet_filter)
        if wanted & _PROMISCUOUS:
            return True
        if not destination[0] & 1:
            return bool(wanted & _DIRECTED) and destination == self.address
        if destination == BROADCAST:
            return bool(wanted & PacketFilter.BROADCAST)
        if wanted & PacketFilter.ALL_MULTICAST:
            return True
        return bool(wanted & PacketFilter.MULTICAST) and destination in self._groups
