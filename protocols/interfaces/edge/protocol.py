"""A transport's protocol driver: it binds to adapters, gives the transport its turns, drains before it parts.

Turns are DPCs of the executive; an owner with threads guards them by a lock of the executive's. A transport
overrides ``make_link``, ``attach``, ``detach``, ``deliver``, ``advance`` and ``next_deadline``; nothing of it
is entered from NDIS's calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ndis.filter8023 import PacketFilter
from ndis.oids import MEDIA_DISCONNECTED, Oid
from ndis.requests import Request
from ndis.status import Status
from ntos.executive.contract import MILLISECOND, expect
from ntos.executive.dispatcher import Dpc
from protocols.interfaces.edge.link import EdgeLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.binding import BindContext
    from ndis.open import Open
    from ndis.packet import PacketPool
    from ndis.wrapper import Ndis
    from ntos.executive.contract import Timer

Link = TypeVar("Link", bound=EdgeLink[Any, Any])
PACKETS = 1024
"""Packets of a binding at the miniport at a time; frames beyond them wait in the link."""
ETHERNET_MTU = 1500
RETRY_NS = 10 * MILLISECOND
"""After a turn that failed the next comes so much later: a failure in every turn leaves the host time."""


class EdgeDriver(Generic[Link]):
    """An ``ndis.protocol.ProtocolDriver``; ``links`` are its bindings, by the adapters' names.

    A link stays in ``links`` when it was unbound, so that the next binding of the adapter can succeed it.
    """

    name: ClassVar[str]
    """What NDIS and the executive call it."""
    packet_filter: ClassVar[PacketFilter] = (
        PacketFilter.DIRECTED | PacketFilter.MULTICAST | PacketFilter.BROADCAST
    )

    def __init__(self, ndis: Ndis) -> None:
        self.links: dict[str, Link] = {}
        self._ndis = ndis
        self.request_turn = Dpc(ndis.executive, self.name, self._turn).queue
        """Has the transport take a turn soon: for its edges above, and for its links."""
        self._timer: Timer | None = None
        self._timer_ns: int | None = None

    # What a transport is

    def make_link(self, name: str, pool: PacketPool) -> Link:
        """Return a new link over the adapter ``name``, which wakes the driver by ``request_turn``."""
        raise NotImplementedError

    def negotiate(self, link: Link, open_: Open) -> None:
        """Ask the card for more than addresses and sizes, before the link is opened."""

    def attach(self, link: Link, before: Link | None) -> None:
        """Use a link that was opened; ``before`` is the adapter's last one, which was unbound."""

    def detach(self, link: Link) -> None:
        """Use a link no more: it is being unbound."""

    def state_changed(self, link: Link) -> None:
        """Its cable was plugged or pulled: ``link.up``."""

    def deliver(self, link: Link, frames: list[Any], now_ns: int) -> None:
        """Take what has come, and do all that follows from it."""

    def advance(self, now_ns: int) -> None:
        """Let time pass: fire what is due, and do all that follows from it."""

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is to be called at the latest, in ns; None: not without an event."""
        return None

    def reorder(self, names: Sequence[str]) -> None:
        """Prefer the adapters in this order: NetEventBindList."""

    # ProtocolDriver

    def bind_adapter(self, context: BindContext) -> Status:
        """ProtocolBindAdapter: open, ask the card what it is, and hand the link to the transport."""
        name = context.adapter.name
        pool = self._ndis.packet_pool(PACKETS)
        link = self.make_link(name, pool)
        open_ = context.open(link)
        link.mac = self.query(open_, Oid.O802_3_CURRENT_ADDRESS)
        if len(link.mac) != 6:
            open_.close()
            self._ndis.free_packet_pool(pool)
            return Status.NOT_ACCEPTED
        size = self.query(open_, Oid.GEN_MAXIMUM_FRAME_SIZE)
        link.mtu = int.from_bytes(size, "little") or ETHERNET_MTU
        self.negotiate(link, open_)
        state = self.query(open_, Oid.GEN_MEDIA_CONNECT_STATUS)
        link.up = not state or int.from_bytes(state, "little") != MEDIA_DISCONNECTED
        self.set(open_, Oid.GEN_CURRENT_LOOKAHEAD, link.mtu.to_bytes(4, "little"))
        link.opened(open_)
        before = self.links.get(name)
        self.links[name] = link
        link.told_up = link.up
        self.attach(link, before)
        self.set(open_, Oid.GEN_CURRENT_PACKET_FILTER, int(self.packet_filter).to_bytes(4, "little"))
        self.request_turn()
        return Status.SUCCESS

    def unbind_adapter(self, open_: Open) -> Status:
        """ProtocolUnbindAdapter: what was sent comes home before the close."""
        link = next(one for one in self.links.values() if one is open_.client)
        self.detach(link)
        link.stop()
        if not open_.adapter.is_gone:  # what a card has that was pulled out never comes back
            expect(self._ndis.executive, lambda: link.is_idle, f"{link.name} to give back what was sent")
        return link.close()

    def stop(self) -> None:
        """Take no more turns: the driver is bound to nothing any more, and is unloaded."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_ns = None, None

    # Turns

    def now_ns(self) -> int:
        """Return the executive's time."""
        return self._ndis.executive.now_ns()

    def set_timer(self) -> None:
        """Have the executive call when the transport's next deadline is due."""
        due = self.next_deadline()
        if due == self._timer_ns or (due is not None and self._timer_ns is not None and due > self._timer_ns):
            return  # a turn too early costs less than a timer set anew with every frame
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_ns = due
        if due is not None:
            self._timer = self._ndis.executive.call_at(due, self.name, self._fire)

    def _turn(self) -> None:
        now = self._ndis.executive.now_ns()
        is_settled = False
        try:
            for link in self.links.values():
                if link.up is not link.told_up:
                    link.told_up = link.up
                    self.state_changed(link)
                if link.waiting:
                    link.submit()
                if link.inbox:
                    frames, link.inbox = link.inbox, []
                    self.deliver(link, frames, now)
                    is_settled = True
            if not is_settled:
                self.advance(now)
        except Exception:
            self._ndis.executive.call_at(now + RETRY_NS, self.name, self.request_turn)
            raise  # the executive counts it; what the turn has not come to is next turn's
        self.set_timer()

    def _fire(self) -> None:
        self._timer, self._timer_ns = None, None
        self._turn()

    # Asking the card

    def query(self, open_: Open, oid: Oid, length: int = 256, data: bytes = b"") -> bytes:
        """Return the answer to an OID query; empty when the card refuses it."""
        request = Request.query(oid, length)
        request.buffer.raw[: len(data)] = data
        status = self._ask(open_, request)
        return request.buffer.answer if status is Status.SUCCESS else b""

    def set(self, open_: Open, oid: Oid, data: bytes) -> Status:
        """Set an OID, and wait for it."""
        return self._ask(open_, Request.set(oid, data))

    def _ask(self, open_: Open, request: Request) -> Status:
        open_.request(request)
        expect(self._ndis.executive, lambda: request.status is not Status.PENDING, f"{request!r}")
        return request.status
