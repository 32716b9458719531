"""LBFO: one virtual adapter over several cards: fault tolerance, load balancing, or 802.3ad.

Frames of one flow always leave by one card while the set of usable cards stays, so they keep their
order.
"""

from __future__ import annotations

import enum
import zlib
from typing import TYPE_CHECKING

from ndis.filter8023 import PacketFilter
from ndis.im.edge import Intermediate, LowerBinding, VirtualAdapter
from ndis.im.lacp import DESTINATION, LacpPort, select
from ntos.executive.contract import SECOND

if TYPE_CHECKING:
    from ndis.im.edge import Target
    from ndis.packet import Packet
    from ndis.status import Status
    from ndis.wrapper import Ndis
    from ntos.executive.contract import Timer


class Mode(enum.Enum):
    """How the team uses its cards."""

    FAILOVER = enum.auto()  # one at a time, the others wait
    BALANCE = enum.auto()  # all, a flow by one
    LACP = enum.auto()  # all that the partner aggregates


def flow_hash(frame: bytes) -> int:
    """Return a number that is equal for all frames of a flow.

    Addresses, and IPv4 addresses and ports.
    """
    flow = frame[:12]
    if frame[12:14] == b"\x08\x00" and len(frame) >= 34:
        header = (frame[14] & 0x0F) * 4
        fragment = int.from_bytes(frame[20:22], "big") & 0x3FFF
        ports = frame[14 + header : 18 + header] if frame[23] in {6, 17} and not fragment else b""
        flow += frame[26:34] + ports
    return zlib.crc32(flow)


class Lbfo(Intermediate):
    """A team. The virtual adapter appears with the first card and has its address."""

    def __init__(self, ndis: Ndis, mode: Mode, name: str = "Team") -> None:
        super().__init__(ndis, name)
        self.mode = mode
        self.ports: dict[LowerBinding, LacpPort] = {}
        self._timer: Timer | None = None

    @property
    def usable(self) -> list[LowerBinding]:
        """The cards that frames may leave by, in the order they joined."""
        up = [low for low in self.lowers if low.connected]
        if self.mode is Mode.LACP:
            return [low for low in up if low in self.ports and self.ports[low].distributing]
        return up[:1] if self.mode is Mode.FAILOVER else up

    @property
    def is_connected(self) -> bool:
        """Whether the team can send."""
        return bool(self.usable)

    def lower_bound(self, lower: LowerBinding) -> None:
        """Make the team's adapter with the first card; begin LACP on every card."""
        if lower.open is None:
            return
        address = lower.open.adapter.filter.address
        if not self.virtuals:
            self.add_virtual(self.name, {"NetworkAddress": address})
            self._up = self.adapters[-1].media_connected  # what NDIS has learnt of it
        if self.mode is Mode.LACP:
            system = self.virtuals[0].address
            port = LacpPort(system, 1, len(self.ports) + 1, address)
            self.ports[lower] = port
            port.link(self.ndis.executive.now_ns(), up=lower.connected)
            if self._timer is None:
                self._tick()
        self.link_changed()

    def lower_unbound(self, lower: LowerBinding) -> None:
        """Go on with the other cards; the last takes the adapter along."""
        super().lower_unbound(lower)
        self.ports.pop(lower, None)
        if not self.ports and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def route(self, virtual: VirtualAdapter, packet: Packet) -> Target | None:
        """By the flow's card."""
        del virtual
        usable = self.usable
        if not usable:
            return None
        if len(usable) == 1:
            return usable[0], None
        return usable[flow_hash(packet.data) % len(usable)], None

    def deliver(self, lower: LowerBinding, frame: bytes) -> list[tuple[VirtualAdapter, bytes]]:
        """Up, unless it is LACP's or comes by a card that does not collect."""
        port = self.ports.get(lower)
        if port is not None:
            if port.received(frame, self.ndis.executive.now_ns()):
                self._step()
                return []
            if not port.distributing:
                return []
        elif lower not in self.usable:
            return []
        return [(virtual, frame) for virtual in self.virtuals]

    def status_below(self, lower: LowerBinding, status: Status, data: object) -> None:
        """Take a link change into LACP first."""
        port = self.ports.get(lower)
        if port is not None:
            port.link(self.ndis.executive.now_ns(), up=lower.connected)
            self._step()
        super().status_below(lower, status, data)

    def filters(self, lower: LowerBinding) -> tuple[PacketFilter, bytes]:
        """Return promiscuous when anybody listens; LACP's own group always."""
        packet_filter, _list = super().filters(lower)
        if self.mode is Mode.LACP:
            return packet_filter | PacketFilter.MULTICAST, DESTINATION
        return packet_filter, b""

    def _tick(self) -> None:
        executive = self.ndis.executive
        self._timer = executive.call_at(executive.now_ns() + SECOND, "lacp", self._tick)
        self._step()

    def _step(self) -> None:
        now_ns = self.ndis.executive.now_ns()
        select(list(self.ports.values()))
        for lower, port in list(self.ports.items()):
            for frame in port.step(now_ns):
                self.send_own(lower, frame)
        self.link_changed()
