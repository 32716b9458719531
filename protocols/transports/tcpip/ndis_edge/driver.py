"""tcpip.sys: the protocol driver. It joins one ``Stack`` to NDIS's adapters, clock and turns.

The stack's owner calls ``kick`` after calls of its own; everything else happens in DPCs and
timers of the executive, which an owner with threads guards by a lock of the executive's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.errors import NdisError
from ndis.filter8023 import PacketFilter
from ndis.offload import NOTHING, Checksum
from ndis.offload import Offload as Tasks
from ndis.oids import MEDIA_DISCONNECTED, Oid
from ndis.requests import Request
from ndis.rsc import Coalescing, RscState
from ndis.status import Status
from protocols.transports.tcpip.ndis_edge import offloads
from protocols.transports.tcpip.ndis_edge.link import PACKETS, NdisLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.executive import Timer
    from ndis.protocol import Open
    from ndis.wrapper import BindContext, Ndis
    from protocols.transports.tcpip.stack import Stack

FILTER = PacketFilter.DIRECTED | PacketFilter.MULTICAST | PacketFilter.BROADCAST
BATCH = 64
"""Frames given to the stack at once: what ``coalesce`` may join."""


class TcpipDriver:
    """The transport: an ``ndis.protocol.ProtocolDriver`` whose bindings are interfaces of ``stack``.

    ``large_sends``, ``checksums`` and ``coalescing`` False leave an offload that the card has unused.
    Without checksums there is no other, and a host that forwards has no coalescing: it would send on what
    is too long.
    """

    def __init__(
        self,
        ndis: Ndis,
        stack: Stack,
        *,
        large_sends: bool = True,
        checksums: bool = True,
        coalescing: bool = True,
    ) -> None:
        """Own the stack's turns; bind nothing yet."""
        self.stack = stack
        self._timers = stack.context.timers
        self._timers.clock = lambda: ndis.executive.now_us() * 1000
        self.links: dict[str, NdisLink] = {}
        self._ndis = ndis
        self._large_sends = large_sends
        self._checksums = checksums
        self._coalescing = coalescing and not stack.config.forwarding
        self._queued = False
        self._timer: Timer | None = None
        self._timer_ns: int | None = None

    # ProtocolDriver

    def bind_adapter(self, context: BindContext) -> Status:
        """ProtocolBindAdapter: open, ask the card what it is, and make an interface of it."""
        name = context.adapter.name
        pool = self._ndis.packet_pool(PACKETS)
        link = NdisLink(name, pool, self.kick, self._reorder)
        open_ = context.open(link)
        link.mac = self._query(open_, Oid.O802_3_CURRENT_ADDRESS)
        if len(link.mac) != 6:
            open_.close()
            self._ndis.free_packet_pool(pool)
            return Status.NOT_ACCEPTED
        size = self._query(open_, Oid.GEN_MAXIMUM_FRAME_SIZE)
        link.mtu = int.from_bytes(size, "little") or 1500
        link.tasks = self._negotiate(open_)
        link.offload = offloads.for_stack(link.tasks)
        link.coalescing = self._coalesce(open_, link.tasks)
        state = self._query(open_, Oid.GEN_MEDIA_CONNECT_STATUS)
        link.up = not state or int.from_bytes(state, "little") != MEDIA_DISCONNECTED
        self._set(open_, Oid.GEN_CURRENT_LOOKAHEAD, link.mtu.to_bytes(4, "little"))
        link.opened(open_)
        before = self.links.get(name)
        self.links[name] = link
        if before is not None and before.replaces(link):
            link.succeed(before)
        else:
            link.interface = self.stack.add_interface(link)
        self.stack.set_link_state(link.interface, up=link.up)
        self._set(open_, Oid.GEN_CURRENT_PACKET_FILTER, int(FILTER).to_bytes(4, "little"))
        self.kick()
        return Status.SUCCESS

    def unbind_adapter(self, open_: Open) -> Status:
        """ProtocolUnbindAdapter: the interface stays, without a cable; what was sent comes home first."""
        link = next(one for one in self.links.values() if one is open_.client)
        self.stack.set_link_state(link.interface, up=False)
        link.stop()
        if not open_.adapter.is_gone:  # what a card has that was pulled out never comes back
            self._ndis.executive.wait(lambda: link.is_idle, f"{link.name} to give back what was sent")
        return link.close()

    def _reorder(self, names: Sequence[str]) -> None:
        """Prefer the adapters in the order of their bindings (NetEventBindList)."""
        self.stack.set_order([self.links[name].interface for name in names if name in self.links])

    # The stack's turns

    def kick(self) -> None:
        """Have the stack take a turn soon."""
        if not self._queued:
            self._queued = True
            self._ndis.executive.queue_dpc("tcpip", self._turn)

    def _turn(self) -> None:
        self._queued = False
        stack = self.stack
        now = self._ndis.executive.now_us() * 1000
        is_settled = False
        for link in self.links.values():
            if link.up != link.interface.up:
                stack.set_link_state(link.interface, up=link.up)
            if link.waiting:
                link.submit()
            if link.inbox:
                frames, link.inbox = link.inbox, []
                for at in range(0, len(frames), BATCH):
                    stack.receive(link.interface, frames[at : at + BATCH], now)
                is_settled = True
        if not is_settled:
            stack.advance(now)
        first = self._timers.first
        # A turn too early costs less than a timer set anew with every segment.
        if first is None or self._timer_ns is None or first < self._timer_ns:
            self._set_timer()

    def _set_timer(self) -> None:
        due = self.stack.next_deadline()
        if due == self._timer_ns or (due is not None and self._timer_ns is not None and due > self._timer_ns):
            return  # what made ``first`` so early was stopped
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_ns = due
        if due is not None:
            self._timer = self._ndis.executive.call_at(-(-due // 1000), "tcpip", self._fire)

    def _fire(self) -> None:
        self._timer, self._timer_ns = None, None
        self._turn()

    # Asking the card

    def _negotiate(self, open_: Open) -> Tasks:
        raw = self._query(open_, Oid.TCP_TASK_OFFLOAD, 1024, data=NOTHING.emit())
        if not raw or not self._checksums:
            return NOTHING
        try:
            offered = Tasks.parse(raw)
        except NdisError:
            return NOTHING
        if not self._large_sends:
            offered = Tasks(offered.v4_transmit, offered.v4_receive, offered.v6_transmit, offered.v6_receive)
        request = self._set(open_, Oid.TCP_TASK_OFFLOAD, offered.emit())
        return offered if request is Status.SUCCESS else NOTHING

    def _coalesce(self, open_: Open, tasks: Tasks) -> bool:
        """Switch receive coalescing on where the card verifies what it joins; return whether it does."""
        if not self._coalescing:
            return False
        states = [
            RscState.ENABLED if sums & Checksum.TCP else RscState.NO_CHANGE
            for sums in (tasks.v4_receive, tasks.v6_receive)
        ]
        asked = self._set(open_, Oid.TCP_OFFLOAD_PARAMETERS, Coalescing(*states).emit())
        return asked is Status.SUCCESS and RscState.ENABLED in states

    def _query(self, open_: Open, oid: Oid, length: int = 256, data: bytes = b"") -> bytes:
        request = Request.query(oid, length)
        request.buffer.raw[: len(data)] = data
        status = self._ask(open_, request)
        return request.buffer.answer if status is Status.SUCCESS else b""

    def _set(self, open_: Open, oid: Oid, data: bytes) -> Status:
        return self._ask(open_, Request.set(oid, data))

    def _ask(self, open_: Open, request: Request) -> Status:
        open_.request(request)
        self._ndis.executive.wait(lambda: request.status is not Status.PENDING, f"{request!r}")
        return request.status
