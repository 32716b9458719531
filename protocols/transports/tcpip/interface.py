"""One network interface as IP sees it: addresses, groups, neighbours, and the frames to send.

It knows nothing of routing or of any protocol above IP.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from formats import ethernet
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.addresses import Prefix

if TYPE_CHECKING:
    from protocols.transports.tcpip.link import Link, TxFrame
    from protocols.transports.tcpip.neighbours import NeighbourCache

MAX_CORRESPONDENTS = 256


class AddressState(enum.Enum):
    """The life of an address (RFC 4862 2, RFC 5227)."""

    TENTATIVE = enum.auto()
    PREFERRED = enum.auto()
    DEPRECATED = enum.auto()
    DUPLICATE = enum.auto()


@dataclass(slots=True)
class InterfaceAddress:
    """An address of an interface. The times are absolute nanoseconds; None is for ever."""

    address: bytes
    prefix_length: int
    state: AddressState = AddressState.PREFERRED
    origin: str = "manual"
    preferred_until: int | None = None
    valid_until: int | None = None

    @property
    def prefix(self) -> Prefix:
        """The network that the address is in."""
        return Prefix.of(self.address, self.prefix_length)

    @property
    def usable(self) -> bool:
        """True when packets may be received for it and sent from it."""
        return self.state in (AddressState.PREFERRED, AddressState.DEPRECATED)


class Interface:
    """Addresses, groups and the outbox. ``arp`` and ``nd`` set the neighbour caches."""

    def __init__(self, index: int, link: Link, *, loopback: bool = False) -> None:
        """Take the link's properties; they do not change while the interface lives."""
        self.index = index
        self.link = link
        self.name = link.name
        self.mac = link.mac
        self.mtu = link.mtu
        self.offload = link.offload
        self.loopback = loopback
        self.priority = index
        """Its place in the order of bindings: of routes that cost the same, the lowest number's is taken."""
        self.up = True
        self.addresses: dict[bytes, InterfaceAddress] = {}
        self.groups: Counter[bytes] = Counter()
        self.outbox: list[TxFrame] = []
        self.counters: Counter[str] = Counter()
        self.hop_limit6 = 64  # a router advertisement may change it
        self.mtu6 = link.mtu
        self.neighbours4: NeighbourCache
        self.neighbours6: NeighbourCache
        self.correspondents: set[bytes] = set()
        """IPv4 sources that may send to us, each before the address of ours it has sent to: judged once."""
        self._broadcasts: frozenset[bytes] = frozenset((addresses.IPV4_BROADCAST,))

    def add_address(self, entry: InterfaceAddress) -> None:
        """Add or replace an address."""
        self.addresses[entry.address] = entry
        self._addresses_changed()

    def remove_address(self, address: bytes) -> InterfaceAddress | None:
        """Take an address away; None when it was not there."""
        entry = self.addresses.pop(address, None)
        self._addresses_changed()
        return entry

    def owns(self, address: bytes) -> bool:
        """Tell whether a packet to ``address`` is for this interface (unicast)."""
        entry = self.addresses.get(address)
        return entry is not None and entry.usable

    def is_broadcast(self, address: bytes) -> bool:
        """Tell whether it is 255.255.255.255 or a directed broadcast of this link."""
        return address in self._broadcasts

    def remember(self, pair: bytes) -> None:
        """Have packets with this pair of IPv4 addresses taken without judging them anew, while they last."""
        if len(self.correspondents) >= MAX_CORRESPONDENTS:
            self.correspondents.clear()
        self.correspondents.add(pair)

    def source_for(self, destination: bytes) -> bytes | None:
        """Choose a source address (RFC 1122 3.3.4.3; RFC 6724 rules 2, 3 and 8)."""
        best: tuple[tuple[bool, bool, int], bytes] | None = None
        scope = addresses.is_link_local(destination) or destination[:2] == b"\xff\x02"
        for entry in self.addresses.values():
            if len(entry.address) != len(destination) or not entry.usable:
                continue
            rank = (
                addresses.is_link_local(entry.address) == scope,
                entry.state is AddressState.PREFERRED,
                _common_bits(entry.address, destination),
            )
            if best is None or rank > best[0]:
                best = (rank, entry.address)
        return best[1] if best else None

    def emit(self, mac: bytes, ethertype: int, frame: TxFrame) -> None:
        """Put the Ethernet header on a frame and queue it."""
        buffers = frame.buffers
        buffers[0] = mac + self.mac + ethertype.to_bytes(2) + bytes(buffers[0])
        if frame.checksum_start:
            frame.checksum_start += ethernet.HEADER_BYTES
        self.outbox.append(frame)

    def join(self, group: bytes) -> bool:
        """Count a join; True for the first one."""
        self.groups[group] += 1
        if self.groups[group] > 1:
            return False
        self._filter()
        return True

    def leave(self, group: bytes) -> bool:
        """Count a leave; True when nobody is left in the group."""
        if group not in self.groups:
            return False
        self.groups[group] -= 1
        if self.groups[group]:
            return False
        del self.groups[group]
        self._filter()
        return True

    def _filter(self) -> None:
        self.link.set_multicast(frozenset(map(addresses.multicast_mac, self.groups)))

    def _addresses_changed(self) -> None:
        self.correspondents.clear()
        directed = {
            e.prefix.broadcast()
            for e in self.addresses.values()
            if len(e.address) == 4 and e.prefix_length < 31
        }
        self._broadcasts = frozenset(directed | {addresses.IPV4_BROADCAST})


def _common_bits(one: bytes, other: bytes) -> int:
    difference = int.from_bytes(one) ^ int.from_bytes(other)
    return len(one) * 8 - difference.bit_length()
