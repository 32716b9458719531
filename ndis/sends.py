"""What both kinds of driver have in common on the way down.

Packets handed over, completed, given back.

Who queues and who locks is in ``ndis.serialized`` and ``ndis.deserialized``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ndis.events import Kind
from ndis.packet import Owner, Packet
from ndis.ports import Border
from ndis.status import Status
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from collections.abc import Callable


class SendPath(Protocol):
    """What the adapter needs of a path down to the driver."""

    outstanding: dict[Packet, int]

    @property
    def queued(self) -> list[Packet]:
        """Packets that NDIS keeps for the driver."""

    def submit(self, packets: list[Packet]) -> None:
        """Send packets that NDIS owns."""

    def complete(self, packet: Packet, status: Status) -> None:
        """NdisMSendComplete."""

    def give_back(self, packet: Packet, source: Owner, status: Status) -> None:
        """ProtocolSendComplete."""

    def resources_available(self) -> None:
        """NdisMSendResourcesAvailable."""

    def abort_queued(self, status: Status) -> None:
        """Complete what NDIS has queued."""

    def cancel(self, cancel_id: object) -> None:
        """NdisCancelSendPackets."""

    def after_reset(self) -> None:
        """Take back what a reset driver has forgotten."""

    def resume(self) -> None:
        """Send on."""


class SendHost(Border, Protocol):
    """What a path down needs of its adapter. ``refusal``: with what status sends are refused now."""

    refusal: Status | None
    max_send_packets: int


class Sends:
    """The account of packets that are with the driver.

    Invariant: a packet is a key of ``outstanding`` exactly while the driver owns it; the value is
    the time it got it, in µs.
    """

    def __init__(self, adapter: SendHost) -> None:
        """Look up the driver's send handlers."""
        self.adapter = adapter
        self.outstanding: dict[Packet, int] = {}
        # SendPackets wins when a driver has both.
        self.send_packets: Callable[[list[Packet]], None] | None = adapter.handlers.get("send_packets")
        self.send_single: Callable[..., Any] = adapter.handlers.get("send", _no_send)

    def hand_over(self, packets: list[Packet]) -> None:
        """Make the driver the owner."""
        adapter = self.adapter
        now_ns = adapter.executive.now_ns()
        outstanding = self.outstanding
        for packet in packets:
            if packet.owner is not Owner.NDIS:
                packet.transfer(Owner.NDIS, Owner.MINIPORT)  # which raises
            packet.owner = Owner.MINIPORT
            outstanding[packet] = now_ns
        if adapter.observer is not None:
            for packet in packets:
                adapter.emit(Kind.SEND, "send", packet)

    def complete(self, packet: Packet, status: Status) -> None:
        """NdisMSendComplete."""
        if self.adapter.observer is not None:
            self.adapter.emit(Kind.SEND_COMPLETE, status.name, packet)
        if packet not in self.outstanding:
            raise BugCheckError(f"{packet!r} completed, but it is not with the driver", packet)
        del self.outstanding[packet]
        self.give_back(packet, Owner.MINIPORT, status)

    def forget(self, packet: Packet) -> None:
        """Strike the packet from the account."""
        del self.outstanding[packet]

    def give_back(self, packet: Packet, source: Owner, status: Status) -> None:
        """ProtocolSendComplete: the packet is its protocol's again."""
        if packet.owner is not source:
            packet.transfer(source, Owner.PROTOCOL)  # which raises
        packet.owner = Owner.PROTOCOL
        packet.status = status
        open_ = packet.ndis_reserved
        if self.adapter.observer is not None:
            self.adapter.emit(Kind.COMPLETED, status.name, packet)
        open_.send_completed(packet, status)


def _no_send(*_arguments: object) -> Status:
    """Stand in for a handler that registration has checked is not needed."""
    return Status.NOT_SUPPORTED
