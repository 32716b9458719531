"""tcpip.sys's protocol driver: it joins one ``Stack`` to NDIS's adapters, clock and turns.

The edges above call ``stack.request_turn`` after calls of their own; everything happens in DPCs and timers of
the executive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ndis.errors import NdisError
from ndis.offload import NOTHING, Checksum
from ndis.offload import Offload as Tasks
from ndis.oids import Oid
from ndis.rsc import Coalescing, RscState
from ndis.status import Status
from protocols.interfaces.edge import EdgeDriver
from protocols.transports.tcpip.ndis_edge import offloads
from protocols.transports.tcpip.ndis_edge.link import NdisLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.open import Open
    from ndis.packet import PacketPool
    from ndis.wrapper import Ndis
    from protocols.transports.tcpip.stack import Stack

BATCH = 64
"""Frames given to the stack at once: what ``coalesce`` may join."""


class TcpipDriver(EdgeDriver[NdisLink]):
    """The transport's edge: each binding is an interface of ``stack``.

    ``large_sends``, ``checksums`` and ``coalescing`` False leave an offload that the card has unused.
    Without checksums there is no other, and a host that forwards has no coalescing: it would send on what
    is too long.
    """

    name = "tcpip"

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
        super().__init__(ndis)
        self.stack = stack
        self._timers = stack.context.timers
        self._timers.clock = ndis.executive.now_ns
        stack.request_turn = self.request_turn
        self._large_sends = large_sends
        self._checksums = checksums
        self._coalescing = coalescing and not stack.config.forwarding

    # EdgeDriver

    def make_link(self, name: str, pool: PacketPool) -> NdisLink:
        """Return a link whose interface is not known yet."""
        return NdisLink(name, pool, self.request_turn, self.reorder)

    def negotiate(self, link: NdisLink, open_: Open) -> None:
        """Ask the card for task offload and receive coalescing."""
        link.tasks = self._negotiate_tasks(open_)
        link.offload = offloads.for_stack(link.tasks)
        link.coalescing = self._coalesce(open_, link.tasks)

    def attach(self, link: NdisLink, before: NdisLink | None) -> None:
        """Make an interface of it; a rebinding takes the interface that is there."""
        if before is not None and before.replaces(link):
            link.succeed(before)
        else:
            link.interface = self.stack.add_interface(link)
        self.state_changed(link)

    def detach(self, link: NdisLink) -> None:
        """Let the interface stay, without a cable."""
        self.stack.set_link_state(link.interface, up=False)

    def state_changed(self, link: NdisLink) -> None:
        """Tell the stack of the cable."""
        self.stack.set_link_state(link.interface, up=link.up)

    def deliver(self, link: NdisLink, frames: list[Any], now_ns: int) -> None:
        """Have the stack take frames, in batches."""
        for at in range(0, len(frames), BATCH):
            self.stack.receive(link.interface, frames[at : at + BATCH], now_ns)

    def advance(self, now_ns: int) -> None:
        """Fire the stack's timers."""
        self.stack.advance(now_ns)

    def next_deadline(self) -> int | None:
        """Return the stack's."""
        return self.stack.next_deadline()

    def set_timer(self) -> None:
        """Look at the earliest timer first, stopped or not: with every segment one is set anew."""
        first = self._timers.first
        if first is None or self._timer_ns is None or first < self._timer_ns:
            super().set_timer()

    def reorder(self, names: Sequence[str]) -> None:
        """Prefer the interfaces in the order of their bindings."""
        self.stack.set_order([self.links[name].interface for name in names if name in self.links])

    # Asking the card

    def _negotiate_tasks(self, open_: Open) -> Tasks:
        raw = self.query(open_, Oid.TCP_TASK_OFFLOAD, 1024, data=NOTHING.emit())
        if not raw or not self._checksums:
            return NOTHING
        try:
            offered = Tasks.parse(raw)
        except NdisError:
            return NOTHING
        if not self._large_sends:
            offered = Tasks(offered.v4_transmit, offered.v4_receive, offered.v6_transmit, offered.v6_receive)
        request = self.set(open_, Oid.TCP_TASK_OFFLOAD, offered.emit())
        return offered if request is Status.SUCCESS else NOTHING

    def _coalesce(self, open_: Open, tasks: Tasks) -> bool:
        """Switch receive coalescing on where the card verifies what it joins; return whether it does."""
        if not self._coalescing:
            return False
        states = [
            RscState.ENABLED if sums & Checksum.TCP else RscState.NO_CHANGE
            for sums in (tasks.v4_receive, tasks.v6_receive)
        ]
        asked = self.set(open_, Oid.TCP_OFFLOAD_PARAMETERS, Coalescing(*states).emit())
        return asked is Status.SUCCESS and RscState.ENABLED in states
