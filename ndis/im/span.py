"""MUX the other way round: one virtual adapter over several cards, each on a segment of its own (1:N).

Where a station is, is learnt from what it sends: frames to it leave by its card alone, those to groups and
to strangers by every card. Nothing is passed from one segment to another, so no loop can arise. Source:
README of the MUX sample (WDK), "1:n"; IEEE 802.1D, 7.8 and 7.9, for learning and ageing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.im.edge import Intermediate, LowerBinding, VirtualAdapter
from ndis.im.mux import VLAN_MASK, insert_tag, strip_tag

if TYPE_CHECKING:
    from ndis.im.edge import Target
    from ndis.packet import Packet
    from ndis.wrapper import Ndis

AGEING_NS = 300_000_000_000
MOST_STATIONS = 4096


class Stations:
    """Which card each station was heard by last. Bounded: the one longest unheard goes first."""

    def __init__(self, most: int = MOST_STATIONS) -> None:
        self._most = most
        self._heard: dict[bytes, tuple[LowerBinding, int]] = {}

    def __len__(self) -> int:
        """Count those known, the aged included."""
        return len(self._heard)

    def heard(self, address: bytes, lower: LowerBinding, now_ns: int) -> None:
        """Note a frame from ``address``; a group sends nothing, so its address is not believed."""
        if address[0] & 1:
            return
        self._heard.pop(address, None)
        if len(self._heard) >= self._most:
            del self._heard[next(iter(self._heard))]
        self._heard[address] = (lower, now_ns)

    def find(self, address: bytes, now_ns: int) -> LowerBinding | None:
        """Return the card towards a station; None when it was not heard for five minutes, or is a group."""
        found = self._heard.get(address)
        if found is None or now_ns - found[1] > AGEING_NS:
            return None
        return found[0]

    def forget(self, lower: LowerBinding) -> None:
        """Forget all who are behind a card that goes, or lost its link."""
        self._heard = {a: entry for a, entry in self._heard.items() if entry[0] is not lower}


class Span(Intermediate):
    """The virtual adapter appears with the first card and has its address; ``vlan`` 0: untagged."""

    def __init__(self, ndis: Ndis, vlan: int = 0, name: str = "Span") -> None:
        super().__init__(ndis, name)
        self.stations = Stations()
        self._vlan = vlan

    def lower_bound(self, lower: LowerBinding) -> None:
        """Make the adapter over the first card; the others join it."""
        if lower.open is not None and not self.virtuals:
            self.add_virtual(self.name, {"NetworkAddress": lower.open.adapter.filter.address})
        self.link_changed()

    def lower_unbound(self, lower: LowerBinding) -> None:
        """Go on over the other cards; the last takes the adapter along."""
        super().lower_unbound(lower)
        self.stations.forget(lower)

    def routes(self, virtual: VirtualAdapter, packet: Packet) -> list[Target]:
        """By the card of the station, else by all whose cable is in."""
        del virtual
        data = packet.data
        up = [one for one in self.lowers if one.connected]
        known = self.stations.find(data[:6], self.ndis.executive.now_ns())
        frame = insert_tag(data, self._vlan) if self._vlan else None
        return [(one, frame) for one in ([known] if known in up else up) if one is not None]

    def deliver(self, lower: LowerBinding, frame: bytes) -> list[tuple[VirtualAdapter, bytes]]:
        """Learn, and give up what is in the VLAN."""
        tag, bare = strip_tag(frame)
        if (tag or 0) & VLAN_MASK != self._vlan:
            return []
        self.stations.heard(bare[6:12], lower, self.ndis.executive.now_ns())
        return [(virtual, bare) for virtual in self.virtuals]

    def link_changed(self) -> None:
        """Forget who was behind a cable that is out."""
        for lower in self.lowers:
            if not lower.connected:
                self.stations.forget(lower)
        super().link_changed()
