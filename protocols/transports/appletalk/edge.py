"""AppleTalk over NDIS: a node for each network card; the first is the one that sockets use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from formats.appletalk import AARP_SNAP, DDP_SNAP
from protocols.interfaces.edge import EdgeDriver, EdgeLink, Wanted
from protocols.transports.appletalk.node import Node, frame_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.llc import LlcFrame
    from ndis.packet import Packet, PacketPool
    from ndis.wrapper import Ndis


class AppletalkLink(EdgeLink["LlcFrame", bytes]):
    """A card, and the node on it. ``node`` is there from the binding on."""

    wanted = Wanted(snap=frozenset({AARP_SNAP, DDP_SNAP}))
    node: Node
    heard: frozenset[bytes] = frozenset()

    def prepare(self, frame: LlcFrame) -> tuple[list[bytes], dict[Any, Any]]:
        """Pad the frame; leave no work to the card."""
        return [frame_bytes(frame)], {}

    def received(self, packet: Packet) -> bytes:
        """Copy the frame."""
        return bytes(packet.data)


class AppletalkEdge(EdgeDriver[AppletalkLink]):
    """The protocol driver. ``went`` is told a node whose card is being unbound."""

    name = "atalk"

    def __init__(self, ndis: Ndis, went: Callable[[Node], None]) -> None:
        super().__init__(ndis)
        self._went = went

    @property
    def node(self) -> Node | None:
        """The node of the first card that is bound and plugged: NT's default port."""
        return next((link.node for link in self.links.values() if link.up), None)

    def make_link(self, name: str, pool: PacketPool) -> AppletalkLink:
        """Return a link over a card."""
        return AppletalkLink(name, pool, self.request_turn, self.reorder)

    def attach(self, link: AppletalkLink, before: AppletalkLink | None) -> None:
        """Make the card's node; it looks for an address."""
        del before
        link.node = Node(link.mac, self.now_ns())
        self._hear(link)

    def detach(self, link: AppletalkLink) -> None:
        """End what the node has."""
        link.node.stop()
        self._went(link.node)

    def deliver(self, link: AppletalkLink, frames: list[bytes], now_ns: int) -> None:
        """Take what came, and let time pass, as a turn with frames has no other call."""
        for frame in frames:
            link.node.receive(frame, now_ns)
        self.advance(now_ns)

    def advance(self, now_ns: int) -> None:
        """Run the timers; then all goes out."""
        for link in self.links.values():
            if link.up:
                link.node.advance(now_ns)
        for link in self.links.values():
            frames = list(link.node.outbox)
            link.node.outbox.clear()
            link.send(frames)
            if link.up:
                self._hear(link)

    def next_deadline(self) -> int | None:
        """Return the earliest of the nodes' deadlines."""
        due = (link.node.next_deadline() for link in self.links.values() if link.up)
        return min((one for one in due if one is not None), default=None)

    @staticmethod
    def _hear(link: AppletalkLink) -> None:
        """Have the card hear the groups that the node is in."""
        if link.heard != link.node.multicasts:
            link.heard = link.node.multicasts
            link.set_multicast(link.heard)
