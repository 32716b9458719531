"""One binding of TCP/IP to an adapter: a ``Link`` of the stack, with the work that it leaves to the card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.offload import NOTHING
from protocols.interfaces.edge import EdgeLink
from protocols.transports.tcpip.link import Offload, RxFrame, TxFrame
from protocols.transports.tcpip.ndis_edge import offloads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.packet import PacketPool
    from protocols.transports.tcpip.interface import Interface


class NdisLink(EdgeLink[TxFrame, RxFrame]):
    """An adapter as TCP/IP sees it. ``TcpipDriver`` sets what the card can do, once."""

    prepare = staticmethod(offloads.prepare)
    received = staticmethod(offloads.received)

    def __init__(
        self,
        name: str,
        pool: PacketPool,
        wake: Callable[[], None],
        reorder: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        """Start closed, with no work left to the card."""
        super().__init__(name, pool, wake, reorder)
        self.offload = Offload()
        self.tasks = NOTHING
        self.coalescing = False
        self.interface: Interface

    def replaces(self, link: NdisLink) -> bool:
        """Whether ``link``, over the same adapter, can have this one's interface: a rebinding."""
        return (self.mac, self.mtu, self.offload) == (link.mac, link.mtu, link.offload)

    def succeed(self, before: NdisLink) -> None:
        """Take over the interface of the link that was unbound: its addresses, routes and groups."""
        self.interface = before.interface
        self.interface.link = self
        self.set_multicast(before._groups)
