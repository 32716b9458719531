"""MUX: several virtual adapters over one card, each in a VLAN or in none (N:1).

A frame leaves tagged when its adapter has a VLAN id or the packet carries 802.1Q information; a
tagged frame is given, without the tag, to the adapters of that VLAN; untagged frames to those
without one, and priority-tagged ones (id 0) too. Source: README of the MUX sample (WDK), IEEE
802.1Q.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ndis.im.edge import Intermediate, LowerBinding, VirtualAdapter
from ndis.packet import PacketInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.im.edge import Target
    from ndis.packet import Packet
    from ndis.wrapper import Ndis

TPID = b"\x81\x00"
VLAN_MASK = 0x0FFF


@dataclass(frozen=True, slots=True)
class Vlan:
    """One virtual adapter to make: its name, VLAN id (0: untagged) and address (b"": derived)."""

    name: str
    vlan: int = 0
    address: bytes = b""


def insert_tag(frame: bytes, tag: int) -> bytes:
    """Put an 802.1Q tag behind the addresses; ``tag`` is priority, DEI and id."""
    return frame[:12] + TPID + tag.to_bytes(2, "big") + frame[12:]


def strip_tag(frame: bytes) -> tuple[int | None, bytes]:
    """Take the tag out; None when there is none."""
    if frame[12:14] != TPID or len(frame) < 18:
        return None, frame
    return int.from_bytes(frame[14:16], "big"), frame[:12] + frame[16:]


class Mux(Intermediate):
    """The virtual adapters of ``vlans`` over every card it is bound to."""

    def __init__(self, ndis: Ndis, vlans: Sequence[Vlan], name: str = "Mux") -> None:
        """Register both edges; the adapters come with the first card."""
        super().__init__(ndis, name)
        self._vlans = list(vlans)
        self._members: list[tuple[LowerBinding, VirtualAdapter, int]] = []

    def lower_bound(self, lower: LowerBinding) -> None:
        """Make every virtual adapter, each with an address of its own."""
        if lower.open is None:
            return
        base = lower.open.adapter.filter.address
        for number, vlan in enumerate(self._vlans, 1):
            # Locally administered, and unlike the card's and each other's.
            derived = bytes([base[0] | 2]) + base[1:4] + bytes([base[4] ^ number, base[5]])
            settings = {"NetworkAddress": vlan.address or derived}
            virtual = self.add_virtual(vlan.name, settings)
            self._members.append((lower, virtual, vlan.vlan))

    def lower_unbound(self, lower: LowerBinding) -> None:
        """Deinitialize every virtual adapter over it."""
        gone = [virtual for low, virtual, _ in self._members if low is lower]
        for adapter in [a for a in self.adapters if a.driver in gone]:
            self.ndis.remove_adapter(adapter)
        self._members = [m for m in self._members if m[0] is not lower]

    def route(self, virtual: VirtualAdapter, packet: Packet) -> Target | None:
        """Down, with a tag where one is due."""
        for lower, member, vlan in self._members:
            if member is virtual:
                asked = int(packet.info.get(PacketInfo.IEEE_8021Q, 0))
                tag = (asked & ~VLAN_MASK) | (vlan or asked & VLAN_MASK)
                return lower, insert_tag(packet.data, tag) if tag else None
        return None

    def deliver(self, lower: LowerBinding, frame: bytes) -> list[tuple[VirtualAdapter, bytes]]:
        """Up, to the adapters of the frame's VLAN."""
        tag, bare = strip_tag(frame)
        wanted = (tag or 0) & VLAN_MASK
        return [(v, bare) for low, v, vlan in self._members if low is lower and vlan == wanted]
